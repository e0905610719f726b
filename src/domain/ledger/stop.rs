//! What a stop in order writes: the exact count of every cell.

use super::cell::Cell;
use super::{Ledger, Mark};

// === impl Ledger ===

impl Ledger {
    /// What a clean stop writes, after the gateways gave back what they hold and with no ask under way: the exact
    /// count of every cell, to be read back with [`Source::CleanStop`].
    pub fn final_marks(&self) -> Vec<Mark> {
        let used = |cell: &Cell| {
            if cell.lost {
                cell.quota.limit
            } else {
                cell.to_be_marked()
            }
        };
        let cells = self
            .cells
            .iter()
            // The mark of a later window says more than that of one before it.
            .filter(|(key, cell)| !self.past.is_ahead(key, cell.window.id))
            // What nobody knows of may be found again (L6); the register says so until then.
            .filter(|(_, cell)| !(cell.lost && self.past.is_gone(cell.window, cell.lag_ms)))
            .map(|(key, cell)| cell.mark_of(&key, used(&cell)));
        self.past.unclaimed().cloned().chain(cells).collect()
    }

    /// What of [`Self::final_marks`] a clean stop has to write: long windows whose mark is on disk and says what is
    /// used are left out.
    pub fn unsaved_marks(&self) -> Vec<Mark> {
        let mut marks = self.final_marks();
        marks.retain(|mark| {
            let cell = self.cells.get(&mark.cell);
            !cell.is_some_and(|cell| cell.is_marked(mark, self.marked))
        });
        marks
    }
}
