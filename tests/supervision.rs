//! A component whose actors end under load comes back by itself; its neighbours notice nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::PUBLISHER;
use crate::support::upstream::Upstream;

async fn actors(node: &Node) -> Vec<Value> {
    let answer = node
        .get("/admin/actors")
        .bearer(&node.operator())
        .send()
        .await
        .expect(200);
    answer.json()["list"].as_array().expect("a list").clone()
}

fn restarts(actors: &[Value], name: &str) -> u64 {
    let found = actors.iter().find(|actor| actor["name"] == name);
    found.expect(name)["restarts"].as_u64().expect("a number")
}

/// Calls an API until told to stop; counts all calls and those that failed.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    failed: AtomicUsize,
    all: AtomicUsize,
}

impl Load {
    async fn run(&self, node: &Node, access: &str) {
        while !self.stop.load(Ordering::Relaxed) {
            let call = node.api("GET", "/shop/1.0.0/items").bearer(access);
            let answered = call.try_send().await;
            self.all.fetch_add(1, Ordering::Relaxed);
            if !answered.is_ok_and(|answer| answer.status == 200) {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Kills every actor of a component once and waits until all run again; no other one restarts.
async fn kill_all(node: &Node, component: &str) {
    let before = actors(node).await;
    let prefix = format!("{component}/");
    let mine: Vec<&str> = before
        .iter()
        .filter(|actor| actor["kind"] != "supervisor")
        .filter_map(|actor| actor["name"].as_str())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    assert!(!mine.is_empty(), "{component} has no actors");
    for name in &mine {
        let restart = node.post(&format!("/admin/actors/restart?name={name}"));
        restart.bearer(&node.operator()).send().await.expect(200);
        // Spread over a while, so that calls meet every one of the restarts.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually(20, "every killed actor runs again", || async {
        let now = actors(node).await;
        let back = mine
            .iter()
            .all(|name| restarts(&now, name) > restarts(&before, name));
        back.then_some(())
    })
    .await;
    let now = actors(node).await;
    for other in now.iter().filter_map(|actor| actor["name"].as_str()) {
        if !other.starts_with(&prefix) && other != component {
            assert_eq!(restarts(&now, other), restarts(&before, other), "{other}");
        }
    }
    eventually(10, "the node is ready again", || async {
        let answer = node.get("/readyz").send().await;
        answer.status.is_success().then_some(())
    })
    .await;
}

/// Kills a component's actors while API calls go on; gives how many calls failed, and of how many.
async fn failed_calls_while_killing(component: &str) -> (usize, usize) {
    let (node, upstream) = (Node::start().await, Upstream::start().await);
    let token = node.admin_token().await;
    let api = node.published(&token, "Shop", "/shop", &upstream.url).await;
    let subscribed = node.subscribed(&token, &api, "one", "JWT").await;
    let load = Load::default();
    let killing = async {
        kill_all(&node, component).await;
        load.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(load.run(&node, &subscribed.access), killing);
    let list = node.get(&format!("{PUBLISHER}/apis")).bearer(&token);
    let list = list.send().await.expect(200);
    assert_eq!(list.json()["count"], 1, "what was written before is there");
    (
        load.failed.load(Ordering::Relaxed),
        load.all.load(Ordering::Relaxed),
    )
}

macro_rules! component_survives {
    ($($test:ident: $component:literal;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let (failed, all) = failed_calls_while_killing($component).await;
            assert!(all > 20, "only {all} calls were made");
            assert_eq!(failed, 0, "{failed} of {all} calls failed");
        }
    )*};
}

component_survives! {
    killed_publisher_actors_come_back_and_fail_no_call: "publisher";
    killed_devportal_actors_come_back_and_fail_no_call: "devportal";
    killed_admin_actors_come_back_and_fail_no_call: "admin";
    killed_key_manager_actors_come_back_and_fail_no_call: "key-manager";
    killed_gateway_actors_come_back_and_fail_no_call: "gateway";
    killed_traffic_manager_actors_come_back_and_fail_no_call: "traffic-manager";
    killed_change_feed_actors_come_back_and_fail_no_call: "change-feed";
    killed_usage_actors_come_back_and_fail_no_call: "usage";
}
