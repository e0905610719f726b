//! Carbon: the node's identity and last known state. A file of the node alone.

#[cfg(test)]
mod checksum_tests;
pub mod consumers;
pub mod hold;
pub mod identity;
pub mod join_tokens;
pub mod known_members;
pub mod projection;
pub mod register;
#[cfg(test)]
mod tests;
pub mod voter;

use std::path::Path;

use crate::database::{Database, Schema};
use crate::error::StoreError;

pub(crate) const SCHEMA: Schema = Schema {
    name: "carbon",
    migrations: &[
        (
            1,
            "node",
            include_str!("../../../migrations/carbon/0001_node.sql"),
        ),
        (
            2,
            "cluster",
            include_str!("../../../migrations/carbon/0002_cluster.sql"),
        ),
        (
            3,
            "members",
            include_str!("../../../migrations/carbon/0003_members.sql"),
        ),
        (
            4,
            "ledger",
            include_str!("../../../migrations/carbon/0004_ledger.sql"),
        ),
        (
            5,
            "consumers",
            include_str!("../../../migrations/carbon/0005_consumers.sql"),
        ),
        (
            6,
            "join_tokens",
            include_str!("../../../migrations/carbon/0006_join_tokens.sql"),
        ),
        (
            7,
            "join_token_roles",
            include_str!("../../../migrations/carbon/0007_join_token_roles.sql"),
        ),
        (
            9,
            "issuer",
            include_str!("../../../migrations/carbon/0009_issuer.sql"),
        ),
        (
            10,
            "register",
            include_str!("../../../migrations/carbon/0010_register.sql"),
        ),
        (
            11,
            "consumers_tenant",
            include_str!("../../../migrations/carbon/0011_consumers_tenant.sql"),
        ),
        (
            12,
            "voter",
            include_str!("../../../migrations/carbon/0012_voter.sql"),
        ),
        (
            13,
            "hold",
            include_str!("../../../migrations/carbon/0013_hold.sql"),
        ),
        (
            14,
            "checksums",
            include_str!("../../../migrations/carbon/0014_checksums.sql"),
        ),
    ],
};

/// Opens Carbon in the data directory.
///
/// # Errors
/// See [`Database::open`].
pub async fn open(data_dir: &Path) -> Result<Database, StoreError> {
    Database::open_file(&data_dir.join("carbon.db"), &SCHEMA).await
}
