//! Calls of the last hour through all gateways, by minute and by what became of them.
//!
//! They are the counts of `/admin/usage`, which gateways deliver and the control plane keeps: nothing is counted here,
//! and a page on another node says so. What was read is shown for some seconds, whoever looks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cluster::spawn_named;
use domain::usage::MinuteSum;
use tokio::time::timeout;

use super::Console;
use crate::seen::PATIENCE;
use crate::services::Services;

/// Minutes that are shown.
pub(super) const MINUTES: usize = 60;
const MINUTE_MS: i64 = 60_000;
/// How long counts are shown before they are read again.
const FRESH: Duration = Duration::from_secs(5);

/// What was read, and when, on the boot clock.
pub(super) struct Kept {
    at: Duration,
    calls: Result<Arc<Calls>, Uncounted>,
}

/// The calls of an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Calls {
    /// The first minute, milliseconds since the epoch.
    pub(super) from_ms: i64,
    /// Oldest first, [`MINUTES`] of them.
    pub(super) minutes: Vec<Minute>,
    /// Refused calls by the status that they got.
    pub(super) refused: BTreeMap<u16, u64>,
}

/// The calls of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Minute {
    /// Answered as they should be.
    pub(super) answered: u64,
    /// Passed on, and the upstream failed (5xx).
    pub(super) failed: u64,
    /// Refused by a gateway.
    pub(super) refused: u64,
}

/// Why there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uncounted {
    /// This node takes no counts in.
    Elsewhere,
    /// The database does not answer, or not soon enough.
    Unavailable,
}

/// The calls of the last hour: as they were read last, where they are read anew by somebody or the database is slow, for who
/// looks waits for it no longer than for anything else.
pub(super) async fn look(services: &Services, console: &Console) -> Result<Arc<Calls>, Uncounted> {
    let intake = services.usage.as_ref().ok_or(Uncounted::Elsewhere)?;
    let now = services.system.clock.monotonic();
    let is_fresh = |kept: &&Kept| now.saturating_sub(kept.at) < FRESH;
    if let Some(kept) = console.calls().as_ref().filter(is_fresh) {
        return kept.calls.clone();
    }
    // One at a time, whoever looks: it may read much.
    if let Ok(turn) = Arc::clone(&console.reading).try_lock_owned() {
        let begins = |ms: i64| ms - ms.rem_euclid(MINUTE_MS);
        let to_ms = begins(services.system.clock.now_ms()) + MINUTE_MS;
        let span = i64::try_from(MINUTES).unwrap_or_default() * MINUTE_MS;
        let from_ms = to_ms - span;
        let (intake, kept) = (intake.clone(), Arc::clone(&console.calls));
        let clock = services.system.clock.clone();
        let read = async move {
            let sums = intake.sums(from_ms, to_ms).await;
            let calls = sums.map(|sums| Arc::new(Calls::of(from_ms, &sums)));
            let calls = calls.map_err(|_| Uncounted::Unavailable);
            let at = clock.monotonic();
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept { at, calls });
            drop(turn);
        };
        // It goes on when the page has given up, and the next one shows it.
        let _ = timeout(PATIENCE, spawn_named("calls", read)).await;
    }
    let last = console.calls().as_ref().map(|kept| kept.calls.clone());
    last.unwrap_or(Err(Uncounted::Unavailable))
}

// === impl Calls ===

impl Calls {
    fn of(from_ms: i64, sums: &[MinuteSum]) -> Self {
        let mut minutes = vec![Minute::default(); MINUTES];
        let mut refused = BTreeMap::new();
        for count in sums {
            let at = usize::try_from((count.minute_ms - from_ms) / MINUTE_MS).ok();
            let Some(minute) = at.and_then(|at| minutes.get_mut(at)) else {
                continue;
            };
            let own = count.calls.saturating_sub(count.forwarded);
            let failed = if count.status >= 500 {
                count.forwarded
            } else {
                0
            };
            // What a gateway answers itself without refusing anything is a preflight.
            let turned_away = if count.status >= 400 { own } else { 0 };
            minute.failed += failed;
            minute.refused += turned_away;
            minute.answered += count.calls.saturating_sub(failed + turned_away);
            if turned_away > 0 {
                *refused.entry(count.status).or_default() += turned_away;
            }
        }
        Self {
            from_ms,
            minutes,
            refused,
        }
    }

    /// The sums of the hour.
    pub(super) fn total(&self) -> Minute {
        let add = |sum: Minute, one: &Minute| Minute {
            answered: sum.answered + one.answered,
            failed: sum.failed + one.failed,
            refused: sum.refused + one.refused,
        };
        self.minutes.iter().fold(Minute::default(), add)
    }
}

// === impl Minute ===

impl Minute {
    /// All of them.
    pub(super) const fn all(self) -> u64 {
        self.answered + self.failed + self.refused
    }
}

/// Why a gateway refuses with this status, in a person's words.
pub(super) const fn cause(status: u16) -> &'static str {
    match status {
        400 => "not a request that can be served",
        401 => "no valid credential",
        403 => "not allowed",
        404 => "no such API or resource",
        405 => "no such method",
        408 => "the caller was too slow",
        413 | 414 | 431 => "too large",
        415 | 426 => "of a kind that is not taken",
        429 => "beyond a limit",
        500 => "the gateway failed",
        502 | 504 => "the upstream could not be reached",
        503 => "the platform could not answer",
        _ => "another cause",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn count(minute_ms: i64, status: u16, calls: u64, forwarded: u64) -> MinuteSum {
        MinuteSum {
            minute_ms,
            status,
            calls,
            forwarded,
        }
    }

    #[test]
    fn each_call_is_answered_failed_or_refused_and_refusals_have_a_cause() {
        let counts = [
            count(600_000, 200, 10, 8),
            count(600_000, 429, 5, 0),
            count(660_000, 429, 2, 0),
            count(660_000, 502, 3, 2),
            count(660_000, 404, 4, 4),
            count(0, 200, 99, 99),
            count(600_000 + 60 * 60_000, 200, 99, 99),
        ];
        let calls = Calls::of(600_000, &counts);
        let minute = |answered, failed, refused| Minute {
            answered,
            failed,
            refused,
        };
        assert_eq!(calls.minutes.len(), MINUTES);
        assert_eq!(calls.minutes[0], minute(10, 0, 5));
        assert_eq!(calls.minutes[1], minute(4, 2, 3));
        assert_eq!(calls.total(), minute(14, 2, 8));
        let refused: Vec<_> = calls.refused.into_iter().collect();
        assert_eq!(refused, [(429, 7), (502, 1)]);
    }
}
