//! Adds delivered batches to API-M, each in one transaction with the number it ends at (M4).

use cluster::{Actor, Address, Asked, BoxError};
use storage::{Database, StoreError, apim::usage};

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
                let done = self.counts(&asked.request).await;
                asked.reply.send(delivered(done));
            }
            IntakeMessage::Unknown(asked) => {
                let done = self.unknown(&asked.request).await;
                asked.reply.send(delivered(done));
            }
        }
        Ok(())
    }
}

// === impl Intake ===

impl Intake {
    async fn counts(&self, batch: &DeliverUsage) -> Result<(), StoreError> {
        let mut write = self.apim.write("apim.usage.save").await?;
        let DeliverUsage {
            node,
            incarnation,
            last,
            counts,
            ..
        } = batch;
        let new = usage::save(&mut write, node, *incarnation, *last, counts).await?;
        write.commit().await?;
        if !new {
            tracing::debug!(%node, incarnation, last, "a usage batch came again");
        }
        Ok(())
    }

    async fn unknown(&self, told: &DeliverUnknown) -> Result<(), StoreError> {
        let mut write = self.apim.write("apim.usage.save_unknown").await?;
        usage::save_unknown(&mut write, &told.node, told.incarnation, told.unknown).await?;
        write.commit().await
    }
}

fn delivered(done: Result<(), StoreError>) -> Delivered {
    match done {
        Ok(()) => Delivered::Taken,
        Err(error) => {
            tracing::warn!(%error, "usage cannot be taken in, its sender keeps it");
            Delivered::Unavailable
        }
    }
}
