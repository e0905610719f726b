//! What a gateway serves by that nobody tells anything: no longer than it is set to, counted over a restart (S5).

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Trio, options, set};
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::node::{Node, Options};

const MOST: (&str, &str) = ("HEADGATE__GATEWAY__MAX_STALE_S", "10");

/// A trio whose gateway has this setting, and is dead like the others; with a token that it knew, and how it starts
/// again.
async fn all_dead(setting: &[(&str, &str)]) -> (Trio, String, Options) {
    let mut trio = Trio::start_with(setting).await;
    let (node, token, api) = (&trio.control, &trio.token, &trio.api);
    let holder = node.subscribed(token, api, "holder", "JWT").await;
    assert_eq!(trio.call(&holder.access).await, 200);
    crate::without_key_managers::keeps(&trio.gateway, 1.0).await;
    let mut again = options("gw1", "gateway", &trio.control.cluster_address());
    again.unready = true;
    for (key, value) in setting {
        set(&mut again, key, value);
    }
    trio.control.kill();
    trio.traffic.kill();
    trio.gateway.kill();
    (trio, holder.access, again)
}

/// It starts alone, finds nobody, and serves nothing by what it has.
async fn serves_nothing(gateway: &Node, access: &str) {
    eventually(30, "it sees that it is cut off", || async {
        let log = gateway.log();
        let gone = log.matches("nobody of the control plane answers").count();
        (gone > 0).then_some(())
    })
    .await;
    for _ in 0..3 {
        let call = gateway.api("GET", "/shop/1.0.0/items").bearer(access);
        let refused = call.send().await.expect(503);
        assert_eq!(refused.header("retry-after"), "1");
        assert!(refused.text().contains("900900"), "{}", refused.text());
    }
    let ready = gateway.api("GET", "/_headgate/readyz").send().await;
    assert_eq!(ready.status, 503);
}

#[tokio::test]
async fn a_gateway_that_starts_alone_serves_nothing_by_what_is_older_than_it_may_be() {
    let (mut trio, access, again) = all_dead(&[MOST]).await;
    let until = Instant::now() + Duration::from_secs(15);
    tokio::time::sleep_until(until).await;
    // What its log says from here on is of this start.
    std::fs::remove_file(trio.gateway.dir.join("log")).expect("removed");
    trio.gateway = trio.gateway.crash_and_restart(again).await;
    serves_nothing(&trio.gateway, &access).await;
}

#[tokio::test]
async fn a_gateway_that_starts_alone_with_a_clock_that_was_set_back_serves_nothing_of_unknown_age()
{
    let (mut trio, access, mut again) = all_dead(&[]).await;
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::in_directory(dir.path());
    faults.set_clock(-7_200);
    let below = faults.options(dir.path());
    again.environment.extend(below.environment);
    std::fs::remove_file(trio.gateway.dir.join("log")).expect("removed");
    trio.gateway = trio.gateway.crash_and_restart(again).await;
    serves_nothing(&trio.gateway, &access).await;
    let log = trio.gateway.log();
    assert!(log.contains("nobody can tell how old"), "{log}");
}
