//! What the disk has to say of a cell of a long window (PROTOCOLS L5).

use super::cell::{Cell, CellImage, Count, Held, Mark};
use super::earlier::Earlier;
use super::message::{CellKey, Stamp};

// === impl Cell ===

impl Cell {
    /// The mark that has to be durable before a release, if the last one is too low (L5).
    ///
    /// Where an administrator gave units back the next one is due as well, though it says less: what the disk says would
    /// take them back after a crash.
    pub(super) fn due_mark(&mut self, key: &CellKey, gave_back: bool) -> Option<Mark> {
        let used = self.to_be_marked();
        // Of a window that nobody knows of, what holders tell is not all: such a row would outrank those of whoever
        // had it, which may be found again (L6).
        let says_enough = used <= self.mark && !gave_back;
        if self.lost || !self.quota.window.is_long() || says_enough {
            return None;
        }
        let step = self.quota.chunk();
        self.mark = used
            .div_ceil(step)
            .saturating_mul(step)
            .min(self.quota.limit.max(used));
        self.mark_stamp = self.stamp;
        Some(self.mark_of(key, self.mark))
    }

    /// Whether less counts in this later state of the same window because an administrator gave units back: in all else
    /// what is over stays used, and what was forgiven stays so.
    pub(super) fn was_given_back(&self, later: &CellImage) -> bool {
        let (mut spent, mut forgave) = (self.spent, false);
        for (node, count) in &later.holders {
            let Some(Held { count: before, .. }) = self.holders.get(node) else {
                continue;
            };
            if before.age() == count.age() {
                forgave |= before.forgiven < count.forgiven;
            } else {
                // That lease is over.
                spent = spent.saturating_add(before.net());
            }
        }
        let earlier = |earlier: Option<&Earlier>| earlier.map_or(0, Earlier::total);
        self.lost && !later.lost
            || later.spent < spent
            || earlier(later.earlier.as_deref()) < earlier(self.earlier.as_deref())
            || forgave
    }

    /// Whether the disk, which has all marks up to `marked`, says of this cell what `mark` says. Where none was asked
    /// for it may say anything.
    pub(super) fn is_marked(&self, mark: &Mark, marked: Stamp) -> bool {
        self.quota.window.is_long()
            && self.window.id == mark.window
            && self.mark > 0
            && self.mark == mark.used
            && self.mark_stamp <= marked
    }

    pub(super) fn mark_of(&self, key: &CellKey, used: u64) -> Mark {
        Mark {
            cell: key.clone(),
            window: self.window.id,
            end_ms: self.window.marked_until_ms(),
            used,
            stamp: self.stamp,
            forgiven: forgiven(
                self.holders.values().map(|held| &held.count),
                self.coverage,
                self.spent,
            ),
        }
    }
}

/// See [`Mark::forgiven`]: all that holders may tell of beyond what `spent` stands for.
pub(super) fn forgiven<'a>(
    counts: impl Iterator<Item = &'a Count>,
    coverage: u64,
    spent: u64,
) -> u64 {
    let out = |count: &Count| count.forgiven.saturating_add(count.covered);
    let told = counts.fold(coverage, |sum, count| sum.saturating_add(out(count)));
    told.saturating_sub(spent)
}
