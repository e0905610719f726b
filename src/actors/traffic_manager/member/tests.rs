//! Three members in one process over files and a register in memory: what is granted while one after another is cut
//! off.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{AskError, Asking, Child, Clock, Register, RegisterLink, Root, System, start_root};
use domain::ledger::{Ask, Holder, Outcome};
use domain::policy::TimeUnit;
use domain::view::{Cover, Epoch, Life, Patience, Phase};
use storage::broker::ledger_state;
use storage::{Database, apim, broker, carbon};

use super::{LAYOUT, Member, Ways, component};
use crate::agreed_view::{
    AgreedView, ClaimHandle, FounderArguments, Layout, Nodes, SharedRegister, TestRegister, claims,
    component as agreed_view, founder, register_of_cluster,
};
use crate::register::{CarbonRegister, belong};
use crate::traffic_manager::message::{LeaseAnswer, LeaseMany, Leased, ThrottleKey};
use crate::traffic_manager::test_node::{ControlPlane, DEADLINE, key};
use crate::traffic_manager::{GatewayLeases, LedgerSettings, TrafficManagerHandle, shard_of};

/// Ids of nodes, as the register wants them.
const NAMES: [&str; 3] = [
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
];

const QUICK: Layout = Layout {
    patience: Patience {
        // A busy machine may keep an actor waiting for a second.
        fresh_ms: 2_500,
        join_ms: 100,
        gather_ms: 2_500,
        stuck_ms: 10_000,
    },
    ..LAYOUT
};

struct OneMember {
    agreed: AgreedView,
    register: SharedRegister,
    traffic: TrafficManagerHandle,
    carbon: Database,
    root: Root,
}

/// What they agree by.
#[derive(Clone)]
enum Registers {
    InMemory(TestRegister),
    OfCluster(Links, Box<ClaimHandle>),
}

/// The registers of a cluster's nodes, and the way between them.
#[derive(Clone, Default)]
struct Links(Arc<Mutex<BTreeMap<String, Register>>>);

/// The way of one of them to the others, in both directions.
struct LinkOf {
    me: String,
    all: Links,
}

impl RegisterLink for LinkOf {
    fn ask<'a>(&'a self, voter: &'a str, said: Vec<u8>, deadline: Duration) -> Asking<'a> {
        Box::pin(async move {
            let way = |node: &str| self.all.0.lock().unwrap().get(node).cloned();
            let (Some(_), Some(register)) = (way(&self.me), way(voter)) else {
                return Err(AskError::Unavailable);
            };
            let answer = register.answer(said, deadline).await;
            way(&self.me).ok_or(AskError::Unavailable).and(answer)
        })
    }
}

struct Members {
    control_plane: ControlPlane,
    layout: Layout,
    /// For how long one that decides alone goes on by itself.
    hold: Duration,
    registers: Registers,
    nodes: Nodes,
    ways: Ways,
    all: Vec<(String, OneMember)>,
    system: System,
}

/// The latest view that a disk took part in.
pub(in crate::traffic_manager) async fn counted_in(broker: &Database) -> Option<Epoch> {
    let mut read = broker.read().await.unwrap();
    let latest = ledger_state::counted_in(&mut read).await.unwrap();
    latest.map(Epoch::of_number)
}

// === impl Members ===

impl Members {
    async fn start(dir: &Path) -> Self {
        let in_memory = TestRegister::new(&NAMES);
        let mut members = Self::new(dir, Registers::InMemory(in_memory)).await;
        members.start_all(dir, 1).await;
        members
    }

    async fn new(dir: &Path, registers: Registers) -> Self {
        let system = System::new(Clock::system(), true);
        Self {
            control_plane: ControlPlane::start(&system, dir).await,
            layout: QUICK,
            hold: Duration::from_secs(86_400),
            registers,
            nodes: Nodes::alone(Life::new("nobody", 0)),
            ways: Ways::default(),
            all: Vec::new(),
            system,
        }
    }

    async fn join(&mut self, name: &str, incarnation: u64, dir: &Path) {
        self.join_as((name, name), incarnation, dir).await;
    }

    /// A node's register, and what is needed to found it where that is to be done.
    async fn registered(
        &self,
        (system, nodes): (&System, &Nodes),
        carbon: &Database,
    ) -> (SharedRegister, Vec<Child>, Option<(Register, ClaimHandle)>) {
        let name = nodes.me().node.as_str();
        match &self.registers {
            Registers::InMemory(all) => (all.of(name), Vec::new(), None),
            Registers::OfCluster(links, claims) => {
                belong(carbon, "c").await;
                let store = Arc::new(CarbonRegister::new(carbon.clone(), name));
                let link = Arc::new(LinkOf {
                    me: name.to_owned(),
                    all: links.clone(),
                });
                let made = register_of_cluster(system, nodes, store, link, claims);
                let (of_node, register, child) = made.unwrap();
                let mut all = links.0.lock().unwrap();
                all.insert(name.to_owned(), of_node.clone());
                (
                    register,
                    vec![child],
                    Some((of_node, ClaimHandle::clone(claims))),
                )
            }
        }
    }

    async fn join_as(&mut self, (name, called): (&str, &str), incarnation: u64, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        let (broker, carbon) = (
            broker::open(dir).await.unwrap(),
            carbon::open(dir).await.unwrap(),
        );
        let counted_in = counted_in(&broker).await;
        let nodes = self.nodes.seen_by(Life::new(name, incarnation));
        // Names of actors are unique within a process.
        let system = System::new(self.system.clock.clone(), true);
        let (register, mut children, of_node) = self.registered((&system, &nodes), &carbon).await;
        let cover = of_node
            .as_ref()
            .map_or_else(Cover::whole, |_| Cover::nothing());
        let (voting, layout) = ((&carbon, &cover), self.layout);
        let (agreed, agreed_child) =
            agreed_view(&system, voting, &nodes, &register, layout, |_| Vec::new());
        let member = Member {
            broker: &broker,
            feed: &self.control_plane.feed,
            gateways: &GatewayLeases::default(),
            nodes: &nodes,
            members: &self.ways,
            agreed: &agreed,
            incarnation,
            settings: LedgerSettings::default(),
        };
        let (traffic, child) = component(&system, &member);
        // The register asks the voter, and the voter is there first.
        children.insert(0, agreed_child);
        children.push(child);
        let agreed_now = agreed.clone();
        let founding = of_node.map(|(register, claims)| {
            let (name, agreed, hold) = (called.to_owned(), agreed_now, self.hold);
            let arguments = FounderArguments {
                nodes,
                name,
                counts: true,
                register,
                has_seeds: false,
                counted_in,
                agreed,
                claims,
                carbon: carbon.clone(),
                cover,
                hold,
                is_asked_here: false,
            };
            founder(&system, arguments)
        });
        children.extend(founding.into_iter().flatten());
        let root = start_root(&system, children).await.unwrap();
        let one = OneMember {
            agreed,
            register,
            traffic,
            carbon,
            root,
        };
        self.all.retain(|(other, _)| other != name);
        self.all.push((name.to_owned(), one));
    }

    /// Until these, and no others, own shards.
    async fn wait_for(&self, names: &[&str]) {
        let deadline = self.system.clock.monotonic() + DEADLINE;
        for (name, one) in &self.all {
            if !names.contains(&name.as_str()) {
                continue;
            }
            loop {
                let view = one.agreed.latest().view;
                let members: Vec<&str> =
                    view.members.iter().map(|life| life.node.as_str()).collect();
                if view.phase == Phase::Active && members == names {
                    break;
                }
                assert!(
                    self.system.clock.monotonic() < deadline,
                    "{name} knows {view:?}"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Until all know an active view by these voters.
    async fn wait_for_voters(&self, voters: &[String]) {
        let deadline = self.system.clock.monotonic() + DEADLINE;
        for (_, one) in &self.all {
            loop {
                let view = one.agreed.latest().view;
                if view.phase == Phase::Active && view.voters == voters {
                    break;
                }
                assert!(self.system.clock.monotonic() < deadline, "{view:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn cut_off(&self, name: &str) {
        self.nodes.cut_off(name);
        self.ways.cut_off(name);
        match &self.registers {
            Registers::InMemory(all) => all.cut_off(name),
            Registers::OfCluster(links, _) => {
                links.0.lock().unwrap().remove(name);
            }
        }
    }

    /// Owner and standby of a key, by what the last one knows.
    fn pair(&self, key: &ThrottleKey) -> (String, String) {
        let view = self.all[self.all.len() - 1].1.agreed.latest().view;
        let shard = shard_of(key);
        let mut members: Vec<&Life> = view.members.iter().collect();
        members.sort_by_key(|life| std::cmp::Reverse((LAYOUT.rank)(shard, &life.node)));
        (members[0].node.clone(), members[1].node.clone())
    }

    /// The owner of a key among these.
    fn owner_among(&self, names: &[&str], key: &ThrottleKey) -> String {
        let shard = shard_of(key);
        let owner = names.iter().max_by_key(|name| (LAYOUT.rank)(shard, name));
        (*owner.unwrap()).to_owned()
    }

    async fn asked(&self, of: &str, request: LeaseMany) -> Option<LeaseAnswer> {
        let (_, one) = self.all.iter().find(|(name, _)| name == of).unwrap();
        match one.traffic.ask_here(request).await {
            Ok(Leased::Leases(mut answers)) => answers.remove(0),
            _ => None,
        }
    }

    /// One gateway takes units from this member, at most so many, until it is told no; gives how many it got.
    async fn drain(&self, of: &str, gateway: &str, key: &ThrottleKey, most: u64) -> u64 {
        let mut known: Option<LeaseAnswer> = None;
        let deadline = self.system.clock.monotonic() + DEADLINE;
        loop {
            assert!(self.system.clock.monotonic() < deadline, "no end");
            let answer = self.asked(of, question(gateway, key, known.as_ref())).await;
            let Some(answer) = answer else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            match answer.outcome {
                Outcome::Granted if answer.granted < most => known = Some(answer),
                Outcome::Granted => return answer.granted,
                Outcome::Final => return known.map_or(0, |known| known.granted),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn stop_all(&mut self) {
        for (name, one) in std::mem::take(&mut self.all) {
            one.root.stop(DEADLINE).await;
            self.cut_off(&name);
        }
    }

    /// The trees are abandoned without their stop in order, and nobody reaches them any more.
    fn crash_all(&mut self) {
        for (name, one) in std::mem::take(&mut self.all) {
            self.cut_off(&name);
            std::mem::forget(one.root);
        }
    }

    /// This node's Broker is gone; Carbon, and with it the node's id and what it promised, is not.
    async fn lose_broker(&self, dir: &Path, name: &str) {
        for file in ["broker.db", "broker.db-wal", "broker.db-shm"] {
            let gone = std::fs::remove_file(dir.join(name).join(file));
            assert!(gone.is_ok() || file != "broker.db", "{gone:?}");
        }
        // As a start finds that the node has counted before.
        let broker = broker::open(&dir.join(name)).await.unwrap();
        let mut write = broker.write("test.begin").await.unwrap();
        let now_ms = self.system.clock.now_ms();
        let begun = ledger_state::begin_without_past(&mut write, now_ms).await;
        begun.unwrap();
        write.commit().await.unwrap();
        broker.close().await;
    }

    async fn start_all(&mut self, dir: &Path, incarnation: u64) {
        for name in NAMES {
            self.join(name, incarnation, &dir.join(name)).await;
        }
        self.wait_for(&NAMES).await;
    }

    async fn stop(mut self) {
        self.stop_all().await;
        self.control_plane.root.stop(DEADLINE).await;
    }
}

/// It wants one more, and has used all that it has.
fn question(gateway: &str, key: &ThrottleKey, known: Option<&LeaseAnswer>) -> LeaseMany {
    let ask = Ask {
        holder: Holder::new(gateway, 1, 1),
        cell: key.cell(),
        policies: 0,
        epoch: known.map_or(0, |answer| answer.stamp.epoch),
        asked_at_ms: i64::try_from(known.map_or(0, |answer| answer.granted)).unwrap(),
        window: known.and_then(|answer| answer.window),
        have: known.map_or(0, |answer| answer.granted),
        returned: 0,
        want: 1,
        emptied: true,
        due: 0,
    };
    LeaseMany::of(shard_of(key), &[ask]).unwrap()
}

#[tokio::test]
async fn the_standby_goes_on_where_an_owner_was_cut_off_and_nothing_is_granted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let members = Members::start(dir.path()).await;
    for (plan, unit) in [("month", TimeUnit::Month), ("minute", TimeUnit::Min)] {
        members.control_plane.save(plan, 40, unit).await;
    }
    let keys = [key("month", "k"), key("minute", "k")];
    let (owner, standby) = members.pair(&keys[0]);
    let mut taken = [0; 2];
    for (taken, key) in taken.iter_mut().zip(&keys) {
        let (of, _) = members.pair(key);
        let (one, other) = tokio::join!(
            members.drain(&of, "gw1", key, 12),
            members.drain(&of, "gw2", key, 7)
        );
        *taken = one + other;
    }
    assert_eq!(taken, [19, 19]);

    members.cut_off(&owner);
    let left: Vec<&str> = NAMES.into_iter().filter(|name| *name != owner).collect();
    members.wait_for(&left).await;
    assert_eq!(members.owner_among(&left, &keys[0]), standby);
    for key in &keys {
        let of = members.owner_among(&left, key);
        // The owner that was cut off may still believe that it owns the shard: it grants nothing.
        let late = members.asked(&owner, question("gw9", key, None)).await;
        assert!(
            late.is_none_or(|late| late.granted == 0),
            "granted by who was cut off"
        );
        let (one, other) = tokio::join!(
            members.drain(&of, "gw3", key, 40),
            members.drain(&of, "gw4", key, 40)
        );
        assert_eq!(one + other, 21, "{key:?}");
    }
    members.stop().await;
}

#[tokio::test]
async fn a_restart_of_everything_keeps_long_windows_and_short_ones_by_how_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut members = Members::start(dir.path()).await;
    for (plan, unit) in [("month", TimeUnit::Month), ("minute", TimeUnit::Min)] {
        members.control_plane.save(plan, 20, unit).await;
    }
    let keys = [key("month", "k"), key("minute", "k")];
    for key in &keys {
        let (owner, _) = members.pair(key);
        assert_eq!(members.drain(&owner, "gw1", key, 5).await, 5);
    }
    // In order: all counts are known.
    members.stop_all().await;
    members.start_all(dir.path(), 2).await;
    for key in &keys {
        let (owner, _) = members.pair(key);
        assert_eq!(members.drain(&owner, "gw2", key, 5).await, 5);
    }
    // Without a word: short windows are full, of long ones all that was granted is known.
    members.crash_all();
    members.start_all(dir.path(), 3).await;
    for (key, left) in keys.iter().zip([10, 0]) {
        let (owner, _) = members.pair(key);
        assert_eq!(members.drain(&owner, "gw3", key, 40).await, left, "{key:?}");
    }
    members.stop().await;
}

#[tokio::test]
async fn a_broker_that_was_lost_is_no_source_until_a_later_view_lies_in_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut members = Members::start(dir.path()).await;
    members
        .control_plane
        .save("month", 20, TimeUnit::Month)
        .await;
    let key = key("month", "k");
    let (owner, standby) = members.pair(&key);
    assert_eq!(members.drain(&owner, "gw1", &key, 5).await, 5);
    members.crash_all();
    members.lose_broker(dir.path(), &owner).await;
    members.start_all(dir.path(), 2).await;
    // The standby's disk has it, and the owner's has what was granted since.
    assert_eq!(members.drain(&owner, "gw2", &key, 5).await, 5);
    members.crash_all();
    members.lose_broker(dir.path(), &standby).await;
    members.start_all(dir.path(), 3).await;
    assert_eq!(members.drain(&owner, "gw3", &key, 5).await, 5);
    members.crash_all();
    for lost in [&owner, &standby] {
        members.lose_broker(dir.path(), lost).await;
    }
    // Nobody knows: nothing is left of the window, also when all start once more with what their disks have.
    for incarnation in 4..6 {
        members.start_all(dir.path(), incarnation).await;
        assert_eq!(members.drain(&owner, "gw4", &key, 40).await, 0);
        members.crash_all();
    }
    members.stop().await;
}

#[path = "founding_tests.rs"]
mod founding;
#[path = "seen_tests.rs"]
mod seen;
