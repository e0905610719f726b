//! What is chosen of a policy beyond its limits: what a gateway does while nobody grants units, and how windows count.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::{Trio, options};
use crate::support::eventually;
use crate::support::platform::ADMIN;
use crate::support::shop::Shop;

fn limit(units: u64, unit: &str, count: u32) -> Value {
    json!({
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": unit, "unitTime": count, "requestCount": units},
    })
}

fn chosen(name: &str, value: &str) -> Value {
    json!([{"name": name, "value": value}])
}

/// Calls until one is refused; gives how many were let through before, the refusal, and how long it took.
async fn until_refused(trio: &Trio, access: &str) -> (u64, u16, Duration) {
    let mut let_through = 0;
    loop {
        let began = Instant::now();
        match trio.call(access).await {
            200 => let_through += 1,
            status => return (let_through, status, began.elapsed()),
        }
        assert!(let_through <= 60, "no end");
    }
}

#[tokio::test]
async fn without_an_owner_each_policy_does_what_its_mode_says_and_is_exact_again_with_one() {
    let mut trio = Trio::start().await;
    let day = limit(20, "day", 1);
    let (_, _, exact) = trio.limited("Exact", &day).await;
    let (_, _, share) = trio
        .chosen("Share", &day, &chosen("headgate.mode", "share"))
        .await;
    let (_, _, allow) = trio
        .chosen("Allow", &day, &chosen("headgate.mode", "allow"))
        .await;
    for access in [&exact, &share, &allow] {
        assert_eq!(trio.call(access).await, 200);
    }
    trio.traffic.kill();
    // Units at hand are good for a few calls more.
    let (let_through, status, held) = until_refused(&trio, &exact).await;
    assert!(let_through < 20, "{let_through}");
    assert_eq!(status, 503);
    assert!(held >= Duration::from_millis(2_900), "{held:?}");
    // The one gateway's share is all of it, on top of what it has had.
    let (let_through, status, _) = until_refused(&trio, &share).await;
    assert!((20..40).contains(&let_through), "{let_through}");
    assert_eq!(status, 503);
    for _ in 0..30 {
        assert_eq!(trio.call(&allow).await, 200);
    }
    let told = trio.gateway.get("/metrics").send().await.expect(200).text();
    let counted = |mode: &str| {
        let name = format!("headgate_throttle_unowned_calls_total{{mode=\"{mode}\"}} ");
        let mut lines = told.lines();
        let value = lines.find_map(|line| line.strip_prefix(name.as_str()));
        value.map(|value| value.parse::<u64>().expect("a number"))
    };
    assert_eq!(counted("share"), Some(20));
    assert!(counted("allow").is_some_and(|calls| calls >= 10), "{told}");
    let again = options("tm1", "traffic-manager", &trio.control.cluster_address());
    trio.traffic = trio.traffic.crash_and_restart(again).await;
    eventually(20, "units are granted again", || async {
        (trio.call(&exact).await == 200).then_some(())
    })
    .await;
    eventually(
        20,
        "what was let through no matter what is exact",
        || async { (trio.call(&allow).await == 429).then_some(()) },
    )
    .await;
}

#[tokio::test]
async fn a_plan_whose_window_slides_lets_no_more_through_in_any_time_of_its_length() {
    let (shop, _upstream) = Shop::start("").await;
    let (node, token) = (&shop.node, &shop.token);
    let path = format!("{ADMIN}/throttling/policies/application");
    let body = |value: &str| {
        json!({
            "policyName": "Sliding", "defaultLimit": limit(5, "sec", 2),
            "customAttributes": chosen("headgate.window", value),
        })
    };
    let refused = node.post(&path).bearer(token).json(&body("hopping"));
    let refused = refused.send().await.expect(400).text();
    assert!(refused.contains("customAttributes[0].value"), "{refused}");
    let made = node.post(&path).bearer(token).json(&body("sliding"));
    let made = made.send().await.expect(201).json();
    assert_eq!(
        made["customAttributes"],
        chosen("headgate.window", "sliding")
    );
    let application = node.application(token, "two", "Sliding", "JWT").await;
    node.subscribe(token, &shop.api, &application, "Unlimited")
        .await;
    let (key, secret) = node.keys(token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    let (began, mut let_through) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(7) {
        let from = Instant::now();
        let call = node.api("GET", "/shop/1.0.0/items").bearer(&access);
        match u16::from(call.send().await.status) {
            200 => let_through.push((from, Instant::now())),
            status => {
                assert_eq!(status, 429);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    for six in let_through.windows(6) {
        let took = six[5].1 - six[0].0;
        assert!(took >= Duration::from_secs(2), "six in {took:?}");
    }
    assert!(let_through.len() >= 11, "{}", let_through.len());
}
