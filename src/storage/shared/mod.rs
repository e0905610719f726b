//! Shared: people and the immutable blobs of API metadata. Shared by all control-plane nodes.

pub mod blobs;
pub mod outbox;
pub mod scope_roles;
pub mod users;

use crate::database::{Database, Schema};
use crate::error::StoreError;

pub(crate) const SCHEMA: Schema = Schema {
    name: "shared",
    migrations: &[
        (
            1,
            "people",
            include_str!("../../../migrations/shared/0001_people.sql"),
        ),
        (
            2,
            "blobs",
            include_str!("../../../migrations/shared/0002_blobs.sql"),
        ),
        (
            3,
            "outbox",
            include_str!("../../../migrations/shared/0003_outbox.sql"),
        ),
        (
            4,
            "scope versions",
            include_str!("../../../migrations/shared/0004_scope_versions.sql"),
        ),
        (
            5,
            "database identity",
            include_str!("../../../migrations/shared/0005_database_identity.sql"),
        ),
        (
            6,
            "outbox place",
            include_str!("../../../migrations/shared/0006_outbox_place.sql"),
        ),
    ],
};

/// Opens Shared at `url`.
///
/// # Errors
/// See [`Database::open`].
pub async fn open(url: &str) -> Result<Database, StoreError> {
    Database::open(url, &SCHEMA).await
}
