//! When a view was agreed on: the place of its entry in the register's log (PROTOCOLS W3). It never comes twice.

use serde::{Deserialize, Serialize};

/// Bits for the place within the log; what remains is for the term.
const INDEX_BITS: u32 = 36;

/// A term and an index of the register's log in one number, the term first: what is cut off the log and written anew
/// is written in a higher term, so a later entry has the higher epoch in any case.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(u64);

// === impl Epoch ===

impl Epoch {
    /// The epoch of an entry; none beyond 268 million terms or 68 thousand million entries, which are years of
    /// elections without a pause.
    pub fn new(term: u64, index: u64) -> Option<Self> {
        let fits = term < 1 << (64 - INDEX_BITS) && index < 1 << INDEX_BITS;
        fits.then_some(Self(term << INDEX_BITS | index))
    }

    /// The epoch with this number: that of a node that is alone, which has no register and counts its own.
    pub fn of_number(number: u64) -> Self {
        Self(number)
    }

    /// The term.
    pub fn term(self) -> u64 {
        self.0 >> INDEX_BITS
    }

    /// As the ledger's stamps bear it.
    pub fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_entry_has_the_higher_epoch_also_where_the_log_was_cut() {
        let at = |term, index| Epoch::new(term, index).unwrap();
        assert!(at(3, 10) < at(3, 11));
        assert!(at(3, 900) < at(4, 10));
        assert!(
            at(1, 1).number() > 1_000_000 * 65_536,
            "outranks a lone node's"
        );
        assert_eq!(Epoch::new(1 << 28, 0), None);
        assert_eq!(Epoch::new(0, 1 << 36), None);
    }
}
