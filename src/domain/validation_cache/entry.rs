//! What the cache holds for a credential, and the test of every hit (PROTOCOLS V2).

use super::Touch;

/// A key manager's answer, positive or negative, with what it rests on.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    value: T,
    number: u64,
    until_ms: i64,
    touches: Box<[Touch]>,
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

/// Whether an answer that was true at change-log number `number` is still true: none of its subjects was touched by a
/// later change.
pub fn is_current(number: u64, touches: &[Touch]) -> bool {
    touches.iter().all(|touch| touch.number() <= number)
}

// === impl Entry ===

impl<T> Entry<T> {
    /// An answer that was true at `number`, rests on `touches` and may be used before `until_ms`.
    pub fn new(value: T, number: u64, until_ms: i64, touches: Vec<Touch>) -> Self {
        Self {
            value,
            number,
            until_ms,
            touches: touches.into_boxed_slice(),
        }
    }

    /// The test of every use, and of everyone who waited for it: a few atomic loads.
    pub fn hit(&self, now_ms: i64) -> Hit<'_, T> {
        if !is_current(self.number, &self.touches) {
            Hit::Touched
        } else if now_ms >= self.until_ms {
            Hit::Expired
        } else {
            Hit::Current(&self.value)
        }
    }

    /// The change-log number it was true at.
    pub fn number(&self) -> u64 {
        self.number
    }
}
