//! Addresses where nobody can be dialed: told at the first failure, and then ever more seldom.

use std::collections::BTreeMap;

use crate::transport::DialError;

/// Between the first two lines about one address, milliseconds; doubled by each.
const QUIET_MS: u64 = 60_000;
/// The longest.
const LONGEST_MS: u64 = 3_600_000;
/// Addresses that are remembered; more than are dialed.
const MOST: usize = 1_024;

/// Those that failed and have not answered since.
#[derive(Debug, Default)]
pub(super) struct Undialed(BTreeMap<String, Failing>);

#[derive(Debug)]
struct Failing {
    count: u64,
    quiet_ms: u64,
    next_ms: u64,
}

// === impl Undialed ===

impl Undialed {
    /// A dial has failed; one line about it where it is time for one.
    pub(super) fn failed(&mut self, address: &str, error: &DialError, now_ms: u64) {
        match self.count(address, now_ms) {
            Some(count) => tracing::warn!(address, %error, count, "node cannot be dialed"),
            None => tracing::debug!(address, %error, "node cannot be dialed"),
        }
    }

    /// Somebody answers there.
    pub(super) fn answered(&mut self, address: &str) {
        self.0.remove(address);
    }

    /// How often it has failed, where that is to be told now.
    fn count(&mut self, address: &str, now_ms: u64) -> Option<u64> {
        if self.0.len() >= MOST && !self.0.contains_key(address) {
            self.0.clear();
        }
        let failing = self.0.entry(address.to_owned()).or_insert(Failing {
            count: 0,
            quiet_ms: QUIET_MS,
            next_ms: now_ms,
        });
        failing.count += 1;
        if now_ms < failing.next_ms {
            return None;
        }
        failing.next_ms = now_ms + failing.quiet_ms;
        failing.quiet_ms = (failing.quiet_ms * 2).min(LONGEST_MS);
        Some(failing.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_of_an_address_is_told_and_then_few_until_it_answers() {
        let mut undialed = Undialed::default();
        let hour = (0..3_600_000).step_by(1_000);
        let told = hour.filter_map(|now_ms| undialed.count("cp1:1", now_ms));
        assert_eq!(told.collect::<Vec<_>>(), [1, 61, 181, 421, 901, 1_861]);
        assert_eq!(undialed.count("cp2:1", 3_600_001), Some(1));
        undialed.answered("cp1:1");
        assert_eq!(undialed.count("cp1:1", 3_600_002), Some(1));
    }

    #[test]
    fn addresses_without_end_are_not_remembered() {
        let mut undialed = Undialed::default();
        for port in 0..10_000 {
            undialed.count(&format!("host:{port}"), 0);
        }
        assert!(undialed.0.len() <= MOST);
    }
}
