//! Addresses where nobody can be dialed, or where a member refuses this node for good: told at the first time, and then
//! ever more seldom.

use std::collections::BTreeMap;

use crate::hello::Refusal;
use crate::seldom::Seldom;
use crate::transport::DialError;

/// What is said again for so long is said of more than a node that has just been started again, milliseconds.
const WAITS_MS: u64 = 10_000;

/// Those that failed or refused and have not answered since.
#[derive(Debug, Default)]
pub(super) struct Undialed {
    failures: Seldom,
    refused: Seldom,
    /// Why the member there refuses this node.
    refusals: BTreeMap<String, Refusal>,
    /// Since when it is told to come again.
    waits: BTreeMap<String, u64>,
}

// === impl Undialed ===

impl Undialed {
    /// A dial has failed; one line about it where it is time for one.
    pub(super) fn failed(&mut self, address: &str, error: &DialError, now_ms: u64) {
        match self.failures.count(address, now_ms) {
            Some(count) => tracing::warn!(address, %error, count, "node cannot be dialed"),
            None => tracing::debug!(address, %error, "node cannot be dialed"),
        }
    }

    /// The member there refuses this node for good, or this node it; one line about it where it is time for one.
    pub(super) fn refused(&mut self, address: &str, refusal: &Refusal, now_ms: u64) {
        match self.count(address, refusal, now_ms) {
            Some(count) => {
                tracing::warn!(address, reason = %refusal, count, "no connection with a node");
            }
            None => tracing::debug!(address, reason = %refusal, "no connection with a node"),
        }
    }

    /// The member there says that this node may come later; told of where it has said so for long.
    pub(super) fn waits(&mut self, address: &str, refusal: &Refusal, now_ms: u64) {
        let since = self.waits.entry(address.to_owned()).or_insert(now_ms);
        if now_ms >= *since + WAITS_MS {
            self.refused(address, refusal, now_ms);
        }
    }

    /// Somebody answers there.
    pub(super) fn answered(&mut self, address: &str) {
        self.refusals.remove(address);
        self.refused.forget(address);
        self.failures.forget(address);
        self.waits.remove(address);
    }

    fn count(&mut self, address: &str, refusal: &Refusal, now_ms: u64) -> Option<u64> {
        if self.refusals.get(address) != Some(refusal) {
            self.refused.forget(address);
            // No more than are dialed.
            self.refusals.insert(address.to_owned(), refusal.clone());
        }
        self.refused.count(address, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_refuses_says_so_every_few_seconds_and_it_is_told_once_and_once_for_each_reason()
     {
        let mut undialed = Undialed::default();
        let taken = Refusal::NameTaken("gw1".to_owned());
        let other = Refusal::Cluster("other".to_owned());
        let minute = (0..60_000).step_by(5_000);
        let told = minute.filter_map(|now_ms| undialed.count("cp1:1", &taken, now_ms));
        assert_eq!(told.collect::<Vec<_>>(), [1]);
        assert_eq!(undialed.count("cp1:1", &other, 60_001), Some(1));
        assert_eq!(undialed.count("cp1:1", &other, 65_001), None);
        undialed.answered("cp1:1");
        assert_eq!(undialed.count("cp1:1", &other, 70_001), Some(1));
    }
}
