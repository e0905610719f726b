//! A voter's promises, over Carbon.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Clock, System, start_root};
use domain::view::{Cover, Entry, Epoch, Life, Origin, Patience, Phase, Report, Sealed, Voter};
use storage::crash_sweep::{Swept, sweep};
use storage::{Database, carbon};

use tokio::sync::watch;

use super::follower::Latest;
use super::message::{AskVoter, Promise, Promised, TellVoter};
use super::{Known, Layout, Nodes, Register, SharedRegister, Step, TestRegister, component};
use crate::traffic_manager::LAYOUT;

const DEADLINE: Duration = Duration::from_secs(20);

fn at(index: u64) -> Epoch {
    Epoch::new(1, index).unwrap()
}

async fn asked(nodes: &Nodes, epoch: Epoch, promise: Promise) -> Promised {
    let asked = AskVoter { epoch, promise };
    nodes.ask_voter("n1", asked, DEADLINE).await.unwrap()
}

#[tokio::test]
async fn a_fence_of_an_old_epoch_counts_as_no_t_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = carbon::open(dir.path()).await.unwrap();
    let system = System::new(Clock::system(), true);
    let nodes = Nodes::alone(Life::new("n1", 0));
    let register = TestRegister::new(&["n1"]).of("n1");
    let cover = Cover::whole();
    cover.set(10_000);
    let voting = (&carbon, &cover);
    let layout = Layout { ..LAYOUT };
    let (_, child) = component(&system, voting, &nodes, &register, layout, |_| Vec::new());
    let root = start_root(&system, vec![child]).await.unwrap();
    let fence = |t_ms| Promise::Fence { t_ms };
    assert_eq!(asked(&nodes, at(5), fence(70)).await, Promised::Fenced);
    let refused = Promised::Refused { at: at(5) };
    for t_ms in [9_000, 90_000] {
        assert_eq!(asked(&nodes, at(3), fence(t_ms)).await, refused);
    }
    assert!(!cover.is_short(), "nobody who may asks for more");
    let used = cover.let_go().map(|left| left.used_ms);
    assert_eq!(used, Some(70), "whoever takes its place begins above that");
    root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_voter_keeps_its_promises_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fence = |t_ms| Promise::Fence { t_ms };
    for start in 0..2 {
        let carbon = carbon::open(dir.path()).await.unwrap();
        let system = System::new(Clock::system(), true);
        let nodes = Nodes::alone(Life::new("n1", start));
        let register = TestRegister::new(&["n1"]).of("n1");
        let cover = Cover::whole();
        let (_, child) = component(
            &system,
            (&carbon, &cover),
            &nodes,
            &register,
            Layout { ..LAYOUT },
            |_| Vec::new(),
        );
        let root = start_root(&system, vec![child]).await.unwrap();
        if start == 1 {
            cover.set(10_000);
            let used = cover.let_go().map(|left| left.used_ms);
            assert_eq!(used, Some(70), "whoever takes its place begins above that");
        }
        if start == 0 {
            assert_eq!(asked(&nodes, at(3), fence(70)).await, Promised::Fenced);
        }
        let fenced_ms = Some(70);
        let sealed = Promised::Sealed(Sealed {
            at: at(5),
            fenced_ms,
        });
        assert_eq!(asked(&nodes, at(5), Promise::Seal).await, sealed);
        let refused = Promised::Refused { at: at(5) };
        assert_eq!(asked(&nodes, at(3), fence(80)).await, refused);
        root.stop(DEADLINE).await;
    }
}

/// A register that is slow to say that it is done.
struct Slow {
    register: SharedRegister,
    is_free: watch::Receiver<bool>,
}

impl Register for Slow {
    fn known(&self) -> watch::Receiver<Known> {
        self.register.known()
    }

    fn propose(&self, entry: Entry) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (done, mut is_free) = (self.register.propose(entry), self.is_free.clone());
        Box::pin(async move {
            done.await;
            let _ = is_free.wait_for(|is_free| *is_free).await;
        })
    }

    fn agree(&self, step: Step) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        self.register.agree(step)
    }

    fn change_voters(&self, voters: Vec<String>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.register.change_voters(voters)
    }
}

#[tokio::test]
async fn what_is_wanted_while_a_proposal_is_under_way_is_proposed_as_soon_as_that_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = carbon::open(dir.path()).await.unwrap();
    let system = System::new(Clock::system(), true);
    let me = Life::new("n1", 1);
    let nodes = Nodes::alone(me.clone());
    let (free, is_free) = watch::channel(false);
    let register = TestRegister::new(&["n1"]).of("n1");
    let register: SharedRegister = Arc::new(Slow { register, is_free });
    let layout = Layout {
        shards: 1,
        ..LAYOUT
    };
    let (agreed, child) = component(
        &system,
        (&carbon, &Cover::whole()),
        &nodes,
        &register,
        layout,
        |_| Vec::new(),
    );
    let root = start_root(&system, vec![child]).await.unwrap();
    let tell = async |epoch: Epoch| {
        let report = Report {
            life: me.clone(),
            hears: BTreeSet::from(["n1".to_owned()]),
            leaving: false,
        };
        let told = TellVoter {
            report,
            epoch,
            entries: 0,
            complete: vec![(0, Origin::First, Vec::new())],
            refused: None,
            stalled: BTreeSet::new(),
            parts: 0,
        };
        nodes.tell_voter("n1", told, DEADLINE).await.unwrap();
    };
    tell(Epoch::default()).await;
    let mut latest = agreed.subscribe();
    let is_known = |latest: &Latest| latest.view.entries == 1;
    let begun = latest.wait_for(is_known).await.unwrap().view.epoch;
    tell(begun).await;
    // The voter has sealed by then, and the active view is wanted.
    let sealed = asked(&nodes, begun, Promise::Seal).await;
    assert!(matches!(sealed, Promised::Sealed(_)));
    tell(begun).await;
    let before = system.clock.monotonic();
    free.send_replace(true);
    let is_active = |latest: &Latest| latest.view.phase == Phase::Active;
    latest.wait_for(is_active).await.unwrap();
    let took = system.clock.monotonic() - before;
    assert!(
        took < Duration::from_millis(900),
        "made once more: {took:?}"
    );
    root.stop(DEADLINE).await;
}

/// Of two members, in a view in which no pair is complete.
#[tokio::test]
async fn a_view_goes_on_while_parts_of_copies_come_and_not_without() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = carbon::open(dir.path()).await.unwrap();
    let system = System::new(Clock::system(), true);
    let nodes = Nodes::alone(Life::new("n1", 1));
    let register = TestRegister::new(&["n1"]).of("n1");
    let patience = Patience {
        fresh_ms: 60_000,
        join_ms: 0,
        gather_ms: 0,
        stuck_ms: 3_000,
    };
    let layout = Layout {
        shards: 1,
        patience,
        ..LAYOUT
    };
    let voting = (&carbon, &Cover::whole());
    let (agreed, child) = component(&system, voting, &nodes, &register, layout, |_| Vec::new());
    let root = start_root(&system, vec![child]).await.unwrap();
    let tell = async |node: &str, epoch: Epoch, complete: &[u16], parts: u64| {
        let report = Report {
            life: Life::new(node, 1),
            hears: ["n1", "n2"].map(str::to_owned).into(),
            leaving: false,
        };
        let complete = complete.iter();
        let complete = complete.map(|shard| (*shard, Origin::First, Vec::new()));
        let told = TellVoter {
            report,
            epoch,
            entries: 0,
            complete: complete.collect(),
            refused: None,
            stalled: BTreeSet::new(),
            parts,
        };
        nodes.tell_voter("n1", told, DEADLINE).await.unwrap();
    };
    let mut latest = agreed.subscribe();
    let mut until = async |entries: u64| {
        let is_known = |latest: &Latest| latest.view.entries >= entries;
        let latest = tokio::time::timeout(DEADLINE, latest.wait_for(is_known)).await;
        latest.unwrap().unwrap().view.epoch
    };
    tell("n1", Epoch::default(), &[], 0).await;
    let first = until(1).await;
    tell("n1", first, &[0], 0).await;
    until(2).await;
    tell("n2", first, &[], 0).await;
    let second = until(3).await;
    let began = system.clock.monotonic();
    let mut parts = 0;
    while system.clock.monotonic() - began < Duration::from_millis(4_500) {
        parts += 1;
        tell("n2", second, &[], parts).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(agreed.view().entries, 3, "{parts} parts came");
    until(4).await;
    root.stop(DEADLINE).await;
}

struct Promises(Database);

impl Swept for Promises {
    const SWEPT: &'static [&'static str] = &["carbon.hold", "carbon.voter"];

    async fn open(directory: &Path) -> Self {
        Self(carbon::open(directory).await.unwrap())
    }

    async fn prepare(&self) {}

    async fn work(&self, write: &str) {
        if write == "carbon.hold" {
            super::holding::save(&self.0, 7).await.unwrap();
            return;
        }
        let mut voter = Voter::default();
        voter.seal(at(2));
        super::voter::write(&self.0, &voter).await.unwrap();
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.read().await.unwrap();
        let voter = carbon::voter::find(&mut read).await.unwrap();
        let reach_ms = carbon::hold::find(&mut read).await.unwrap();
        vec![format!("{voter:?} {reach_ms:?}")]
    }
}

#[tokio::test]
async fn a_crash_in_a_voters_promise_leaves_it_made_or_not_made() {
    let root = tempfile::tempdir().unwrap();
    let test = "agreed_view::tests::a_crash_in_a_voters_promise_leaves_it_made_or_not_made";
    sweep::<Promises>(test, root.path()).await.unwrap();
}
