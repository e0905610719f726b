//! Every actor of this node with its numbers, for inspection and metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::inspect::ActorSeen;
use crate::self_report::Showcase;
use crate::times::{Counted, Lately, Samples, Times};
use crate::{Clock, fault};

/// What every actor and handle of a node shares.
#[derive(Debug, Clone)]
pub struct System {
    /// The node's time.
    pub clock: Clock,
    /// The node's actors.
    pub registry: Arc<Registry>,
    /// Whether each remotable ask is encoded and decoded even inside this process.
    pub encode_asks: bool,
}

/// The actors of a node.
#[derive(Default)]
pub struct Registry {
    actors: RwLock<BTreeMap<String, Arc<Stats>>>,
    kills: RwLock<BTreeMap<String, Act>>,
    looks: RwLock<BTreeMap<String, Act>>,
}

/// Ends an actor's present incarnation, or asks it to show how it stands.
type Act = Arc<dyn Fn() + Send + Sync>;

/// One actor's counters.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) received: AtomicU64,
    pub(crate) handled: AtomicU64,
    waiting: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) restarts: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    last_error: Mutex<Option<String>>,
    times: Times,
    samples: Samples,
    pub(crate) showcase: Showcase,
    /// Whether its next message finds it panicking: a test's wish.
    pub(crate) doomed: AtomicBool,
}

/// One place in a mailbox; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Stats>);

/// One actor as inspection shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorReport {
    /// Unique name on this node, its place in the tree with `/`.
    pub name: String,
    /// What it is, such as `gateway.follower`.
    pub kind: String,
    /// Messages sent to it.
    pub received: u64,
    /// Messages it has handled.
    pub handled: u64,
    /// Messages in its mailbox and in its hands; those that died with an incarnation do not count.
    pub depth: u64,
    /// Incarnations that failed, panicked or were killed, and starts that failed.
    pub errors: u64,
    /// Times it was started again.
    pub restarts: u64,
    /// Nanoseconds spent in handlers.
    pub busy_ns: u64,
    /// The last failure, if any.
    pub last_error: Option<String>,
    /// Within how many nanoseconds half, 90 and 99 of a hundred of its messages were handled, at most twice too much.
    pub times_ns: [u64; 3],
    /// What it had to do in the last minute, as soon as that is known.
    pub lately: Option<Lately>,
}

// === impl System ===

impl System {
    /// A fresh system. `encode_asks` is the test mode of [`crate::Door`].
    #[must_use]
    pub fn new(clock: Clock, encode_asks: bool) -> Self {
        Self {
            clock,
            registry: Arc::new(Registry::default()),
            encode_asks,
        }
    }
}

// === impl Registry ===

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn register(&self, name: &str, kind: &'static str) -> Arc<Stats> {
        let mut actors = self.actors.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(actors.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Stats {
                name: name.to_owned(),
                kind,
                received: AtomicU64::new(0),
                handled: AtomicU64::new(0),
                waiting: AtomicU64::new(0),
                errors: AtomicU64::new(0),
                restarts: AtomicU64::new(0),
                busy_ns: AtomicU64::new(0),
                last_error: Mutex::new(None),
                times: Times::default(),
                samples: Samples::default(),
                showcase: Showcase::default(),
                doomed: AtomicBool::new(false),
            })
        }))
    }

    pub(crate) fn register_look(&self, name: &str, look: Act) {
        let mut looks = self.looks.write().unwrap_or_else(PoisonError::into_inner);
        looks.insert(name.to_owned(), look);
    }

    /// One actor at this moment of the boot clock, and what it showed last; asks it to show that `anew`.
    pub(crate) fn look(&self, name: &str, anew: bool, now: Duration) -> Option<ActorSeen> {
        let actors = self.actors.read().unwrap_or_else(PoisonError::into_inner);
        let stats = actors.get(name).map(Arc::clone);
        drop(actors);
        let stats = stats?;
        if anew {
            let looks = self.looks.read().unwrap_or_else(PoisonError::into_inner);
            let look = looks.get(name).map(Arc::clone);
            drop(looks);
            look.iter().for_each(|look| look());
        }
        let (at, shown) = stats.showcase.last().unzip();
        let age = at.map(|at| now.saturating_sub(at).as_millis());
        Some(ActorSeen {
            report: stats.report(now),
            shown,
            age_ms: age.map_or(0, |age| u64::try_from(age).unwrap_or(u64::MAX)),
            is_asked: stats.showcase.is_asked(),
        })
    }

    pub(crate) fn register_kill(&self, name: &str, kill: Act) {
        let mut kills = self.kills.write().unwrap_or_else(PoisonError::into_inner);
        kills.insert(name.to_owned(), kill);
    }

    /// Ends the present incarnation of an actor as a fault would; its supervisor starts the next
    /// one. An operator's last resort. False when no actor has this name.
    #[must_use]
    pub fn restart(&self, name: &str) -> bool {
        if fault::by_turns() && self.dooms(name) {
            return true;
        }
        let kills = self.kills.read().unwrap_or_else(PoisonError::into_inner);
        kills.get(name).map(|kill| kill()).is_some()
    }

    /// Has an actor panic at its next message; false when it was to do so already, is not on its turn,
    /// or is unknown.
    fn dooms(&self, name: &str) -> bool {
        let actors = self.actors.read().unwrap_or_else(PoisonError::into_inner);
        let known = actors.get(name);
        known.is_some_and(|stats| {
            let is_its_turn = stats.restarts.load(Ordering::Relaxed).is_multiple_of(2);
            let first = is_its_turn && !stats.doomed.load(Ordering::Relaxed);
            stats.doomed.store(first, Ordering::Relaxed);
            first
        })
    }

    /// All actors at this moment of the boot clock, by name.
    #[must_use]
    pub fn report(&self, now: Duration) -> Vec<ActorReport> {
        let actors = self.actors.read().unwrap_or_else(PoisonError::into_inner);
        actors.values().map(|stats| stats.report(now)).collect()
    }

    /// Keeps what all have had to do by now, to be compared with; called every ten seconds.
    pub fn sample(&self, now: Duration) {
        let actors = self.actors.read().unwrap_or_else(PoisonError::into_inner);
        for stats in actors.values() {
            stats.samples.keep(now, stats.counted());
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// Takes a place; none when `limit` are taken. Exact under any number of senders.
    pub(crate) fn take(stats: &Arc<Stats>, limit: u64) -> Option<Self> {
        let place = Self(Arc::clone(stats));
        let before = stats.waiting.fetch_add(1, Ordering::Relaxed);
        (before < limit).then_some(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Stats ===

impl Stats {
    pub(crate) fn depth(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self, error: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// A message was handled, and took so long.
    pub(crate) fn took(&self, spent: Duration) {
        let ns = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(ns, Ordering::Relaxed);
        self.times.took(ns);
    }

    fn counted(&self) -> Counted {
        Counted {
            received: self.received.load(Ordering::Relaxed),
            handled: self.handled.load(Ordering::Relaxed),
            busy_ns: self.busy_ns.load(Ordering::Relaxed),
        }
    }

    fn report(&self, now: Duration) -> ActorReport {
        let counted = self.counted();
        ActorReport {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            received: counted.received,
            handled: counted.handled,
            times_ns: [500, 900, 990].map(|of| self.times.within(of)),
            lately: self.samples.since(now, counted),
            depth: self.depth(),
            errors: self.errors.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            busy_ns: counted.busy_ns,
            last_error: self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}
