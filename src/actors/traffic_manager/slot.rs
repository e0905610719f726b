//! Where the ledgers of the shards live: outside of the actors that drive them, so that an actor's
//! end does not take a shard's counts with it. The one-node form of the standby's copy (L2).
//!
//! A step runs under the slot's lock and never waits inside, so a kill cannot cut one in half; a
//! panic in a step leaves the slot poisoned, and its state is then trusted no more: the shard starts
//! as after a crash (L6), so that nothing half-counted is ever granted by.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cluster::Clock;
use domain::ledger::{Effect, Input, Ledger, Mark, Policies, Recovery, Source};
use storage::broker::ledger::LastStop;

/// Epochs that an incarnation may begin: one at its start, another with each recovery of a shard
/// whose step failed, so that nobody takes the recovered owner for the one it heard before (L5).
const EPOCHS: u64 = 1 << 16;
/// T is noted on disk once a second while anybody asks: what a crash left unnoted is less than this.
const NOTED_WITHIN_MS: i64 = 2_000;

/// The ledgers of all shards, and what is known of the last run.
#[derive(Debug)]
pub(super) struct Slots {
    /// Set once the last run's end is known.
    pub(super) start: OnceLock<Start>,
    /// Keys of one shard counted apart at most (L12).
    capacity: usize,
    failures: AtomicU64,
    /// Whether anybody asked since T was last noted on disk.
    asked: AtomicBool,
    shards: Vec<Mutex<Option<Slot>>>,
}

/// How this run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) last_stop: LastStop,
    /// Windows that had begun by then may have been used before (L6).
    pub(super) t0_ms: i64,
    /// How far T lies ahead of the node's clock.
    ahead_ms: i64,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) ledger: Ledger,
    table: Arc<Policies>,
    /// Marks to be written before what they cover is released (L5).
    pub(super) unwritten: Vec<Mark>,
}

// === impl Start ===

impl Start {
    /// A run that begins when the node's clock shows `now_ms`, after one that noted T last at
    /// `noted_ms`. The clock may have been set back in between: T goes on from where it was, so that
    /// no window comes twice (L10), and evenly, so that none lasts until the clock is there again.
    pub(super) fn new(last_stop: LastStop, noted_ms: i64, now_ms: i64) -> Self {
        let ahead_ms = noted_ms.saturating_sub(now_ms).max(0);
        let t_ms = now_ms.saturating_add(ahead_ms);
        let t0_ms = match last_stop {
            LastStop::Never | LastStop::Clean => t_ms,
            LastStop::Crashed => t_ms.max(noted_ms.saturating_add(NOTED_WITHIN_MS)),
        };
        Self {
            last_stop,
            t0_ms,
            ahead_ms,
        }
    }

    /// T when the node's clock shows `now_ms`.
    pub(super) const fn t_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.ahead_ms)
    }
}

// === impl Slots ===

impl Slots {
    /// Empty slots for so many shards of so many keys each.
    pub(super) fn new(shards: u16, capacity: usize) -> Self {
        Self {
            start: OnceLock::new(),
            capacity,
            failures: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            shards: (0..shards).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// T, by which all windows are counted (L10).
    pub(super) fn t_ms(&self, clock: &Clock) -> i64 {
        let now_ms = clock.now_ms();
        self.start.get().map_or(now_ms, |start| start.t_ms(now_ms))
    }

    /// Somebody asks.
    pub(super) fn asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether anybody asked since the last time that this was looked at.
    pub(super) fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
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
        let t0_ms = start.map_or(now_ms, |start| start.t0_ms);
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
        asked_at(slots, 1_000, "gw")
    }

    fn asked_at(slots: &Slots, t_ms: i64, gateway: &str) -> (u64, Outcome) {
        let mut table = Policies::new(1);
        let window = WindowSpec::new(TimeUnit::Min, 1);
        table.set("t", "p", Quota { limit: 5, window });
        let ask = Ask {
            holder: Holder::new(gateway, 1, 0),
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
            slot.follow(&Arc::new(table), t_ms);
            slot.step(Input::Ask(ask), t_ms)
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
        slots
            .start
            .set(Start::new(LastStop::Never, 0, 500))
            .unwrap();
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
        slots
            .start
            .set(Start::new(LastStop::Never, 0, 500))
            .unwrap();
        slots.recover(0, 1, Vec::new(), 500);
        assert_eq!(asked(&slots), (1, Outcome::Granted));
        slots.recover(0, 1, Vec::new(), 900);
        // The same question again: cumulative, so nothing more is granted (L7).
        assert_eq!(asked(&slots), (1, Outcome::Granted));
    }

    /// Slots of a run that began when the node's clock showed `now_ms`.
    fn begun(last_stop: LastStop, noted_ms: i64, now_ms: i64, marks: Vec<Mark>) -> (Slots, Start) {
        let (slots, start) = (Slots::new(1, 16), Start::new(last_stop, noted_ms, now_ms));
        slots.start.set(start).unwrap();
        slots.recover(0, 1, marks, start.t_ms(now_ms));
        (slots, start)
    }

    #[test]
    fn a_clock_set_back_over_a_restart_repeats_no_window_and_stretches_none() {
        const HOUR: i64 = 3_600_000;
        const MINUTE: i64 = 60_000;
        let noon = 400_000 * HOUR;
        let (first, start) = begun(LastStop::Never, 0, noon, Vec::new());
        assert_eq!(start.t_ms(noon), noon);
        let gateways: Vec<String> = (0..5).map(|number| format!("gw{number}")).collect();
        for gateway in &gateways {
            assert_eq!(asked_at(&first, noon, gateway), (1, Outcome::Granted));
        }
        let marks = first.with(0, |slot| slot.ledger.final_marks()).unwrap();

        let back = noon - HOUR;
        for (last_stop, marks) in [(LastStop::Clean, marks), (LastStop::Crashed, Vec::new())] {
            let (next, start) = begun(last_stop, noon, back, marks);
            assert_eq!(start.t_ms(back), noon);
            let refused = asked_at(&next, start.t_ms(back + 1_000), "gw9");
            assert_eq!(refused, (0, Outcome::Final), "the window is used");
            let fresh = asked_at(&next, start.t_ms(back + MINUTE), "gw9");
            assert_eq!(fresh, (1, Outcome::Granted), "the next one begins in time");
        }
    }

    #[test]
    fn what_was_granted_after_t_was_last_noted_is_not_granted_again_after_a_crash() {
        let noted = 400_000 * 3_600_000 - 500;
        // Granted half a second later, in the window that had begun meanwhile; then the clock was set
        // back by two seconds.
        let (next, start) = begun(LastStop::Crashed, noted, noted - 1_000, Vec::new());
        let refused = asked_at(&next, start.t_ms(noted), "gw");
        assert_eq!(refused, (0, Outcome::Final));
    }
}
