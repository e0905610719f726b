//! Conditional groups of advanced policies.

use serde_json::json;

use super::{Shop, between, group, grouped, requests, specific};

#[tokio::test]
async fn the_first_group_whose_conditions_hold_counts_by_its_own_limit_else_the_default() {
    let shop = Shop::open().await;
    let office = group(
        &[
            between("10.0.0.0", "10.0.0.255"),
            specific("10.0.0.7", true),
        ],
        2,
    );
    let printer = group(&[specific("10.0.0.7", false)], 3);
    let all = grouped(4, &[office, printer]);
    shop.policy("advanced", "Grouped", all).await;
    shop.alter(json!({"apiThrottlingPolicy": "Grouped"})).await;
    let access = shop.any_caller().await;
    let from = |address: &'static str| {
        let (shop, access) = (&shop, &access);
        move || shop.get(access).header("x-forwarded-for", address)
    };
    let first = from("10.0.0.1")().send().await.expect(200);
    let advertised = "\"Grouped_condition_1\";q=2;w=86400";
    assert_eq!(first.header("ratelimit-policy"), advertised);
    assert!(
        first
            .header("ratelimit")
            .starts_with("\"Grouped_condition_1\";r=")
    );
    let mut passed = vec![];
    for address in ["10.0.0.1", "10.0.0.2", "10.0.0.7", "10.0.1.1", "10.0.1.2"] {
        passed.push(shop.passes(6, "900800", from(address)).await);
    }
    // The office's two are shared by its callers; one was used above.
    assert_eq!(passed, [1, 0, 3, 4, 0]);
}

#[tokio::test]
async fn a_changed_group_acts_at_once() {
    let shop = Shop::open().await;
    let here = |limit| grouped(1, &[group(&[specific("127.0.0.1", false)], limit)]);
    let policy = shop.policy("advanced", "Grouped", here(2)).await;
    shop.alter(json!({"apiThrottlingPolicy": "Grouped"})).await;
    let access = shop.any_caller().await;
    let call = || shop.get(&access);
    assert_eq!(shop.passes(4, "900800", call).await, 2);
    shop.change("advanced", &policy, "Grouped", here(5)).await;
    assert_eq!(shop.passes(5, "900800", call).await, 3, "five in all");
    let elsewhere = grouped(1, &[group(&[specific("127.0.0.1", true)], 9)]);
    shop.change("advanced", &policy, "Grouped", elsewhere).await;
    assert_eq!(shop.passes(3, "900800", call).await, 1, "the default");
    shop.change("advanced", &policy, "Grouped", here(6)).await;
    assert_eq!(shop.passes(3, "900800", call).await, 1, "six in all");
    shop.change("advanced", &policy, "Grouped", requests(3))
        .await;
    assert_eq!(shop.passes(4, "900800", call).await, 2, "three in all");
}
