//! Every node of a cluster restarted, one after the other, behind balancers and under load.

mod callers;
mod flows;
mod load;
mod versions;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{CONTROL, encode_asks, options, set, until_encode};
use crate::support::balancer::{Balancer, NOTICES};
use crate::support::node::{Node, Options};
use crate::support::{eventually, postgres};
use callers::PAUSE;
use flows::Flows;
use load::{Limited, Load};

/// A node's name and roles.
type Place = (&'static str, &'static str);

/// In the order of their restarts: those that are asked before those that ask.
const NODES: [Place; 8] = [
    ("cp1", CONTROL),
    ("cp2", CONTROL),
    ("tm1", "traffic-manager"),
    ("tm2", "traffic-manager"),
    ("tm3", "traffic-manager"),
    ("gw1", "gateway"),
    ("gw2", "gateway"),
    ("gw3", "gateway"),
];
/// Every second node encodes and decodes each ask of its components, also one that stays on the node: of each role at least one.
const ENCODING: [&str; 4] = ["cp2", "gw1", "gw3", "tm2"];
/// Requests of which none may fail.
const REQUESTS: u64 = 20_000;
/// What a plan lets through in a day that is used up halfway.
const LIMITED: u64 = 1_500;
/// How long what is open at a gateway that goes may go on once it takes no connection.
const GRACE: Duration = Duration::from_secs(4);
const PATH: &str = "/shop/1.0.0/items";

/// The newest version of the protocol between nodes that a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Before,
    Newest,
}

struct Cluster {
    nodes: BTreeMap<&'static str, Node>,
    /// Where each is dialled by the others, also after a restart.
    places: BTreeMap<&'static str, String>,
    urls: (String, String),
    gateways: Balancer,
    control: Balancer,
}

impl Cluster {
    async fn start(server: &str, named: &str, nodes: &[Place], speaks: Speaks) -> Self {
        let database = |of| postgres::fresh_database(server, &format!("{named}_{of}"));
        let urls = (database("apim"), database("shared"));
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            places: BTreeMap::new(),
            urls,
            gateways: Balancer::start("/_headgate/readyz").await,
            control: Balancer::start("/readyz").await,
        };
        for &(name, role) in nodes {
            let node = Node::start_with(cluster.options((name, role), speaks)).await;
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

    fn options(&self, (name, role): Place, speaks: Speaks) -> Options {
        // Whoever restarts has to find the others: more than one is a seed.
        let seeds = self.places.iter().filter(|(node, _)| **node != name);
        let seeds: Vec<&str> = seeds.map(|(_, place)| place.as_str()).take(3).collect();
        let mut options = options(name, role, &seeds.join(","));
        if let Some(place) = self.places.get(name) {
            set(&mut options, "HEADGATE__CLUSTER__LISTEN", place);
        }
        encode_asks(&mut options, ENCODING.contains(&name));
        if speaks == Speaks::Before {
            versions::keep_back(&mut options);
        }
        let delay = NOTICES.as_millis().to_string();
        set(&mut options, "HEADGATE__NODE__DRAIN_DELAY_MS", &delay);
        let grace = GRACE.as_millis().to_string();
        set(&mut options, "HEADGATE__NODE__DRAIN_TIMEOUT_MS", &grace);
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
    async fn restart(&mut self, (name, role): Place, speaks: Speaks) {
        let mut node = self.nodes.remove(name).expect("a node");
        let began = Instant::now();
        assert_eq!(node.terminate().await, Some(0), "{name}");
        assert!(began.elapsed() >= NOTICES, "{name} served on");
        let node = node
            .crash_and_restart(self.options((name, role), speaks))
            .await;
        self.aim(name, &node);
        self.nodes.insert(name, node);
        eventually(30, "the balancers know all", || async {
            (self.gateways.has_all() && self.control.has_all()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn restarting_every_node_one_after_the_other_fails_no_request_cuts_nothing_in_its_grace_and_changes_no_limit()
 {
    let Some(server) = postgres::server() else {
        return;
    };
    let mut cluster = Cluster::start(&server, "rolling", &NODES, Speaks::Newest).await;
    until_encode(&cluster.nodes["cp1"], &ENCODING).await;
    let limited = Limited {
        a_day: LIMITED,
        pause: PAUSE,
        turns: None,
    };
    let load = Load::start(&cluster, limited).await;
    let mut flows = Flows::start(&cluster).await;
    for one in NODES {
        let address = cluster.nodes[one.0]
            .http
            .replace("http://localhost", "127.0.0.1");
        // In this order: the time that it has begins with the signal.
        let outlived = flows.outlive(one.0, &address);
        tokio::join!(outlived, cluster.restart(one, Speaks::Newest));
        load.works().await;
        flows.go_on().await;
    }
    eventually(120, "there were enough calls", || async {
        (load.arrived() >= REQUESTS).then_some(())
    })
    .await;
    let few = load.ends().await;
    let asked = few.passed + few.throttled;
    let whole = LIMITED * 99 / 100..=LIMITED;
    assert!(whole.contains(&few.passed), "{} of {asked}", few.passed);
}
