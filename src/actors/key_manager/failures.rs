//! Failed attempts by whatever they are counted for: pure, bounded, time is a parameter.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;

/// After so long without a failure whoever failed starts anew.
pub(super) const FORGIVEN_MS: i64 = 60 * 60 * 1_000;

/// A name of any length in 32 bytes.
pub(super) type Key = [u8; 32];

/// How often, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) times: u32,
    pub(super) last_ms: i64,
}

/// The failures that are remembered. When there is no room, forgiven ones go first, then those
/// who failed least: a flood of new names does not drive out who is being guessed at.
#[derive(Debug)]
pub(super) struct Failures {
    most: usize,
    known: HashMap<Key, Failed, FixedState>,
    by_age: BTreeSet<(i64, Key)>,
    by_times: BTreeSet<(u32, i64, Key)>,
}

// === impl Failures ===

impl Failures {
    /// Remembers at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            known: HashMap::default(),
            by_age: BTreeSet::new(),
            by_times: BTreeSet::new(),
        }
    }

    /// What is held against a key now.
    pub(super) fn of(&self, key: &Key, now_ms: i64) -> Option<Failed> {
        let failed = self.known.get(key).copied();
        failed.filter(|failed| now_ms.saturating_sub(failed.last_ms) < FORGIVEN_MS)
    }

    /// Whether a key is remembered at all, however long ago.
    pub(super) fn is_known(&self, key: &Key) -> bool {
        self.known.contains_key(key)
    }

    /// Adds a failure.
    pub(super) fn add(&mut self, key: Key, now_ms: i64) {
        let before = self.of(&key, now_ms).map_or(0, |failed| failed.times);
        self.forget(&key);
        if self.known.len() >= self.most {
            self.make_room(now_ms);
        }
        let failed = Failed {
            times: before.saturating_add(1),
            last_ms: now_ms,
        };
        self.known.insert(key, failed);
        self.by_age.insert((failed.last_ms, key));
        self.by_times.insert((failed.times, failed.last_ms, key));
    }

    /// Forgets a key.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(failed) = self.known.remove(key) {
            self.by_age.remove(&(failed.last_ms, *key));
            self.by_times.remove(&(failed.times, failed.last_ms, *key));
        }
    }

    fn make_room(&mut self, now_ms: i64) {
        let oldest = self.by_age.first().copied();
        let forgiven = oldest.filter(|(last, _)| now_ms.saturating_sub(*last) >= FORGIVEN_MS);
        let least = || self.by_times.first().map(|(_, _, key)| *key);
        if let Some(key) = forgiven.map(|(_, key)| key).or_else(least) {
            self.forget(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_drives_out_nobody_who_failed_often() {
        let mut failures = Failures::new(100);
        for at in 0..5 {
            failures.add(key(0), at);
        }
        for number in 1..1_000 {
            failures.add(key(number), i64::from(number));
        }
        assert_eq!(failures.known.len(), 100);
        assert_eq!(failures.by_age.len(), 100);
        assert_eq!(failures.by_times.len(), 100);
        assert_eq!(failures.of(&key(0), 1_000).unwrap().times, 5);
        assert_eq!(failures.of(&key(999), 1_000).unwrap().times, 1);
    }

    #[test]
    fn what_is_forgiven_makes_room_before_anything_else() {
        let mut failures = Failures::new(2);
        for at in 0..5 {
            failures.add(key(0), at);
        }
        failures.add(key(1), FORGIVEN_MS);
        assert_eq!(failures.of(&key(0), 4 + FORGIVEN_MS), None, "forgiven");
        failures.add(key(2), 4 + FORGIVEN_MS);
        assert!(!failures.known.contains_key(&key(0)));
        assert!(failures.of(&key(1), 4 + FORGIVEN_MS).is_some());
    }
}
