//! Public keys by which nodes check one another's tokens.

use sqlx::any::AnyRow;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

const LIST: &str = "SELECT kid, jwk, started_at_ms FROM verification_keys ORDER BY kid";

/// A key that a node signs by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationKey {
    /// Its id.
    pub kid: String,
    /// The public half as JSON text.
    pub jwk: String,
    /// When a node last said that it has it, milliseconds since the epoch.
    pub renewed_at_ms: i64,
}

/// Has all others who change the set of keys wait for this write.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn lock(write: &mut Write) -> Result<(), StoreError> {
    // The one row that is always there; keys come and go.
    let query = sqlx::query("UPDATE database_identity SET uuid = uuid");
    write.execute(query, "database identity").await.map(drop)
}

/// Forgets a node's keys: what it signed by those that it does not name again is over.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_of_node(write: &mut Write, node: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM verification_keys WHERE node = $1");
    let query = query.bind(node.to_owned());
    write.execute(query, "verification key").await.map(drop)
}

/// Forgets the keys that no node has named since a moment.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_before(write: &mut Write, before_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM verification_keys WHERE started_at_ms < $1");
    let query = query.bind(before_ms);
    write.execute(query, "verification key").await.map(drop)
}

/// Keeps a node's key, by its id, with when the node named it last.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(
    write: &mut Write,
    node: &str,
    (kid, jwk): (&str, &str),
    now_ms: i64,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO verification_keys (kid, node, jwk, started_at_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (kid) DO UPDATE SET node = excluded.node, \
         started_at_ms = excluded.started_at_ms",
    )
    .bind(kid.to_owned())
    .bind(node.to_owned())
    .bind(jwk.to_owned())
    .bind(now_ms);
    write.execute(query, "verification key").await.map(drop)
}

/// All of them, by id.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(read: &mut Read) -> Result<Vec<VerificationKey>, StoreError> {
    read.all(sqlx::query(LIST)).await?.iter().map(of).collect()
}

/// The same in a write, for those who [`lock`] them.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list_locked(write: &mut Write) -> Result<Vec<VerificationKey>, StoreError> {
    write.all(sqlx::query(LIST)).await?.iter().map(of).collect()
}

fn of(row: &AnyRow) -> Result<VerificationKey, StoreError> {
    Ok(VerificationKey {
        kid: row.text("kid")?,
        jwk: row.text("jwk")?,
        renewed_at_ms: row.integer("started_at_ms")?,
    })
}
