//! Tokens by which other nodes may join, each good once.

use crate::database::Write;
use crate::error::StoreError;
use crate::row::Columns as _;

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What it is found by.
    pub id: String,
    /// The hash of its secret.
    pub secret_hash: String,
    /// When it ends, milliseconds since the epoch.
    pub expires_ms: i64,
    /// The roles that a node may have which joins by it, separated by commas; empty for any.
    pub roles: String,
}

/// What became of one that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was good, and is used up; its roles.
    Good(String),
    /// It came too late.
    Expired,
    /// There is none of that id and secret.
    Unknown,
}

/// Keeps one, and forgets those that ended before `now_ms`, but not those of the last day: who comes
/// too late is told so.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create(write: &mut Write, token: &JoinToken, now_ms: i64) -> Result<(), StoreError> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let ended = sqlx::query("DELETE FROM join_tokens WHERE expires_ms < $1");
    let ended = ended.bind(now_ms.saturating_sub(DAY_MS));
    write.execute(ended, "join token").await?;
    let query = sqlx::query(
        "INSERT INTO join_tokens (id, secret_hash, expires_ms, roles) VALUES ($1, $2, $3, $4)",
    )
    .bind(token.id.clone())
    .bind(token.secret_hash.clone())
    .bind(token.expires_ms)
    .bind(token.roles.clone());
    write.execute(query, "join token").await.map(drop)
}

/// Uses one up: of all who show it at a time one gets it.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn take(
    write: &mut Write,
    id: &str,
    secret_hash: &str,
    now_ms: i64,
) -> Result<Taken, StoreError> {
    let query = sqlx::query(
        "DELETE FROM join_tokens WHERE id = $1 AND secret_hash = $2 RETURNING expires_ms, roles",
    )
    .bind(id.to_owned())
    .bind(secret_hash.to_owned());
    Ok(match write.optional(query).await? {
        None => Taken::Unknown,
        Some(row) if row.integer("expires_ms")? <= now_ms => Taken::Expired,
        Some(row) => Taken::Good(row.text("roles")?),
    })
}
