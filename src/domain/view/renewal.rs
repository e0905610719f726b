//! How often a founder that decides alone says that it is there (PROTOCOLS W3), and how another sees that it says so no
//! more: by a steady clock of its own, for no clock is compared with another.

/// It says so once in so long, milliseconds, or so many times as long as it may go on.
const RENEWAL_MS: i64 = 15_000;
const RENEWALS: i64 = 20;
/// To say so takes so long at most, milliseconds; else it is said again.
const SAYING_MS: i64 = 2_000;
/// Whoever holds the register says so more often than this, milliseconds.
pub(super) const UNSAID_MS: i64 = RENEWAL_MS + SAYING_MS;
/// T goes no further ahead of the clock than it was when that was said and by so much, milliseconds, before it is said
/// again: to say it may have taken a while, and whoever takes its place begins above it.
pub(super) const UNTOLD_MS: i64 = UNSAID_MS - SAYING_MS;
/// It is said at once when T has gone so much further ahead, milliseconds; fences reach a second ahead by themselves.
pub(super) const LEAP_MS: i64 = 2_000;

/// How often a founder says that it is there which goes on for `hold_ms` without having said so; milliseconds.
pub fn renewal_ms(hold_ms: i64) -> i64 {
    (hold_ms / RENEWALS).min(RENEWAL_MS)
}

/// One that is there and can say so has said so again within this time, milliseconds.
pub fn unsaid_ms(hold_ms: i64) -> i64 {
    renewal_ms(hold_ms).saturating_add(SAYING_MS)
}

/// What somebody sees of a founder that is another, by `now_ms` of its own steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    renewals: u64,
    since_ms: i64,
}

// === impl Watch ===

impl Watch {
    /// This is seen first, of a founder that has said so often that it is there.
    pub fn new(renewals: u64, now_ms: i64) -> Self {
        let since_ms = now_ms;
        Self { renewals, since_ms }
    }

    /// This is seen now; gives whether the founder has said meanwhile that it is there.
    pub fn sees(&mut self, renewals: u64, now_ms: i64) -> bool {
        let has_said = renewals != self.renewals;
        if has_said {
            *self = Self::new(renewals, now_ms);
        }
        has_said
    }

    /// What the founder has said all the while, if it has said nothing else for so long.
    pub fn silent_for(&self, ms: i64, now_ms: i64) -> Option<u64> {
        let is_over = now_ms.saturating_sub(self.since_ms) >= ms;
        is_over.then_some(self.renewals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn whoever_is_there_says_so_more_often_than_another_takes_for_silence() {
        assert_eq!((renewal_ms(DAY), unsaid_ms(DAY)), (15_000, 17_000));
        assert_eq!((renewal_ms(5_000), unsaid_ms(5_000)), (250, 2_250));
    }

    #[test]
    fn a_founder_is_silent_once_nothing_else_was_seen_for_all_the_while() {
        let mut watch = Watch::new(7, 1_000);
        assert!(!watch.sees(7, 3_000));
        assert_eq!(watch.silent_for(5_000, 5_999), None);
        assert_eq!(watch.silent_for(5_000, 6_000), Some(7));
        assert!(watch.sees(8, 6_000));
        assert_eq!(watch.silent_for(5_000, 10_999), None);
        assert_eq!(watch.silent_for(5_000, 11_000), Some(8));
    }
}
