//! How often a token that names a key nobody knows is worth a look at the table of verification keys: whoever invents
//! such names must not have it read for each of them (threats 3).
//!
//! It is not what newcomers are known by: a key that came has an entry in the change log, and whoever answers at that
//! entry has read the keys as of it. The look finds what was put into the table by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From one look to the next one, at this node.
pub(super) const BETWEEN: Duration = Duration::from_secs(1);

/// When the next look may be, milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct KeyLooks {
    next_ms: AtomicU64,
}

// === impl KeyLooks ===

impl KeyLooks {
    /// Whether there may be a look at `now`. Of all that ask at once one is told so, and looks for the others as well.
    pub(super) fn may_look(&self, now: Duration) -> bool {
        let now_ms = milliseconds(now);
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let after_ms = now_ms.saturating_add(milliseconds(BETWEEN));
        now_ms >= next_ms
            && self
                .next_ms
                .compare_exchange(next_ms, after_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn however_many_ask_there_is_one_look_a_second() {
        let looks = KeyLooks::default();
        let asked = |from_ms: u64| {
            let mut times = from_ms..from_ms + 3_500;
            times.all(|ms| !looks.may_look(Duration::from_millis(ms)) || ms % 1_000 == 0)
        };
        assert!(asked(7_000), "the first may be at once");
        let flood = || {
            let times = (20_000..23_500).map(Duration::from_millis);
            times.filter(|now| looks.may_look(*now)).count()
        };
        let all: usize = thread::scope(|scope| {
            let floods = [(); 4].map(|()| scope.spawn(flood));
            floods.map(|one| one.join().unwrap()).iter().sum()
        });
        assert_eq!(all, 4);
    }
}
