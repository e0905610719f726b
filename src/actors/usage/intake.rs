//! Adds delivered batches to API-M, each in one transaction with the number it ends at (M4).

use cluster::{Actor, Address, Asked, BoxError};
use storage::apim::usage::{self, Taken};
use storage::{Database, StoreError};

use super::message::{DeliverUnknown, DeliverUsage, Delivered};

/// What it is started with.
#[derive(Clone)]
pub(super) struct IntakeArguments {
    pub(super) apim: Database,
}

/// What it is told.
pub(super) enum IntakeMessage {
    Counts(Asked<DeliverUsage>),
    Unknown(Asked<DeliverUnknown>),
}

/// The intake; API-M is its memory.
pub(super) struct Intake {
    apim: Database,
}

// === impl Actor ===

impl Actor for Intake {
    type Message = IntakeMessage;
    type Arguments = IntakeArguments;
    const KIND: &'static str = "usage.intake";

    async fn start(
        arguments: IntakeArguments,
        _me: Address<IntakeMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            apim: arguments.apim,
        })
    }

    async fn handle(&mut self, message: IntakeMessage) -> Result<(), BoxError> {
        match message {
            IntakeMessage::Counts(asked) => {
                asked
                    .reply
                    .send(delivered(self.counts(&asked.request).await));
            }
            IntakeMessage::Unknown(asked) => {
                asked
                    .reply
                    .send(delivered(self.unknown(&asked.request).await));
            }
        }
        Ok(())
    }
}

// === impl Intake ===

impl Intake {
    async fn counts(&self, batch: &DeliverUsage) -> Result<Delivered, StoreError> {
        let mut write = self.apim.write("apim.usage.save").await?;
        let DeliverUsage {
            node,
            incarnation,
            first,
            last,
            counts,
        } = batch;
        let taken = usage::save(&mut write, node, *incarnation, (*first, *last), counts).await?;
        write.commit().await?;
        Ok(match taken {
            Taken::Now => Delivered::Taken,
            Taken::Before(number) => {
                tracing::debug!(%node, incarnation, last, number, "a usage batch came again");
                Delivered::Before(number)
            }
        })
    }

    async fn unknown(&self, told: &DeliverUnknown) -> Result<Delivered, StoreError> {
        let mut write = self.apim.write("apim.usage.save_unknown").await?;
        usage::save_unknown(&mut write, &told.node, told.incarnation, told.unknown).await?;
        write.commit().await?;
        Ok(Delivered::Taken)
    }
}

fn delivered(done: Result<Delivered, StoreError>) -> Delivered {
    match done {
        Ok(delivered) => delivered,
        Err(error) => {
            tracing::warn!(%error, "usage cannot be taken in, its sender keeps it");
            Delivered::Unavailable
        }
    }
}
