//! How far each follower is and when it was last heard of (C6): pure, time comes in.

use std::collections::BTreeMap;

use super::message::Applied;

/// A follower that was silent for so long is not waited for, milliseconds (S3).
const ALIVE_MS: i64 = 10_000;
/// A follower that was silent for so long is forgotten, milliseconds.
const FORGET_MS: i64 = 3_600_000;

/// The most followers that are known at a time; more than a cluster has.
const MOST: usize = 1_024;
/// The most bytes of a follower's name.
const NAME: usize = 128;

/// All followers that were heard of.
#[derive(Debug, Default)]
pub(super) struct Followers {
    known: BTreeMap<String, Follower>,
}

#[derive(Debug)]
struct Follower {
    acknowledged: u64,
    heard_ms: i64,
}

// === impl Followers ===

impl Followers {
    /// A follower pulls from `n`. It says itself what it has applied, so a lower number than the
    /// acknowledged one (a restored data directory) is believed; a higher one only of a newcomer.
    pub(super) fn pulled(&mut self, name: &str, n: u64, now_ms: i64) {
        if let Some(follower) = self.heard(name, n, now_ms) {
            follower.acknowledged = follower.acknowledged.min(n);
        }
    }

    /// A follower has applied, stored and published everything up to `n`.
    pub(super) fn acknowledged(&mut self, name: &str, n: u64, now_ms: i64) {
        if let Some(follower) = self.heard(name, n, now_ms) {
            follower.acknowledged = follower.acknowledged.max(n);
        }
    }

    /// A follower has to begin anew: what it acknowledged was of another history (C2).
    pub(super) fn resync(&mut self, name: &str) {
        if let Some(follower) = self.known.get_mut(name) {
            follower.acknowledged = 0;
        }
    }

    /// A long poll of this follower is open: it lives.
    pub(super) fn waits(&mut self, name: &str, now_ms: i64) {
        if let Some(follower) = self.known.get_mut(name) {
            follower.heard_ms = now_ms;
        }
    }

    /// Who of the living has applied `n`.
    pub(super) fn applied(&self, n: u64, now_ms: i64) -> Applied {
        let (mut done, mut behind) = (0, Vec::new());
        for (name, follower) in self.alive(now_ms) {
            if follower.acknowledged >= n {
                done += 1;
            } else {
                behind.push(name.clone());
            }
        }
        let all = done + u32::try_from(behind.len()).unwrap_or(u32::MAX);
        Applied { done, all, behind }
    }

    /// How far the slowest of the living is.
    pub(super) fn slowest(&self, now_ms: i64) -> Option<u64> {
        self.alive(now_ms)
            .map(|(_, follower)| follower.acknowledged)
            .min()
    }

    /// Forgets who has been silent for an hour.
    pub(super) fn forget_silent(&mut self, now_ms: i64) {
        self.known
            .retain(|_, follower| now_ms.saturating_sub(follower.heard_ms) < FORGET_MS);
    }

    fn alive(&self, now_ms: i64) -> impl Iterator<Item = (&String, &Follower)> {
        self.known
            .iter()
            .filter(move |(_, follower)| now_ms.saturating_sub(follower.heard_ms) < ALIVE_MS)
    }

    /// None for a name that no follower of ours has, or one too many: what others say takes a
    /// bounded room here, and what they are told.
    fn heard(&mut self, name: &str, n: u64, now_ms: i64) -> Option<&mut Follower> {
        let is_known = self.known.contains_key(name);
        if name.len() > NAME || !is_known && self.known.len() >= MOST {
            return None;
        }
        let follower = self.known.entry(name.to_owned()).or_insert(Follower {
            acknowledged: n,
            heard_ms: now_ms,
        });
        follower.heard_ms = now_ms;
        Some(follower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_living_are_waited_for_and_who_is_behind_is_named() {
        let mut followers = Followers::default();
        followers.acknowledged("gw1", 5, 0);
        followers.pulled("gw2", 3, 0);
        followers.pulled("gw2", 9, 1);
        let applied = followers.applied(5, 100);
        assert_eq!(applied.to_string(), "1/2; behind=gw2");
        assert_eq!(followers.slowest(100), Some(3));
        followers.acknowledged("gw2", 5, ALIVE_MS);
        assert_eq!(followers.applied(5, ALIVE_MS).to_string(), "1/1");
        assert_eq!(followers.applied(5, 9 * ALIVE_MS).to_string(), "0/0");
    }

    #[test]
    fn names_without_end_are_not_remembered() {
        let mut followers = Followers::default();
        followers.acknowledged("gw1", 5, 0);
        for n in 0..5_000 {
            followers.acknowledged(&format!("follower {n}"), 1, 0);
            followers.pulled(&"long".repeat(n), 1, 0);
        }
        assert_eq!(followers.known.len(), MOST);
        let longest = followers.known.keys().map(String::len).max();
        assert!(longest <= Some(NAME), "{longest:?}");
        followers.acknowledged("gw1", 6, 0);
        assert_eq!(followers.applied(6, 0).done, 1, "who is known goes on");
    }

    #[test]
    fn a_follower_of_another_history_has_acknowledged_nothing() {
        let mut followers = Followers::default();
        followers.acknowledged("gw1", 50, 0);
        followers.resync("gw1");
        assert_eq!(followers.applied(7, 0).to_string(), "0/1; behind=gw1");
    }
}
