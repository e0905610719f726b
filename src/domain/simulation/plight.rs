//! What a node of a world has to bear: it stands still, is cut off one way or both, and its clock has a pace of its own.

use super::kernel::Rng;

/// The plight of one node.
#[derive(Debug)]
pub(super) struct Plight {
    /// It stands still until then: what comes meanwhile waits for it.
    paused_until_ms: i64,
    /// All the time that it has stood still.
    stood_ms: i64,
    /// Nothing reaches it; nothing of it is heard.
    deaf_until_ms: i64,
    mute_until_ms: i64,
    /// How fast its clock runs, in thousandths.
    pace: i64,
}

// === impl Plight ===

impl Plight {
    /// Nothing but a clock of this pace.
    pub(super) fn new(pace: i64) -> Self {
        Self {
            paused_until_ms: 0,
            stood_ms: 0,
            deaf_until_ms: 0,
            mute_until_ms: 0,
            pace,
        }
    }

    /// Nothing but a clock that is so many thousandths fast or slow.
    pub(super) fn drifting(drift: i64, rng: &mut Rng) -> Self {
        let is_fast = rng.chance(500);
        Self::new(if is_fast {
            1_000 + drift
        } else {
            1_000 - drift
        })
    }

    pub(super) fn stand_still(&mut self, now_ms: i64, until_ms: i64) {
        let from_ms = now_ms.max(self.paused_until_ms);
        self.stood_ms += (until_ms - from_ms).max(0);
        self.paused_until_ms = until_ms.max(self.paused_until_ms);
    }

    /// Cut off until then, one way or both.
    pub(super) fn cut_off(&mut self, until_ms: i64, rng: &mut Rng) {
        let way = rng.index(3);
        if way != 0 {
            self.deaf_until_ms = until_ms;
        }
        if way != 1 {
            self.mute_until_ms = until_ms;
        }
    }

    /// Until then it hears nobody, or nobody hears it.
    pub(super) fn cut_one_way(&mut self, until_ms: i64, rng: &mut Rng) {
        match rng.chance(500) {
            true => self.deaf_until_ms = until_ms,
            false => self.mute_until_ms = until_ms,
        }
    }

    pub(super) fn cut_both_ways(&mut self, until_ms: i64) {
        (self.deaf_until_ms, self.mute_until_ms) = (until_ms, until_ms);
    }

    /// Everybody reaches it again.
    pub(super) fn relieve(&mut self) {
        (self.deaf_until_ms, self.mute_until_ms) = (0, 0);
    }

    /// Until when it stands still, if it does.
    pub(super) fn paused_until(&self, now_ms: i64) -> Option<i64> {
        (now_ms < self.paused_until_ms).then_some(self.paused_until_ms)
    }

    pub(super) fn is_deaf(&self, now_ms: i64) -> bool {
        now_ms < self.deaf_until_ms
    }

    pub(super) fn is_mute(&self, now_ms: i64) -> bool {
        now_ms < self.mute_until_ms
    }

    /// Whether it gets no answers, whichever way is cut.
    pub(super) fn is_cut_off(&self, now_ms: i64) -> bool {
        self.is_deaf(now_ms) || self.is_mute(now_ms)
    }

    /// Its clock, which counts the time that it stands still.
    pub(super) fn clock_ms(&self, now_ms: i64) -> i64 {
        now_ms * self.pace / 1_000
    }

    /// A clock that does not count it: how long it has run.
    pub(super) fn ran_ms(&self, now_ms: i64) -> i64 {
        self.clock_ms(now_ms - self.stood_ms)
    }

    /// How long it takes until so long has passed by its clock.
    pub(super) fn lasts_ms(&self, by_its_clock_ms: i64) -> i64 {
        (by_its_clock_ms * 1_000 + self.pace - 1) / self.pace
    }
}
