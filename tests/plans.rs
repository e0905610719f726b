//! A plan that changes while its window runs.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{ADMIN, text};
use crate::support::upstream::Upstream;

fn plan(calls: u32) -> Value {
    json!({
        "policyName": "AFewPerDay", "displayName": "a few", "description": "a few a day",
        "defaultLimit": {
            "type": "REQUESTCOUNTLIMIT",
            "requestCount": {"timeUnit": "days", "unitTime": 1, "requestCount": calls},
        },
    })
}

/// Calls until it is refused; gives how many were answered.
async fn drain(node: &Node, access: &str) -> u32 {
    let mut answered = 0;
    loop {
        let call = node.api("GET", "/shop/1.0.0/items").bearer(access);
        let answer = call.send().await;
        match answer.status.as_u16() {
            200 => answered += 1,
            429 => return answered,
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

#[tokio::test]
async fn a_plan_raised_in_the_middle_of_its_window_lets_through_just_what_is_more() {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let plans = format!("{ADMIN}/throttling/policies/application");
    let made = node.post(&plans).bearer(&token).json(&plan(3));
    let made = made.send().await.expect(201).json();
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let application = node.application(&token, "few", "AFewPerDay", "JWT").await;
    node.subscribe(&token, &api, &application, "Unlimited")
        .await;
    let (key, secret) = node.keys(&token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    assert_eq!(drain(&node, &access).await, 3);
    let of_plan = format!("{plans}/{}", text(&made, "policyId"));
    let raised = node.put(&of_plan).bearer(&token).json(&plan(5));
    raised.send().await.expect(200);
    // In force when its answer comes: the very next call goes by it.
    assert_eq!(drain(&node, &access).await, 2);
    let lowered = node.put(&of_plan).bearer(&token).json(&plan(4));
    lowered.send().await.expect(200);
    assert_eq!(drain(&node, &access).await, 0);
    assert_eq!(upstream.count(), 5);
}
