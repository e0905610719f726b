//! What a run draws from: a seed gives the same moments again.

use std::time::Duration;

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// From the first on and before the second.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let wide = to.saturating_sub(from).as_micros();
        let wide = u64::try_from(wide).expect("a number");
        from + Duration::from_micros(self.below(wide))
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let count = u64::try_from(all.len()).expect("a number");
        &all[usize::try_from(self.below(count)).expect("a number")]
    }
}
