//! What is done with a cluster while its nodes are restarted, and may not fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::callers::{Caller, Callers, PAUSE, Told};
use super::{Cluster, PATH};
use crate::support::http::Client;
use crate::support::platform::{ADMIN, DEVPORTAL, text};
use crate::support::{eventually, upstream};

/// Callers whose calls no plan limits.
const CALLERS: usize = 6;

/// Callers of an API, and somebody who works with the control plane.
pub struct Load {
    /// A token whose calls no plan limits.
    pub access: String,
    arrived: Arc<AtomicU64>,
    rounds: Arc<AtomicU64>,
    many: Callers,
    few: Callers,
    working: JoinHandle<()>,
}

/// How those call whom a plan limits.
pub struct Limited {
    /// Calls that it lets through in a day.
    pub a_day: u64,
    /// Between two calls.
    pub pause: Duration,
    /// Calls that may be made so far; none where all may.
    pub turns: Option<Arc<Semaphore>>,
}

impl Load {
    /// Publishes an API and calls it, without end.
    pub async fn start(cluster: &Cluster, limited: Limited) -> Self {
        let arrived: Arc<AtomicU64> = Arc::default();
        let counted = Arc::clone(&arrived);
        let upstream = upstream::serve(None, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Response::new(Full::new(Bytes::from_static(b"{}"))) }
        });
        let upstream = upstream.await;
        let node = &cluster.nodes["cp1"];
        let admin = node.admin_token().await;
        let api = node.published(&admin, "Shop", "/shop", &upstream).await;
        let (key, secret, access) = subscribed(cluster, &api, "Many", 1_000_000).await;
        let (_, _, few) = subscribed(cluster, &api, "Few", limited.a_day).await;
        let caller = |token: &str, pause, turns| Caller {
            address: cluster.gateways.address.clone(),
            path: PATH,
            token: token.to_owned(),
            pause,
            turns,
        };
        let rounds: Arc<AtomicU64> = Arc::default();
        let worker = Worker {
            client: node.client_without_connections(),
            control: cluster.control.address.clone(),
            gateways: cluster.gateways.address.clone(),
            admin,
            key: (key, secret),
        };
        arrived.store(0, Ordering::Relaxed);
        let many = std::iter::repeat_n(caller(&access, PAUSE, None), CALLERS);
        Self {
            access,
            arrived,
            rounds: Arc::clone(&rounds),
            many: Callers::start(many),
            few: Callers::start([caller(&few, limited.pause, limited.turns)]),
            working: cluster::spawn_named("worker", worker.works(rounds)),
        }
    }

    /// Calls that the upstream has answered.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Waits until whoever works has begun and ended one round more.
    pub async fn works(&self) {
        let rounds = || self.rounds.load(Ordering::Relaxed);
        let before = rounds();
        eventually(30, "another round of work", || async {
            assert!(!self.working.is_finished(), "whoever works failed");
            (rounds() >= before + 2).then_some(())
        })
        .await;
    }

    /// Ends it; what those were told whom a plan limits.
    pub async fn ends(self) -> Told {
        self.working.abort();
        let worked = self.working.await;
        assert!(worked.is_err_and(|error| error.is_cancelled()), "it failed");
        let (many, few) = (self.many.told().await, self.few.told().await);
        for told in [&many, &few] {
            let (first, count) = (told.failures.first(), told.failures.len());
            assert_eq!(first, None, "and {count} in all of {}", told.passed);
        }
        assert_eq!(many.throttled, 0);
        assert!(many.last > 0, "connections were told to close");
        few
    }
}

/// A key of an application with a plan of so many calls a day.
async fn subscribed(
    cluster: &Cluster,
    api: &str,
    name: &str,
    a_day: u64,
) -> (String, String, String) {
    let node = &cluster.nodes["cp1"];
    let token = node.admin_token().await;
    let plan = json!({"policyName": name, "defaultLimit": {
        "type": "REQUESTCOUNTLIMIT",
        "requestCount": {"timeUnit": "day", "unitTime": 1, "requestCount": a_day},
    }});
    let path = format!("{ADMIN}/throttling/policies/application");
    let made = node.post(&path).bearer(&token).json(&plan).send().await;
    made.expect(201);
    let application = node.application(&token, name, name, "JWT").await;
    node.subscribe(&token, api, &application, "Unlimited").await;
    let (key, secret) = node.keys(&token, &application, "PRODUCTION").await;
    let access = node.client_token(&key, &secret).await;
    (key, secret, access)
}

/// What somebody does meanwhile who works with the control plane, through its balancer.
struct Worker {
    client: Client,
    control: String,
    gateways: String,
    admin: String,
    key: (String, String),
}

impl Worker {
    async fn works(self, rounds: Arc<AtomicU64>) {
        for number in 0.. {
            self.round(number).await;
            rounds.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A token, a call with it, its revocation, a call that is refused; an application made and removed.
    async fn round(&self, number: usize) {
        let to = |path: &str| format!("http://{}{path}", self.control);
        let asked = self.client.call("POST", &to("/oauth2/token"));
        let asked = asked.basic(&self.key.0, &self.key.1);
        let asked = asked.form(&[("grant_type", "client_credentials")]);
        let token = asked.send().await.expect(200).json();
        let token = text(&token, "access_token");
        assert_eq!(self.call(token).await, 200, "round {number}");
        let revoke = self.client.call("POST", &to("/oauth2/revoke"));
        let revoke = revoke.basic(&self.key.0, &self.key.1);
        revoke.form(&[("token", token)]).send().await.expect(200);
        assert_eq!(self.call(token).await, 401, "round {number}");
        let made = json!({"name": format!("made-{number}"), "throttlingPolicy": "Unlimited"});
        let make = self
            .client
            .call("POST", &to(&format!("{DEVPORTAL}/applications")));
        let made = make
            .bearer(&self.admin)
            .json(&made)
            .send()
            .await
            .expect(201);
        let made = made.json();
        let path = format!("{DEVPORTAL}/applications/{}", text(&made, "applicationId"));
        let remove = self.client.call("DELETE", &to(&path)).bearer(&self.admin);
        remove.send().await.expect(200);
    }

    async fn call(&self, token: &str) -> u16 {
        let call = self
            .client
            .call("GET", &format!("http://{}{PATH}", self.gateways));
        call.bearer(token).send().await.status.into()
    }
}
