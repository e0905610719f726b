//! Usage on its way from gateways to API-M, counted once (PROTOCOLS M4).
//!
//! On a gateway: `queue` writes batches into Broker for the recorder, `delivery` sends them in
//! order. On the control plane: `intake` adds them to the minutes of API-M, and removes those that
//! are kept for long enough. A batch leaves Broker
//! only after API-M has it, and API-M takes each number once, so a crash anywhere loses and doubles
//! nothing; what was never written down is told as unknown.

#[cfg(test)]
mod crash_tests;
mod delivery;
mod handle;
mod intake;
pub mod message;
mod queue;
mod retention;
#[cfg(test)]
mod tests;

use cluster::{Child, Door, System, branch, child};
use storage::Database;
use storage::broker::usage::Room;

use delivery::{Delivery, DeliveryArguments};
use intake::{Intake, IntakeArguments, IntakeMessage};
use queue::{Queue, QueueArguments};

pub use handle::{Recorded, UsageError, UsageHandle, UsageIntakeHandle};

/// What of the queue may be set. While API-M is away a queue of 1,024 batches grows by one only when
/// the last one is full, so that hours of few calls take no more room than a minute of many.
#[derive(Debug, Clone, Copy)]
pub struct UsageSettings {
    /// Batches on disk at most; those beyond are dropped and counted.
    pub most_batches: u64,
    /// With so many batches, counts are added to the last one. What one delivery takes is less.
    pub join_from: u64,
    /// Counts that a batch has at most by that: it is written anew with each addition.
    pub join_counts: usize,
}

// === impl UsageSettings ===

impl UsageSettings {
    fn room(self) -> Room {
        Room {
            most: self.most_batches,
            join_from: self.join_from.max(2 * u64::from(delivery::BATCHES)),
            join_counts: self.join_counts,
        }
    }
}

impl Default for UsageSettings {
    fn default() -> Self {
        Self {
            most_batches: 10_000,
            join_from: 1_024,
            join_counts: 1_024,
        }
    }
}

/// How long counts are kept in API-M.
#[derive(Debug, Clone, Copy)]
pub struct RetentionSettings {
    keep_ms: i64,
}

// === impl RetentionSettings ===

impl RetentionSettings {
    /// So many days.
    #[must_use]
    pub const fn days(days: u32) -> Self {
        Self {
            keep_ms: days as i64 * 86_400_000,
        }
    }
}

/// The intake of a control-plane node over API-M.
#[must_use]
pub fn intake_component(
    system: &System,
    apim: &Database,
    retention: RetentionSettings,
) -> (UsageIntakeHandle, Child) {
    let arguments = IntakeArguments {
        clock: system.clock.clone(),
        apim: apim.clone(),
        retention,
    };
    let (address, child) = child::<Intake>(system, "usage-intake", arguments);
    let counts = Door::local(
        system,
        address.clone(),
        IntakeMessage::Counts,
        |message| match message {
            IntakeMessage::Counts(asked) => Some(asked),
            IntakeMessage::Unknown(_) | IntakeMessage::Sweep => None,
        },
    );
    let unknown = Door::local(
        system,
        address,
        IntakeMessage::Unknown,
        |message| match message {
            IntakeMessage::Unknown(asked) => Some(asked),
            IntakeMessage::Counts(_) | IntakeMessage::Sweep => None,
        },
    );
    let handle = UsageIntakeHandle::new(counts, unknown, apim.clone());
    (handle, child)
}

/// The queue and the delivery of gateway `node` in its `incarnation` (W1), through Broker.
#[must_use]
pub fn component(
    system: &System,
    broker: &Database,
    intake: &UsageIntakeHandle,
    node: &str,
    incarnation: u64,
    settings: UsageSettings,
) -> (UsageHandle, Child) {
    let (queue, queue_child) = child::<Queue>(
        system,
        "usage/queue",
        QueueArguments {
            broker: broker.clone(),
            incarnation,
            room: settings.room(),
        },
    );
    let (_, delivery_child) = child::<Delivery>(
        system,
        "usage/delivery",
        DeliveryArguments {
            broker: broker.clone(),
            intake: intake.clone(),
            node: node.to_owned(),
            incarnation,
        },
    );
    let children = vec![queue_child, delivery_child];
    (UsageHandle::new(queue), branch(system, "usage", children))
}
