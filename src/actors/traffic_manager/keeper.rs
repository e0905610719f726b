//! Begins and ends the ledger's life on disk: says how the last run ended before any shard starts,
//! and writes every cell after the last one stopped (L5, L6). Notes T while anybody asks (L10). First
//! child, so it stops last.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Clock};
use storage::broker::ledger::{self, LastStop};
use storage::{Database, StoreError};

use super::slot::{Slots, Start};
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
    /// Whether T could not be noted at the last try.
    failing: bool,
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
            let (last_stop, noted_ms) = ledger::begin(&mut write).await?;
            let now_ms = arguments.clock.now_ms();
            let start = Start::new(last_stop, noted_ms, now_ms);
            ledger::note(&mut write, start.t_ms(now_ms)).await?;
            write.commit().await?;
            // Set once a process: a restart of this actor is no restart of the ledger.
            let _ = arguments.slots.start.set(start);
            let ahead_ms = start.t_ms(now_ms).saturating_sub(now_ms);
            tracing::info!(?last_stop, "lease ledger begins");
            if ahead_ms > 0 {
                tracing::warn!(
                    ahead_ms,
                    "the clock stands before the end of the last run: the windows of plans go on from \
                     there, so far ahead of it, until it is set right and the node started again"
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
            failing: false,
            _ticker: ticker("ledger sweep", EVERY, me, || Sweep),
        })
    }

    async fn handle(&mut self, _: Sweep) -> Result<(), BoxError> {
        let t_ms = self.arguments.slots.t_ms(&self.arguments.clock);
        self.note(t_ms).await;
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SWEEP_EVERY)
            && let Err(error) = self.sweep(t_ms).await
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
    async fn note(&mut self, t_ms: i64) {
        if !self.arguments.slots.take_asked() {
            return;
        }
        let noted = self.try_to_note(t_ms).await;
        if noted.is_err() {
            self.arguments.slots.asked();
        }
        let failed = std::mem::replace(&mut self.failing, noted.is_err());
        if let Err(error) = noted
            && !failed
        {
            tracing::warn!(%error, "the ledger's time could not be noted, trying again");
        }
    }

    async fn try_to_note(&self, t_ms: i64) -> Result<(), StoreError> {
        let mut write = self.arguments.broker.write("broker.ledger.note").await?;
        ledger::note(&mut write, t_ms).await?;
        write.commit().await
    }

    async fn sweep(&self, t_ms: i64) -> Result<(), StoreError> {
        let mut write = self.arguments.broker.write("broker.ledger.sweep").await?;
        ledger::delete_ended(&mut write, t_ms).await?;
        write.commit().await
    }

    async fn save_all(&self) -> Result<usize, StoreError> {
        let (slots, mut cells) = (&self.arguments.slots, 0);
        let mut write = self.arguments.broker.write("broker.ledger.end").await?;
        for shard in 0..slots.count() {
            let Some(marks) = slots.with(shard, |slot| slot.ledger.final_marks()) else {
                return Err(StoreError::Forbidden(format!("shard {shard} has failed")));
            };
            cells += marks.len();
            ledger::save(&mut write, shard, &marks).await?;
        }
        let t_ms = slots.t_ms(&self.arguments.clock);
        ledger::end(&mut write, t_ms).await?;
        write.commit().await?;
        Ok(cells)
    }
}
