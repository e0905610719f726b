//! One control plane, three traffic managers, three gateways, and an upstream that counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex as Shared};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::cluster::{CONTROL, encode_asks, options, set, until_encode};
use crate::support::eventually;
use crate::support::faults::Faults;
use crate::support::net::Net;
use crate::support::node::{Node, Options};
use crate::support::platform::text;
use crate::support::upstream;

pub const CONTROL_PLANE: &str = "cp1";
pub const MANAGERS: [&str; 3] = ["tm1", "tm2", "tm3"];
pub const GATEWAYS: [&str; 3] = ["gw1", "gw2", "gw3"];

/// Set, the nodes' directories stay, with their whole logs.
const KEEP: &str = "HEADGATE_EXACT_KEEP";

/// Every second node encodes and decodes each ask of its components, also one that stays on the node.
const ENCODING: [&str; 3] = ["gw2", "tm1", "tm3"];

/// What a cluster is for.
#[derive(Clone, Copy, Default)]
pub struct Setup {
    /// Nodes reach each other through a net alone that can be cut.
    pub net: bool,
    /// The wall clocks of traffic managers can be set.
    pub clocks: bool,
    /// Its traffic managers, three where none are named.
    pub managers: &'static [&'static str],
}

pub struct Cluster {
    nodes: BTreeMap<String, Node>,
    managers: &'static [&'static str],
    net: Option<Net>,
    /// Where a node advertises that it is reached, in the net.
    places: BTreeMap<String, String>,
    clocks: BTreeMap<String, Faults>,
    /// Where nodes are told to dial first.
    seed: String,
    upstream: Counting,
    pub(super) token: String,
    /// The application that calls.
    pub(super) application: (String, String, String),
    /// Policies that were made.
    pub(super) policies: BTreeSet<String>,
    dir: tempfile::TempDir,
    /// Seven nodes are as many as a machine has room for beside other tests.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

/// An upstream that knows how often each path was asked for.
#[derive(Clone)]
struct Counting {
    url: String,
    arrived: Arc<Shared<BTreeMap<String, u64>>>,
}

/// Who has a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub owner: String,
    pub standby: String,
}

fn role(name: &str) -> &'static str {
    match &name[..2] {
        "cp" => CONTROL,
        "tm" => "traffic-manager",
        _ => "gateway",
    }
}

impl Cluster {
    pub async fn start(setup: Setup) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("headgate-exact-")
            .disable_cleanup(std::env::var_os(KEEP).is_some())
            .tempdir()
            .expect("a directory");
        let managers = match setup.managers {
            [] => &MANAGERS,
            named => named,
        };
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            managers,
            net: setup.net.then(Net::start),
            places: BTreeMap::new(),
            clocks: BTreeMap::new(),
            seed: String::new(),
            upstream: Counting::start().await,
            token: String::new(),
            application: Default::default(),
            policies: BTreeSet::new(),
            dir,
            _turn: TURN.lock().await,
        };
        if setup.clocks {
            for name in managers {
                let faults = Faults::in_directory(&cluster.directory(name));
                cluster.clocks.insert((*name).to_owned(), faults);
            }
        }
        for name in [CONTROL_PLANE].iter().chain(managers).chain(&GATEWAYS) {
            if let Some(net) = &cluster.net {
                cluster.places.insert((*name).to_owned(), net.place(name));
            }
        }
        let control = cluster.launched(CONTROL_PLANE).await;
        let place = cluster.places.get(CONTROL_PLANE).cloned();
        cluster.seed = place.unwrap_or_else(|| control.cluster_address());
        control.until_ready().await;
        cluster.nodes.insert(CONTROL_PLANE.to_owned(), control);
        cluster.begin(&[managers, &GATEWAYS].concat()).await;
        cluster.token = cluster.control().admin_token().await;
        cluster.make_application().await;
        cluster.until_whole().await;
        let encoding = ENCODING.into_iter();
        let encoding = encoding.filter(|name| cluster.nodes.contains_key(*name));
        until_encode(cluster.control(), &encoding.collect::<Vec<_>>()).await;
        cluster
    }

    fn directory(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        dir
    }

    fn options(&self, name: &str) -> Options {
        let seed = if name == CONTROL_PLANE {
            ""
        } else {
            &self.seed
        };
        let mut options = options(name, role(name), seed);
        if std::env::var("HEADGATE_EXACT_TIMES").as_deref() != Ok("default") {
            for (key, value) in [("PROBE", "200"), ("SUSPECT", "1000"), ("EVICT", "2500")] {
                set(&mut options, &format!("HEADGATE__CLUSTER__{key}_MS"), value);
            }
        }
        encode_asks(&mut options, ENCODING.contains(&name));
        if let Some(place) = self.places.get(name) {
            set(&mut options, "HEADGATE__CLUSTER__ADVERTISE", place);
        }
        if let Some(faults) = self.clocks.get(name) {
            let more = faults.options(&self.directory(name)).environment;
            options.environment.extend(more);
        }
        options.dir = Some(self.directory(name));
        options.unready = true;
        options
    }

    /// A node that listens, and is reached through the net.
    async fn launched(&self, name: &str) -> Node {
        let node = Node::start_with(self.options(name)).await;
        if let (Some(net), Some(place)) = (&self.net, self.places.get(name)) {
            net.aim(place, &node.cluster_address());
        }
        node
    }

    /// Starts these at a time, in the directories that they have; who ran is killed before.
    pub async fn begin(&mut self, names: &[&str]) {
        for name in names {
            self.nodes.remove(*name);
        }
        let starts = names.iter().map(|name| self.launched(name));
        let started: Vec<Node> = all(starts).await;
        for (name, node) in names.iter().zip(started) {
            self.nodes.insert((*name).to_owned(), node);
        }
    }

    /// Until each of them says that it is ready.
    pub async fn until_ready(&self) {
        for node in self.nodes.values() {
            node.until_ready().await;
        }
    }

    pub fn nodes(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.nodes.iter()
    }

    pub fn node(&self, name: &str) -> &Node {
        &self.nodes[name]
    }

    pub fn control(&self) -> &Node {
        self.node(CONTROL_PLANE)
    }

    pub fn kill(&mut self, name: &str) {
        self.nodes.get_mut(name).expect("a node").kill();
    }

    /// SIGSTOP.
    pub fn pause(&self, name: &str) {
        self.node(name).signal("-STOP");
    }

    /// SIGCONT.
    pub fn go_on(&self, name: &str) {
        self.node(name).signal("-CONT");
    }

    /// SIGTERM, and its end.
    pub async fn leave(&mut self, name: &str) {
        let node = self.nodes.get_mut(name).expect("a node");
        assert_eq!(node.terminate().await, Some(0), "{name} leaves in order");
    }

    pub fn net(&self) -> &Net {
        self.net.as_ref().expect("a net")
    }

    pub fn set_clock(&self, name: &str, seconds: i64) {
        self.clocks[name].set_clock(seconds);
    }

    /// How often a path has arrived.
    pub fn arrived(&self, path: &str) -> u64 {
        let arrived = self.upstream.arrived.lock().expect("not poisoned");
        arrived.get(path).copied().unwrap_or_default()
    }

    pub fn upstream_url(&self) -> &str {
        &self.upstream.url
    }

    /// Until all traffic managers have shards again, and all gateways know.
    pub async fn until_whole(&self) {
        self.until_members(self.managers).await;
    }

    /// Until these have the shards, in a view that is active, and all gateways know.
    pub async fn until_members(&self, names: &[&str]) {
        for gateway in GATEWAYS {
            let what = format!("{gateway} knows that {names:?} have the shards");
            eventually(60, &what, || async {
                let view = self.shards(gateway, 1).await?["view"].clone();
                let members = view["members"].as_array().cloned().unwrap_or_default();
                let mut known: Vec<&str> = members.iter().map(|one| text(one, "name")).collect();
                known.sort_unstable();
                // Of three that vote one may be lost; a first one votes alone for a while.
                let voters = view["voters"].as_array().map_or(0, Vec::len);
                let holds = view["phase"] == "active" && known == names && voters >= 3;
                if !holds {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                holds.then_some(())
            })
            .await;
        }
    }

    async fn shards(&self, at: &str, limit: u16) -> Option<Value> {
        let node = self.node(at);
        let asked = node.get(&format!("/admin/shards?limit={limit}"));
        let answer = asked.bearer(&node.operator()).try_send().await.ok()?;
        answer.status.is_success().then(|| answer.json())
    }

    /// Who has this shard now.
    pub async fn pair(&self, shard: u16) -> Pair {
        let told = self.shards(GATEWAYS[0], 1_000).await.expect("an answer");
        let rows = told["list"].as_array().expect("rows");
        let row = &rows[usize::from(shard)];
        assert_eq!(row["shard"], shard);
        Pair {
            owner: text(row, "owner").to_owned(),
            standby: text(row, "standby").to_owned(),
        }
    }

    /// The traffic manager that is neither.
    pub fn third(&self, pair: &Pair) -> &'static str {
        let mut names = MANAGERS.into_iter();
        let third = names.find(|name| *name != pair.owner && *name != pair.standby);
        third.expect("there are three")
    }
}

impl Counting {
    async fn start() -> Self {
        let arrived: Arc<Shared<BTreeMap<String, u64>>> = Arc::default();
        let counted = Arc::clone(&arrived);
        let url = upstream::serve(None, move |request| {
            let path = request.uri().path().to_owned();
            *counted
                .lock()
                .expect("not poisoned")
                .entry(path)
                .or_default() += 1;
            async { Response::new(Full::new(Bytes::from_static(b"{}"))) }
        })
        .await;
        Self { url, arrived }
    }
}

/// All at a time, in their order.
async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in pending.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect()),
            false => std::task::Poll::Pending,
        }
    })
    .await
}
