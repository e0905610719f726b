//! How far a member may let its T go (PROTOCOLS L3): no grant is released in a T that a majority of the view's voters
//! has not fenced. One for all shards of a node.
//!
//! A fence reaches ahead, so that it is asked for once in a while and not with each grant. Nothing is lost by that:
//! a grant is released in no T beyond the fence, and a view that finds no copy of a shard counts as full whatever
//! began up to the fence. Who may still release is decided by the standby's seal, not by the fence.

use std::collections::BTreeMap;

use super::epoch::Epoch;

/// A fence reaches so far beyond what is needed now.
const AHEAD_MS: i64 = 1_000;
/// The next one is asked for when so little is left.
const LEFT_MS: i64 = 500;
/// An answer is waited for so long before it is asked again.
const AGAIN_MS: i64 = 100;

/// What voters have fenced for this member in the view of now.
#[derive(Debug, Clone, Default)]
pub struct Fences {
    epoch: Epoch,
    voters: Vec<String>,
    acked: BTreeMap<String, i64>,
    /// The T last asked for, and when.
    asked: Option<(i64, i64)>,
}

// === impl Fences ===

impl Fences {
    /// Another view is active; what was fenced for an earlier one counts for nothing.
    pub fn begin(&mut self, epoch: Epoch, voters: &[String]) {
        if epoch != self.epoch {
            *self = Self {
                epoch,
                voters: voters.to_vec(),
                ..Self::default()
            };
        }
    }

    /// The T up to which grants may be released now; none before a majority fenced any.
    pub fn fenced_ms(&self) -> Option<i64> {
        let most = self.voters.len() / 2;
        let acked = || self.acked.values().copied();
        let by_a_majority = |t_ms: &i64| acked().filter(|other| other >= t_ms).count() > most;
        acked().filter(by_a_majority).max()
    }

    /// Grants are made in this T, at `now_ms` of the node's own clock. Gives the T to ask all voters to fence, if it
    /// is time to.
    pub fn need(&mut self, t_ms: i64, now_ms: i64) -> Option<i64> {
        if self.voters.is_empty() {
            return None;
        }
        let enough = |reach: i64| reach.saturating_sub(t_ms) >= LEFT_MS;
        let waits = |(reach, at): (i64, i64)| {
            enough(reach) && now_ms.saturating_sub(at).unsigned_abs() < AGAIN_MS.unsigned_abs()
        };
        if self.fenced_ms().is_some_and(enough) || self.asked.is_some_and(waits) {
            return None;
        }
        let asked_ms = self.asked.map_or(i64::MIN, |(reach, _)| reach);
        let reach = t_ms.saturating_add(AHEAD_MS).max(asked_ms);
        self.asked = Some((reach, now_ms));
        Some(reach)
    }

    /// A voter has fenced this T for this epoch. Gives whether grants may go further by it.
    pub fn acked(&mut self, voter: &str, epoch: Epoch, t_ms: i64) -> bool {
        if epoch != self.epoch || !self.voters.iter().any(|known| known == voter) {
            return false;
        }
        let before = self.fenced_ms();
        let known = self.acked.entry(voter.to_owned()).or_insert(t_ms);
        *known = (*known).max(t_ms);
        self.fenced_ms() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_fences_and_one_fence_serves_many_grants() {
        let (one, two) = (Epoch::new(1, 1).unwrap(), Epoch::new(1, 2).unwrap());
        let voters = ["a", "b", "c"].map(str::to_owned);
        let mut fences = Fences::default();
        assert_eq!(fences.need(10, 0), None, "no view yet");
        fences.begin(one, &voters);
        assert_eq!(fences.need(10, 0), Some(1_010));
        assert_eq!(fences.need(20, 50), None, "on its way");
        assert_eq!(fences.need(20, 100), Some(1_020), "asked again");
        assert!(!fences.acked("a", one, 1_010));
        assert!(!fences.acked("a", one, 1_020) && !fences.acked("x", one, 1_020));
        assert_eq!(fences.fenced_ms(), None);
        assert!(fences.acked("c", one, 1_010));
        assert_eq!(fences.fenced_ms(), Some(1_010));
        assert_eq!(fences.need(510, 200), None);
        assert_eq!(fences.need(511, 201), Some(1_511));
        fences.begin(two, &voters);
        assert_eq!(fences.fenced_ms(), None);
        assert!(!fences.acked("b", one, 9_000));
    }
}
