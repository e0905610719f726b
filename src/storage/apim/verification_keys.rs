//! Public keys by which nodes check one another's tokens.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Forgets a node's keys: what it signed by those that it does not name again is over.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_of_node(write: &mut Write, node: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM verification_keys WHERE node = $1");
    let query = query.bind(node.to_owned());
    write.execute(query, "verification key").await.map(drop)
}

/// Keeps a node's key, by its id, with when the node was started.
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

/// All of them as JSON texts, by id.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(read: &mut Read) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query("SELECT jwk FROM verification_keys ORDER BY kid");
    let rows = read.all(query).await?;
    rows.iter().map(|row| row.text("jwk")).collect()
}
