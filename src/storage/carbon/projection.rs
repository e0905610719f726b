//! A node's last known state of the control plane (C4): rows by section, and the position they are
//! true at. A batch of changes and its position go into one transaction.

use domain::change_log::Position;

use crate::apim::change_log::{signed, unsigned};
use crate::apim::tokens::REVOCATIONS_KEPT_MS;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// One thing a node keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is, such as `artifact` or `policy`.
    pub section: String,
    /// Unique in its section.
    pub item: String,
    /// JSON.
    pub body: String,
    /// When it may be forgotten, milliseconds since the epoch; none for never.
    pub until_ms: Option<i64>,
}

/// How far the state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The last entry applied.
    pub position: Position,
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
}

/// How far the state is; none when nothing was ever applied.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn applied(read: &mut Read) -> Result<Option<Applied>, StoreError> {
    let query = sqlx::query("SELECT * FROM applied WHERE id = 1");
    let Some(row) = read.optional(query).await? else {
        return Ok(None);
    };
    Ok(Some(Applied {
        position: Position::new(unsigned(row.integer("n")?)?, row.text("uuid")?),
        at_ms: row.integer("applied_at_ms")?,
    }))
}

/// Sets how far the state is; belongs into the transaction of what was applied.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_applied(
    write: &mut Write,
    position: &Position,
    now_ms: i64,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO applied (id, n, uuid, applied_at_ms) VALUES (1, $1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET n = excluded.n, uuid = excluded.uuid, \
         applied_at_ms = excluded.applied_at_ms",
    )
    .bind(signed(position.n))
    .bind(position.uuid.clone())
    .bind(now_ms);
    write.execute(query, "position").await.map(drop)
}

/// Saves one thing.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, item: &Item) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO projection (section, item, body, until_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (section, item) DO UPDATE SET body = excluded.body, \
         until_ms = excluded.until_ms",
    )
    .bind(item.section.clone())
    .bind(item.item.clone())
    .bind(item.body.clone())
    .bind(item.until_ms);
    write.execute(query, "item").await.map(drop)
}

/// Removes one thing.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, section: &str, item: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM projection WHERE section = $1 AND item = $2")
        .bind(section.to_owned())
        .bind(item.to_owned());
    write.execute(query, "item").await.map(drop)
}

/// Removes everything, for a snapshot that takes its place in the same transaction (C3).
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_all(write: &mut Write) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM projection");
    write.execute(query, "item").await.map(drop)
}

/// Removes what is over at `now_ms`, a week later for the sake of clocks that were ahead for a while;
/// gives how many rows.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_ended(write: &mut Write, now_ms: i64) -> Result<u64, StoreError> {
    let query = sqlx::query("DELETE FROM projection WHERE until_ms <= $1");
    let before_ms = now_ms.saturating_sub(REVOCATIONS_KEPT_MS);
    write.execute(query.bind(before_ms), "item").await
}

/// Everything that is not over at `now_ms`.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read, now_ms: i64) -> Result<Vec<Item>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM projection WHERE until_ms IS NULL OR until_ms > $1 ORDER BY section, item",
    );
    let rows = read.all(query.bind(now_ms)).await?;
    let of = |row: &sqlx::any::AnyRow| {
        Ok(Item {
            section: row.text("section")?,
            item: row.text("item")?,
            body: row.text("body")?,
            until_ms: row.optional_integer("until_ms")?,
        })
    };
    rows.iter().map(of).collect()
}
