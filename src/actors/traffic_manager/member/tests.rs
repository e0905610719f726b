//! Three members in one process over files and a register in memory: what is granted while one after another is cut
//! off.

use std::path::Path;
use std::time::Duration;

use cluster::{Clock, Door, Root, System, start_root};
use domain::ledger::{Ask, Holder, Outcome};
use domain::policy::TimeUnit;
use domain::view::{Life, Patience, Phase};
use storage::{broker, carbon};

use super::{LAYOUT, Member, Ways, component};
use crate::agreed_view::{self, AgreedView, Layout, Nodes, TestRegister};
use crate::traffic_manager::message::{LeaseAnswer, LeaseMany, Leased, ThrottleKey};
use crate::traffic_manager::test_node::{ControlPlane, DEADLINE, key};
use crate::traffic_manager::{GatewayLeases, LedgerSettings, shard_of};

const NAMES: [&str; 3] = ["tm1", "tm2", "tm3"];

const QUICK: Layout = Layout {
    patience: Patience {
        fresh_ms: 700,
        join_ms: 100,
        gather_ms: 100,
        stuck_ms: 2_000,
    },
    ..LAYOUT
};

struct OneMember {
    agreed: AgreedView,
    lease: Door<LeaseMany>,
    root: Root,
}

struct Members {
    control_plane: ControlPlane,
    register: TestRegister,
    nodes: Nodes,
    ways: Ways,
    all: Vec<(String, OneMember)>,
    system: System,
}

// === impl Members ===

impl Members {
    async fn start(dir: &Path) -> Self {
        let system = System::new(Clock::system(), true);
        let mut members = Self {
            control_plane: ControlPlane::start(&system, dir).await,
            register: TestRegister::new(&NAMES),
            nodes: Nodes::alone(Life::new("nobody", 0)),
            ways: Ways::default(),
            all: Vec::new(),
            system,
        };
        members.start_all(dir, 1).await;
        members
    }

    async fn join(&mut self, name: &str, incarnation: u64, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        let (broker, carbon) = (
            broker::open(dir).await.unwrap(),
            carbon::open(dir).await.unwrap(),
        );
        let nodes = self.nodes.seen_by(Life::new(name, incarnation));
        let register = self.register.of(name);
        // Names of actors are unique within a process.
        let system = System::new(self.system.clock.clone(), true);
        let (agreed, agreed_child) =
            agreed_view::component(&system, &carbon, &nodes, &register, QUICK);
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
        let (lease, child) = component(&system, &member);
        let root = start_root(&system, vec![agreed_child, child])
            .await
            .unwrap();
        let one = OneMember {
            agreed,
            lease,
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

    fn cut_off(&self, name: &str) {
        self.nodes.cut_off(name);
        self.ways.cut_off(name);
        self.register.cut_off(name);
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
        match one.lease.ask(request, DEADLINE).await {
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
        owed: 0,
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
