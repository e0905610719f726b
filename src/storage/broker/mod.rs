//! Broker: what must be delivered or remembered later. A file of the node alone.

pub mod ledger;
pub mod ledger_state;
#[cfg(test)]
mod ledger_state_tests;
#[cfg(test)]
mod ledger_tests;
pub mod node;
pub mod usage;

use std::path::Path;

use crate::database::{Database, Schema};
use crate::error::StoreError;

pub(crate) const SCHEMA: Schema = Schema {
    name: "broker",
    migrations: &[
        (
            1,
            "usage",
            include_str!("../../../migrations/broker/0001_usage.sql"),
        ),
        (
            2,
            "ledger",
            include_str!("../../../migrations/broker/0002_ledger.sql"),
        ),
        (
            3,
            "ledger time",
            include_str!("../../../migrations/broker/0003_ledger_time.sql"),
        ),
        (
            4,
            "node",
            include_str!("../../../migrations/broker/0004_node.sql"),
        ),
        (
            5,
            "ledger lost",
            include_str!("../../../migrations/broker/0005_ledger_lost.sql"),
        ),
        (
            6,
            "ledger epoch",
            include_str!("../../../migrations/broker/0006_ledger_epoch.sql"),
        ),
        (
            7,
            "ledger begun",
            include_str!("../../../migrations/broker/0007_ledger_begun.sql"),
        ),
        (
            8,
            "ledger checksum",
            include_str!("../../../migrations/broker/0008_ledger_checksum.sql"),
        ),
    ],
};

/// Opens Broker in the data directory.
///
/// # Errors
/// See [`Database::open`].
pub async fn open(data_dir: &Path) -> Result<Database, StoreError> {
    Database::open_file(&data_dir.join("broker.db"), &SCHEMA).await
}
