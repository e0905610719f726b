//! What one member does for one shard (PROTOCOLS L3 to L6): it copies what was granted before, fills its standby, and
//! releases a grant when standby and voters know of it; or it stands by; or it is a source for others.
//!
//! Everything said between members bears the epoch of a view. Who knows of a later one is sealed: it acknowledges
//! nothing of an earlier one any more (W4), so what its owner has not released yet is never released.

/// Whether a bug is planted; never outside of tests.
macro_rules! planted {
    ($seat:expr, $bug:ident) => {{
        #[cfg(test)]
        let planted = $seat.planted == Some(crate::simulation::Planted::$bug);
        #[cfg(not(test))]
        let planted = false;
        planted
    }};
}

mod copying;
#[cfg(test)]
mod disk_tests;
mod finding;
#[cfg(test)]
mod finding_tests;
mod owner;
mod parts;
mod standby;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::words::{Question, Words};
use self::{copying::Work, finding::Finding, owner::Releases, parts::Pull};
use super::epoch::Epoch;
use super::placement::{Place, Role};
use super::register::Life;
use super::time::Now;
use crate::ledger::{self, Effect, Ledger, Mark, Policies, Stamp};

/// Where what an owner begins with comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Nothing was granted before.
    First,
    /// From the memory of an owner or standby of the last active view.
    Memory,
    /// From the disk of one (L5).
    Disk,
    /// From nowhere (L6).
    Lost,
}

/// What a seat is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// What the view says of the shard.
    Place(Place),
    /// Another member says something.
    Heard {
        /// Who.
        from: Life,
        /// What.
        words: Words,
    },
    /// A majority of the view's voters has fenced up to this T.
    Fenced {
        /// For this view.
        epoch: Epoch,
        /// T.
        t_ms: i64,
    },
    /// The policies changed.
    Policies(Arc<Policies>),
    /// For the ledger: an ask, a reset, marks that are on disk.
    Ledger(ledger::Input),
    /// No later start of this node begins before this T (L10).
    Noted {
        /// T.
        t_ms: i64,
    },
    /// The node's disk has that it took part in this view first; told by the disk once, in each life.
    Begun {
        /// The view.
        epoch: Epoch,
    },
    /// Time passed.
    Tick,
}

/// What a seat wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Say this to another member, in this life and in no other. May get lost: it is said again.
    Say {
        /// To whom.
        to: Life,
        /// What.
        words: Words,
    },
    /// Tell the coordinator that the pair has what it needs. May get lost.
    Complete {
        /// In this view.
        epoch: Epoch,
        /// From where.
        origin: Origin,
        /// What was lost before with the views of these epochs, and is found again (L6).
        found: Vec<Epoch>,
    },
    /// A part of a copy came from this node, or is known to have come there.
    Moved {
        /// In this view.
        epoch: Epoch,
        /// Who gave it, or took it.
        with: String,
    },
    /// Tell the coordinator that an active view waits for this node, a standby or the disk of an owner, or an owner in Sync
    /// for this source, for longer than it may (L8), unless [`super::Waits`] knows better. May get lost.
    Stalled {
        /// In this view.
        epoch: Epoch,
        /// Whoever is waited for.
        by: String,
    },
    /// Tell the coordinator that somebody is sealed above the view. May get lost.
    Refused {
        /// At this epoch.
        at: Epoch,
    },
    /// T is at least this: the node's own is to go on from there, and once that is on disk the seat waits for
    /// [`Event::Noted`] (L10).
    Time {
        /// T.
        t_ms: i64,
    },
    /// This disk takes part in a view for the first time: that is to be on it before anybody relies on it, and the seat
    /// waits for [`Event::Begun`] (L5). A disk that was lost is begun anew, and must not pass for the one that it
    /// replaces.
    Begin {
        /// The view.
        epoch: Epoch,
    },
    /// Grants wait for voters to fence this T.
    Fence {
        /// T.
        t_ms: i64,
    },
    /// For gateways and the disk. Never a `Replicate`.
    Ledger(Effect),
}

/// What the disk has to have before others rely on this copy: the marks of long windows (L5), and a T from which a later
/// start goes on, lest it open again what this copy says is over (L10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    marks: Stamp,
    t_ms: i64,
}

/// A member's part in a shard.
#[derive(Debug)]
pub struct Seat {
    me: Life,
    pub(super) ledger: Ledger,
    place: Place,
    sealed: Epoch,
    work: Work,
    /// What comes from other members, part by part.
    pulls: BTreeMap<Life, Pull>,
    /// What was lost before and may be found again in this view, and what is.
    finding: Vec<Finding>,
    found: Vec<Epoch>,
    releases: Releases,
    /// How far voters have fenced, and for which view.
    fenced: (Epoch, i64),
    /// The standby was filled for this view.
    filled: Epoch,
    /// What it is being filled with.
    filling: Option<(Epoch, Pull)>,
    /// Acknowledgements that wait until the disk has what they speak of.
    owed: Vec<(Written, Life, Words)>,
    /// The T that a later start of this node begins with at least.
    noted_ms: i64,
    /// The view that this node's disk took part in first; none before that is on it.
    begun: Option<Epoch>,
    /// Those whose disks have nothing of the last view.
    begun_later: BTreeSet<Life>,
    /// The last marks that were asked for, and the last that are on disk.
    asked_marks: Stamp,
    marked: Stamp,
    /// Since when the disk owes marks.
    unmarked_ms: Option<i64>,
    /// The policies of now; the ledger goes by them while it grants.
    policies: Arc<Policies>,
    #[cfg(test)]
    planted: Option<crate::simulation::Planted>,
    /// Its copies travel cell by cell, as large ones would.
    #[cfg(test)]
    pub(crate) has_small_parts: bool,
}

// === impl Seat ===

impl Seat {
    /// A member that has heard of no view; `ledger` is what its disk has.
    pub fn new(me: Life, mut ledger: Ledger, policies: Arc<Policies>) -> Self {
        ledger.stand_by(Epoch::default().number());
        Self {
            me,
            ledger,
            place: Place::default(),
            sealed: Epoch::default(),
            work: Work::Idle,
            pulls: BTreeMap::new(),
            finding: Vec::new(),
            found: Vec::new(),
            releases: Releases::default(),
            fenced: (Epoch::default(), i64::MIN),
            filled: Epoch::default(),
            filling: None,
            owed: Vec::new(),
            noted_ms: i64::MIN,
            begun: None,
            begun_later: BTreeSet::new(),
            asked_marks: Stamp::default(),
            marked: Stamp::default(),
            unmarked_ms: None,
            policies,
            #[cfg(test)]
            planted: None,
            #[cfg(test)]
            has_small_parts: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn plant(&mut self, bug: Option<crate::simulation::Planted>) {
        self.planted = bug;
        self.ledger.planted = bug;
    }

    /// With a planted bug, this node grants though no view says so.
    #[cfg(test)]
    pub(crate) fn grants_by_gossip(&mut self, ask: ledger::Ask, now_ms: i64) -> Vec<Deed> {
        self.ledger.activate(self.sealed.number(), false);
        let effects = self.ledger.step_alone(ledger::Input::Ask(ask), now_ms);
        effects.into_iter().map(Deed::Ledger).collect()
    }

    /// One step; the deeds are to be done in order.
    pub fn step(&mut self, event: Event, now: impl Into<Now>) -> Vec<Deed> {
        let Now {
            t_ms,
            clock_ms,
            runs_ms,
        } = now.into();
        let now_ms = t_ms;
        self.ledger.passes(t_ms, clock_ms, runs_ms);
        let mut out = Vec::new();
        match event {
            Event::Place(place) => self.follow(place, now_ms, &mut out),
            Event::Heard { from, words } => self.hear(&from, words, now_ms, &mut out),
            Event::Fenced { epoch, t_ms } => {
                // It may come before the place does.
                self.fenced = self.fenced.max((epoch, t_ms));
                self.settle(now_ms, &mut out);
            }
            Event::Policies(policies) => {
                self.policies = Arc::clone(&policies);
                if self.grants() {
                    self.drive(ledger::Input::Policies(policies), now_ms, &mut out);
                }
            }
            Event::Ledger(input) => self.drive(input, now_ms, &mut out),
            Event::Noted { t_ms } => {
                self.noted_ms = self.noted_ms.max(t_ms);
                self.disk_has(now_ms, &mut out);
            }
            Event::Begun { epoch } => {
                self.begun = Some(epoch);
                self.disk_has(now_ms, &mut out);
            }
            Event::Tick => {
                self.drive(ledger::Input::Tick, now_ms, &mut out);
                self.repeat(now_ms, &mut out);
            }
        }
        if self.ledger.t_ms() > now_ms {
            let t_ms = self.ledger.t_ms();
            out.push(Deed::Time { t_ms });
        }
        out
    }

    /// The view that it knows.
    pub fn epoch(&self) -> Epoch {
        self.place.epoch
    }

    /// From which T on it needs [`Event::Tick`]: from now on while anything is owed to it or by it, else when a recall
    /// round or a window is over; none while nothing runs. Ticks before that may be left out, but for one a second:
    /// they change nothing.
    pub fn due_ms(&self) -> Option<i64> {
        let is_in_sync = !self.place.active && self.place.role != Role::Apart;
        let waits = (is_in_sync && (self.is_owner() || self.begun.is_none()))
            || self.sealed > self.place.epoch
            || self.marked < self.asked_marks
            || !self.owed.is_empty()
            || !self.releases.is_done();
        if waits {
            return Some(i64::MIN);
        }
        self.ledger.next_wake_ms()
    }

    /// Whether it owns the shard in the view that it knows.
    pub fn is_owner(&self) -> bool {
        matches!(self.place.role, Role::Owner { .. })
    }

    /// Whose seat it is.
    pub fn me(&self) -> &Life {
        &self.me
    }

    /// What the view that it knows says of the shard.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it grants.
    pub fn grants(&self) -> bool {
        self.is_owner() && self.place.active && self.sealed == self.place.epoch
    }

    /// The counts, for an inspection and a stop in order.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Nothing of an earlier view is acknowledged or released from now on (W4).
    fn seal(&mut self, epoch: Epoch) {
        if epoch <= self.sealed {
            return;
        }
        self.sealed = epoch;
        if planted!(self, SealsNothing) {
            return;
        }
        self.ledger.stand_by(epoch.number());
        self.releases = Releases::default();
        self.owed.clear();
        self.filling = None;
    }

    fn follow(&mut self, place: Place, now_ms: i64, out: &mut Vec<Deed>) {
        if place.epoch < self.sealed || place.epoch < self.place.epoch {
            return;
        }
        let is_new = place.epoch > self.place.epoch;
        let begins = place.active && (is_new || !self.place.active);
        let given_up = !is_new && place.lost_ms < self.place.lost_ms;
        if !is_new && self.place.active && !place.active {
            return;
        }
        if is_new {
            self.seal(place.epoch);
            self.ledger.stand_by(place.epoch.number());
            self.releases = Releases::default();
            self.owed.clear();
        }
        self.place = place;
        if is_new {
            self.tell_begin(out);
            self.begin_work(now_ms, out);
        }
        if begins {
            self.begin_grants(now_ms, out);
        } else if given_up && self.grants() {
            // What is lost for another reason stays lost.
            let (lost_ms, lost_in) = (self.place.lost_ms, self.place.lost_in);
            self.ledger.gone(lost_ms, lost_in.number());
            self.drive(ledger::Input::Tick, now_ms, out);
        }
    }

    fn hear(&mut self, from: &Life, words: Words, now_ms: i64, out: &mut Vec<Deed>) {
        let epoch = words.epoch();
        if let Words::Sealed { at } = words {
            self.seal(at);
            return self.tell_refusal(out);
        }
        if epoch < self.sealed && words.wants_an_answer() && !planted!(self, SealsNothing) {
            let words = Words::Sealed { at: self.sealed };
            return out.push(Deed::say(from, words));
        }
        self.seal(epoch);
        match words {
            Words::Copy { epoch, after } => self.give(from, epoch, after, out),
            Words::Copied {
                epoch,
                after,
                begun,
                image,
                next,
            } => self.copied(from, (epoch, begun), (after, *image, next), now_ms, out),
            Words::Fill {
                epoch,
                after,
                image,
                next,
            } => self.fill(from, epoch, (after, *image, next), out),
            Words::Filled { epoch, next } => self.filled_by(from, epoch, next, now_ms, out),
            Words::Change {
                epoch,
                stamp,
                t_ms,
                steady,
                cells,
            } => {
                self.change(from, epoch, (stamp, t_ms, steady), cells, out);
            }
            Words::Changed { epoch, stamp } => self.changed(from, epoch, stamp, now_ms, out),
            Words::Sealed { .. } => {}
        }
    }

    /// Somebody knows of a later view, and this node does not: the coordinator has to make one above it.
    fn tell_refusal(&self, out: &mut Vec<Deed>) {
        if self.sealed > self.place.epoch {
            out.push(Deed::Refused { at: self.sealed });
        }
    }

    /// The disk is to know the first view that it has a part in.
    fn tell_begin(&self, out: &mut Vec<Deed>) {
        let has_a_part = self.place.role != Role::Apart && !self.place.active;
        if self.begun.is_none() && has_a_part {
            let epoch = self.place.epoch;
            out.push(Deed::Begin { epoch });
        }
    }

    /// What is to be said again because it may have got lost.
    fn repeat(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        self.tell_refusal(out);
        self.tell_begin(out);
        self.repeat_work(now_ms, out);
        self.repeat_changes(now_ms, out);
        self.tell_who_stalls(now_ms, out);
    }

    /// Asks for marks on disk.
    fn persist(&mut self, marks: Vec<Mark>, out: &mut Vec<Deed>) {
        if !marks.is_empty() {
            let stamp = self.ledger.next_stamp();
            self.asked_marks = self.asked_marks.max(stamp);
            out.push(Deed::Ledger(Effect::Persist { stamp, marks }));
        }
    }

    /// Steps the ledger, and takes care of what only a seat can do.
    fn drive(&mut self, input: ledger::Input, now_ms: i64, out: &mut Vec<Deed>) {
        let is_of_who_grants = matches!(
            input,
            ledger::Input::Reset { .. }
                | ledger::Input::Refund { .. }
                | ledger::Input::ForgetLost
                | ledger::Input::Policies(_)
        );
        if is_of_who_grants && !self.grants() {
            // A standby's own changes would outrank its owner's.
            return;
        }
        if let ledger::Input::Marked { stamp } = &input {
            self.marked = self.marked.max(*stamp);
            self.disk_has(now_ms, out);
        }
        for effect in self.ledger.step(input, now_ms) {
            match effect {
                Effect::Replicate {
                    stamp,
                    fence_ms,
                    cells,
                } => self.releases.wait(stamp, fence_ms, cells),
                Effect::Persist { stamp, marks } => {
                    self.asked_marks = self.asked_marks.max(stamp);
                    out.push(Deed::Ledger(Effect::Persist { stamp, marks }));
                }
                other => out.push(Deed::Ledger(other)),
            }
        }
        self.settle(now_ms, out);
    }
}
