//! Nodes in one process, with links that can be cut and stores that can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::seals::Seals;
use crate::register::{
    Agreed, Asking, Known, LogPlace, OrderError, Register, RegisterLink, RegisterSeed,
    RegisterSettings, RegisterState, RegisterStore, RegisterTiming, Sealing, Stored, Storing,
    Value, register,
};
use crate::tests::{SOON, system};
use crate::{AskError, BoxError, Root, System, start_root};

/// Whether an entry is not taken.
pub(crate) type Refuses = fn(&[u8]) -> bool;

/// A store in memory.
pub(crate) struct Shelf {
    pub(crate) stored: Mutex<Stored>,
    /// Whether writes fail.
    pub(crate) is_broken: AtomicBool,
    /// So many writes more do not.
    left: AtomicUsize,
    /// Entries that it does not take.
    pub(crate) refused: Mutex<Option<Refuses>>,
    /// Without a place no write ends.
    gate: Semaphore,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            stored: Mutex::default(),
            is_broken: AtomicBool::default(),
            left: AtomicUsize::new(usize::MAX),
            refused: Mutex::default(),
            gate: Semaphore::new(1),
        }
    }
}

impl Shelf {
    fn write<'a>(&'a self, write: impl FnOnce(&mut Stored) + Send + 'a) -> Storing<'a, ()> {
        Box::pin(async move {
            let _through = self.gate.acquire().await?;
            if self.is_broken.load(Ordering::SeqCst) {
                return Err("the disk is full".into());
            }
            if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.is_broken.store(true, Ordering::SeqCst);
            }
            write(&mut self.stored.lock().unwrap());
            Ok(())
        })
    }
}

impl Shelf {
    /// So many writes are made from now on, and then none.
    pub(crate) fn fail_after(&self, writes: usize) {
        self.left.store(writes, Ordering::SeqCst);
    }

    /// Has all writes wait from now on.
    pub(crate) async fn hang(&self) {
        self.gate.acquire().await.unwrap().forget();
    }

    /// And no longer.
    pub(crate) fn go_on(&self) {
        self.gate.add_permits(1);
    }
}

impl RegisterStore for Shelf {
    fn load(&self) -> Storing<'_, Stored> {
        Box::pin(std::future::ready(Ok(self.stored.lock().unwrap().clone())))
    }

    fn save_vote(&self, vote: Vec<u8>) -> Storing<'_, ()> {
        self.write(move |stored| stored.vote = Some(vote))
    }

    fn save_committed(&self, committed: Vec<u8>) -> Storing<'_, ()> {
        self.write(move |stored| stored.committed = Some(committed))
    }

    fn append(&self, entries: Vec<(u64, Vec<u8>)>) -> Storing<'_, ()> {
        let refused = *self.refused.lock().unwrap();
        if entries
            .iter()
            .any(|(_, entry)| refused.is_some_and(|refused| refused(entry)))
        {
            return Box::pin(std::future::ready(Err("it is not taken".into())));
        }
        self.write(move |stored| stored.entries.extend(entries))
    }

    fn truncate(&self, from: u64) -> Storing<'_, ()> {
        self.write(move |stored| stored.entries.retain(|(number, _)| *number < from))
    }

    fn purge(&self, through: u64, purged: Vec<u8>) -> Storing<'_, ()> {
        self.write(move |stored| {
            stored.entries.retain(|(number, _)| *number > through);
            stored.purged = Some(purged);
        })
    }

    fn save_snapshot(&self, snapshot: Vec<u8>) -> Storing<'_, ()> {
        self.write(move |stored| stored.snapshot = Some(snapshot))
    }
}

/// All entries, one after another, each once; what begins with `!` it does not understand.
pub(crate) struct Words;

impl Value for Words {
    fn initial(&self) -> Vec<u8> {
        Vec::new()
    }

    fn apply(&self, value: &[u8], _at: LogPlace, agreed: Agreed<'_>) -> Result<Vec<u8>, BoxError> {
        match agreed {
            Agreed::Entry(b"!panic") => panic!("as the test wishes"),
            Agreed::Entry([b'!', ..]) => Err("this entry is of a later version".into()),
            // Whoever is not answered proposes again.
            Agreed::Entry(word) if value.split(|byte| *byte == b' ').any(|one| one == word) => {
                Ok(value.to_vec())
            }
            Agreed::Entry(word) => Ok([value, word, b" "].concat()),
            Agreed::Voters(_) => Ok(value.to_vec()),
        }
    }

    fn check(&self, value: &[u8]) -> Result<(), BoxError> {
        match value {
            [b'!', ..] => Err("this value is of a later version".into()),
            _ => Ok(()),
        }
    }
}

/// All links.
#[derive(Default)]
pub(crate) struct Wires {
    ends: Mutex<BTreeMap<String, Register>>,
    /// From whom to whom nothing gets.
    cut: Mutex<BTreeSet<(String, String)>>,
    /// How long everything takes to get anywhere.
    late: Mutex<Duration>,
}

/// The links of one node.
struct Wire {
    me: String,
    wires: Arc<Wires>,
}

impl RegisterLink for Wire {
    fn ask<'a>(&'a self, voter: &'a str, said: Vec<u8>, deadline: Duration) -> Asking<'a> {
        Box::pin(async move {
            let there = self.wires.ends.lock().unwrap().get(voter).cloned();
            let there = there.ok_or(AskError::Unavailable)?;
            let is_cut = |from: &str, to: &str| {
                let cut = self.wires.cut.lock().unwrap();
                cut.contains(&(from.to_owned(), to.to_owned()))
            };
            if is_cut(&self.me, voter) {
                tokio::time::sleep(deadline).await;
                return Err(AskError::Timeout);
            }
            let late = *self.wires.late.lock().unwrap();
            let asking = async {
                tokio::time::sleep(late).await;
                let answer = there.answer(said, deadline).await?;
                tokio::time::sleep(late).await;
                Ok(answer)
            };
            let answer = tokio::time::timeout(deadline, asking).await;
            let answer = answer.unwrap_or(Err(AskError::Timeout))?;
            // An answer may be lost after the ask got through.
            if is_cut(voter, &self.me) {
                return Err(AskError::Timeout);
            }
            Ok(answer)
        })
    }
}

/// A node that can be stopped and started.
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) seals: Arc<Seals>,
    pub(crate) register: Register,
    pub(crate) system: System,
    root: Option<Root>,
}

/// Some nodes.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    wires: Arc<Wires>,
    timing: RegisterTiming,
}

/// Short, so that tests are.
pub(crate) fn timing() -> RegisterTiming {
    RegisterTiming {
        heartbeat: Duration::from_millis(75),
        lease: Duration::from_millis(400),
        spread: Duration::from_millis(200),
        agreeing: Duration::from_millis(1_500),
        following: Duration::from_secs(5),
        entries: 1_000,
    }
}

/// The term that registers begin above.
pub(crate) const BEFORE: u64 = 7;

/// A register that begins with this value.
pub(crate) fn seed(value: &str) -> RegisterSeed {
    RegisterSeed {
        term: BEFORE,
        value: value.as_bytes().to_vec(),
    }
}

pub(crate) fn id(number: u128) -> String {
    Uuid::from_u128(number + 1).to_string()
}

// === impl Node ===

impl Node {
    async fn start(
        id: String,
        (shelf, seals): (Arc<Shelf>, Arc<Seals>),
        (wires, timing): (&Arc<Wires>, RegisterTiming),
    ) -> Result<Self, BoxError> {
        let system = system();
        let link = Wire {
            me: id.clone(),
            wires: Arc::clone(wires),
        };
        let settings = RegisterSettings {
            node: id.clone(),
            value: Arc::new(Words),
            sealing: Arc::clone(&seals) as Arc<dyn Sealing>,
            store: Arc::clone(&shelf) as Arc<dyn RegisterStore>,
            link: Arc::new(link),
            timing,
        };
        let (register, child) = register(&system, "register", settings)?;
        let root = start_root(&system, vec![child]).await?;
        let mut ends = wires.ends.lock().unwrap();
        ends.insert(id.clone(), register.clone());
        drop(ends);
        Ok(Self {
            id,
            shelf,
            seals,
            register,
            system,
            root: Some(root),
        })
    }

    pub(crate) fn known(&self) -> Known {
        self.register.known()
    }

    pub(crate) fn words(&self) -> String {
        String::from_utf8(self.known().value.to_vec()).unwrap()
    }

    pub(crate) async fn propose(&self, word: &str) -> Result<LogPlace, OrderError> {
        self.register.propose(word.as_bytes().to_vec()).await
    }
}

// === impl World ===

impl World {
    /// So many nodes, of which none is founded.
    pub(crate) async fn of(nodes: u128, timing: RegisterTiming) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            wires: Arc::default(),
            timing,
        };
        for number in 0..nodes {
            let kept = (Arc::default(), Arc::default());
            let node = Node::start(id(number), kept, (&world.wires, timing)).await;
            world.nodes.push(node.unwrap());
        }
        world
    }

    /// So many nodes that vote, and one that leads them.
    pub(crate) async fn voting(nodes: u128) -> Self {
        let world = Self::of(nodes, timing()).await;
        world.found().await;
        world
    }

    /// Three that vote, of which one is stopped and lacks more than the logs of the others have; which one, and the
    /// value that it lacks.
    pub(crate) async fn with_one_far_behind() -> (Self, usize, String) {
        let timing = RegisterTiming {
            entries: 8,
            ..timing()
        };
        let mut world = Self::of(3, timing).await;
        world.found().await;
        world.agree(0, "a").await;
        world.have(&[0, 1, 2], "a ").await;
        let leader = world.leader().await;
        let behind = (leader + 1) % 3;
        world.stop(behind).await;
        let mut words = "a ".to_owned();
        for number in 0..40 {
            world.agree(leader, &number.to_string()).await;
            words.push_str(&format!("{number} "));
        }
        let stored = || world.nodes[leader].shelf.stored.lock().unwrap().clone();
        until("its log is cut", || stored().entries.len() <= 16).await;
        (world, behind, words)
    }

    /// The first founds a register, and then all vote.
    pub(crate) async fn found(&self) {
        self.nodes[0].register.found(seed("")).await.unwrap();
        self.leader().await;
        let all: Vec<String> = self.nodes.iter().map(|node| node.id.clone()).collect();
        if all.len() > 1 {
            self.nodes[0].register.change_voters(&all).await.unwrap();
            until("all know that they vote", || {
                let mut nodes = self.nodes.iter();
                nodes.all(|node| node.known().voters.sets == [all.clone()])
            })
            .await;
        }
        self.leader().await;
    }

    /// Who leads, as soon as somebody does and all whom it reaches know it.
    pub(crate) async fn leader(&self) -> usize {
        self.leader_of(|_| true).await
    }

    /// The same among some.
    pub(crate) async fn leader_of(&self, counts: impl Fn(usize) -> bool) -> usize {
        let find = || {
            let counted = (0..self.nodes.len()).filter(|at| counts(*at));
            let leads = counted.filter(|at| self.nodes[*at].known().leads);
            leads.max_by_key(|at| self.nodes[*at].known().term)
        };
        until("somebody leads", || find().is_some()).await;
        find().unwrap_or_else(|| unreachable!("a moment ago there was one"))
    }

    /// Cuts a node from all others, or restores that.
    pub(crate) fn cut_off(&self, node: usize, is_cut: bool) {
        let mut cut = self.wires.cut.lock().unwrap();
        let me = &self.nodes[node].id;
        for other in self.nodes.iter().filter(|other| other.id != *me) {
            for pair in [(me, &other.id), (&other.id, me)] {
                let pair = (pair.0.clone(), pair.1.clone());
                if is_cut {
                    cut.insert(pair);
                } else {
                    cut.remove(&pair);
                }
            }
        }
    }

    /// Nothing gets to a node, and all that it says gets to others.
    pub(crate) fn deafen(&self, node: usize) {
        let mut cut = self.wires.cut.lock().unwrap();
        let me = &self.nodes[node].id;
        let others = self.nodes.iter().filter(|other| other.id != *me);
        cut.extend(others.map(|other| (other.id.clone(), me.clone())));
    }

    /// All that is said takes so long on its way from now on, and so does each answer.
    pub(crate) fn delay(&self, late: Duration) {
        *self.wires.late.lock().unwrap() = late;
    }

    /// Stops a node; what it keeps stays.
    pub(crate) async fn stop(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        self.wires.ends.lock().unwrap().remove(&node.id);
        node.root.take().unwrap().stop(SOON).await;
    }

    /// Starts a node that was stopped.
    pub(crate) async fn start(&mut self, node: usize) {
        self.try_start(node).await.unwrap();
    }

    pub(crate) async fn try_start(&mut self, node: usize) -> Result<(), BoxError> {
        let at = &self.nodes[node];
        let kept = (Arc::clone(&at.shelf), Arc::clone(&at.seals));
        self.nodes[node] = Node::start(at.id.clone(), kept, (&self.wires, self.timing)).await?;
        Ok(())
    }

    /// Has a node propose until it is agreed on.
    pub(crate) async fn agree(&self, node: usize, word: &str) -> LogPlace {
        let agreeing = async {
            loop {
                if let Ok(place) = self.nodes[node].propose(word).await {
                    return place;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let agreed = tokio::time::timeout(SOON, agreeing).await;
        agreed.unwrap_or_else(|_| panic!("{word} was not agreed on"))
    }

    /// Waits until all of these have this value.
    pub(crate) async fn have(&self, nodes: &[usize], words: &str) {
        for node in nodes {
            let node = &self.nodes[*node];
            let wait = until_or(|| node.words() == words).await;
            assert!(wait, "{} has {:?}, not {words:?}", node.id, node.words());
        }
    }

    /// What each of them knows, for a test that fails.
    pub(crate) fn shown(&self) -> String {
        let one = |node: &Node| format!("{}: {:?}\n", node.id, node.known());
        self.nodes.iter().map(one).collect()
    }

    /// Waits until a node runs, or does not.
    pub(crate) async fn runs(&self, node: usize, wanted: bool) {
        let node = &self.nodes[node];
        until("it runs or not", || {
            (node.known().state == RegisterState::Running) == wanted
        })
        .await;
    }
}

pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    assert!(until_or(holds).await, "{what}");
}

pub(crate) async fn until_or(holds: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.is_ok()
}
