//! The one source of time. `T` = boot clock + offset (L10): it counts suspension, never goes
//! back, and follows the wall clock only by slewing at most 500 parts per million.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The most that the offset may change in a thousand seconds, in milliseconds (500 ppm).
const SLEW_PER_1000_S_MS: i64 = 500;

/// Reads time. Cheap to clone, cheap to read.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    offset_ms: AtomicI64,
    slewed_at_ms: AtomicI64,
}

// === impl Clock ===

impl Clock {
    /// A clock whose offset starts at the machine's wall clock.
    #[must_use]
    pub fn system() -> Self {
        let boot = boot().as_millis();
        let boot = i64::try_from(boot).unwrap_or(i64::MAX);
        Self(Arc::new(Inner {
            offset_ms: AtomicI64::new(wall_ms() - boot),
            slewed_at_ms: AtomicI64::new(boot),
        }))
    }

    /// Milliseconds since the Unix epoch, by T.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        i64::try_from(boot().as_millis()).unwrap_or(i64::MAX)
            + self.0.offset_ms.load(Ordering::Relaxed)
    }

    /// Time since boot, suspension included: for durations and deadlines.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        boot()
    }

    /// Moves T toward the wall clock, at most 500 ppm of the time since the last call.
    /// Returns how far apart the two still are, in milliseconds.
    pub fn slew(&self) -> i64 {
        let boot = i64::try_from(boot().as_millis()).unwrap_or(i64::MAX);
        let since = boot - self.0.slewed_at_ms.load(Ordering::Relaxed);
        let most = since.max(0) * SLEW_PER_1000_S_MS / 1_000_000;
        let apart = wall_ms() - boot - self.0.offset_ms.load(Ordering::Relaxed);
        if most > 0 {
            self.0
                .offset_ms
                .fetch_add(apart.clamp(-most, most), Ordering::Relaxed);
            self.0.slewed_at_ms.store(boot, Ordering::Relaxed);
        }
        apart
    }
}

fn boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_starts_at_the_wall_clock() {
        let clock = Clock::system();
        assert!((clock.now_ms() - wall_ms()).abs() < 1_000);
        let mut last = clock.now_ms();
        for _ in 0..1_000 {
            let now = clock.now_ms();
            assert!(now >= last);
            last = now;
        }
    }
}
