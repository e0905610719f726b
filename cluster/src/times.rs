//! How long handlers took, counted by powers of two, and what was counted in the last minute: cheap enough to be kept for
//! every message of every actor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The last place holds what took 2^33 ns (8.6 s) or longer.
const PLACES: usize = 35;
/// Samples that are kept: one each ten seconds makes the last minute.
const SAMPLES: usize = 6;

/// Counts of times, by their highest bit.
#[derive(Debug)]
pub(crate) struct Times([AtomicU64; PLACES]);

/// What had been counted at moments of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<VecDeque<Sample>>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    counted: Counted,
}

/// What an actor has had to do, since it was made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) received: u64,
    pub(crate) handled: u64,
    pub(crate) busy_ns: u64,
}

/// The same for a while that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lately {
    /// How long that is, milliseconds: a minute, and less for a new actor.
    pub for_ms: u64,
    /// Messages sent to it.
    pub received: u64,
    /// Messages it has handled.
    pub handled: u64,
    /// Nanoseconds spent in handlers.
    pub busy_ns: u64,
}

// === impl Times ===

impl Default for Times {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }
}

impl Times {
    /// One more took so long, nanoseconds.
    pub(crate) fn took(&self, ns: u64) {
        let bits = usize::try_from(u64::BITS - ns.leading_zeros()).unwrap_or(PLACES);
        if let Some(place) = self.0.get(bits.min(PLACES - 1)) {
            place.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Within how many nanoseconds so many of a thousand were over, at most twice too much; 0 where none was counted.
    pub(crate) fn within(&self, thousandths: u64) -> u64 {
        let counts = self.0.each_ref().map(|place| place.load(Ordering::Relaxed));
        let all: u64 = counts.iter().sum();
        let wanted = all.saturating_mul(thousandths).div_ceil(1_000);
        let mut sum = 0;
        for (bits, count) in counts.iter().enumerate() {
            sum += count;
            if all > 0 && sum >= wanted {
                return 1 << bits;
            }
        }
        0
    }
}

// === impl Samples ===

impl Samples {
    /// What has been counted at this moment of the boot clock.
    pub(crate) fn keep(&self, at: Duration, counted: Counted) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SAMPLES {
            kept.pop_front();
        }
        kept.push_back(Sample { at, counted });
    }

    /// What came since the oldest of them; none before the first.
    pub(crate) fn since(&self, now: Duration, counted: Counted) -> Option<Lately> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = kept.front()?;
        let passed = now.saturating_sub(oldest.at);
        let before = oldest.counted;
        Some(Lately {
            for_ms: u64::try_from(passed.as_millis()).unwrap_or(u64::MAX),
            received: counted.received.saturating_sub(before.received),
            handled: counted.handled.saturating_sub(before.handled),
            busy_ns: counted.busy_ns.saturating_sub(before.busy_ns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_thousand_are_over_within_a_time_that_is_at_most_twice_too_much() {
        let times = Times::default();
        assert_eq!(times.within(990), 0, "none was counted");
        for _ in 0..98 {
            times.took(1_000);
        }
        times.took(1_000_000);
        times.took(u64::MAX);
        assert!((1_000..=2_000).contains(&times.within(500)));
        assert!((1_000_000..=2_000_000).contains(&times.within(990)));
        assert!(times.within(1_000) >= 1 << 33);
        times.took(0);
        assert!(times.within(1) <= 1, "the shortest counts as well");
    }

    #[test]
    fn what_came_lately_is_of_a_minute_and_no_longer() {
        let samples = Samples::default();
        let counted = |received| Counted {
            received,
            ..Counted::default()
        };
        assert_eq!(samples.since(Duration::from_secs(1), counted(5)), None);
        for round in 0..20 {
            samples.keep(Duration::from_secs(round * 10), counted(round * 100));
        }
        let lately = samples.since(Duration::from_secs(200), counted(2_000));
        let lately = lately.unwrap();
        assert_eq!((lately.for_ms, lately.received), (60_000, 600));
    }
}
