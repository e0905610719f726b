//! Where the ledgers of the shards live: outside of the actors that drive them, so that an actor's
//! end does not take a shard's counts with it. The one-node form of the standby's copy (L2).
//!
//! A step runs under the slot's lock and never waits inside, so a kill cannot cut one in half; a
//! panic in a step leaves the slot poisoned, and its state is then trusted no more: the shard starts
//! as after a crash (L6), so that nothing half-counted is ever granted by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use domain::ledger::{Effect, Input, Ledger, Mark, Policies, Recovery, Source};
use storage::broker::ledger::LastStop;

/// Epochs that an incarnation may begin: one at its start, another with each recovery of a shard
/// whose step failed, so that nobody takes the recovered owner for the one it heard before (L5).
const EPOCHS: u64 = 1 << 16;

/// The ledgers of all shards, and what is known of the last run.
#[derive(Debug)]
pub(super) struct Slots {
    /// Set once the last run's end is known.
    pub(super) start: OnceLock<Start>,
    /// Keys of one shard counted apart at most (L12).
    capacity: usize,
    failures: AtomicU64,
    shards: Vec<Mutex<Option<Slot>>>,
}

/// How this run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) last_stop: LastStop,
    /// T when it began.
    pub(super) at_ms: i64,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) ledger: Ledger,
    table: Arc<Policies>,
    /// Marks to be written before what they cover is released (L5).
    pub(super) unwritten: Vec<Mark>,
}

// === impl Slots ===

impl Slots {
    /// Empty slots for so many shards of so many keys each.
    pub(super) fn new(shards: u16, capacity: usize) -> Self {
        Self {
            start: OnceLock::new(),
            capacity,
            failures: AtomicU64::new(0),
            shards: (0..shards).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// Whether a shard has a state that can be trusted.
    pub(super) fn is_ready(&self, shard: u16) -> bool {
        self.slot(shard).is_some_and(|slot| {
            !slot.is_poisoned() && slot.lock().is_ok_and(|guard| guard.is_some())
        })
    }

    /// Fills a slot that is empty or not to be trusted, from the marks on disk.
    pub(super) fn recover(&self, shard: u16, incarnation: u64, mut marks: Vec<Mark>, now_ms: i64) {
        let Some(mutex) = self.slot(shard) else {
            return;
        };
        let poisoned = mutex.is_poisoned();
        mutex.clear_poison();
        let mut slot = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broken) = slot.take() {
            if !poisoned {
                *slot = Some(broken);
                return;
            }
            tracing::error!(
                shard,
                "a step of the ledger failed, its short windows are full to their end"
            );
            self.failures.fetch_add(1, Ordering::Relaxed);
            marks.extend(broken.unwritten);
        }
        let start = self.start.get().copied();
        let failures = self.failures.load(Ordering::Relaxed);
        let epoch = incarnation.saturating_mul(EPOCHS).saturating_add(failures);
        let last_stop = start.map_or(LastStop::Crashed, |start| start.last_stop);
        let t0_ms = start.map_or(now_ms, |start| start.at_ms);
        let recovery = match last_stop {
            LastStop::Never if !poisoned => Recovery::founding(epoch),
            LastStop::Clean if !poisoned => Recovery {
                epoch,
                t0_ms: Some(t0_ms),
                source: Source::CleanStop,
                marks,
            },
            _ => {
                // Rows of short windows are those of an older clean stop: more was granted since.
                marks.retain(|mark| mark.window.spec.is_long());
                Recovery {
                    epoch,
                    t0_ms: Some(if poisoned { now_ms } else { t0_ms }),
                    source: Source::Disk,
                    marks,
                }
            }
        };
        let table = Arc::<Policies>::default();
        *slot = Some(Slot {
            ledger: Ledger::new(self.capacity, recovery, Arc::clone(&table)),
            table,
            unwritten: Vec::new(),
        });
    }

    /// Uses a shard's state; none when it has none to be trusted.
    pub(super) fn with<T>(&self, shard: u16, use_it: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut slot = self.slot(shard)?.lock().ok()?;
        slot.as_mut().map(use_it)
    }

    /// How many shards there are.
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    fn slot(&self, shard: u16) -> Option<&Mutex<Option<Slot>>> {
        self.shards.get(usize::from(shard))
    }
}

// === impl Slot ===

impl Slot {
    /// One step; marks to be written are kept until [`Slot::written`], the rest is for the caller.
    pub(super) fn step(&mut self, input: Input, now_ms: i64) -> Vec<Effect> {
        let mut others = Vec::new();
        for effect in self.ledger.step_alone(input, now_ms) {
            match effect {
                Effect::Persist { marks, .. } => self.unwritten.extend(marks),
                other => others.push(other),
            }
        }
        others
    }

    /// Goes over to other policies, if these are others; gives what holders have to be told (L9).
    pub(super) fn follow(&mut self, table: &Arc<Policies>, now_ms: i64) -> Vec<Effect> {
        if Arc::ptr_eq(&self.table, table) {
            return Vec::new();
        }
        self.table = Arc::clone(table);
        self.step(Input::Policies(Arc::clone(table)), now_ms)
    }

    /// These marks are on disk: what waited for them is released.
    pub(super) fn written(&mut self, marks: &[Mark], now_ms: i64) -> Vec<Effect> {
        self.unwritten.retain(|mark| !marks.contains(mark));
        match marks.iter().map(|mark| mark.stamp).max() {
            Some(stamp) => self.step(Input::Marked { stamp }, now_ms),
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ledger::{Ask, CellKey, Holder, Outcome, Quota};
    use domain::policy::TimeUnit;
    use domain::window::WindowSpec;

    fn asked(slots: &Slots) -> (u64, Outcome) {
        let mut table = Policies::new(1);
        let window = WindowSpec::new(TimeUnit::Min, 1);
        table.set("t", "p", Quota { limit: 5, window });
        let ask = Ask {
            holder: Holder::new("gw", 1, 0),
            cell: CellKey::new("t", "p", "k"),
            policies: 0,
            asked_at_ms: 0,
            epoch: 0,
            window: None,
            have: 0,
            returned: 0,
            want: 1,
            emptied: true,
            owed: 0,
        };
        let effects = slots.with(0, |slot| {
            slot.follow(&Arc::new(table), 1_000);
            slot.step(Input::Ask(ask), 1_000)
        });
        match effects.unwrap().pop() {
            Some(Effect::Reply(reply)) => (reply.granted, reply.outcome),
            other => panic!("no reply but {other:?}"),
        }
    }

    #[test]
    fn after_a_failed_step_the_shard_grants_nothing_of_the_windows_that_had_begun() {
        let slots = Slots::new(1, 16);
        slots.recover(0, 1, Vec::new(), 500);
        let start = Start {
            last_stop: LastStop::Never,
            at_ms: 500,
        };
        slots.start.set(start).unwrap();
        slots.with(0, |_| ());
        let failing = std::panic::AssertUnwindSafe(|| {
            slots.with(0, |_| panic!("a step fails"));
        });
        assert!(std::panic::catch_unwind(failing).is_err());
        assert!(!slots.is_ready(0));
        assert!(slots.with(0, |_| ()).is_none());
        slots.recover(0, 1, Vec::new(), 900);
        assert!(slots.is_ready(0));
        assert_eq!(asked(&slots), (0, Outcome::Final));
    }

    #[test]
    fn a_shard_whose_actor_was_replaced_keeps_its_counts() {
        let slots = Slots::new(1, 16);
        let start = Start {
            last_stop: LastStop::Never,
            at_ms: 500,
        };
        slots.start.set(start).unwrap();
        slots.recover(0, 1, Vec::new(), 500);
        assert_eq!(asked(&slots), (1, Outcome::Granted));
        slots.recover(0, 1, Vec::new(), 900);
        // The same question again: cumulative, so nothing more is granted (L7).
        assert_eq!(asked(&slots), (1, Outcome::Granted));
    }
}
