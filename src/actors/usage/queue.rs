//! Writes what the gateway's recorder counts into Broker: reservations before their numbers are
//! used, batches before they are forgotten in memory (M4). Asked through [`super::UsageHandle`].

use cluster::{Actor, Address, BoxError, Reply, SelfReport};
use domain::usage::UsageCount;
use storage::broker::usage::{self, Batch, Room};
use storage::{Database, StoreError};

use super::handle::Recorded;

/// Counts of one batch on disk: what API-M takes in one short transaction, and a message carries.
const MOST_COUNTS: usize = 2_048;

/// What it is started with.
#[derive(Clone)]
pub(super) struct QueueArguments {
    pub(super) broker: Database,
    pub(super) incarnation: u64,
    pub(super) room: Room,
}

/// What it is told; all may be repeated, a repeat only reserves more.
pub(super) enum QueueMessage {
    Reserve {
        block: u64,
        reply: Reply<Result<(u64, u64), StoreError>>,
    },
    Record {
        first: u64,
        last: u64,
        counts: Vec<UsageCount>,
        ahead: u64,
        reply: Reply<Result<Recorded, StoreError>>,
    },
    Release {
        last: u64,
        reply: Reply<Result<(), StoreError>>,
    },
    Close {
        reply: Reply<Result<(), StoreError>>,
    },
}

/// The queue; Broker is its memory.
pub(super) struct Queue {
    pub(super) arguments: QueueArguments,
}

// === impl Actor ===

impl Actor for Queue {
    type Message = QueueMessage;
    type Arguments = QueueArguments;
    const KIND: &'static str = "usage.queue";

    async fn start(
        arguments: QueueArguments,
        _me: Address<QueueMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self { arguments })
    }

    async fn handle(&mut self, message: QueueMessage) -> Result<(), BoxError> {
        match message {
            QueueMessage::Reserve { block, reply } => reply.send(self.reserve(block).await),
            QueueMessage::Record {
                first,
                last,
                counts,
                ahead,
                reply,
            } => reply.send(self.record((first, last), counts, ahead).await),
            QueueMessage::Release { last, reply } => reply.send(self.release(last).await),
            QueueMessage::Close { reply } => reply.send(self.close().await),
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("incarnation", self.arguments.incarnation)
            .linked("usage/delivery")
            .linked("broker database")
    }
}

// === impl Queue ===

impl Queue {
    async fn reserve(&self, block: u64) -> Result<(u64, u64), StoreError> {
        let mut write = self.arguments.broker.write("broker.usage.reserve").await?;
        let (before, after) =
            usage::reserve(&mut write, self.arguments.incarnation, block.max(1)).await?;
        write.commit().await?;
        Ok((before + 1, after))
    }

    async fn record(
        &self,
        (first, last): (u64, u64),
        counts: Vec<UsageCount>,
        ahead: u64,
    ) -> Result<Recorded, StoreError> {
        let batch = Batch {
            incarnation: self.arguments.incarnation,
            first,
            last,
            counts,
        };
        let mut write = self.arguments.broker.write("broker.usage.record").await?;
        // Events of which only the number is kept. What found no room in memory was counted there.
        let (mut kept, mut dropped) = (true, 0_u64);
        for piece in pieces(batch) {
            if !usage::create(&mut write, &piece, self.arguments.room).await? {
                kept = false;
                dropped += piece.counts.iter().map(|count| count.calls).sum::<u64>();
            }
        }
        let reserved = match ahead {
            0 => None,
            _ => Some(usage::reserve(&mut write, self.arguments.incarnation, ahead).await?),
        };
        write.commit().await?;
        if !kept {
            metrics::counter!("headgate_usage_dropped_total").increment(dropped);
            tracing::warn!(
                events = dropped,
                "usage queue is full, events are dropped and counted"
            );
        }
        Ok(Recorded {
            kept,
            reserved: reserved.map(|(before, after)| (before + 1, after)),
        })
    }

    pub(super) async fn release(&self, last: u64) -> Result<(), StoreError> {
        let mut write = self.arguments.broker.write("broker.usage.release").await?;
        usage::release(&mut write, self.arguments.incarnation, last).await?;
        write.commit().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let mut write = self.arguments.broker.write("broker.usage.close").await?;
        usage::close(&mut write, self.arguments.incarnation).await?;
        write.commit().await
    }
}

/// The batch in parts of few enough counts, each with as many numbers as it counts; those that are in
/// no count go with the last.
fn pieces(batch: Batch) -> Vec<Batch> {
    let Batch {
        incarnation,
        first: mut next,
        last,
        counts,
    } = batch;
    let mut pieces: Vec<Batch> = counts
        .chunks(MOST_COUNTS)
        .map(|counts| {
            let first = next;
            next += counts.iter().map(|count| count.calls).sum::<u64>();
            Batch {
                incarnation,
                first,
                last: next.saturating_sub(1),
                counts: counts.to_vec(),
            }
        })
        .collect();
    match pieces.last_mut() {
        Some(piece) => piece.last = last,
        None => pieces.push(Batch {
            incarnation,
            first: next,
            last,
            counts,
        }),
    }
    pieces
}
