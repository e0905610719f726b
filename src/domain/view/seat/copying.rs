//! How a new owner comes to what was granted before, and its standby to the same (PROTOCOLS L4, L6): nobody grants
//! until both have it, in memory and, for long windows, on disk.

use super::{Deed, Origin, Seat, Written};
use crate::ledger::{Cursor, ShardImage};
use crate::view::epoch::Epoch;
use crate::view::placement::{Holding, Role};
use crate::view::register::Life;

/// What may have got lost is said again after so long.
pub(super) const AGAIN_MS: u64 = 100;

/// How far an owner has come in Sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// It owns nothing.
    Idle,
    /// It asks for what was granted before.
    Copying {
        /// Whom it asked last, among those it may ask.
        asked: usize,
        /// When anything came last.
        moved_ms: i64,
    },
    /// It has that, and asks for what was lost before.
    Finding { origin: Origin, since_ms: i64 },
    /// It has all that it can get; its disk and its standby may not have it yet.
    Filling {
        origin: Origin,
        filled: bool,
        /// The standby has what lies before.
        after: Cursor,
        said_ms: i64,
        again_ms: u64,
    },
    /// The pair is complete.
    Complete { origin: Origin, said_ms: i64 },
}

// === impl Seat ===

impl Seat {
    /// Another view: an owner begins to gather what its shard goes on from.
    pub(super) fn begin_work(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        self.work = Work::Idle;
        self.pulls.clear();
        self.finding.clear();
        self.begun_later.clear();
        if !self.is_owner() || self.place.active {
            // A view that is active already was made so without this life of the node.
            return;
        }
        self.begin_finding();
        if !self.has_the_settled(self.begun) {
            self.begun_later.insert(self.me.clone());
        }
        let sources = self.may_be_asked();
        if self.place.settled.is_none() || planted!(self, ActiveWithoutCopies) {
            return self.has_the_last_view(Origin::First, now_ms, out);
        }
        if sources.is_empty() {
            return self.goes_on_from_nothing(now_ms, out);
        }
        if let Some(own) = sources.iter().find(|holding| holding.life == self.me) {
            let origin = Origin::of(own);
            self.goes_on_from(origin);
            return self.has_the_last_view(origin, now_ms, out);
        }
        let asked = usize::MAX;
        let moved_ms = now_ms;
        self.work = Work::Copying { asked, moved_ms };
        self.ask_next(now_ms, out);
        self.ask_holders(now_ms, out);
    }

    /// Nobody has it (L6).
    fn goes_on_from_nothing(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        self.ledger.goes_on_from_nothing(self.place.epoch.number());
        self.has_the_last_view(Origin::Lost, now_ms, out);
    }

    /// Whether a disk that took part in this view first has what the last view had on disk (L5).
    fn has_the_settled(&self, begun: Option<Epoch>) -> bool {
        let settled = self.place.settled.map(|(epoch, _)| epoch);
        has_all_of(settled, begun) || planted!(self, LostDiskIsASource)
    }

    fn has_the_last_view(&mut self, origin: Origin, now_ms: i64, out: &mut Vec<Deed>) {
        let since_ms = now_ms;
        self.work = Work::Finding { origin, since_ms };
        self.ask_holders(now_ms, out);
        self.finding_goes_on(now_ms, out);
    }

    /// All that this life has is here.
    pub(super) fn came(
        &mut self,
        from: &Life,
        begun: Option<Epoch>,
        image: ShardImage,
        now_ms: i64,
        out: &mut Vec<Deed>,
    ) {
        self.is_found_at(from, begun, &image);
        let sources = self.may_be_asked();
        let source = sources.iter().find(|holding| holding.life == *from);
        if let (Work::Copying { .. }, Some(source)) = (&self.work, source) {
            if !source.in_memory && !self.has_the_settled(begun) {
                self.begun_later.insert(from.clone());
                return match self.may_be_asked().is_empty() {
                    true => self.goes_on_from_nothing(now_ms, out),
                    false => self.ask_next(now_ms, out),
                };
            }
            let origin = Origin::of(source);
            let marks = self.ledger.take(image);
            self.goes_on_from(origin);
            self.persist(marks, out);
            return self.has_the_last_view(origin, now_ms, out);
        }
        self.finding_goes_on(now_ms, out);
    }

    /// The view is active: an owner whose pair is complete grants; who is neither forgets.
    pub(super) fn begin_grants(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let (epoch, t0_ms) = (self.place.epoch, self.place.t0_ms);
        let (lost_ms, lost_in) = (self.place.lost_ms, self.place.lost_in);
        match (&self.place.role, &self.work) {
            (Role::Owner { standby }, Work::Complete { .. }) => {
                if !planted!(self, DiskBeginsEmpty) {
                    self.ledger.fence(epoch.number(), t0_ms);
                }
                let has_standby = standby.is_some();
                let lost_ms = lost_ms.filter(|_| !planted!(self, LostBeginsEmpty));
                self.ledger.gone(lost_ms, lost_in.number());
                self.ledger.activate(epoch.number(), has_standby);
                let policies = std::sync::Arc::clone(&self.policies);
                self.drive(crate::ledger::Input::Policies(policies), now_ms, out);
            }
            // It may be the next owner.
            (Role::Standby { .. }, _) => self.ledger.fence(epoch.number(), t0_ms),
            // An earlier life of this node has a part in the view: what that left on disk may be all there is.
            // And a view that does not know of this life may be older than what its disk has.
            (Role::Apart, _)
                if self.place.is_known && !self.had_a_part() && !self.had_what_is_missing() =>
            {
                self.ledger.take(ShardImage::default());
            }
            _ => {}
        }
    }

    /// What it holds now is what the view goes on from. Whoever has it in memory may not have heard how the last view
    /// became active.
    fn goes_on_from(&mut self, origin: Origin) {
        match (origin, self.place.settled) {
            (Origin::Disk, settled) => {
                let settled = settled.map_or(0, |(epoch, _)| epoch.number());
                let epoch = self.place.epoch.number();
                self.ledger.goes_on_from_disk(epoch, settled);
            }
            (_, Some((epoch, t0_ms))) => {
                self.ledger.fence(epoch.number(), t0_ms);
                self.ledger.others_may_prolong();
            }
            _ => {}
        }
    }

    /// Says what is not answered yet once more.
    pub(super) fn repeat_work(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let is_due = |said_ms: i64| now_ms.abs_diff(said_ms) >= AGAIN_MS;
        match self.work.clone() {
            Work::Copying { .. } | Work::Finding { .. } => self.ask_again(now_ms, out),
            Work::Filling { filled, .. } if !filled => self.fill_standby(now_ms, out),
            Work::Complete { origin, said_ms } if !self.place.active && is_due(said_ms) => {
                self.tell_complete(origin, now_ms, out);
            }
            _ => {}
        }
    }

    /// Disk or standby may have been what was waited for.
    pub(super) fn work_goes_on(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        if let Work::Filling {
            origin,
            filled: true,
            ..
        } = self.work
            && self.is_written(self.needs())
        {
            self.tell_complete(origin, now_ms, out);
        }
    }

    /// The disk has more: what waited for it is said, what is waited for goes on.
    pub(super) fn disk_has(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let owed = std::mem::take(&mut self.owed);
        for (needs, to, words) in owed {
            if self.is_written(needs) {
                out.push(Deed::Say { to, words });
            } else {
                self.owed.push((needs, to, words));
            }
        }
        self.work_goes_on(now_ms, out);
    }

    /// What the disk has to have for this copy.
    pub(super) fn needs(&self) -> Written {
        Written {
            marks: self.asked_marks,
            t_ms: self.ledger.t_ms(),
        }
    }

    /// Whether it has that.
    pub(super) fn is_written(&self, needs: Written) -> bool {
        needs.marks <= self.marked && needs.t_ms <= self.noted_ms && self.begun.is_some()
    }

    pub(super) fn begin_filling(&mut self, origin: Origin, now_ms: i64, out: &mut Vec<Deed>) {
        self.work = Work::Filling {
            origin,
            filled: self.standby().is_none(),
            after: Cursor::Begin,
            said_ms: now_ms,
            again_ms: 0,
        };
        self.fill_standby(now_ms, out);
        self.work_goes_on(now_ms, out);
    }

    fn ask_next(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let sources = self.may_be_asked();
        if let Work::Copying { asked, .. } = &mut self.work {
            *asked = asked.wrapping_add(1) % sources.len().max(1);
            if let Some(source) = sources.get(*asked) {
                self.pull(&source.life, now_ms, out);
            }
        }
    }

    /// Asks the next one if the last does not answer.
    fn ask_again(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let sources = self.may_be_asked();
        if let Work::Copying { asked, .. } = self.work {
            let last = sources.get(asked);
            if last.is_none_or(|last| self.is_overdue(&last.life, now_ms)) {
                self.ask_next(now_ms, out);
            }
        }
        self.ask_holders(now_ms, out);
        self.finding_goes_on(now_ms, out);
    }

    /// Whom it asks in vain for what was granted before.
    pub(super) fn silent_source(&self, is_long: impl Fn(i64) -> bool) -> Option<String> {
        match self.work {
            Work::Copying { asked, moved_ms } if is_long(moved_ms) => {
                let sources = self.may_be_asked();
                sources.get(asked).map(|source| source.life.node.clone())
            }
            _ => None,
        }
    }

    fn tell_complete(&mut self, origin: Origin, now_ms: i64, out: &mut Vec<Deed>) {
        self.work = Work::Complete {
            origin,
            said_ms: now_ms,
        };
        let epoch = self.place.epoch;
        if planted!(self, ServeInSync) {
            let has_standby = self.standby().is_some();
            self.ledger.activate(epoch.number(), has_standby);
            let policies = std::sync::Arc::clone(&self.policies);
            self.drive(crate::ledger::Input::Policies(policies), now_ms, out);
        }
        let found = self.found();
        out.push(Deed::Complete {
            epoch,
            origin,
            found,
        });
    }

    /// Memory has everything that was released; disks are asked only where nobody's memory is left, and only those
    /// that were there then.
    fn may_be_asked(&self) -> Vec<Holding> {
        let sources = &self.place.sources;
        let in_memory = sources.iter().any(|holding| holding.in_memory);
        let asked = sources
            .iter()
            .filter(|holding| holding.in_memory == in_memory)
            .filter(|holding| in_memory || !self.begun_later.contains(&holding.life));
        asked.cloned().collect()
    }

    fn had_a_part(&self) -> bool {
        let mut sources = self.place.sources.iter();
        sources.any(|holding| holding.life.node == self.me.node)
    }

    pub(super) fn standby(&self) -> Option<&Life> {
        match &self.place.role {
            Role::Owner { standby } => standby.as_ref(),
            _ => None,
        }
    }
}

/// Whether a disk that took part in the view of `begun` first has all marks of the view of `of`.
pub(super) fn has_all_of(of: Option<Epoch>, begun: Option<Epoch>) -> bool {
    begun.is_some() && begun <= of
}

// === impl Origin ===

impl Origin {
    fn of(holding: &Holding) -> Self {
        if holding.in_memory {
            Self::Memory
        } else {
            Self::Disk
        }
    }
}
