//! A plan that changes while its window runs, and what both portals tell of plans.

use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::platform::{ADMIN, DEVPORTAL, PUBLISHER, text};
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

/// A plan of a megabyte a day that costs something, as the administration takes it.
fn paid() -> Value {
    json!({
        "policyName": "Paid", "displayName": "paid", "description": "a megabyte a day",
        "defaultLimit": {
            "type": "BANDWIDTHLIMIT",
            "bandwidth": {"timeUnit": "day", "unitTime": 1, "dataAmount": 1, "dataUnit": "MB"},
        },
        "billingPlan": "COMMERCIAL",
        "customAttributes": [{"name": "support", "value": "day and night"}],
    })
}

/// What is looked at of a plan: how much, of what, in which time, at which price, and with what.
fn told(plan: &Value) -> Value {
    let members = [
        "requestCount",
        "dataUnit",
        "quotaPolicyType",
        "unitTime",
        "timeUnit",
        "tierPlan",
        "attributes",
    ];
    json!(members.map(|member| plan[member].clone()))
}

#[tokio::test]
async fn both_portals_tell_a_plans_amount_price_and_attributes_as_the_administration_keeps_them() {
    let node = Node::start().await;
    let token = node.admin_token().await;
    let make = node.post(&format!("{ADMIN}/throttling/policies/subscription"));
    make.bearer(&token).json(&paid()).send().await.expect(201);
    let read = async |path: &str| -> Value {
        let call = node.get(path).bearer(&token);
        call.send().await.expect(200).json()
    };
    let api = node
        .import(&token, "Sold", "/sold", "http://127.0.0.1:9")
        .await;
    let document = format!("{PUBLISHER}/apis/{api}");
    let mut body = read(&document).await;
    body["policies"] = json!(["Paid", "Gold"]);
    let put = node.put(&document).bearer(&token).json(&body);
    put.send().await.expect(200);
    node.deploy(&token, &api).await;
    node.lifecycle(&token, &api, "Publish").await;
    let attributes = json!({"support": "day and night"});
    let plans = [
        (
            "Paid",
            json!([
                1,
                "MB",
                "BANDWIDTHVOLUME",
                1,
                "day",
                "COMMERCIAL",
                attributes
            ]),
        ),
        (
            "Gold",
            json!([5_000, null, "REQUESTCOUNT", 1, "min", "FREE", {}]),
        ),
    ];
    for portal in [PUBLISHER, DEVPORTAL] {
        let list = read(&format!("{portal}/throttling-policies/subscription")).await;
        let offered = read(&format!("{portal}/apis/{api}/subscription-policies")).await;
        for (name, wanted) in &plans {
            let one = format!("{portal}/throttling-policies/subscription/{name}");
            assert_eq!(told(&read(&one).await), *wanted, "{one}");
            for list in [&list["list"], &offered] {
                let list = list.as_array().expect("plans");
                let found = list.iter().find(|plan| plan["name"] == *name);
                assert_eq!(told(found.expect("the plan")), *wanted, "{portal} {name}");
            }
        }
    }
    let page = read(&format!("{DEVPORTAL}/apis/{api}")).await;
    let tiers = page["tiers"].as_array().expect("plans").clone();
    for (name, price) in [("Paid", "COMMERCIAL"), ("Gold", "FREE")] {
        let tier = json!({"tierName": name, "tierPlan": price});
        assert!(tiers.contains(&tier), "{tiers:?}");
    }
}
