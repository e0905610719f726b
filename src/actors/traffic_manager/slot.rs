//! Where the ledgers of the shards live: outside of the actors that drive them, so that an actor's
//! end does not take a shard's counts with it. The one-node form of the standby's copy (L2).
//!
//! A step runs under the slot's lock and never waits inside, so a kill cannot cut one in half; a
//! panic in a step leaves the slot poisoned, and its state is then trusted no more: the shard starts
//! as after a crash (L6), so that nothing half-counted is ever granted by.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cluster::Clock;
use domain::ledger::{Effect, Input, Ledger, Mark, Policies, Recovery, Source, Stamp};
use domain::view::{Deed, Epoch, Event, Life, Place, Role, Seat};
use storage::broker::ledger::LastStop;

use super::time::{NOTE_AFTER_MS, Start};

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
    /// T at the last failure of a step: short windows of its shard that had begun are full.
    failed_ms: AtomicI64,
    /// Whether anybody asked since T was last noted on disk.
    asked: AtomicBool,
    /// The T that was noted on disk last.
    noted_ms: AtomicI64,
    /// Whether T could not be noted at the last try.
    unnoted: AtomicBool,
    shards: Vec<Mutex<Option<Slot>>>,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Slot {
    seat: Seat,
    epoch: Epoch,
    table: Arc<Policies>,
    /// Marks to be written before what they cover is released (L5), each with the stamp that says so.
    pub(super) unwritten: Vec<(Stamp, Mark)>,
    /// How far it was told that T is noted.
    fenced_ms: i64,
}

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// For gateways.
    pub(super) effects: Vec<Effect>,
    /// What waits until T is noted to here.
    pub(super) waits_for_ms: Option<i64>,
}

// === impl Slots ===

impl Slots {
    /// Empty slots for so many shards of so many keys each.
    pub(super) fn new(shards: u16, capacity: usize) -> Self {
        Self {
            start: OnceLock::new(),
            capacity,
            failures: AtomicU64::new(0),
            failed_ms: AtomicI64::new(i64::MIN),
            asked: AtomicBool::new(false),
            noted_ms: AtomicI64::new(i64::MIN),
            unnoted: AtomicBool::new(false),
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

    /// This T is on disk.
    pub(super) fn noted(&self, t_ms: i64) {
        self.noted_ms.fetch_max(t_ms, Ordering::SeqCst);
        self.unnoted.store(false, Ordering::SeqCst);
    }

    /// T could not be noted; gives whether that is news.
    pub(super) fn not_noted(&self) -> bool {
        !self.unnoted.swap(true, Ordering::SeqCst)
    }

    /// Whether T could not be noted at the last try.
    pub(super) fn cannot_note(&self) -> bool {
        self.unnoted.load(Ordering::SeqCst)
    }

    /// Whether T was noted so lately that a start after a crash counts what is granted at `t_ms`
    /// among what was granted before it (L6, L10).
    pub(super) fn covers(&self, t_ms: i64) -> bool {
        t_ms < self
            .noted_ms
            .load(Ordering::SeqCst)
            .saturating_add(NOTE_AFTER_MS)
    }

    /// Short windows that had begun by then are full also after a stop in order: nobody knows what
    /// was granted in those that nobody asked for since.
    pub(super) fn lost_ms(&self) -> Option<i64> {
        let failed_ms = self.failed_ms.load(Ordering::Relaxed);
        let failed_ms = (failed_ms > i64::MIN).then_some(failed_ms);
        let lost_ms = self.start.get().and_then(|start| start.lost_ms);
        lost_ms.max(failed_ms)
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
            self.failed_ms.fetch_max(now_ms, Ordering::Relaxed);
            marks.extend(broken.unwritten.into_iter().map(|(_, mark)| mark));
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
                lost_ms: start.and_then(|start| start.lost_ms),
                marks,
            },
            _ => {
                // Rows of short windows are those of an older clean stop: more was granted since.
                marks.retain(|mark| mark.window.spec.is_long());
                Recovery {
                    epoch,
                    t0_ms: Some(if poisoned { now_ms } else { t0_ms }),
                    source: Source::Disk,
                    lost_ms: None,
                    marks,
                }
            }
        };
        let ledger = Ledger::new(self.capacity, recovery, Arc::default());
        *slot = Some(Slot::alone(ledger, epoch, now_ms));
    }

    /// Uses a shard's state; none when it has none to be trusted.
    pub(super) fn with<T>(&self, shard: u16, use_it: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut slot = self.slot(shard)?.lock().ok()?;
        slot.as_mut().map(use_it)
    }

    /// How far T is noted when it is `now_ms`: what is granted up to here is counted by a start after a crash (L10). While
    /// nothing can be noted, that reaches to now, and no further: what comes later waits for its note again.
    pub(super) fn reach_ms(&self, now_ms: i64) -> i64 {
        let noted_ms = self.noted_ms.load(Ordering::SeqCst);
        // What had begun when this run did is either on disk or full.
        let began_ms = self.start.get().map_or(i64::MIN, |start| start.t0_ms);
        let reach_ms = noted_ms.saturating_add(NOTE_AFTER_MS).max(began_ms);
        if self.cannot_note() {
            reach_ms.max(now_ms)
        } else {
            reach_ms
        }
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
    /// The shard of a node that is its own majority: it owns it from now on.
    fn alone(ledger: Ledger, epoch: u64, now_ms: i64) -> Self {
        let epoch = Epoch::of_number(epoch);
        let table = Arc::<Policies>::default();
        let mut seat = Seat::new(Life::new("", epoch.number()), ledger, Arc::clone(&table));
        // Nobody else relies on this copy, and what it grants waits for T to be noted.
        seat.step(Event::Noted { t_ms: i64::MAX }, now_ms);
        for active in [false, true] {
            let role = Role::Owner { standby: None };
            let place = Place {
                epoch,
                active,
                role,
                ..Place::default()
            };
            seat.step(Event::Place(place), now_ms);
        }
        Self {
            seat,
            epoch,
            table,
            unwritten: Vec::new(),
            fenced_ms: i64::MIN,
        }
    }

    /// The counts.
    pub(super) fn ledger(&self) -> &Ledger {
        self.seat.ledger()
    }

    /// One step, while T is noted to `reach_ms`; marks to be written are kept until [`Slot::written`], the rest is for
    /// the caller.
    pub(super) fn step(&mut self, event: Event, now_ms: i64, reach_ms: i64) -> Said {
        let mut deeds = Vec::new();
        if reach_ms > self.fenced_ms {
            let (epoch, t_ms) = (self.epoch, reach_ms);
            self.fenced_ms = reach_ms;
            deeds = self.seat.step(Event::Fenced { epoch, t_ms }, now_ms);
        }
        deeds.extend(self.seat.step(event, now_ms));
        let mut said = Said::default();
        for deed in deeds {
            match deed {
                Deed::Ledger(Effect::Persist { stamp, marks }) => {
                    let marks = marks.into_iter().map(|mark| (stamp, mark));
                    self.unwritten.extend(marks);
                }
                Deed::Ledger(effect) => said.effects.push(effect),
                Deed::Fence { t_ms } if t_ms > self.fenced_ms => {
                    said.waits_for_ms = said.waits_for_ms.max(Some(t_ms));
                }
                _ => {}
            }
        }
        said
    }

    /// Goes over to other policies, if these are others; gives what holders have to be told (L9).
    pub(super) fn follow(&mut self, table: &Arc<Policies>, now_ms: i64, reach_ms: i64) -> Said {
        if Arc::ptr_eq(&self.table, table) {
            return Said::default();
        }
        self.table = Arc::clone(table);
        self.step(Event::Policies(Arc::clone(table)), now_ms, reach_ms)
    }

    /// All marks up to this stamp are on disk: what waited for them is released.
    pub(super) fn written(&mut self, stamp: Stamp, now_ms: i64, reach_ms: i64) -> Said {
        // Stamps only rise: what was asked for since has a higher one. One pass, for thousands may
        // wait after the disk was full.
        self.unwritten.retain(|(asked, _)| *asked > stamp);
        let marked = Event::Ledger(Input::Marked { stamp });
        self.step(marked, now_ms, reach_ms)
    }
}

// === impl Said ===

impl Said {
    /// Both, in order.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.effects.extend(other.effects);
        self.waits_for_ms = self.waits_for_ms.max(other.waits_for_ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ledger::{Ask, CellKey, Holder, Outcome, Quota, Stamp};
    use domain::policy::TimeUnit;
    use domain::window::WindowSpec;

    /// One shard, since half a second, that nothing was noted of before.
    fn running() -> Slots {
        let slots = Slots::new(1, 16);
        slots
            .start
            .set(Start::new(LastStop::Never, 0, 500))
            .unwrap();
        slots.recover(0, 1, Vec::new(), 500);
        slots
    }

    fn ask(gateway: &str) -> Ask {
        Ask {
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
        }
    }

    fn asked(slots: &Slots) -> (u64, Outcome) {
        asked_at(slots, 1_000, "gw")
    }

    fn asked_at(slots: &Slots, t_ms: i64, gateway: &str) -> (u64, Outcome) {
        let mut table = Policies::new(1);
        let window = WindowSpec::new(TimeUnit::Min, 1);
        table.set("t", "p", Quota { limit: 5, window });
        let ask = ask(gateway);
        let said = slots.with(0, |slot| {
            slot.follow(&Arc::new(table), t_ms, i64::MAX);
            slot.step(Event::Ledger(Input::Ask(ask)), t_ms, i64::MAX)
        });
        match said.unwrap().effects.pop() {
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
        let slots = running();
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
        let marks = first.with(0, |slot| slot.ledger().final_marks()).unwrap();

        let back = noon - HOUR;
        for (last_stop, marks) in [(LastStop::Clean, marks), (LastStop::Crashed, Vec::new())] {
            let (next, start) = begun(last_stop, noon, back, marks);
            assert_eq!(start.t_ms(back), noon);
            let refused = asked_at(&next, start.t_ms(back + 1_000), "gw9");
            assert_eq!(refused, (0, Outcome::Final), "the window is used");
            // A minute and what T came back meanwhile.
            let fresh = asked_at(&next, start.t_ms(back + MINUTE + 60), "gw9");
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

    #[test]
    fn a_note_that_failed_once_frees_no_grant_of_later_from_waiting_for_its_own() {
        let slots = running();
        let tick = |t_ms| {
            let reach_ms = slots.reach_ms(t_ms);
            slots.with(0, |slot| slot.step(Event::Tick, t_ms, reach_ms));
            reach_ms
        };
        assert!(slots.not_noted());
        assert_eq!(tick(5_000), 5_000, "while nothing can be noted");
        slots.noted(5_100);
        let later = 5_100 + NOTE_AFTER_MS + 1;
        assert!(tick(later) < later);
        let mut table = Policies::new(1);
        let window = WindowSpec::new(TimeUnit::Min, 1);
        table.set("t", "p", Quota { limit: 5, window });
        let said = slots.with(0, |slot| {
            slot.follow(&Arc::new(table), later, slots.reach_ms(later));
            let ask = Event::Ledger(Input::Ask(ask("gw")));
            slot.step(ask, later, slots.reach_ms(later))
        });
        let said = said.unwrap();
        assert_eq!((said.effects.len(), said.waits_for_ms), (0, Some(later)));
    }

    #[test]
    fn what_was_written_waits_no_more_and_what_was_asked_for_since_does() {
        let slots = running();
        let mark = |seq: u64| Mark {
            cell: CellKey::new("t", "p", format!("k{seq}")),
            window: WindowSpec::new(TimeUnit::Day, 1).at(500).id,
            end_ms: 86_400_000,
            used: 1,
            stamp: Stamp { epoch: 1, seq },
        };
        let waiting = slots.with(0, |slot| {
            let asked = |seq| (mark(seq).stamp, mark(seq));
            slot.unwritten = (1..=5).map(asked).collect();
            slot.written(mark(3).stamp, 600, i64::MAX);
            slot.unwritten.clone()
        });
        let waiting: Vec<Mark> = waiting.unwrap().into_iter().map(|(_, mark)| mark).collect();
        assert_eq!(waiting, [mark(4), mark(5)]);
    }
}
