//! The one source of time. `T` = boot clock + offset (L10): it counts suspension, never goes
//! back, and follows the wall clock only by slewing at most 500 parts per million.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The most that the offset may change in a thousand seconds, in milliseconds (500 ppm).
const SLEW_PER_1000_S_MS: i64 = 500;

/// How long it is gone by how far the steady time is ahead of the boot clock, microseconds.
const LOOK_US: i64 = 1_000_000;

/// Reads time. Cheap to clone, cheap to read.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    offset_ms: AtomicI64,
    slewed_at_ms: AtomicI64,
    latest_ms: AtomicI64,
    /// How far the steady time is ahead of the boot clock, microseconds, and when it was looked at, by the boot clock.
    ahead_us: AtomicI64,
    looked_at_us: AtomicI64,
}

// === impl Clock ===

impl Clock {
    /// A clock whose offset starts at the machine's wall clock.
    #[must_use]
    pub fn system() -> Self {
        let boot = boot_ms();
        Self(Arc::new(Inner {
            offset_ms: AtomicI64::new(wall_ms() - boot),
            slewed_at_ms: AtomicI64::new(boot),
            latest_ms: AtomicI64::new(i64::MIN),
            ahead_us: AtomicI64::new(0),
            looked_at_us: AtomicI64::new(i64::MIN),
        }))
    }

    /// Milliseconds since the Unix epoch, by T.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let now = boot_ms().saturating_add(self.0.offset_ms.load(Ordering::Relaxed));
        // A slew toward an earlier wall clock must not show as a step back (L10): T waits.
        let latest = self.0.latest_ms.load(Ordering::Relaxed);
        if now <= latest {
            return latest;
        }
        self.0.latest_ms.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Time since boot, suspension included: for durations and deadlines.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        boot()
    }

    /// Time that neither steps nor slews, suspension included: the machine's own oscillator, which nobody sets. Of two
    /// readings the later one may be less, by what a thread was held up between; never more than has passed.
    #[must_use]
    pub fn steady(&self) -> Duration {
        // In this order: what the thread is held up for in between is taken for less, never for more.
        let (boot, running) = (boot(), read(ClockId::Monotonic));
        let suspended = boot.saturating_sub(running);
        suspended.saturating_add(read(ClockId::MonotonicRaw))
    }

    /// The same, for what is over at some time: what the thread is held up for meanwhile is taken for more, never for less.
    /// It is read for each call, so how far this time and the boot clock are apart is looked at once a second: where that is
    /// slowed meanwhile, this is behind by as much as it was slowed in a second.
    #[must_use]
    pub fn steady_at_least(&self) -> Duration {
        let now = boot();
        let now_us = micros(now);
        let looked_at_us = self.0.looked_at_us.load(Ordering::Acquire);
        let is_fresh = (0..LOOK_US).contains(&now_us.saturating_sub(looked_at_us));
        let ahead_us = if is_fresh {
            self.0.ahead_us.load(Ordering::Relaxed)
        } else {
            // In this order, as what is ahead must not be less.
            let running = micros(read(ClockId::Monotonic));
            let ahead_us = micros(read(ClockId::MonotonicRaw)).saturating_sub(running);
            self.0.ahead_us.store(ahead_us, Ordering::Relaxed);
            self.0.looked_at_us.store(now_us, Ordering::Release);
            ahead_us
        };
        let steady_us = now_us.saturating_add(ahead_us);
        Duration::from_micros(u64::try_from(steady_us).unwrap_or(0))
    }

    /// Moves T toward the wall clock, at most 500 ppm of the time since the last call.
    /// Returns how far apart the two still are, in milliseconds.
    pub fn slew(&self) -> i64 {
        self.slew_at(boot_ms(), wall_ms())
    }

    fn slew_at(&self, boot: i64, wall: i64) -> i64 {
        let last = self.0.slewed_at_ms.load(Ordering::Relaxed);
        let most = boot.saturating_sub(last).max(0) / 1_000 * SLEW_PER_1000_S_MS / 1_000;
        let apart = wall
            .saturating_sub(boot)
            .saturating_sub(self.0.offset_ms.load(Ordering::Relaxed));
        // Of two callers at once, one moves the clock.
        let mine = most > 0
            && self
                .0
                .slewed_at_ms
                .compare_exchange(last, boot, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            self.0
                .offset_ms
                .fetch_add(apart.clamp(-most, most), Ordering::Relaxed);
        }
        apart
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn boot_ms() -> i64 {
    i64::try_from(boot().as_millis()).unwrap_or(i64::MAX)
}

fn boot() -> Duration {
    read(ClockId::Boottime)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
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

    #[test]
    fn what_is_over_is_judged_by_a_time_that_is_never_behind_the_steady_one() {
        let clock = Clock::system();
        for _ in 0..10_000 {
            let before = clock.steady();
            let judged = clock.steady_at_least();
            // Both clocks are cut to microseconds.
            assert!(
                judged + Duration::from_micros(50) >= before,
                "{judged:?} {before:?}"
            );
        }
        let near = |judged: Duration| judged <= clock.steady() + Duration::from_millis(5);
        assert!((0..100).any(|_| near(clock.steady_at_least())));
    }

    /// `CLOCK_BOOTTIME` follows the kernel's slewing, so it is asked for the suspension alone.
    #[test]
    fn the_steady_time_is_that_of_the_raw_clock_and_of_suspension_and_goes_by_no_slewing() {
        let clock = Clock::system();
        let suspended = boot().saturating_sub(read(ClockId::Monotonic));
        let near = Duration::from_millis(5);
        let is_near = || {
            let before = read(ClockId::MonotonicRaw) + suspended;
            let steady = clock.steady();
            let after = read(ClockId::MonotonicRaw) + suspended;
            before.saturating_sub(near) <= steady && steady <= after + near
        };
        // A thread may be held up once.
        assert!((0..100).any(|_| is_near()));
        let before = clock.steady();
        clock.0.offset_ms.fetch_add(3_600_000, Ordering::Relaxed);
        let passed = clock.steady().saturating_sub(before);
        assert!(passed < Duration::from_secs(60), "{passed:?}");
    }

    #[test]
    fn a_wall_clock_set_back_or_ahead_moves_time_500_ppm_at_most_and_never_back() {
        for jump in [-3_600_000_i64, 3_600_000] {
            let clock = Clock::system();
            let (boot, before) = (boot_ms(), clock.0.offset_ms.load(Ordering::Relaxed));
            let mut read = clock.now_ms();
            let mut moved = 0;
            for second in (0..1_000).step_by(10) {
                let at = boot + second * 1_000;
                clock.slew_at(at, at + before + jump);
                let now = clock.now_ms();
                assert!(now >= read, "time went back by {}", read - now);
                read = now;
                let total = clock.0.offset_ms.load(Ordering::Relaxed) - before;
                assert!(total.abs() <= second / 2 + 1, "{total} ms in {second} s");
                moved = total;
            }
            assert_eq!(
                moved.signum(),
                jump.signum(),
                "it must follow the wall clock"
            );
            assert!(moved.abs() >= 400);
        }
    }
}
