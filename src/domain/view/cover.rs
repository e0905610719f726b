//! How far the voter of a node may fence (PROTOCOLS W3): as far as the node was told that nobody takes its place, while it
//! decides alone. What was let through is remembered, for whoever takes its place begins above that.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::renewal::{LEAP_MS, UNTOLD_MS};

/// How far the voter of this node may fence. Cheap to clone; all clones know the same.
#[derive(Debug, Clone)]
pub struct Cover(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reach_ms: AtomicI64,
    /// The highest T that was asked for, and how far any was ahead of the node's clock.
    asked_ms: AtomicI64,
    ahead_ms: AtomicI64,
    /// How far ahead it was when that was said; as far as it likes where nobody reckons by that.
    told_ahead_ms: AtomicI64,
}

/// A node that stops in order lets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetGo {
    /// The T up to which it might fence, milliseconds.
    pub told_ms: i64,
    /// No T beyond this was fenced, milliseconds.
    pub used_ms: i64,
}

// === impl Cover ===

impl Cover {
    /// As far as it likes.
    #[must_use]
    pub fn whole() -> Self {
        Self::of(i64::MAX)
    }

    /// Not at all, until it is told how far.
    #[must_use]
    pub fn nothing() -> Self {
        Self::of(i64::MIN)
    }

    fn of(reach_ms: i64) -> Self {
        Self(Arc::new(Inner {
            reach_ms: AtomicI64::new(reach_ms),
            asked_ms: AtomicI64::new(i64::MIN),
            ahead_ms: AtomicI64::new(0),
            told_ahead_ms: AtomicI64::new(i64::MAX),
        }))
    }

    /// Whether this T may be fenced when the node's clock shows `now_ms`, for a member that may ask for it: what no epoch of
    /// now asks for is not to come here.
    pub fn covers(&self, t_ms: i64, now_ms: i64) -> bool {
        self.has_used(t_ms, now_ms);
        let ahead_ms = t_ms.saturating_sub(now_ms);
        t_ms <= self.reach_ms() && ahead_ms <= self.told_ahead_ms().saturating_add(UNTOLD_MS)
    }

    /// An earlier life of the node may have fenced this T: T goes on from there.
    pub fn has_used(&self, t_ms: i64, now_ms: i64) {
        self.0.asked_ms.fetch_max(t_ms, Ordering::SeqCst);
        let ahead_ms = t_ms.saturating_sub(now_ms);
        self.0.ahead_ms.fetch_max(ahead_ms, Ordering::SeqCst);
    }

    /// The latest T that may be fenced, milliseconds.
    pub fn reach_ms(&self) -> i64 {
        self.0.reach_ms.load(Ordering::SeqCst)
    }

    /// It goes so far, milliseconds, however far ahead of the clock.
    pub fn set(&self, reach_ms: i64) {
        self.told(reach_ms, i64::MAX);
    }

    /// It is told how far, milliseconds, after it said how far ahead of the clock its T was: nobody takes it to be much
    /// further ahead by now.
    pub fn told(&self, reach_ms: i64, ahead_ms: i64) {
        self.0.told_ahead_ms.store(ahead_ms, Ordering::SeqCst);
        self.0.reach_ms.store(reach_ms, Ordering::SeqCst);
    }

    /// How far any T was ahead of the node's clock, milliseconds.
    pub fn ahead_ms(&self) -> i64 {
        self.0.ahead_ms.load(Ordering::SeqCst)
    }

    /// Whether T has gone ahead of the clock since it was said how far it is: it was lifted.
    pub fn is_untold(&self) -> bool {
        self.ahead_ms() > self.told_ahead_ms().saturating_add(LEAP_MS)
    }

    /// Whether less than what was asked for may be fenced.
    pub fn is_short(&self) -> bool {
        self.asked_ms() > self.reach_ms()
    }

    /// How far it wants to go whose clock shows `now_ms`, to go on for `hold_ms` from the T of now on: that is ahead of the
    /// clock by no more than it was.
    pub fn wanted_ms(&self, now_ms: i64, hold_ms: i64) -> i64 {
        let t_ms = now_ms.saturating_add(self.ahead_ms());
        t_ms.max(self.asked_ms()).saturating_add(hold_ms)
    }

    /// Nothing is fenced any more. None where it was not told how far, or goes as far as it likes.
    pub fn let_go(&self) -> Option<LetGo> {
        let told_ms = self.reach_ms();
        // In this order: what was let through before is seen.
        self.set(i64::MIN);
        let used_ms = self.asked_ms().min(told_ms);
        let is_bounded = ![i64::MIN, i64::MAX].contains(&told_ms);
        is_bounded.then_some(LetGo { told_ms, used_ms })
    }

    fn told_ahead_ms(&self) -> i64 {
        self.0.told_ahead_ms.load(Ordering::SeqCst)
    }

    fn asked_ms(&self) -> i64 {
        self.0.asked_ms.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_lets_go_says_how_far_it_went_and_goes_no_further() {
        let cover = Cover::nothing();
        assert!(!cover.covers(50, 50) && cover.is_short());
        assert_eq!(cover.let_go(), None, "it was told nothing");
        cover.set(100);
        assert!(cover.covers(60, 60) && !cover.covers(101, 101));
        let (told_ms, used_ms) = (100, 100);
        assert_eq!(cover.let_go(), Some(LetGo { told_ms, used_ms }));
        assert!(!cover.covers(60, 60));
        assert_eq!(Cover::whole().let_go(), None);
    }

    #[test]
    fn whoever_lets_go_without_having_fenced_says_how_far_its_earlier_lives_went() {
        let cover = Cover::nothing();
        cover.has_used(90, 20);
        cover.set(100);
        assert_eq!(cover.let_go().map(|left| left.used_ms), Some(90));
    }

    #[test]
    fn a_t_that_was_lifted_is_said_at_once_and_goes_no_further_before_than_others_reckon_with() {
        let cover = Cover::nothing();
        cover.has_used(600, 500);
        cover.told(86_400_000, cover.ahead_ms());
        assert!(cover.covers(2_500, 1_000) && !cover.is_untold());
        assert!(cover.covers(16_100, 1_000) && cover.is_untold());
        assert!(!cover.covers(16_101, 1_000) && !cover.is_short());
        cover.told(86_400_000, cover.ahead_ms());
        assert!(cover.covers(16_101, 1_000) && !cover.is_untold());
        cover.set(i64::MAX);
        assert!(cover.covers(7_200_000, 1_000) && !cover.is_untold());
    }

    #[test]
    fn a_t_that_is_ahead_of_the_clock_goes_on_while_nobody_asks_for_it() {
        let cover = Cover::nothing();
        assert_eq!(cover.wanted_ms(1_000, 60), 1_060);
        cover.covers(7_000, 1_000);
        assert_eq!(cover.wanted_ms(3_000, 60), 9_060);
    }
}
