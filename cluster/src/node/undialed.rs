//! Addresses where nobody can be dialed, or where a member refuses this node for good: told at the first time, and then
//! ever more seldom.

use std::collections::BTreeMap;

use crate::hello::Refusal;
use crate::seldom::Seldom;
use crate::transport::DialError;

/// Those that failed and have not answered since.
#[derive(Debug, Default)]
pub(super) struct Undialed {
    failures: Seldom,
    /// Why the member there refuses this node.
    refusals: BTreeMap<String, Refusal>,
}

// === impl Undialed ===

impl Undialed {
    /// A dial has failed; one line about it where it is time for one.
    pub(super) fn failed(&mut self, address: &str, error: &DialError, now_ms: u64) {
        if self.refusals.remove(address).is_some() {
            self.failures.forget(address);
        }
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

    /// Somebody answers there.
    pub(super) fn answered(&mut self, address: &str) {
        self.refusals.remove(address);
        self.failures.forget(address);
    }

    fn count(&mut self, address: &str, refusal: &Refusal, now_ms: u64) -> Option<u64> {
        if self.refusals.get(address) != Some(refusal) {
            self.failures.forget(address);
            // No more than are dialed.
            self.refusals.insert(address.to_owned(), refusal.clone());
        }
        self.failures.count(address, now_ms)
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
