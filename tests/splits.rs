//! Splits of the roles that lie between all on one node and one on each: two nodes of all, and two that have those of the
//! data plane beside a control plane.

use serde_json::json;

use crate::cluster::{CONTROL, options};
use crate::control_planes::starts;
use crate::shards::owned_by;
use crate::support::node::Node;
use crate::support::platform::ADMIN;
use crate::support::postgres;
use crate::support::upstream::Upstream;

/// What a plan of these tests lets through in a day.
const UNITS: u64 = 9;

async fn call(gateway: &Node, access: &str) -> u16 {
    let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
    call.send().await.status.into()
}

/// What is published at `made_at` and subscribed to at `sold_at` is called through both gateways, counted as one, and
/// refused at both when it is revoked.
async fn are_one_platform(made_at: &Node, sold_at: &Node, gateways: [&Node; 2]) {
    let upstream = Upstream::start().await;
    let token = made_at.admin_token().await;
    let plan = json!({"policyName": "Nine", "defaultLimit": {
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": UNITS},
    }});
    let path = format!("{ADMIN}/throttling/policies/application");
    let made = made_at.post(&path).bearer(&token).json(&plan).send().await;
    made.expect(201);
    let api = made_at.published(&token, "Shop", "/shop", &upstream.url);
    let api = api.await;
    let plans = ("Nine", "Unlimited");
    let sold = sold_at.subscribed_under(&token, &api, plans, "both", "JWT");
    let sold = sold.await;
    let mut told = Vec::new();
    for turn in 0..4 * UNITS as usize {
        told.push(call(gateways[turn % 2], &sold.access).await);
    }
    let passed = told.iter().filter(|status| **status == 200).count() as u64;
    assert_eq!(
        (passed, upstream.count() as u64),
        (UNITS, UNITS),
        "{told:?}"
    );
    assert!(
        told.iter().all(|status| matches!(status, 200 | 429)),
        "{told:?}"
    );
    let revoke = sold_at
        .post("/oauth2/revoke")
        .basic(&sold.key, &sold.secret);
    let revoked = revoke.form(&[("token", &sold.access)]).send().await;
    revoked.expect(200);
    for gateway in gateways {
        assert_eq!(call(gateway, &sold.access).await, 401);
    }
}

#[tokio::test]
async fn two_nodes_of_all_roles_over_one_database_are_one_platform() {
    let Some(server) = postgres::server() else {
        return;
    };
    let apim = postgres::fresh_database(&server, "splits_apim");
    let shared = postgres::fresh_database(&server, "splits_shared");
    let starts = starts(apim, shared);
    let one = Node::start_with(starts("one", "all", "")).await;
    let two = Node::start_with(starts("two", "all", &one.cluster_address())).await;
    owned_by(&one, &["one", "two"]).await;
    owned_by(&two, &["one", "two"]).await;
    are_one_platform(&one, &two, [&one, &two]).await;
}

#[tokio::test]
async fn nodes_that_call_and_count_without_a_database_are_one_platform_with_their_control_plane() {
    let control = Node::start_with(options("cp1", CONTROL, "")).await;
    let seed = control.cluster_address();
    let edge = |name: &str| Node::start_with(options(name, "gateway,traffic-manager", &seed));
    let (one, two) = tokio::join!(edge("edge1"), edge("edge2"));
    for node in [&one, &two] {
        owned_by(node, &["edge1", "edge2"]).await;
    }
    are_one_platform(&control, &control, [&one, &two]).await;
}
