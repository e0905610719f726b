//! How far this node may grant as the one that decides alone on views (W3): one row, of what API-M has of it.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// The latest T in which it may grant, milliseconds; none where it never was told any.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query("SELECT reach_ms FROM hold WHERE id = 1");
    let row = read.optional(query).await?;
    row.map(|row| row.integer("reach_ms")).transpose()
}

/// Keeps it; on disk once the transaction is committed.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, reach_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO hold (id, reach_ms) VALUES (1, $1) \
         ON CONFLICT (id) DO UPDATE SET reach_ms = excluded.reach_ms",
    );
    write.execute(query.bind(reach_ms), "hold").await.map(drop)
}
