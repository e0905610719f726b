//! Public keys by which nodes check one another's tokens.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Keeps a node's key, by its id, with when the node was started last.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, kid: &str, jwk: &str, now_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO verification_keys (kid, jwk, started_at_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (kid) DO UPDATE SET started_at_ms = excluded.started_at_ms",
    )
    .bind(kid.to_owned())
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
