//! Whether the gateway may answer a call by what it knows (S2, S5): read by every call, written by
//! the keeper of the lease and by whoever applies changes.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::serving_lease::{ServingLease, WhenCutOff};
use tokio::sync::Notify;

/// How long a call waits for a lease (S2).
const PATIENCE: Duration = Duration::from_secs(1);
/// How long after its last lease a gateway still counts as one that answers calls, milliseconds.
const LASTING_MS: i64 = 3_000;

/// What a gateway does while nobody of the control plane answers.
#[derive(Debug, Clone, Copy)]
pub struct CutOff {
    /// Whether it goes on.
    pub when: WhenCutOff,
    /// For how long at most, counted from when it last knew that it was up to date.
    pub max_stale: Duration,
}

// === impl CutOff ===

impl Default for CutOff {
    /// It goes on for a day.
    fn default() -> Self {
        Self {
            when: WhenCutOff::Serve,
            max_stale: Duration::from_secs(86_400),
        }
    }
}

/// By what a call may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// By what is so everywhere.
    Current,
    /// By what was so when the control plane was last heard of, which is so long ago.
    Stale(Duration),
}

/// The lease, and what follows from having none.
#[derive(Debug)]
pub(super) struct Stand {
    cut_off: CutOff,
    lease: Mutex<ServingLease>,
    until_ms: AtomicI64,
    /// When what is applied was last known to be the newest; the lowest time before the first.
    current_ms: AtomicI64,
    is_cut_off: AtomicBool,
    changed: Notify,
}

// === impl Stand ===

impl Stand {
    pub(super) fn new(cut_off: CutOff) -> Self {
        Self {
            cut_off,
            lease: Mutex::default(),
            until_ms: AtomicI64::new(i64::MIN),
            current_ms: AtomicI64::new(i64::MIN),
            is_cut_off: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// What a call may be answered by; none when it may not be answered now.
    pub(super) fn now(&self, now_ms: i64) -> Option<Standing> {
        if now_ms < self.until_ms.load(Ordering::Acquire) {
            return Some(Standing::Current);
        }
        self.stale(now_ms)
    }

    /// The same, after waiting for it.
    pub(super) async fn soon(&self, now_ms: impl Fn() -> i64) -> Option<Standing> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if let Some(standing) = self.now(now_ms()) {
                    return standing;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.ok()
    }

    /// Whether calls may be answered now, or could be a moment ago: one late answer to a heartbeat
    /// sends no balancer away.
    pub(super) fn is_lasting(&self, now_ms: i64) -> bool {
        let until_ms = self.until_ms.load(Ordering::Acquire);
        self.now(now_ms).is_some() || now_ms < until_ms.saturating_add(LASTING_MS)
    }

    /// Changes the lease; whoever waits for it looks again.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut ServingLease) -> T) -> T {
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let done = step(&mut lease);
        let until_ms = lease.until_ms();
        self.until_ms.store(until_ms, Ordering::Release);
        if until_ms > i64::MIN {
            let asked_ms = until_ms.saturating_sub(domain::serving_lease::LIFE_MS);
            self.current_ms.fetch_max(asked_ms, Ordering::AcqRel);
        }
        self.is_cut_off.store(lease.is_cut_off(), Ordering::Release);
        drop(lease);
        self.changed.notify_waiters();
        done
    }

    /// What was kept on disk was up to date then.
    pub(super) fn was_current(&self, at_ms: i64) {
        self.current_ms.fetch_max(at_ms, Ordering::AcqRel);
    }

    /// Whether nobody of the control plane answers.
    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Acquire)
    }

    fn stale(&self, now_ms: i64) -> Option<Standing> {
        if !self.is_cut_off() || self.cut_off.when == WhenCutOff::Refuse {
            return None;
        }
        let current_ms = self.current_ms.load(Ordering::Acquire);
        let age_ms = u64::try_from(now_ms.checked_sub(current_ms)?).unwrap_or(0);
        let age = Duration::from_millis(age_ms);
        (age <= self.cut_off.max_stale).then_some(Standing::Stale(age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVE: CutOff = CutOff {
        when: WhenCutOff::Serve,
        max_stale: Duration::from_secs(60),
    };

    /// Rounds that nobody answers.
    fn cut_off(stand: &Stand, rounds: usize) {
        for _ in 0..=rounds {
            stand.step(ServingLease::begin_round);
        }
    }

    #[test]
    fn a_gateway_that_is_cut_off_goes_on_for_a_while_or_not_at_all() {
        for (when, wanted) in [
            (
                WhenCutOff::Serve,
                Some(Standing::Stale(Duration::from_secs(60))),
            ),
            (WhenCutOff::Refuse, None),
        ] {
            let stand = Stand::new(CutOff { when, ..SERVE });
            let number = stand.step(|lease| lease.ask(1_000));
            stand.step(|lease| lease.answered(number, 0));
            assert_eq!(stand.now(2_999), Some(Standing::Current));
            assert_eq!(stand.now(3_000), None, "somebody may answer yet");
            cut_off(&stand, 3);
            assert_eq!(stand.now(2_999), Some(Standing::Current));
            assert_eq!(stand.now(61_000), wanted);
            assert_eq!(stand.now(61_001), None);
        }
    }

    #[test]
    fn a_gateway_that_starts_alone_serves_by_what_it_kept_and_else_nobody() {
        let nothing = Stand::new(SERVE);
        cut_off(&nothing, 10);
        assert_eq!(nothing.now(5_000), None);
        let stand = Stand::new(SERVE);
        cut_off(&stand, 9);
        stand.was_current(1_000);
        assert_eq!(
            stand.now(5_000),
            None,
            "who starts beside it may answer yet"
        );
        cut_off(&stand, 10);
        assert!(matches!(stand.now(5_000), Some(Standing::Stale(_))));
    }

    #[tokio::test]
    async fn a_call_without_a_lease_waits_for_it() {
        let stand = Stand::new(SERVE);
        let waiting = stand.soon(|| 1_500);
        let renewing = async {
            let number = stand.step(|lease| lease.ask(1_000));
            stand.step(|lease| lease.answered(number, 7));
            stand.step(|lease| lease.applied(7));
        };
        let (standing, ()) = tokio::join!(waiting, renewing);
        assert_eq!(standing, Some(Standing::Current));
    }
}
