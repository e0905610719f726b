//! A traffic manager over files with its change feed, for the tests of both sides of a lease.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::{AskError, Asking, Clock, Cluster, RegisterLink, Root, System, start_root};
use domain::change::Change;
use domain::policy::{Limit, Policy, PolicyLevel, QuotaUnit, TimeUnit};
use domain::view::{Cover, Life};
use storage::{Database, apim, broker, carbon};

use super::member::message::{ChangeKey, KeyChange, KeyChanged};
use super::member::tests::counted_in;
use super::message::ThrottleKey;
use super::{GatewayLeases, LAYOUT, LedgerSettings, Member, TrafficManagerHandle, Ways, component};
use crate::agreed_view::{
    FounderArguments, Nodes, claims, component as agreed_view, founder, register_of_cluster,
};
use crate::change_feed::{ChangeFeedHandle, FeedSettings, component as follow_changes};
use crate::register::{CarbonRegister, belong};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The node's id, as the register wants it.
const ID: &str = "00000000-0000-4000-8000-000000000001";

/// Its register has nobody to ask.
struct NobodyElse;

impl RegisterLink for NobodyElse {
    fn ask<'a>(&'a self, _: &'a str, _: Vec<u8>, _: Duration) -> Asking<'a> {
        Box::pin(std::future::ready(Err(AskError::Unavailable)))
    }
}

/// A control plane without anything else.
pub(crate) struct ControlPlane {
    apim: Database,
    pub(crate) feed: ChangeFeedHandle,
    pub(crate) root: Root,
}

pub(crate) struct Node {
    pub(crate) system: System,
    apim: Database,
    pub(crate) feed: ChangeFeedHandle,
    pub(crate) traffic: TrafficManagerHandle,
    pub(crate) gateways: GatewayLeases,
    members: Ways,
    pub(crate) root: Root,
}

/// A node that knows of no other.
pub(crate) fn lone(id: &str) -> Cluster {
    Cluster::new(cluster::Member {
        id: id.to_owned(),
        incarnation: 1,
        life: 1,
        name: id.to_owned(),
        address: String::new(),
        roles: Vec::new(),
        facts: Vec::new(),
    })
}

// === impl Node ===

impl Node {
    pub(crate) async fn start(dir: &Path, incarnation: u64) -> Self {
        Self::with(dir, incarnation, LedgerSettings::default()).await
    }

    pub(crate) async fn with(dir: &Path, incarnation: u64, settings: LedgerSettings) -> Self {
        let at = |name: &str| format!("sqlite:{}", dir.join(name).display());
        let apim = apim::open(&at("apim.db")).await.unwrap();
        let shared = storage::shared::open(&at("shared.db")).await.unwrap();
        let broker = broker::open(dir).await.unwrap();
        let carbon = carbon::open(dir).await.unwrap();
        let counted_in = counted_in(&broker).await;
        let system = System::new(Clock::system(), true);
        let (feed, feed_child) = follow_changes(&system, &apim, &shared, FeedSettings::default());
        let nodes = Nodes::alone(Life::new(ID, incarnation));
        belong(&carbon, "c").await;
        let (claims, claims_child) = claims(&system, &apim, (&lone(ID), true));
        let store = Arc::new(CarbonRegister::new(carbon.clone(), ID));
        let made = register_of_cluster(&system, &nodes, store, Arc::new(NobodyElse), &claims);
        let (of_node, register, register_child) = made.unwrap();
        let (gateways, cover) = (GatewayLeases::default(), Cover::nothing());
        let (members, voting) = (Ways::default(), (&carbon, &cover));
        let made = agreed_view(&system, voting, &nodes, &register, LAYOUT, |_| Vec::new());
        let (agreed, agreed_child) = made;
        let member = Member {
            broker: &broker,
            feed: &feed,
            gateways: &gateways,
            nodes: &nodes,
            members: &members,
            agreed: &agreed,
            incarnation,
            settings,
        };
        let (traffic, child) = component(&system, &member);
        let arguments = FounderArguments {
            nodes,
            name: "n1".to_owned(),
            counts: true,
            register: of_node,
            has_seeds: false,
            counted_in,
            agreed,
            claims,
            carbon: carbon.clone(),
            cover,
            hold: Duration::from_secs(86_400),
            is_asked_here: false,
        };
        let first = [claims_child, agreed_child, register_child].into_iter();
        let first = first.chain(founder(&system, arguments));
        let children = first.chain([feed_child, child]).collect();
        let root = start_root(&system, children).await.unwrap();
        let node = Self {
            system,
            apim,
            feed,
            traffic,
            gateways,
            members,
            root,
        };
        node.serves().await;
        node
    }

    /// Until it grants.
    async fn serves(&self) {
        let deadline = self.system.clock.monotonic() + DEADLINE;
        let follows = async || self.feed.committed(0).await.to_string() == "1/1";
        while self.traffic.is_serving().is_err() || !follows().await {
            assert!(
                self.system.clock.monotonic() < deadline,
                "it does not serve"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What an administrator does to a key.
    pub(crate) async fn change_key(&self, key: &ThrottleKey, change: KeyChange) -> KeyChanged {
        let asked = ChangeKey {
            key: key.clone(),
            change,
        };
        self.members.change_key(ID, asked).await.unwrap()
    }

    /// Makes a plan or changes it; gives the number of the change when it is in force.
    pub(crate) async fn save(&self, name: &str, units: u64, time_unit: TimeUnit) -> u64 {
        save(&self.apim, &self.feed, name, units, time_unit).await
    }
}

// === impl ControlPlane ===

impl ControlPlane {
    pub(crate) async fn start(system: &System, dir: &Path) -> Self {
        let at = |name: &str| format!("sqlite:{}", dir.join(name).display());
        let apim = apim::open(&at("apim.db")).await.unwrap();
        let shared = storage::shared::open(&at("shared.db")).await.unwrap();
        let of_feed = FeedSettings::default();
        let (feed, child) = crate::change_feed::component(system, &apim, &shared, of_feed);
        let root = start_root(system, vec![child]).await.unwrap();
        Self { apim, feed, root }
    }

    /// Makes a plan; all followers go by it when this is done.
    pub(crate) async fn save(&self, name: &str, units: u64, time_unit: TimeUnit) -> u64 {
        save(&self.apim, &self.feed, name, units, time_unit).await
    }
}

async fn save(
    apim: &Database,
    feed: &ChangeFeedHandle,
    name: &str,
    units: u64,
    time_unit: TimeUnit,
) -> u64 {
    let mut policies = Policy::defaults("t", || uuid::Uuid::new_v4().to_string());
    let mut policy = policies.remove(0);
    policy.name = name.to_owned();
    policy.limit = Some(Limit {
        units,
        quota: QuotaUnit::Requests,
        // Almost an hour is still short, and does not end while a test runs.
        unit_time: if time_unit == TimeUnit::Min { 59 } else { 1 },
        time_unit,
    });
    let mut write = apim.write("test.policy").await.unwrap();
    let known = apim::policies::lock(&mut write, "t", policy.level, name).await;
    if let Ok(known) = known {
        policy.id = known.id;
        policy.row_version = known.row_version;
        apim::policies::update(&mut write, &policy).await.unwrap();
    } else {
        apim::policies::create(&mut write, &policy).await.unwrap();
    }
    let changes = [Change::PolicySaved {
        policy: Box::new(policy),
    }];
    let uuid = || uuid::Uuid::new_v4().to_string();
    let n = write.commit_with("t", &changes, uuid, 1).await.unwrap();
    feed.committed(n).await;
    n
}

pub(crate) fn key(policy: &str, subject: &str) -> ThrottleKey {
    ThrottleKey {
        tenant: "t".to_owned(),
        level: PolicyLevel::Subscription,
        policy: policy.to_owned(),
        limit: 0,
        subject: subject.to_owned(),
    }
}
