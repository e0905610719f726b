//! T of one node (PROTOCOLS L10): it goes on from where an earlier life may have been, never goes back, and is never
//! used before the disk knows of it, so that no later life opens again a window that this one has counted to its end.

/// T is noted so far ahead, so that it is written once in a while and not for each grant.
const AHEAD_MS: i64 = 1_000;
/// The next note is due when so little is left.
const LEFT_MS: i64 = 500;
/// T that lies ahead of the node's clock comes back by one millisecond in so many (500 ppm).
const BACK_ONE_IN: i64 = 2_000;

/// The T of a life, over the node's clock that does not step (boot time plus what the wall clock showed at the start).
#[derive(Debug, Clone)]
pub struct NodeTime {
    /// How far T lay ahead of the clock, and when that was.
    ahead: (i64, i64),
    /// The highest T that was used.
    used_ms: i64,
    /// No later life begins before this.
    noted_ms: i64,
    /// What is being written, and since when by the clock.
    asked_ms: i64,
    asked_at_ms: i64,
}

/// A node's T, and what its clock, which does not step, shows at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// T.
    pub t_ms: i64,
    /// The clock.
    pub clock_ms: i64,
    /// What T would be, did it not stand still while the disk owes a note.
    pub runs_ms: i64,
}

// === impl Now ===

impl From<i64> for Now {
    /// T that goes by the clock.
    fn from(t_ms: i64) -> Self {
        Self {
            t_ms,
            clock_ms: t_ms,
            runs_ms: t_ms,
        }
    }
}

// === impl NodeTime ===

impl NodeTime {
    /// A life that begins when the clock shows `now_ms`, after lives that noted `noted_ms`. Nothing is to be counted
    /// before [`Self::due_note`] is on disk.
    pub fn new(noted_ms: Option<i64>, now_ms: i64) -> Self {
        let noted_ms = noted_ms.unwrap_or(i64::MIN);
        let mut time = Self {
            ahead: (0, now_ms),
            used_ms: noted_ms,
            noted_ms,
            asked_ms: noted_ms,
            asked_at_ms: now_ms,
        };
        time.lift(noted_ms, now_ms);
        time
    }

    /// T when the clock shows `now_ms`; it stands still at what was noted.
    pub fn t_ms(&mut self, now_ms: i64) -> i64 {
        self.used_ms = self.running_ms(now_ms).min(self.noted_ms).max(self.used_ms);
        self.used_ms
    }

    /// How far T lies ahead of the clock.
    pub fn ahead_ms(&self, now_ms: i64) -> i64 {
        let (ahead, since_ms) = self.ahead;
        let passed = now_ms.saturating_sub(since_ms).max(0);
        ahead.saturating_sub(passed / BACK_ONE_IN).max(0)
    }

    /// Others are at this T already: go on from there.
    pub fn lift(&mut self, t_ms: i64, now_ms: i64) {
        if t_ms > self.running_ms(now_ms) {
            self.ahead = (t_ms.saturating_sub(now_ms), now_ms);
        }
    }

    /// The T to write, if it is time to. To be written before anything later, and answered by [`Self::noted`] or
    /// [`Self::not_noted`].
    pub fn due_note(&mut self, now_ms: i64) -> Option<i64> {
        let running = self.running_ms(now_ms);
        if self.asked_ms.saturating_sub(running) >= LEFT_MS {
            return None;
        }
        if self.asked_ms <= self.noted_ms {
            self.asked_at_ms = now_ms;
        }
        self.asked_ms = running.saturating_add(AHEAD_MS);
        Some(self.asked_ms)
    }

    /// It is on disk.
    pub fn noted(&mut self, t_ms: i64) {
        self.noted_ms = self.noted_ms.max(t_ms);
    }

    /// For how long the disk owes a note when the clock shows `now_ms`: while it does, T may stand still, and whoever
    /// goes by T does not notice. A node that waits for long tells the coordinator that it stalls itself.
    pub fn waits_ms(&self, now_ms: i64) -> i64 {
        if self.asked_ms <= self.noted_ms {
            return 0;
        }
        now_ms.saturating_sub(self.asked_at_ms).max(0)
    }

    /// The disk did not take it: the next note is due at once.
    pub fn not_noted(&mut self) {
        self.asked_ms = self.noted_ms;
    }

    /// What is on disk.
    pub fn noted_ms(&self) -> i64 {
        self.noted_ms
    }

    /// What T would be when the clock shows `now_ms`, were all of it noted.
    pub fn running_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.ahead_ms(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn note(time: &mut NodeTime, now_ms: i64) -> Option<i64> {
        let due = time.due_note(now_ms)?;
        time.noted(due);
        Some(due)
    }

    #[test]
    fn no_t_is_used_that_is_not_on_disk_and_a_note_serves_for_a_while() {
        let mut time = NodeTime::new(None, 5_000);
        assert_eq!(time.due_note(5_000), Some(6_000));
        assert_eq!(time.due_note(5_100), None, "on its way");
        assert_eq!(time.waits_ms(5_150), 150);
        time.not_noted();
        assert_eq!(note(&mut time, 5_200), Some(6_200));
        assert_eq!(time.waits_ms(5_200), 0);
        assert_eq!(time.t_ms(5_300), 5_300);
        assert_eq!(note(&mut time, 5_700), None);
        assert_eq!(time.due_note(5_701), Some(6_701));
        assert_eq!(time.t_ms(7_000), 6_200, "stands still");
        time.noted(6_701);
        assert_eq!(time.t_ms(7_000), 6_701);
        assert_eq!(time.t_ms(6_000), 6_701, "never goes back");
    }

    #[test]
    fn a_later_life_goes_on_from_what_was_noted_and_comes_back_to_its_clock_slowly() {
        let noon = 400_000 * HOUR;
        let mut time = NodeTime::new(Some(noon + HOUR), noon);
        note(&mut time, noon);
        assert_eq!(time.t_ms(noon), noon + HOUR);
        let mut last = noon + HOUR;
        for hours in 1..200 * 24 {
            let now = noon + hours * HOUR;
            note(&mut time, now);
            let t = time.t_ms(now);
            assert!(
                t >= now && t - last >= HOUR - HOUR / 1_000,
                "{t} after {last}"
            );
            last = t;
        }
        assert_eq!(time.ahead_ms(noon + 90 * 24 * HOUR), 0);
    }

    #[test]
    fn who_hears_of_a_later_t_goes_on_from_there() {
        let mut time = NodeTime::new(None, 1_000);
        note(&mut time, 1_000);
        time.lift(90_000, 1_200);
        assert_eq!(time.t_ms(1_200), 2_000, "until it is noted");
        assert_eq!(note(&mut time, 1_200), Some(91_000));
        assert_eq!(time.t_ms(1_300), 90_100);
        time.lift(80_000, 1_300);
        assert_eq!(time.t_ms(1_400), 90_200);
    }
}
