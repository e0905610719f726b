//! Begins and ends the ledger's life on disk: says how the last run ended before any shard starts,
//! and writes every cell after the last one stopped (L5, L6). Notes T while anybody asks (L10). First
//! child, so it stops last.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Clock};
use storage::broker::ledger::{self, LastStop, Left};
use storage::{Database, StoreError};

use super::slot::Slots;
use super::time::{self, Start};
use crate::ticker::{Ticker, ticker};

/// T is noted so often.
const EVERY: Duration = Duration::from_secs(1);
/// Marks of windows that are over are removed once in so many times.
const SWEEP_EVERY: u32 = 60;

/// What it is started with.
#[derive(Clone)]
pub(super) struct KeeperArguments {
    pub(super) clock: Clock,
    pub(super) broker: Database,
    pub(super) slots: Arc<Slots>,
}

/// What it is told: time passed.
pub(super) struct Sweep;

/// The keeper.
pub(super) struct Keeper {
    arguments: KeeperArguments,
    ticks: u32,
    _ticker: Ticker,
}

// === impl Actor ===

impl Actor for Keeper {
    type Message = Sweep;
    type Arguments = KeeperArguments;
    const KIND: &'static str = "traffic_manager.keeper";

    async fn start(arguments: KeeperArguments, me: Address<Sweep>) -> Result<Self, BoxError> {
        if arguments.slots.start.get().is_none() {
            let mut write = arguments.broker.write("broker.ledger.begin").await?;
            let left = ledger::begin(&mut write).await?;
            let (last_stop, now_ms) = (left.last_stop, arguments.clock.now_ms());
            let start = Start::new(last_stop, left.t_ms, now_ms).after_loss(left.lost_ms);
            let t_ms = start.t_ms(now_ms);
            ledger::note(&mut write, t_ms).await?;
            write.commit().await?;
            arguments.slots.noted(t_ms);
            // Set once a process: a restart of this actor is no restart of the ledger.
            let _ = arguments.slots.start.set(start);
            let ahead_ms = start.ahead_ms(now_ms);
            tracing::info!(?last_stop, "lease ledger begins");
            if ahead_ms > 0 {
                tracing::warn!(
                    ahead_ms,
                    "the clock stands before the time of the last run: if it is wrong now, set it \
                     right and start the node again; if it was ahead then, the windows of plans begin \
                     and end so far ahead of it, and come back by half a millisecond a second"
                );
            }
            if last_stop == LastStop::Crashed {
                tracing::warn!(
                    "the last run did not stop in order, what it granted is not known: plans by the \
                     minute or second count as used up (429) until their running windows end"
                );
            }
        }
        Ok(Self {
            arguments,
            ticks: 0,
            _ticker: ticker("ledger sweep", EVERY, me, || Sweep),
        })
    }

    async fn handle(&mut self, _: Sweep) -> Result<(), BoxError> {
        let t_ms = self.arguments.slots.t_ms(&self.arguments.clock);
        let ahead_ms = t_ms.saturating_sub(self.arguments.clock.now_ms()).max(0);
        metrics::gauge!("headgate_plan_windows_ahead_seconds").set(ahead_ms as f64 / 1_000.0);
        self.note().await;
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SWEEP_EVERY)
            && let Err(error) = sweep(&self.arguments.broker, t_ms).await
        {
            tracing::warn!(%error, "old marks could not be removed, trying again");
        }
        Ok(())
    }

    async fn stop(&mut self) {
        match self.save_all().await {
            Ok(cells) => tracing::info!(cells, "lease ledger stopped in order"),
            Err(error) => {
                tracing::error!(%error, "lease ledger not saved, its short windows will be full");
            }
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// Notes T if anybody asked since. What cannot be noted now is the next second's.
    async fn note(&self) {
        let KeeperArguments {
            clock,
            broker,
            slots,
        } = &self.arguments;
        if !slots.take_asked() {
            return;
        }
        let failed = slots.cannot_note();
        match time::note(broker, slots, clock).await {
            Ok(()) if failed => tracing::info!("the ledger's time is noted again"),
            Ok(()) => {}
            Err(error) => {
                slots.asked();
                if slots.not_noted() {
                    time::tell_not_noted(&error.to_string());
                }
            }
        }
    }

    async fn save_all(&self) -> Result<usize, StoreError> {
        let (slots, mut cells) = (&self.arguments.slots, 0);
        let mut write = self.arguments.broker.write("broker.ledger.end").await?;
        for shard in 0..slots.count() {
            let Some(marks) = slots.with(shard, |slot| slot.ledger().unsaved_marks()) else {
                return Err(StoreError::Forbidden(format!("shard {shard} has failed")));
            };
            cells += marks.len();
            ledger::save(&mut write, shard, &marks).await?;
        }
        let t_ms = slots.t_ms(&self.arguments.clock);
        let left = Left {
            last_stop: LastStop::Clean,
            t_ms,
            lost_ms: slots.lost_ms(),
            epoch: 0,
        };
        ledger::end(&mut write, &left).await?;
        write.commit().await?;
        Ok(cells)
    }
}

/// Removes the marks of windows that were over at `t_ms`.
pub(super) async fn sweep(broker: &Database, t_ms: i64) -> Result<(), StoreError> {
    let mut write = broker.write("broker.ledger.sweep").await?;
    ledger::delete_ended(&mut write, t_ms).await?;
    write.commit().await
}
