//! Sends batches from Broker to the control plane, in order, those that wait as one; deletes them
//! once API-M has them. Then settles incarnations that are over: what they may have lost is told as unknown.

use std::time::Duration;

use cluster::{Actor, Address, BoxError};
use domain::usage::UsageCount;
use storage::broker::usage::{self, Reservation};
use storage::{Database, StoreError};

use super::handle::UsageIntakeHandle;
use super::message::{DeliverUnknown, DeliverUsage};
use crate::ticker::{Ticker, ticker};

/// The queue is looked at so often.
const EVERY: Duration = Duration::from_secs(1);
/// Deliveries at one look, so that an orderly stop is heard in time.
const AT_ONCE: u32 = 16;
/// Batches that travel as one, at most.
pub(super) const BATCHES: u32 = 64;
/// And so much JSON of them, if they are more than one: about 2,000 counts, as one batch may have,
/// which API-M takes in one short transaction, and less than a message may have.
const BYTES: u32 = 512 * 1_024;

/// What it is started with.
#[derive(Clone)]
pub(super) struct DeliveryArguments {
    pub(super) broker: Database,
    pub(super) intake: UsageIntakeHandle,
    pub(super) node: String,
    pub(super) incarnation: u64,
}

/// What it is told: time passed.
pub(super) struct Look;

/// The delivery; Broker is its memory.
pub(super) struct Delivery {
    arguments: DeliveryArguments,
    /// Dropped events of this incarnation that were told.
    told: u64,
    _ticker: Ticker,
}

// === impl Actor ===

impl Actor for Delivery {
    type Message = Look;
    type Arguments = DeliveryArguments;
    const KIND: &'static str = "usage.delivery";

    async fn start(arguments: DeliveryArguments, me: Address<Look>) -> Result<Self, BoxError> {
        Ok(Self {
            arguments,
            told: 0,
            _ticker: ticker("usage delivery", EVERY, me, || Look),
        })
    }

    async fn handle(&mut self, _: Look) -> Result<(), BoxError> {
        match self.deliver().await {
            Ok(true) => {
                if let Err(error) = self.settle().await {
                    tracing::warn!(%error, "usage of earlier starts cannot be settled, trying again");
                }
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "usage cannot be read from the queue, trying again")
            }
        }
        Ok(())
    }
}

// === impl Delivery ===

impl Delivery {
    /// Sends what waits; true when nothing is left.
    async fn deliver(&mut self) -> Result<bool, StoreError> {
        let DeliveryArguments {
            broker,
            intake,
            node,
            ..
        } = &self.arguments;
        for _ in 0..AT_ONCE {
            let mut read = broker.read().await?;
            let waiting = usage::waiting(&mut read).await?;
            metrics::gauge!("headgate_usage_batches_waiting").set(waiting as f64);
            let batches = usage::oldest(&mut read, BATCHES, BYTES).await?;
            drop(read);
            let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
                return Ok(true);
            };
            let (incarnation, first, last) = (first.incarnation, first.first, last.last);
            let counts = batches.into_iter().flat_map(|batch| batch.counts).collect();
            let delivery = DeliverUsage {
                node: node.clone(),
                incarnation,
                first,
                last,
                counts: UsageCount::merged(counts),
            };
            let Some(last) = intake.deliver(delivery).await else {
                return Ok(false);
            };
            // A crash before this sends them again, and API-M knows their numbers (M4).
            let mut write = broker.write("broker.usage.delete").await?;
            usage::delete(&mut write, incarnation, last).await?;
            write.commit().await?;
        }
        Ok(false)
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        let mut read = self.arguments.broker.read().await?;
        let reservations = usage::reservations(&mut read).await?;
        drop(read);
        for reservation in reservations {
            let is_over = reservation.incarnation < self.arguments.incarnation;
            if is_over {
                self.settle_one(reservation).await?;
            } else if reservation.dropped > self.told
                && self.tell(reservation, reservation.dropped).await
            {
                self.told = reservation.dropped;
            }
        }
        Ok(())
    }

    async fn settle_one(&self, over: Reservation) -> Result<(), StoreError> {
        let unknown = over.unknown();
        if unknown > 0 {
            if !self.tell(over, unknown).await {
                return Ok(());
            }
            tracing::warn!(
                unknown,
                incarnation = over.incarnation,
                "an earlier start ended without a word, so many calls may be missing from the usage"
            );
        }
        let mut write = self.arguments.broker.write("broker.usage.settle").await?;
        usage::settle(&mut write, over.incarnation).await?;
        write.commit().await
    }

    async fn tell(&self, of: Reservation, unknown: u64) -> bool {
        let told = DeliverUnknown {
            node: self.arguments.node.clone(),
            incarnation: of.incarnation,
            unknown,
        };
        self.arguments.intake.deliver_unknown(told).await
    }
}
