//! T of a run (L10): how it goes on from the last one, and how it is noted on disk, so that no start
//! gives out again what was granted before.

use std::time::Duration;

use cluster::Clock;
use storage::broker::ledger::{self, LastStop};
use storage::{Database, StoreError};

use super::slot::Slots;

/// What was granted so long after the last note is covered by it: after a crash t0 lies there.
const NOTED_WITHIN_MS: i64 = 2_000;
/// A note that is older is renewed before anything more is granted. Above the keeper's second, so
/// that while it notes nobody else has to.
pub(super) const NOTE_AFTER_MS: i64 = 1_500;
/// How long a grant waits for its note; short plans go on while nothing can be written.
const PATIENCE: Duration = Duration::from_secs(1);
/// T that lies ahead comes back by one millisecond in so many (500 ppm).
const BACK_ONE_IN: i64 = 2_000;

/// How this run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) last_stop: LastStop,
    /// Windows that had begun by then may have been used before (L6).
    pub(super) t0_ms: i64,
    /// Short windows that had begun by then are full, because of a crash at any time before.
    pub(super) lost_ms: Option<i64>,
    /// The node's clock then.
    began_ms: i64,
    /// How far T lay ahead of it.
    ahead_ms: i64,
}

// === impl Start ===

impl Start {
    /// A run that begins when the node's clock shows `now_ms`, after one that noted T last at
    /// `noted_ms`. The clock may stand before that: T goes on from where it was, so that no window
    /// comes twice (L10), and evenly, so that none lasts until the clock is there again.
    pub(super) fn new(last_stop: LastStop, noted_ms: i64, now_ms: i64) -> Self {
        let ahead_ms = noted_ms.saturating_sub(now_ms).max(0);
        let t_ms = now_ms.saturating_add(ahead_ms);
        let t0_ms = match last_stop {
            LastStop::Never | LastStop::Clean => t_ms,
            LastStop::Crashed => t_ms.max(noted_ms.saturating_add(NOTED_WITHIN_MS)),
        };
        Self {
            last_stop,
            t0_ms,
            lost_ms: (last_stop == LastStop::Crashed).then_some(t0_ms),
            began_ms: now_ms,
            ahead_ms,
        }
    }

    /// The same when windows that had begun by `lost_ms` were lost before the last run.
    pub(super) fn after_loss(self, lost_ms: Option<i64>) -> Self {
        Self {
            lost_ms: self.lost_ms.max(lost_ms),
            ..self
        }
    }

    /// T when the node's clock shows `now_ms`. Perhaps the clock is right now and was ahead once:
    /// T comes back to it, slowly enough that no window is noticeably longer, and never goes back.
    pub(super) const fn t_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.ahead_ms(now_ms))
    }

    /// How far T lies ahead of the node's clock when that shows `now_ms`.
    pub(super) const fn ahead_ms(&self, now_ms: i64) -> i64 {
        let passed_ms = now_ms.saturating_sub(self.began_ms);
        let left_ms = self.ahead_ms.saturating_sub(passed_ms / BACK_ONE_IN);
        if left_ms > 0 { left_ms } else { 0 }
    }
}

/// Notes T on disk.
pub(super) async fn note(
    broker: &Database,
    slots: &Slots,
    clock: &Clock,
) -> Result<(), StoreError> {
    let write = broker.write("broker.ledger.note").await?;
    note_in(write, slots, clock).await
}

/// Makes sure that the last note covers what is about to be granted: one write after an idle time,
/// none while the keeper notes. While nothing can be noted it does not try: what is granted then may
/// be granted again after a crash with a clock that was set back.
pub(super) async fn cover(broker: &Database, slots: &Slots, clock: &Clock) {
    if slots.covers(slots.t_ms(clock)) || slots.cannot_note() {
        return;
    }
    let noting = async {
        let write = broker.write("broker.ledger.note").await?;
        // Another shard may have been first.
        if slots.covers(slots.t_ms(clock)) {
            return Ok(());
        }
        note_in(write, slots, clock).await
    };
    let noted = tokio::time::timeout(PATIENCE, noting).await;
    let problem = match noted {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    if slots.not_noted() {
        tell_not_noted(&problem);
    }
}

/// Says once that T cannot be noted.
pub(super) fn tell_not_noted(problem: &str) {
    tracing::warn!(
        problem,
        "the ledger's time could not be noted, trying again"
    );
}

async fn note_in(
    mut write: storage::Write,
    slots: &Slots,
    clock: &Clock,
) -> Result<(), StoreError> {
    let t_ms = slots.t_ms(clock);
    ledger::note(&mut write, t_ms).await?;
    write.commit().await?;
    slots.noted(t_ms);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn time_that_ran_ahead_comes_back_slowly_and_never_goes_back() {
        let noon = 400_000 * HOUR;
        let start = Start::new(LastStop::Clean, noon + HOUR, noon);
        assert_eq!(start.t_ms(noon), noon + HOUR);
        let mut last = start.t_ms(noon);
        for passed in (0..200 * 24).map(|hours| hours * HOUR) {
            let (now, t) = (noon + passed, start.t_ms(noon + passed));
            assert!(t >= last && t >= now, "{t} after {last} at {now}");
            assert!(t - last >= (HOUR - HOUR / 1_000).min(passed), "too slow");
            last = t;
        }
        let month = noon + 30 * 24 * HOUR;
        assert!(start.ahead_ms(month) < HOUR * 2 / 3, "on its way");
        // The next start goes on from there.
        let next = Start::new(LastStop::Clean, start.t_ms(month), month);
        assert_eq!(next.t_ms(month), start.t_ms(month));
        assert_eq!(next.ahead_ms(month + 60 * 24 * HOUR), 0);
        assert_eq!(start.ahead_ms(noon + 90 * 24 * HOUR), 0);
    }
}
