//! A register for tests: one value in memory, agreed on at once while its leader can be reached.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use domain::view::{Entry, Epoch, View};

use super::register::{Known, Register, SharedRegister};

/// What all nodes share.
#[derive(Default)]
struct Shared {
    view: View,
    index: u64,
    voters: Vec<String>,
    leader: String,
    told: Vec<(String, watch::Sender<Known>)>,
}

/// The register of all nodes of a test.
#[derive(Clone, Default)]
pub(crate) struct TestRegister(Arc<Mutex<Shared>>);

struct OfNode {
    node: String,
    all: TestRegister,
    known: watch::Receiver<Known>,
}

// === impl TestRegister ===

impl TestRegister {
    /// These vote; the first of them leads.
    pub(crate) fn new(voters: &[&str]) -> Self {
        let all = Self::default();
        {
            let mut shared = all.0.lock().unwrap();
            shared.voters = voters.iter().map(|voter| (*voter).to_owned()).collect();
            shared.leader = voters[0].to_owned();
        }
        all
    }

    /// The register as this node knows it.
    pub(crate) fn of(&self, node: &str) -> SharedRegister {
        let sender = watch::Sender::default();
        let known = sender.subscribe();
        let mut shared = self.0.lock().unwrap();
        shared.told.retain(|(other, _)| other != node);
        shared.told.push((node.to_owned(), sender));
        if shared.leader.is_empty() {
            shared.leader = node.to_owned();
        }
        shared.tell();
        Arc::new(OfNode {
            node: node.to_owned(),
            all: self.clone(),
            known,
        })
    }

    /// This node hears nothing any more, and another leads.
    pub(crate) fn cut_off(&self, node: &str) {
        let mut shared = self.0.lock().unwrap();
        shared.told.retain(|(other, _)| other != node);
        if shared.leader == node {
            // Where nobody is left the next one that comes leads.
            let next = shared.told.first();
            shared.leader = next.map(|(node, _)| node.clone()).unwrap_or_default();
        }
        shared.tell();
    }
}

// === impl Shared ===

impl Shared {
    fn tell(&self) {
        for (node, told) in &self.told {
            told.send_replace(Known {
                view: self.view.clone(),
                leads: *node == self.leader,
                voters: self.voters.clone(),
            });
        }
    }
}

// === impl Register ===

impl Register for OfNode {
    fn known(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    fn propose(&self, entry: Entry) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut shared = self.all.0.lock().unwrap();
        if shared.leader == self.node {
            shared.index += 1;
            let at = Epoch::new(1, shared.index).unwrap();
            if shared.view.apply(at, entry) {
                shared.tell();
            }
        }
        Box::pin(std::future::ready(()))
    }

    fn change_voters(&self, voters: Vec<String>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut shared = self.all.0.lock().unwrap();
        shared.voters = voters;
        shared.tell();
        Box::pin(std::future::ready(()))
    }
}
