//! The time that retention goes by: one that no clock can take far ahead, for what is removed does not
//! come back.

/// It follows a clock that is ahead of it by so many times the time that really passes. A node that
/// was down for long catches up soon, and what a wrong clock costs is no more than a part of what is
/// kept, however far ahead it is.
const PACE: i64 = 4;

/// The time that counts are old by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeptTime {
    at_ms: i64,
}

// === impl KeptTime ===

impl KeptTime {
    /// As it was noted; nobody has noted any where nothing was ever kept.
    pub(super) fn begin(noted_ms: Option<i64>, now_ms: i64) -> Self {
        Self {
            at_ms: noted_ms.unwrap_or(now_ms),
        }
    }

    /// So much has passed on the boot clock, and the clock shows `now_ms`. Another node may have
    /// `noted_ms` since.
    pub(super) fn follow(&mut self, noted_ms: Option<i64>, passed_ms: i64, now_ms: i64) {
        let at_ms = self.at_ms.max(noted_ms.unwrap_or(self.at_ms));
        let reach_ms = at_ms.saturating_add(passed_ms.max(0).saturating_mul(PACE));
        self.at_ms = at_ms.max(now_ms.min(reach_ms));
    }

    pub(super) const fn at_ms(self) -> i64 {
        self.at_ms
    }

    /// What began before this was kept for `keep_ms`. A clock that is behind removes nothing either.
    pub(super) fn old_before(self, keep_ms: i64, now_ms: i64) -> i64 {
        self.at_ms.min(now_ms).saturating_sub(keep_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 1_440 * MINUTE;
    const NOW: i64 = 20_000 * DAY;
    const KEEP: i64 = 90 * DAY;

    #[test]
    fn a_clock_a_year_ahead_for_an_hour_costs_the_oldest_hours_and_nothing_once_it_is_right() {
        let mut time = KeptTime::begin(Some(NOW), NOW);
        for minute in 1..=60 {
            let passed = minute * MINUTE;
            time.follow(None, MINUTE, NOW + 365 * DAY + passed);
        }
        let costs = time.old_before(KEEP, NOW + 365 * DAY) - (NOW - KEEP);
        assert_eq!(costs, 60 * PACE * MINUTE);
        time.follow(None, MINUTE, NOW + 61 * MINUTE);
        let old = time.old_before(KEEP, NOW + 61 * MINUTE);
        assert_eq!(old, NOW + 61 * MINUTE - KEEP);
    }

    #[test]
    fn a_start_with_a_clock_ahead_removes_nothing_that_was_not_old_when_it_stopped() {
        let time = KeptTime::begin(Some(NOW), NOW + 365 * DAY);
        assert_eq!(time.old_before(KEEP, NOW + 365 * DAY), NOW - KEEP);
    }

    #[test]
    fn a_node_that_was_down_catches_up_and_then_keeps_for_as_long_as_was_said() {
        let mut time = KeptTime::begin(Some(NOW), NOW + 30 * DAY);
        let mut now = NOW + 30 * DAY;
        for _ in 0..10 * 1_440 {
            now += MINUTE;
            time.follow(None, MINUTE, now);
        }
        assert_eq!(time.old_before(KEEP, now), now - KEEP);
    }

    #[test]
    fn a_clock_that_is_behind_removes_nothing_and_takes_nothing_back() {
        let mut time = KeptTime::begin(Some(NOW), NOW);
        time.follow(None, MINUTE, NOW - 365 * DAY);
        assert_eq!(time.old_before(KEEP, NOW - 365 * DAY), NOW - 455 * DAY);
        assert_eq!(time.old_before(KEEP, NOW + MINUTE), NOW - KEEP);
        // A node that notes more has seen that much pass.
        time.follow(Some(NOW + DAY), 0, NOW + DAY);
        assert_eq!(time.at_ms(), NOW + DAY);
    }
}
