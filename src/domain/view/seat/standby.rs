//! What a standby keeps (PROTOCOLS L2, L3, L5): everything that its owner has released, in memory, and the marks of
//! long windows on disk before it says so.

use super::{Deed, Seat, Words};
use crate::ledger::{CellImage, ShardImage, Stamp};
use crate::view::epoch::Epoch;
use crate::view::placement::Role;

// === impl Seat ===

impl Seat {
    /// What the owner begins with.
    pub(super) fn fill(
        &mut self,
        from: &str,
        epoch: Epoch,
        image: ShardImage,
        out: &mut Vec<Deed>,
    ) {
        if epoch != self.place.epoch || !self.stands_by(from) {
            // It has not heard of this view yet: the owner says it again.
            return;
        }
        if self.filled != epoch || planted!(self, FillTwice) {
            let marks = self.ledger.take(image);
            self.filled = epoch;
            self.persist(marks, out);
        }
        // Else it came twice; what the owner changed since is not to be overwritten.
        self.acknowledge(from, Words::Filled { epoch }, out);
    }

    /// What the owner changed.
    pub(super) fn change(
        &mut self,
        from: &str,
        epoch: Epoch,
        stamp: Stamp,
        cells: Vec<CellImage>,
        out: &mut Vec<Deed>,
    ) {
        let stands_by = epoch == self.place.epoch && self.filled == epoch && self.stands_by(from);
        if stands_by || planted!(self, SealsNothing) {
            let marks = self.ledger.adopt(cells);
            self.persist(marks, out);
            self.acknowledge(from, Words::Changed { epoch, stamp }, out);
        }
    }

    /// Says so when all marks are on disk, also those that were asked for before.
    fn acknowledge(&mut self, to: &str, words: Words, out: &mut Vec<Deed>) {
        match self.unwritten() {
            Some(stamp) if !planted!(self, AcknowledgeBeforeMark) => {
                // What is asked for again and again is said once.
                let said = |(_, by, owed): &(Stamp, String, Words)| by == to && *owed == words;
                if !self.owed.iter().any(said) {
                    self.owed.push((stamp, to.to_owned(), words));
                }
            }
            _ => out.push(Deed::say(to, words)),
        }
    }

    fn stands_by(&self, from: &str) -> bool {
        matches!(&self.place.role, Role::Standby { owner } if owner == from)
    }
}
