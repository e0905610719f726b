//! Whom the shards of one member wait for, judged by what that one does for all of them (PROTOCOLS L4, L8): a source that is
//! slow gives one part after the other, so a shard that waits for its turn waits for nobody that hangs.

use std::collections::{BTreeMap, BTreeSet};

use super::epoch::Epoch;

/// Whoever owes an answer for so long stalls, milliseconds.
pub(super) const STALLED_MS: u64 = 1_000;

/// What a member knows of whom its shards wait for.
#[derive(Debug, Default)]
pub struct Waits {
    /// The view that parts of copies were given in last, how many, and when by whom.
    epoch: Epoch,
    parts: u64,
    moved: BTreeMap<String, i64>,
    stalled: BTreeSet<String>,
}

// === impl Waits ===

impl Waits {
    /// A part of a copy came from this node, or is known to have come there, at `now_ms` of a clock that does not stand
    /// still.
    pub fn moves(&mut self, epoch: Epoch, with: &str, now_ms: i64) {
        if epoch < self.epoch {
            return;
        }
        if epoch > self.epoch {
            (self.epoch, self.parts) = (epoch, 0);
            self.moved.clear();
        }
        self.parts = self.parts.saturating_add(1);
        self.moved.insert(with.to_owned(), now_ms);
    }

    /// A shard has waited for this node for too long. It stalls if no other shard got anything from it meanwhile.
    pub fn stalls(&mut self, by: String, now_ms: i64) {
        let moved_ms = self.moved.get(&by);
        if moved_ms.is_none_or(|moved_ms| now_ms.abs_diff(*moved_ms) >= STALLED_MS) {
            self.stalled.insert(by);
        }
    }

    /// Those who stalled since this was asked last.
    pub fn take_stalled(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.stalled)
    }

    /// How many parts of copies were given to and by this member in this view.
    pub fn parts(&self, epoch: Epoch) -> u64 {
        if epoch == self.epoch { self.parts } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> Epoch {
        Epoch::new(1, index).unwrap()
    }

    #[test]
    fn a_source_that_gives_to_one_shard_after_the_other_stalls_none() {
        let mut waits = Waits::default();
        waits.moves(at(1), "b", 5_000);
        waits.stalls("b".to_owned(), 5_999);
        assert_eq!(
            waits.take_stalled(),
            BTreeSet::new(),
            "another had its turn"
        );
        waits.stalls("b".to_owned(), 6_000);
        waits.stalls("c".to_owned(), 6_000);
        let both = ["b", "c"].map(str::to_owned);
        assert_eq!(waits.take_stalled(), BTreeSet::from(both));
        assert_eq!(waits.take_stalled(), BTreeSet::new(), "told once");
    }

    #[test]
    fn parts_are_those_of_one_view() {
        let mut waits = Waits::default();
        waits.moves(at(2), "b", 1);
        waits.moves(at(2), "c", 2);
        // What comes late is of no view of now.
        waits.moves(at(1), "b", 3);
        assert_eq!([1, 2, 3].map(|index| waits.parts(at(index))), [0, 2, 0]);
        waits.moves(at(3), "b", 4);
        assert_eq!([2, 3].map(|index| waits.parts(at(index))), [0, 1]);
    }
}
