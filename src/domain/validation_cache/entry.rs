//! What the cache holds for a credential, and the test of every hit (PROTOCOLS V2).

use super::Watched;

/// A key manager's answer, positive or negative, with what it rests on.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    value: T,
    number: u64,
    until_ms: i64,
    watched: Watched,
}

/// What a look at an entry gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit<'a, T> {
    /// It holds.
    Current(&'a T),
    /// Its time is over.
    Expired,
    /// A change touched one of its subjects after it was computed.
    Touched,
}

// === impl Entry ===

impl<T> Entry<T> {
    /// An answer that was true at `number`, rests on what is `watched` and may be used before `until_ms`.
    pub fn new(value: T, number: u64, until_ms: i64, watched: Watched) -> Self {
        Self {
            value,
            number,
            until_ms,
            watched,
        }
    }

    /// The test of every use, and of everyone who waited for it: two atomic loads while nothing changes.
    pub fn hit(&self, now_ms: i64) -> Hit<'_, T> {
        if !self.watched.is_untouched_since(self.number) {
            Hit::Touched
        } else if now_ms >= self.until_ms {
            Hit::Expired
        } else {
            Hit::Current(&self.value)
        }
    }

    /// What it said when it was true, to find out what has ended since: it decides nothing any more.
    pub fn said(&self) -> &T {
        &self.value
    }

    /// The change-log number it was true at.
    pub fn number(&self) -> u64 {
        self.number
    }
}
