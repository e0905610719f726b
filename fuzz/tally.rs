//! How many mutants each reader has read and refused: where nearly all of one kind is missing, the samples are too brittle or too
//! tough, and a test with them shows nothing. Tests of several crates have this file; none of it is in the binary.

use std::collections::BTreeMap;

/// Refused and read, by what was to be read.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<&'static str, [usize; 2]>);

// === impl Tally ===

impl Tally {
    pub(crate) fn count(&mut self, what: &'static str, is_read: bool) {
        self.0.entry(what).or_default()[usize::from(is_read)] += 1;
    }

    /// More than so many of each were refused, and so many read.
    #[track_caller]
    pub(crate) fn is_of_both(&self, least: usize) {
        let is_of_both = |counts: &[usize; 2]| counts.iter().all(|count| *count > least);
        let all = self.0.values().all(is_of_both);
        assert!(all && !self.0.is_empty(), "refused and read: {:?}", self.0);
    }
}
