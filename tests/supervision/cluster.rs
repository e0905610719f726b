//! The actor that meets other nodes ends under load on each of three nodes: all dial each other
//! anew, neighbours lose no more than to a busy disk, and only what has to reach another node waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::load::Kind;
use super::{BUSY, CALLS, actors, restart, restarts};
use crate::cluster::{Trio, members};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::platform::{DEVPORTAL, text};

/// The actor.
pub(super) const NODE: &str = "cluster/node";
/// Calls that one end may cost each kind which has to reach another node: each is told to come again
/// in a second, and by the last of them all have met.
const COST: usize = 3;
/// What `Retry-After` says.
const AGAIN: Duration = Duration::from_secs(1);

/// Calls while the actors end.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    /// With a token that the gateway knows.
    warm: Kind,
    /// With a token that only the control plane knows.
    fresh: Kind,
    /// Changes at the control plane, for which gateways and traffic managers are waited.
    changes: Kind,
}

// === impl Load ===

impl Load {
    fn kinds(&self) -> [(&'static str, &Kind); 3] {
        [
            ("warm", &self.warm),
            ("fresh", &self.fresh),
            ("changes", &self.changes),
        ]
    }

    fn least(&self) -> usize {
        let counts = self.kinds().map(|(_, kind)| kind.succeeded());
        counts.into_iter().min().unwrap_or_default()
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    async fn run(&self, trio: &Trio, (key, secret, access): (&str, &str, &str)) {
        let call = |access: &str| {
            let call = trio.gateway.api("GET", "/shop/1.0.0/items");
            call.bearer(access)
        };
        let warm = async {
            while self.goes_on() {
                if self.warm.send(call(access), 200).await.is_none() {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let fresh = async {
            while self.goes_on() {
                let token = trio.control.client_token(key, secret).await;
                if self.fresh.send(call(&token), 200).await.is_none() {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let changes = async {
            let all = format!("{DEVPORTAL}/applications");
            while self.goes_on() {
                let name = format!("load {}", self.changes.all());
                let body = json!({"name": name, "throttlingPolicy": "Unlimited"});
                let made = trio.control.post(&all).bearer(&trio.token).json(&body);
                self.changes.send(made, 201).await;
            }
        };
        tokio::join!(warm, fresh, changes);
    }
}

/// Every one sees all three.
async fn all_up(nodes: [&Node; 3]) {
    for node in nodes {
        eventually(30, "all members are up again", || async {
            let members = members(node).await;
            let up = members.iter().filter(|(_, health)| health == "up");
            (up.count() == 3).then_some(())
        })
        .await;
        node.until_ready().await;
    }
}

/// Ends the actor on a node, and waits until all have met again; no neighbour restarts.
async fn end(trio: &Trio, node: &Node) {
    let before = actors(node).await;
    restart(node, NODE).await;
    eventually(20, "the actor runs again", || async {
        (restarts(&actors(node).await, NODE) > restarts(&before, NODE)).then_some(())
    })
    .await;
    all_up([&trio.control, &trio.traffic, &trio.gateway]).await;
    let now = actors(node).await;
    let names = before.iter().map(|actor| text(actor, "name"));
    for other in names.filter(|name| *name != NODE) {
        assert_eq!(restarts(&now, other), restarts(&before, other), "{other}");
    }
}

#[tokio::test]
async fn killed_and_panicking_actors_of_the_cluster_dial_anew_and_cost_only_what_has_to_reach_a_node()
 {
    let by = [("HEADGATE_RESTART_BY", "turns")];
    let trio = Trio::start_each(&by, &by, &by).await;
    let (key, secret, access) = trio.subscriber("Many", 1_000_000).await;
    assert_eq!(trio.call(&access).await, 200);
    let load = Load::default();
    let ending = async {
        let mut ended = 0;
        // Each is ended by a panic first, then by a kill.
        while load.least() < CALLS || ended < 6 {
            for node in [&trio.gateway, &trio.control, &trio.traffic] {
                end(&trio, node).await;
                ended += 1;
            }
        }
        load.stop.store(true, Ordering::Relaxed);
        ended
    };
    let (ended, ()) = tokio::join!(ending, load.run(&trio, (&key, &secret, &access)));
    for (name, kind) in load.kinds() {
        let failed = kind.failed();
        let most = match name {
            "fresh" => ended * COST,
            _ => BUSY,
        };
        let place = format!("{name}: {} of {}: {failed:?}", failed.len(), kind.all());
        assert!(failed.len() <= most, "{ended} ended, {place}");
        assert!(failed.iter().all(|one| one.starts_with("503 ")), "{place}");
    }
    // What was changed meanwhile is everywhere.
    let revoke = trio.control.post("/oauth2/revoke").basic(&key, &secret);
    let revoked = revoke.form(&[("token", &access)]).send().await.expect(200);
    assert_eq!(revoked.header("headgate-applied"), "2/2");
    assert_eq!(trio.call(&access).await, 401);
}
