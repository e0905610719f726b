//! Plans while traffic managers come, go and die: counted by whoever owns them at the moment.

use serde_json::json;

use crate::cluster::{Trio, members, options};
use crate::support::eventually;
use crate::support::node::Node;

/// The answer of a call, once somebody owns its plan.
async fn settled(trio: &Trio, access: &str) -> u16 {
    eventually(60, "calls go on", || async {
        match trio.call(access).await {
            // Between two owners a call waits and is turned away; it is not counted then.
            503 => None,
            status => Some(status),
        }
    })
    .await
}

async fn until_seen(trio: &Trio, name: &str, health: &str) {
    let wanted = (name.to_owned(), health.to_owned());
    eventually(60, "the gateway sees it", || async {
        let members = members(&trio.gateway).await;
        members.contains(&wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn plans_go_on_at_a_new_owner_and_grant_no_more_than_each_owner_may() {
    const LIMIT: usize = 40;
    let mut trio = Trio::start().await;
    // A window that does not end while this runs, whatever the time of day.
    let limit = json!({
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "year", "unitTime": 1, "requestCount": LIMIT},
    });
    let (_, _, access) = trio.limited("Forty", &limit).await;
    for _ in 0..10 {
        assert_eq!(settled(&trio, &access).await, 200);
    }
    let seed = trio.control.cluster_address();
    // It joins, and some of what the first one owned is its.
    let mut second = Node::start_with(options("tm2", "traffic-manager", &seed)).await;
    until_seen(&trio, "tm2", "up").await;
    let mut let_through = 10;
    for _ in 0..10 {
        assert_eq!(settled(&trio, &access).await, 200);
        let_through += 1;
    }
    // The first one dies: all is the second one's.
    trio.traffic.kill();
    until_seen(&trio, "tm1", "down").await;
    while settled(&trio, &access).await == 200 {
        let_through += 1;
        assert!(
            let_through <= 2 * LIMIT,
            "each of the two owners grants its own count and no more"
        );
    }
    assert_eq!(settled(&trio, &access).await, 429);
    // It leaves in order, and another one is there: calls go on, whatever it says of the plan.
    let third = Node::start_with(options("tm3", "traffic-manager", &seed)).await;
    until_seen(&trio, "tm3", "up").await;
    assert_eq!(second.terminate().await, Some(0));
    let answered = settled(&trio, &access).await;
    assert!([200, 429].contains(&answered), "{answered}");
    drop(third);
}
