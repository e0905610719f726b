//! What a standby keeps (PROTOCOLS L2, L3, L5): everything that its owner has released, in memory, and the marks of
//! long windows on disk before it says so.

use super::parts::Part;
use super::{Deed, Seat, Words, Written};
use crate::ledger::{CellImage, Stamp};
use crate::view::epoch::Epoch;
use crate::view::placement::Role;
use crate::view::register::Life;

// === impl Seat ===

impl Seat {
    /// What the owner begins with.
    pub(super) fn fill(&mut self, from: &Life, epoch: Epoch, part: Part, out: &mut Vec<Deed>) {
        if epoch != self.place.epoch || !self.stands_by(from) {
            // It has not heard of this view yet: the owner says it again.
            return;
        }
        if self.filled == epoch && !planted!(self, FillTwice) {
            // It came twice; what the owner changed since is not to be overwritten.
            return self.acknowledge(from, Words::Filled { epoch, next: None }, out);
        }
        let is_last = part.2.is_none();
        let known = self.filling.take().filter(|(of, _)| *of == epoch);
        let (_, mut pull) = known.unwrap_or_default();
        if pull.takes(part) && is_last {
            let marks = self.ledger.take(pull.image);
            self.filled = epoch;
            self.persist(marks, out);
            return self.acknowledge(from, Words::Filled { epoch, next: None }, out);
        }
        let next = Some(pull.after.clone());
        self.filling = Some((epoch, pull));
        out.push(Deed::say(from, Words::Filled { epoch, next }));
    }

    /// What the owner changed.
    pub(super) fn change(
        &mut self,
        from: &Life,
        epoch: Epoch,
        (stamp, t_ms, (steady_ms, seam_ms)): (Stamp, i64, (i64, Option<i64>)),
        cells: Vec<CellImage>,
        out: &mut Vec<Deed>,
    ) {
        let stands_by = epoch == self.place.epoch && self.filled == epoch && self.stands_by(from);
        if stands_by || planted!(self, SealsNothing) {
            // First the time: by its own, which may run ahead of an owner's that stands still, what was granted may be over.
            self.ledger.lift(Some(t_ms));
            self.ledger.keeps_pace(steady_ms, seam_ms);
            let marks = self.ledger.adopt(cells);
            self.persist(marks, out);
            self.acknowledge(from, Words::Changed { epoch, stamp }, out);
        }
    }

    /// Says so when the disk has what this copy needs, also what was asked for before.
    fn acknowledge(&mut self, to: &Life, words: Words, out: &mut Vec<Deed>) {
        let needs = self.needs();
        if self.is_written(needs) || planted!(self, AcknowledgeBeforeMark) {
            return out.push(Deed::say(to, words));
        }
        // What is asked for again and again is said once.
        let said = |(_, by, owed): &(Written, Life, Words)| by == to && *owed == words;
        if !self.owed.iter().any(said) {
            self.owed.push((needs, to.clone(), words));
        }
    }

    fn stands_by(&self, from: &Life) -> bool {
        matches!(&self.place.role, Role::Standby { owner } if owner == from)
    }
}
