//! A voter's promises, over Carbon.

use std::path::Path;
use std::time::Duration;

use cluster::{Clock, System, start_root};
use domain::view::{Epoch, Life, Sealed, Voter};
use storage::crash_sweep::{Swept, sweep};
use storage::{Database, carbon};

use super::message::{AskVoter, Promise, Promised};
use super::{Layout, Nodes, TestRegister, component};
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
async fn a_voter_keeps_its_promises_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fence = |t_ms| Promise::Fence { t_ms };
    for start in 0..2 {
        let carbon = carbon::open(dir.path()).await.unwrap();
        let system = System::new(Clock::system(), true);
        let nodes = Nodes::alone(Life::new("n1", start));
        let register = TestRegister::new(&["n1"]).of("n1");
        let (_, child) = component(&system, &carbon, &nodes, &register, Layout { ..LAYOUT });
        let root = start_root(&system, vec![child]).await.unwrap();
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

struct Promises(Database);

impl Swept for Promises {
    const SWEPT: &'static [&'static str] = &["carbon.voter"];

    async fn open(directory: &Path) -> Self {
        Self(carbon::open(directory).await.unwrap())
    }

    async fn prepare(&self) {}

    async fn work(&self, _write: &str) {
        let mut voter = Voter::default();
        voter.seal(at(2));
        super::voter::write(&self.0, &voter).await.unwrap();
    }

    async fn state(&self) -> Vec<String> {
        let mut read = self.0.read().await.unwrap();
        let voter = carbon::voter::find(&mut read).await.unwrap();
        vec![format!("{voter:?}")]
    }
}

#[tokio::test]
async fn a_crash_in_a_voters_promise_leaves_it_made_or_not_made() {
    let root = tempfile::tempdir().unwrap();
    let test = "agreed_view::tests::a_crash_in_a_voters_promise_leaves_it_made_or_not_made";
    sweep::<Promises>(test, root.path()).await.unwrap();
}
