//! Begins and ends the ledger's life on disk: says how the last run ended before any shard starts,
//! and writes every cell after the last one stopped (L5, L6). First child, so it stops last.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Clock};
use storage::broker::ledger::{self, LastStop};
use storage::{Database, StoreError};

use super::slot::{Slots, Start};
use crate::ticker::{Ticker, ticker};

/// Marks of windows that are over are removed so often.
const EVERY: Duration = Duration::from_secs(60);

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
            let last_stop = ledger::begin(&mut write).await?;
            write.commit().await?;
            let at_ms = arguments.clock.now_ms();
            // Set once a process: a restart of this actor is no restart of the ledger.
            let _ = arguments.slots.start.set(Start { last_stop, at_ms });
            tracing::info!(?last_stop, "lease ledger begins");
            if last_stop == LastStop::Crashed {
                tracing::warn!(
                    "the last run did not stop in order, what it granted is not known: plans by the \
                     minute or second count as used up (429) until their running windows end"
                );
            }
        }
        Ok(Self {
            arguments,
            _ticker: ticker("ledger sweep", EVERY, me, || Sweep),
        })
    }

    async fn handle(&mut self, _: Sweep) -> Result<(), BoxError> {
        let now_ms = self.arguments.clock.now_ms();
        if let Err(error) = self.sweep(now_ms).await {
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
    async fn sweep(&self, now_ms: i64) -> Result<(), StoreError> {
        let mut write = self.arguments.broker.write("broker.ledger.sweep").await?;
        ledger::delete_ended(&mut write, now_ms).await?;
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
        ledger::end(&mut write).await?;
        write.commit().await?;
        Ok(cells)
    }
}
