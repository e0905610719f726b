//! By how much a node sets its clock right, so that one clock that is wrong begins no windows for all (PROTOCOLS L10): to
//! the median of what the voters' clocks show. At once before a life counts, and slowly from then on: a clock that was
//! wrong may itself be set right while the life goes on, and what was right for it then is wrong by as much.

use std::collections::BTreeMap;

/// What was heard of a clock says something for so long: both it and this node's own may move by 500 ppm.
const FRESH_MS: i64 = 10_000;
/// What is nearer than this is right: a message takes its time.
const NEAR_MS: i64 = 100;
/// Before a life counts, all voters are waited for so long, and then a majority is enough.
const MOST_WAIT_MS: i64 = 2_000;
/// It moves by one millisecond in so many (500 ppm), as clocks do that are set.
const SLEW_ONE_IN: i64 = 2_000;

/// The correction of one life.
#[derive(Debug, Clone, Default)]
pub struct RightClock {
    /// How far voters' clocks are from this node's, and when that was heard by its steady clock.
    heard: BTreeMap<String, ((i64, i64), i64)>,
    /// Since when it is to be set right.
    since_ms: Option<i64>,
    /// By how much the clock is set right, and until when it followed, by the steady clock.
    right: Option<(i64, i64)>,
}

// === impl RightClock ===

impl RightClock {
    /// A voter's clock is so far ahead of this node's, and is set right by so much; all of it at `steady_ms`.
    pub fn hear(&mut self, voter: &str, apart_ms: (i64, i64), steady_ms: i64) {
        self.heard.insert(voter.to_owned(), (apart_ms, steady_ms));
    }

    /// By how much the clock is set right; none before the voters were heard, or a majority of them for a while.
    pub fn right_ms(&self) -> Option<i64> {
        self.right.map(|(right_ms, _)| right_ms)
    }

    /// Goes by these voters; `me` is this node, whose clock may be one of theirs. Gives whether the clock is set right.
    pub fn follow(&mut self, me: &str, voters: &[String], steady_ms: i64) -> bool {
        self.hear(me, (0, 0), steady_ms);
        let is_fresh = |at_ms: i64| steady_ms.saturating_sub(at_ms) <= FRESH_MS;
        self.heard.retain(|_, (_, at_ms)| is_fresh(*at_ms));
        let Some((right_ms, since_ms)) = self.right else {
            self.begin(voters, steady_ms);
            return self.right.is_some();
        };
        // Nobody may be heard for a while: that time is not made up for in a step.
        let passed_ms = steady_ms.saturating_sub(since_ms).clamp(0, FRESH_MS);
        let most_ms = passed_ms / SLEW_ONE_IN;
        if most_ms == 0 {
            return true;
        }
        // As their clocks are: what all are set right by would stay for good.
        let median_ms = self.median_ms(voters, |(apart_ms, _)| apart_ms);
        let away_ms = median_ms.map_or(0, |median_ms| median_ms.saturating_sub(right_ms));
        let moved_ms = if away_ms.saturating_abs() > NEAR_MS {
            away_ms.clamp(-most_ms, most_ms)
        } else {
            0
        };
        self.right = Some((right_ms.saturating_add(moved_ms), steady_ms));
        true
    }

    /// The first step goes by clocks as they are set right: those that are wrong one after the other never become the most.
    fn begin(&mut self, voters: &[String], steady_ms: i64) {
        let since_ms = *self.since_ms.get_or_insert(steady_ms);
        let is_missing = |voter: &String| !self.heard.contains_key(voter);
        let waits = steady_ms.saturating_sub(since_ms) < MOST_WAIT_MS;
        if waits && voters.iter().any(is_missing) {
            return;
        }
        let set_right = |(apart_ms, right_ms): (i64, i64)| apart_ms.saturating_add(right_ms);
        let median_ms = self.median_ms(voters, set_right);
        self.right = median_ms.map(|median_ms| (median_ms, steady_ms));
    }

    /// Of two the lower one, for T goes forward easily and never back. None before a majority was heard: one clock that is
    /// hours off must not begin windows for all.
    fn median_ms(&self, voters: &[String], of: impl Fn((i64, i64)) -> i64) -> Option<i64> {
        let heard = voters.iter().filter_map(|voter| self.heard.get(voter));
        let mut heard: Vec<i64> = heard.map(|(apart_ms, _)| of(*apart_ms)).collect();
        if heard.len() * 2 <= voters.len() {
            return None;
        }
        heard.sort_unstable();
        heard.get((heard.len() - 1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::NodeTime;

    const HOUR: i64 = 3_600_000;

    fn voters() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    #[test]
    fn one_clock_that_is_hours_off_begins_no_windows_for_others() {
        let right = |heard: &[(&str, i64)]| {
            let mut clock = RightClock::default();
            clock.follow("a", &voters(), 5);
            for (voter, apart_ms) in heard {
                clock.hear(voter, (*apart_ms, 0), 5);
            }
            clock.follow("a", &voters(), 5);
            let at_once = clock.right_ms();
            clock.follow("a", &voters(), 2_005);
            assert_eq!(at_once, clock.right_ms().filter(|_| heard.len() == 2));
            clock.right_ms()
        };
        assert_eq!(right(&[]), None, "its own says nothing");
        assert_eq!(right(&[("x", 0)]), None, "x has no vote");
        assert_eq!(right(&[("b", -2 * HOUR)]), Some(-2 * HOUR));
        assert_eq!(right(&[("b", 2 * HOUR)]), Some(0));
        let all = [("b", -2 * HOUR + 10), ("c", -2 * HOUR - 10)];
        assert_eq!(right(&all), Some(-2 * HOUR + 10));
        assert!(!RightClock::default().follow("a", &[], 5));
    }

    /// Each life sets itself right by voters of whom one is wrong itself, and says so: by their bare clocks most are.
    #[test]
    fn clocks_that_are_wrong_one_after_the_other_begin_no_windows_for_others() {
        let mut rights: BTreeMap<&str, (i64, RightClock)> = BTreeMap::new();
        for wrong in ["a", "b"] {
            let mut clock = RightClock::default();
            for other in ["a", "b", "c"].into_iter().filter(|other| *other != wrong) {
                let said = rights.get(other).map_or((0, 0), |(ahead_ms, clock)| {
                    (*ahead_ms, clock.right_ms().unwrap())
                });
                clock.hear(other, (said.0 - 2 * HOUR, said.1), 5);
            }
            assert!(clock.follow(wrong, &voters(), 5));
            assert_eq!(clock.right_ms(), Some(-2 * HOUR), "{wrong}");
            rights.insert(wrong, (2 * HOUR, clock));
        }
    }

    /// All stood two hours behind; each is started again after that was mended, beside others that go on as they were.
    #[test]
    fn clocks_that_were_all_wrong_come_right_when_all_are_started_again() {
        let mut clock = RightClock::default();
        for voter in ["b", "c"] {
            clock.hear(voter, (-2 * HOUR, 0), 5);
        }
        assert!(clock.follow("a", &voters(), 5));
        assert_eq!(clock.right_ms(), Some(-2 * HOUR), "T does not leap");
        for at_ms in (1_000..HOUR).step_by(1_000) {
            for voter in ["b", "c"] {
                clock.hear(voter, (0, -2 * HOUR), at_ms);
            }
            clock.follow("a", &voters(), at_ms);
        }
        assert!(clock.right_ms().unwrap() > -2 * HOUR + 1_700, "{clock:?}");
    }

    #[test]
    fn who_was_not_heard_for_long_says_nothing_and_nobody_makes_up_for_it_in_a_step() {
        let mut clock = RightClock::default();
        clock.hear("b", (5_000, 0), 0);
        assert!(clock.follow("x", &["b".to_owned()], 0));
        clock.hear("b", (9_000, 0), 1_000);
        for at_ms in (11_001..HOUR).step_by(1_000) {
            clock.follow("x", &["b".to_owned()], at_ms);
        }
        assert_eq!(clock.right_ms(), Some(5_000));
        clock.hear("b", (9_000, 0), 2 * HOUR);
        clock.follow("x", &["b".to_owned()], 2 * HOUR);
        assert_eq!(clock.right_ms(), Some(5_005));
    }

    /// This node's clock was two hours ahead when it started, and is set right a minute later. It follows slowly, and T
    /// must not go back by that once more: it was right already.
    #[test]
    fn a_clock_that_is_set_right_later_is_not_set_right_twice() {
        let mut clock = RightClock::default();
        let noon = 400_000 * HOUR;
        let mut time: Option<NodeTime> = None;
        let (mut last, mut most_apart) = (0, 0);
        // Followed for ten days and a bit; what is wrong by 500 ppm is off by seven minutes then.
        for at_ms in (0..10 * 24 * HOUR).step_by(2_000) {
            let ahead_ms = 2 * HOUR - (at_ms - 60_000).max(0) / 2_000;
            for voter in ["b", "c"] {
                clock.hear(voter, (-ahead_ms, 0), at_ms);
            }
            assert!(clock.follow("a", &voters(), at_ms));
            let shown_ms = noon + at_ms + ahead_ms + clock.right_ms().unwrap();
            let time = time.get_or_insert_with(|| NodeTime::new(None, shown_ms));
            if let Some(due_ms) = time.due_note(shown_ms) {
                time.noted(due_ms);
            }
            let t_ms = time.t_ms(shown_ms);
            assert!(
                t_ms >= last && (last == 0 || t_ms - last <= 2_002),
                "{t_ms}"
            );
            last = t_ms;
            most_apart = most_apart.max((t_ms - noon - at_ms).abs());
        }
        assert!(most_apart <= 2 * NEAR_MS, "{most_apart}");
    }
}
