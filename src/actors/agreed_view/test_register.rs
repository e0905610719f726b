//! A register for tests: one value in memory, agreed on at once while its leader can be reached.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use domain::view::{Entry, Epoch, View};

use super::register::{Known, Register, SharedRegister, Step};

/// What all nodes share.
#[derive(Default)]
struct Shared {
    view: View,
    index: u64,
    voters: Vec<String>,
    chosen: Vec<String>,
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
    fn apply(&mut self, step: Step) {
        match step {
            Step::View(entry) => {
                self.index += 1;
                let at = Epoch::new(1, self.index).unwrap();
                if !self.view.apply(at, entry) {
                    return;
                }
            }
            Step::Voters(chosen) => self.chosen = chosen,
        }
        self.tell();
    }

    fn tell(&self) {
        for (node, told) in &self.told {
            told.send_replace(Known {
                view: self.view.clone(),
                leads: *node == self.leader,
                at: Epoch::new(1, self.index),
                voters: self.voters.clone(),
                next: Vec::new(),
                chosen: self.chosen.clone(),
                leader: Some(self.leader.clone()),
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
            shared.apply(Step::View(entry));
        }
        Box::pin(std::future::ready(()))
    }

    fn agree(&self, step: Step) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        self.all.0.lock().unwrap().apply(step);
        Box::pin(std::future::ready(Ok(())))
    }

    fn change_voters(&self, voters: Vec<String>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut shared = self.all.0.lock().unwrap();
        shared.voters = voters;
        shared.tell();
        Box::pin(std::future::ready(()))
    }
}
