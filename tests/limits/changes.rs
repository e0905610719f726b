//! Policies that change while calls are counted by them, and limits that cannot be kept.

use serde_json::json;

use super::{Shop, bytes, group, grouped, requests, specific};
use crate::support::platform::{ADMIN, text};

#[tokio::test]
async fn a_plan_that_goes_over_to_bytes_and_back_acts_at_once() {
    let shop = Shop::open().await;
    let plan = shop.policy("application", "Plan", requests(3)).await;
    let access = shop.caller("one", "Plan", "Unlimited").await;
    let call = || shop.get(&access);
    assert_eq!(shop.passes(2, "900803", call).await, 2);
    shop.change("application", &plan, "Plan", requests(1)).await;
    assert_eq!(shop.passes(2, "900803", call).await, 0, "lowered");
    let kilobyte = bytes(1, "KB", "day");
    shop.change("application", &plan, "Plan", kilobyte).await;
    let first = call().send().await.expect(200);
    assert!(first.header("ratelimit-policy").contains("content-bytes"));
    let full = shop.exhaust(2_000, || shop.upload(&access, 2_000)).await;
    assert_eq!(full.calls, 1);
    shop.change("application", &plan, "Plan", requests(4)).await;
    assert_eq!(
        shop.passes(4, "900803", call).await,
        2,
        "bytes are no requests"
    );
}

#[tokio::test]
async fn a_limit_of_events_is_refused_as_long_as_there_are_none() {
    let shop = Shop::open().await;
    let events = json!({
        "type": "EVENTCOUNTLIMIT",
        "eventCount": {"eventCount": 5, "unitTime": 1, "timeUnit": "min"},
    });
    let mut in_group = grouped(1, &[group(&[specific("10.0.0.1", false)], 1)]);
    in_group["conditionalGroups"][0]["limit"] = events.clone();
    let default = json!({"defaultLimit": events});
    let cases = [
        ("subscription", &default, "defaultLimit.type"),
        ("application", &default, "defaultLimit.type"),
        ("advanced", &default, "defaultLimit.type"),
        ("advanced", &in_group, "conditionalGroups[0].limit.type"),
    ];
    for (level, policy, field) in cases {
        let mut policy = policy.clone();
        policy["policyName"] = "Events".into();
        let path = format!("{ADMIN}/throttling/policies/{level}");
        let post = shop.node.post(&path).bearer(&shop.token).json(&policy);
        let refused = post.send().await.expect(400).json();
        let description = text(&refused, "description");
        assert!(description.starts_with(field), "{description}");
    }
}
