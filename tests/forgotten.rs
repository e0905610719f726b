//! Nodes that an operator forgets: what is given up with them, and that they are retired whatever was lost.

use std::time::Duration;

use serde_json::json;

use crate::cluster::{Trio, members, options};
use crate::shards::{metric, owned_by, run};
use crate::support::eventually;
use crate::support::node::Node;

const LOST: &str = "headgate_view_lost_shards";
const GIVEN_UP: &str = "what a node held of lost shards is given up";

/// Until this one sees another as down.
async fn sees_down(node: &Node, name: &str) {
    let down = (name.to_owned(), "down".to_owned());
    eventually(30, "it is seen to be down", || async {
        members(node).await.contains(&down).then_some(())
    })
    .await;
}

/// Both that held all shards are gone with their disks, and the only voter is not.
async fn held_together() -> (Trio, Node, String) {
    let mut trio = Trio::start().await;
    let (code, _, said) = run(&trio.control, &["cluster", "voters", "set", "cp1"]);
    assert_eq!(code, Some(0), "{said}");
    let seed = trio.control.cluster_address();
    let joining = |name: &str| Node::start_with(options(name, "traffic-manager", &seed));
    let mut second = joining("tm2").await;
    owned_by(&trio.gateway, &["tm1", "tm2"]).await;
    let (_, _, access) = trio.subscriber("Nine", 9).await;
    let counted = eventually(60, "calls are counted", || async {
        (trio.call(&access).await == 200).then_some(())
    });
    counted.await;
    // Both stand still before either is gone: else the second takes over what the first one held.
    for held in [&trio.traffic, &second] {
        held.signal("-STOP");
    }
    for held in [&mut trio.traffic, &mut second] {
        held.kill();
        std::fs::remove_dir_all(held.dir.join("data")).expect("removed");
    }
    let third = joining("tm3").await;
    owned_by(&trio.gateway, &["tm3"]).await;
    (trio, third, access)
}

#[tokio::test]
async fn who_held_lost_shards_together_are_forgotten_one_after_the_other_and_windows_count_anew() {
    let (mut trio, third, access) = held_together().await;
    eventually(60, "what was counted is lost, so it is full", || async {
        (trio.call(&access).await == 429).then_some(())
    })
    .await;
    let before = trio.upstream.count();
    assert!(before <= 9, "{before}");
    assert!(metric(&third, LOST).await > 0.0);
    let (code, told, said) = run(&trio.gateway, &["shards"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(told.contains("lost"), "{told}");
    let forget = |node: &str| run(&trio.gateway, &["cluster", "forget", node, "--yes"]);
    let (code, told, said) = forget("tm1");
    assert_eq!(code, Some(0), "{said}");
    assert!(told.contains("lost shards given up"), "{told}");
    assert!(
        told.contains("its certificate is renewed no more"),
        "{told}"
    );
    eventually(60, "it counts from nothing", || async {
        (trio.call(&access).await == 200).then_some(())
    })
    .await;
    while trio.call(&access).await == 200 {
        assert!(trio.upstream.count() < before + 9, "no limit any more");
    }
    assert_eq!(metric(&third, LOST).await, 0.0);
    // What it held went with the first; said again it is so.
    for _ in 0..2 {
        let (code, told, said) = forget("tm2");
        assert_eq!(code, Some(0), "{said}");
        assert!(told.contains("nothing was given up"), "{told}");
        assert!(
            told.contains("its certificate is renewed no more"),
            "{told}"
        );
    }
    let nothing = "agreed: nothing of it was lost; retired";
    let outcomes = ["ordered", nothing, "ordered", nothing];
    let gateway = &trio.gateway;
    gateway
        .has_audited(GIVEN_UP, ("nodes", "tm2"), &outcomes)
        .await;
    let first = ["ordered", "agreed; retired"];
    gateway
        .has_audited(GIVEN_UP, ("nodes", "tm1"), &first)
        .await;
    // Who is there is not, nor is whoever nobody has heard of.
    let unknown = "0f8fad5b-d9cb-469f-a165-70867728950e";
    for (node, wanted) in [("tm3", "not known to be down"), (unknown, "does not exist")] {
        let (code, _, said) = forget(node);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
    }
    trio.gateway.kill();
    sees_down(&trio.control, "gw1").await;
    let (code, told, said) = run(&third, &["cluster", "forget", "gw1", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        told.contains("its certificate is renewed no more"),
        "{told}"
    );
}

#[tokio::test]
async fn an_order_to_forget_goes_on_and_is_told_of_though_whoever_gave_it_has_gone() {
    let mut trio = Trio::start().await;
    owned_by(&trio.gateway, &["tm1"]).await;
    let (code, _, said) = run(&trio.control, &["cluster", "voters", "set", "tm1"]);
    assert_eq!(code, Some(0), "{said}");
    trio.gateway.kill();
    sees_down(&trio.control, "gw1").await;
    sees_down(&trio.traffic, "gw1").await;
    // Whoever leads stands still, so that nothing comes of it while somebody waits.
    trio.traffic.signal("-STOP");
    let token = trio.control.operator();
    let body = json!({"node": "gw1"});
    let ordered = trio
        .control
        .post("/admin/forget")
        .bearer(&token)
        .json(&body);
    let waited = tokio::time::timeout(Duration::from_secs(1), ordered.send()).await;
    assert!(waited.is_err(), "{waited:?}");
    trio.traffic.signal("-CONT");
    let outcomes = ["ordered", "agreed: nothing of it was lost; retired"];
    let of = ("nodes", "gw1");
    trio.control.has_audited(GIVEN_UP, of, &outcomes).await;
}
