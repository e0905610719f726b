//! Where the seats of the shards live: outside of the actors that drive them, so that an actor's end does not take a
//! shard's counts with it.
//!
//! A step runs under the slot's lock and never waits inside, so a kill cannot cut one in half. A panic in a step leaves
//! the slot poisoned: what the node holds in memory is trusted no more, and all its shards begin another life from
//! disk.

use std::sync::{Arc, Mutex, OnceLock};

use domain::ledger::{Effect, Input, Ledger, Mark, Policies, Recovery, Source, Stamp};
use domain::view::{Deed, Epoch, Event, Life, Origin, Place, Rank, Seat, View, Words};
use storage::broker::ledger_state::{LastStop, Left};

use super::counted;
use super::site::{Fed, Site};

/// The seats of all shards.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) site: Arc<Site>,
    /// How the last run ended; set before any shard begins.
    pub(super) left: OnceLock<Left>,
    rank: Rank,
    /// Keys of one shard counted apart at most (L12).
    capacity: usize,
    shards: Vec<Mutex<Option<Slot>>>,
}

/// One shard.
#[derive(Debug)]
pub(super) struct Slot {
    seat: Seat,
    life: Life,
    table: Arc<Policies>,
    /// Marks to be written before what they cover is released (L5), each with the stamp that says so.
    pub(super) unwritten: Vec<(Stamp, Mark)>,
    fed: Fed,
    /// Units that were granted, as far as metrics tell of them.
    granted: u64,
    /// Entries of the register in the view that it follows.
    entries: u64,
    /// The last view in which its pair had what it needs.
    complete: Option<(Epoch, Origin, Vec<Epoch>)>,
}

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// For gateways.
    pub(super) effects: Vec<Effect>,
    /// For other members.
    pub(super) words: Vec<(Life, Words)>,
}

// === impl Slots ===

impl Slots {
    /// Empty slots for so many shards of so many keys each.
    pub(super) fn new(site: Arc<Site>, shards: u16, capacity: usize, rank: Rank) -> Self {
        Self {
            site,
            left: OnceLock::new(),
            rank,
            capacity,
            shards: (0..shards).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// A voter's clock shows this, and is set right by so much; the ledger may have waited for that before it began.
    pub(super) fn heard_clock(&self, voter: &str, (clock_ms, right_ms): (i64, i64)) {
        self.site.hear_clock(voter, clock_ms, right_ms);
        if self.left.get().is_none() {
            self.site.poke_keeper();
        }
    }

    /// How many shards there are.
    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    /// Whether a shard is in the node's life of now.
    pub(super) fn is_ready(&self, shard: u16) -> bool {
        let Some(slot) = self.slot(shard) else {
            return false;
        };
        let Ok(slot) = slot.lock() else {
            return false;
        };
        slot.as_ref()
            .is_some_and(|slot| self.site.is_life(&slot.life))
    }

    /// Begins a shard from the marks on disk, where it is not in the node's life of now.
    pub(super) fn recover(&self, shard: u16, marks: Vec<Mark>) {
        let (Some(mutex), Some(left)) = (self.slot(shard), self.left.get()) else {
            return;
        };
        if mutex.is_poisoned() {
            tracing::error!(
                shard,
                "a step of the ledger failed: this node's shards begin anew from disk, and others take over"
            );
            self.site.fail();
            mutex.clear_poison();
        }
        let life = self.site.life();
        let Ok(mut slot) = mutex.lock() else {
            return;
        };
        if slot.as_ref().is_some_and(|slot| slot.life == life) {
            return;
        }
        let is_first = slot.is_none();
        let ledger = self.ledger(*left, is_first, marks);
        let table = Arc::<Policies>::default();
        *slot = Some(Slot {
            seat: Seat::new(life.clone(), ledger, Arc::clone(&table)),
            life,
            table,
            unwritten: Vec::new(),
            fed: Fed::default(),
            granted: 0,
            entries: 0,
            complete: None,
        });
    }

    fn ledger(&self, left: Left, is_first: bool, mut marks: Vec<Mark>) -> Ledger {
        let t_ms = self.site.t_ms();
        let last_stop = if is_first {
            left.last_stop
        } else {
            LastStop::Crashed
        };
        if last_stop != LastStop::Clean {
            // Rows of short windows are those of an older stop in order: more was granted since.
            marks.retain(|mark| mark.window.spec.is_long());
        }
        let recovery = match last_stop {
            LastStop::Never => Recovery::founding(0),
            LastStop::Clean => Recovery {
                epoch: 0,
                t0_ms: Some(t_ms),
                source: Source::CleanStop,
                lost_ms: left.lost_ms,
                marks,
            },
            LastStop::Crashed => Recovery {
                epoch: 0,
                t0_ms: Some(t_ms),
                source: Source::Disk,
                lost_ms: None,
                marks,
            },
        };
        let mut ledger = Ledger::new(self.capacity, recovery, Arc::default());
        if last_stop == LastStop::Clean {
            ledger.stopped_in(left.epoch);
        }
        ledger
    }

    /// Uses a shard's state; none when it has none to be trusted, or only that of an earlier life.
    pub(super) fn with<T>(&self, shard: u16, use_it: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut slot = self.slot(shard)?.lock().ok()?;
        let slot = slot.as_mut();
        slot.filter(|slot| self.site.is_life(&slot.life))
            .map(use_it)
    }

    /// One step of a shard.
    pub(super) fn step(&self, shard: u16, event: Event) -> Said {
        let said = self.with(shard, |slot| slot.step(event, &self.site));
        said.unwrap_or_default()
    }

    /// Follows the view that is known, if that is another.
    pub(super) fn follow(&self, shard: u16, view: &View) -> Said {
        let said = self.with(shard, |slot| {
            if slot.entries == view.entries {
                return Said::default();
            }
            slot.entries = view.entries;
            let place = Place::of(view, shard, &slot.life, self.rank);
            slot.step(Event::Place(place), &self.site)
        });
        said.unwrap_or_default()
    }

    /// The shards whose pairs have what they need in this view.
    pub(super) fn complete(&self, epoch: Epoch) -> Vec<(u16, Origin, Vec<Epoch>)> {
        let of = |shard| {
            let complete = self.with(shard, |slot| slot.complete.clone()).flatten()?;
            let (of, origin, found) = complete;
            (of == epoch).then_some((shard, origin, found))
        };
        (0..self.count()).filter_map(of).collect()
    }

    fn slot(&self, shard: u16) -> Option<&Mutex<Option<Slot>>> {
        self.shards.get(usize::from(shard))
    }
}

// === impl Slot ===

impl Slot {
    /// The counts.
    pub(super) fn ledger(&self) -> &Ledger {
        self.seat.ledger()
    }

    /// The seat, for an inspection.
    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Whether it owns the shard, as far as it knows.
    pub(super) fn is_owner(&self) -> bool {
        self.seat.is_owner()
    }

    /// From which T on it needs ticks; none while nothing runs.
    pub(super) fn due_ms(&self) -> Option<i64> {
        if self.unwritten.is_empty() {
            self.seat.due_ms()
        } else {
            Some(i64::MIN)
        }
    }

    /// Whether it may go further than it knows.
    pub(super) fn is_behind(&self, site: &Site) -> bool {
        self.fed != site.fed()
    }

    /// Goes over to other policies, if these are others.
    pub(super) fn go_by(&mut self, table: &Arc<Policies>, site: &Site) -> Said {
        if Arc::ptr_eq(&self.table, table) {
            return Said::default();
        }
        self.table = Arc::clone(table);
        self.step(Event::Policies(Arc::clone(table)), site)
    }

    /// All marks up to this stamp are on disk.
    pub(super) fn written(&mut self, stamp: Stamp, site: &Site) -> Said {
        self.unwritten.retain(|(asked, _)| *asked > stamp);
        self.step(Event::Ledger(Input::Marked { stamp }), site)
    }

    /// One step; marks to be written are kept until [`Slot::written`], the rest is for the caller.
    pub(super) fn step(&mut self, event: Event, site: &Site) -> Said {
        let (fed, now) = (site.fed(), site.now());
        let mut deeds = Vec::new();
        if fed.noted_ms > self.fed.noted_ms {
            let t_ms_noted = fed.noted_ms;
            deeds.extend(self.seat.step(Event::Noted { t_ms: t_ms_noted }, now));
        }
        if fed.fenced != self.fed.fenced {
            let (epoch, reach_ms) = fed.fenced;
            let fenced = Event::Fenced {
                epoch,
                t_ms: reach_ms,
            };
            deeds.extend(self.seat.step(fenced, now));
        }
        if fed.begun != self.fed.begun
            && let Some(epoch) = fed.begun
        {
            deeds.extend(self.seat.step(Event::Begun { epoch }, now));
        }
        self.fed = fed;
        deeds.extend(self.seat.step(event, now));
        counted::granted(&mut self.granted, self.seat.ledger());
        self.sort_out(deeds, site)
    }

    fn sort_out(&mut self, deeds: Vec<Deed>, site: &Site) -> Said {
        let mut said = Said::default();
        for deed in deeds {
            match deed {
                Deed::Say { to, words } => said.words.push((to, words)),
                Deed::Complete {
                    epoch,
                    origin,
                    found,
                } => {
                    let complete = Some((epoch, origin, found));
                    if self.complete != complete {
                        self.complete = complete;
                        site.poke();
                    }
                }
                Deed::Moved { epoch, with } => site.moves(epoch, &with),
                Deed::Stalled { by, .. } => site.stalls(by),
                Deed::Refused { at } => site.refuse(at),
                Deed::Time { t_ms } => site.lift(t_ms),
                Deed::Begin { epoch } => site.take_part(epoch),
                Deed::Fence { t_ms } => {
                    let (epoch, reach_ms) = self.fed.fenced;
                    if t_ms > reach_ms || epoch != self.seat.epoch() {
                        site.want(t_ms);
                    }
                }
                Deed::Ledger(Effect::Persist { stamp, marks }) => {
                    let marks = marks.into_iter().map(|mark| (stamp, mark));
                    self.unwritten.extend(marks);
                }
                Deed::Ledger(effect) => said.effects.push(effect),
            }
        }
        said
    }
}

// === impl Said ===

impl Said {
    /// Both, in order.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.effects.extend(other.effects);
        self.words.extend(other.words);
        self
    }
}
