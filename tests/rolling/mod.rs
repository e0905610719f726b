//! Every node of a cluster restarted, one after the other, behind balancers and under load.

mod callers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{CONTROL, options, set};
use crate::support::balancer::{Balancer, NOTICES};
use crate::support::http::Client;
use crate::support::node::{Node, Options};
use crate::support::platform::{ADMIN, DEVPORTAL, text};
use crate::support::{eventually, postgres, upstream};
use callers::{Caller, Callers};

/// In the order of their restarts: those that are asked before those that ask.
const NODES: [(&str, &str); 8] = [
    ("cp1", CONTROL),
    ("cp2", CONTROL),
    ("tm1", "traffic-manager"),
    ("tm2", "traffic-manager"),
    ("tm3", "traffic-manager"),
    ("gw1", "gateway"),
    ("gw2", "gateway"),
    ("gw3", "gateway"),
];
/// Requests of which none may fail.
const REQUESTS: u64 = 20_000;
const CALLERS: usize = 6;
/// What a plan lets through in a day that is used up halfway.
const LIMITED: u64 = 1_500;
const PATH: &str = "/shop/1.0.0/items";

struct Cluster {
    nodes: BTreeMap<&'static str, Node>,
    /// Where each is dialled by the others, also after a restart.
    places: BTreeMap<&'static str, String>,
    urls: (String, String),
    gateways: Balancer,
    control: Balancer,
}

impl Cluster {
    async fn start(server: &str) -> Self {
        let urls = (
            postgres::fresh_database(server, "rolling_apim"),
            postgres::fresh_database(server, "rolling_shared"),
        );
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            places: BTreeMap::new(),
            urls,
            gateways: Balancer::start("/_headgate/readyz").await,
            control: Balancer::start("/readyz").await,
        };
        for (name, role) in NODES {
            let node = Node::start_with(cluster.options(name, role)).await;
            cluster.places.insert(name, node.cluster_address());
            cluster.aim(name, &node);
            cluster.nodes.insert(name, node);
        }
        eventually(30, "the balancers know all", || async {
            (cluster.gateways.has_all() && cluster.control.has_all()).then_some(())
        })
        .await;
        cluster
    }

    fn options(&self, name: &'static str, role: &str) -> Options {
        // Whoever restarts has to find the others: more than one is a seed.
        let seeds = self.places.iter().filter(|(node, _)| **node != name);
        let seeds: Vec<&str> = seeds.map(|(_, place)| place.as_str()).take(3).collect();
        let mut options = options(name, role, &seeds.join(","));
        if let Some(place) = self.places.get(name) {
            set(&mut options, "HEADGATE__CLUSTER__LISTEN", place);
        }
        let delay = NOTICES.as_millis().to_string();
        set(&mut options, "HEADGATE__NODE__DRAIN_DELAY_MS", &delay);
        if role == CONTROL {
            set(&mut options, "HEADGATE__DATABASE__APIM__URL", &self.urls.0);
            set(
                &mut options,
                "HEADGATE__DATABASE__SHARED__URL",
                &self.urls.1,
            );
            let http = "HEADGATE__LISTEN__MANAGEMENT_HTTP";
            set(&mut options, http, "127.0.0.1:0");
        }
        options
    }

    fn aim(&self, name: &'static str, node: &Node) {
        if name.starts_with("gw") {
            self.gateways.aim(name, &node.http);
        } else if name.starts_with("cp") {
            self.control.aim(name, &node.management_http());
        }
    }

    /// As an operator does: SIGTERM, the next start, and on when it is ready and gets its part.
    async fn restart(&mut self, (name, role): (&'static str, &str)) {
        let mut node = self.nodes.remove(name).expect("a node");
        let began = Instant::now();
        assert_eq!(node.terminate().await, Some(0), "{name}");
        assert!(began.elapsed() >= NOTICES, "{name} served on");
        let node = node.crash_and_restart(self.options(name, role)).await;
        self.aim(name, &node);
        self.nodes.insert(name, node);
        eventually(30, "the balancers know all", || async {
            (self.gateways.has_all() && self.control.has_all()).then_some(())
        })
        .await;
    }

    /// A key of an application with a plan of so many calls a day.
    async fn subscribed(&self, api: &str, name: &str, a_day: u64) -> (String, String, String) {
        let node = &self.nodes["cp1"];
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

#[tokio::test]
async fn restarting_every_node_one_after_the_other_fails_no_request_and_changes_no_limit() {
    let Some(server) = postgres::server() else {
        return;
    };
    let arrived: Arc<AtomicU64> = Arc::default();
    let counted = Arc::clone(&arrived);
    let upstream = upstream::serve(None, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Response::new(Full::new(Bytes::from_static(b"{}"))) }
    });
    let upstream = upstream.await;
    let mut cluster = Cluster::start(&server).await;
    let node = &cluster.nodes["cp1"];
    let admin = node.admin_token().await;
    let api = node.published(&admin, "Shop", "/shop", &upstream).await;
    let (key, secret, access) = cluster.subscribed(&api, "Many", 1_000_000).await;
    let (_, _, few) = cluster.subscribed(&api, "Few", LIMITED).await;
    let caller = |token: &str| Caller {
        address: cluster.gateways.address.clone(),
        path: PATH,
        token: token.to_owned(),
    };
    let worker = Worker {
        client: cluster.nodes["cp1"].client_without_connections(),
        control: cluster.control.address.clone(),
        gateways: cluster.gateways.address.clone(),
        admin,
        key: (key, secret),
    };
    let before = arrived.load(Ordering::Relaxed);
    let many = Callers::start(std::iter::repeat_n(caller(&access), CALLERS));
    let few = Callers::start([caller(&few)]);
    let working = cluster::spawn_named("worker", async move {
        for number in 0.. {
            worker.round(number).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    for one in NODES {
        cluster.restart(one).await;
        assert!(!working.is_finished(), "whoever works failed: {one:?}");
    }
    eventually(120, "there were enough calls", || async {
        (arrived.load(Ordering::Relaxed) - before >= REQUESTS).then_some(())
    })
    .await;
    working.abort();
    let worked = working.await;
    assert!(worked.is_err_and(|error| error.is_cancelled()), "it failed");
    let (many, few) = (many.told().await, few.told().await);
    for told in [&many, &few] {
        let (first, count) = (told.failures.first(), told.failures.len());
        assert_eq!(first, None, "and {count} in all of {}", told.passed);
    }
    assert_eq!(many.throttled, 0);
    assert!(many.last > 0, "connections were told to close");
    let asked = few.passed + few.throttled;
    let whole = LIMITED * 99 / 100..=LIMITED;
    assert!(whole.contains(&few.passed), "{} of {asked}", few.passed);
}
