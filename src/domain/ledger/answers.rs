//! How long gateways take to answer a recall (PROTOCOLS L9): over a link that is slower than a round everybody passes for
//! silent, and no is said while others hold what they do not use.

use std::collections::BTreeMap;

/// A round lasts so long at least, milliseconds; and no longer for gateways that were silent in one.
const LEAST_MS: i64 = 100;
/// It lasts so long at most, so that a call waits for gateways that are gone at all its levels within the 3 s that it may
/// wait (L8); and so long where nothing is known of a gateway that it waits for.
const MOST_MS: i64 = 700;
/// So many gateways are known at most: of others nothing is.
const KNOWN: usize = 1_024;

/// By stable id, for how long a round waits for a gateway.
#[derive(Debug, Default)]
pub(super) struct Answers(BTreeMap<String, Known>);

/// What is known of a gateway.
#[derive(Debug, Clone, Copy)]
struct Known {
    waits_ms: i64,
    /// It was silent in a round, and nothing was heard of it since.
    missed: bool,
}

// === impl Answers ===

impl Answers {
    /// How long a round lasts that waits for these, milliseconds.
    pub(super) fn round_ms<'a>(&self, nodes: impl IntoIterator<Item = &'a String>) -> i64 {
        let waits = |node: &String| match self.0.get(node) {
            Some(Known { missed: true, .. }) => LEAST_MS,
            Some(known) => known.waits_ms,
            None => MOST_MS,
        };
        nodes.into_iter().map(waits).max().unwrap_or(LEAST_MS)
    }

    /// It answered after so long: that and half as long again is waited for. What was slow of late counts on, less with
    /// each answer.
    pub(super) fn took(&mut self, node: &str, ms: i64) {
        let next = ms.saturating_add(ms / 2).clamp(LEAST_MS, MOST_MS);
        let before = self.0.get(node).map_or(next, |known| known.waits_ms);
        self.put(node, next.max(before - (before - next) / 4));
    }

    /// It did not answer. As long as it says nothing, other keys wait for it no longer than they have to.
    pub(super) fn missed(&mut self, node: &str) {
        let waits_ms = self.0.get(node).map_or(MOST_MS, |known| known.waits_ms);
        self.put(node, waits_ms);
        if let Some(known) = self.0.get_mut(node) {
            known.missed = true;
        }
    }

    /// It is there, whatever key it speaks of.
    pub(super) fn heard(&mut self, node: &str) {
        if let Some(known) = self.0.get_mut(node) {
            known.missed = false;
        }
    }

    /// It speaks again of what it was silent about: its link may be slower than it was.
    pub(super) fn spoke(&mut self, node: &str) {
        self.0.remove(node);
    }

    fn put(&mut self, node: &str, waits_ms: i64) {
        let known = Known {
            waits_ms,
            missed: false,
        };
        if let Some(before) = self.0.get_mut(node) {
            *before = known;
            return;
        }
        if self.0.len() >= KNOWN {
            self.0.pop_first();
        }
        self.0.insert(node.to_owned(), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(answers: &Answers, nodes: &[&str]) -> i64 {
        let nodes: Vec<String> = nodes.iter().map(|node| (*node).to_owned()).collect();
        answers.round_ms(&nodes)
    }

    #[test]
    fn a_round_waits_for_the_slowest_of_late_and_never_longer_than_it_may() {
        let mut answers = Answers::default();
        assert_eq!(waits(&answers, &["new"]), 700, "nothing is known of it");
        answers.took("near", 2);
        answers.took("far", 300);
        assert_eq!(waits(&answers, &["near"]), 100);
        assert_eq!(waits(&answers, &["near", "far"]), 450);
        answers.took("far", 5_000);
        assert_eq!(waits(&answers, &["far"]), 700);
        for _ in 0..20 {
            answers.took("far", 200);
        }
        assert!(waits(&answers, &["far"]) <= 310, "it is faster since");
        assert_eq!(waits(&answers, &[]), 100);
    }

    #[test]
    fn who_was_silent_is_waited_for_no_longer_until_it_speaks() {
        let mut answers = Answers::default();
        answers.took("far", 300);
        answers.missed("far");
        assert_eq!(waits(&answers, &["far"]), 100);
        answers.heard("far");
        assert_eq!(waits(&answers, &["far"]), 450, "one word was lost");
        answers.missed("far");
        answers.spoke("far");
        assert_eq!(waits(&answers, &["far"]), 700);
    }

    #[test]
    fn gateways_that_come_and_go_are_not_remembered_for_ever() {
        let mut answers = Answers::default();
        for number in 0..2_000 {
            answers.took(&format!("gateway {number}"), 1);
        }
        assert_eq!(answers.0.len(), KNOWN);
    }
}
