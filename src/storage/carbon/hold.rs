//! How far this node may grant as the one that decides alone on views (W3): one row, of what API-M has of it.

use crate::checksum::checksum;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// The latest T in which it may grant, milliseconds; none where it never was told any. A build of before writes no sum.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query("SELECT reach_ms, checksum FROM hold WHERE id = 1");
    let Some(row) = read.optional(query).await? else {
        return Ok(None);
    };
    let is_whole = |reach_ms: i64| match row.optional_integer("checksum") {
        Ok(written) => written.is_none_or(|written| written == sum(reach_ms)),
        Err(_) => false,
    };
    match row.integer("reach_ms") {
        Ok(reach_ms) if is_whole(reach_ms) => Ok(Some(reach_ms)),
        _ => Err(StoreError::Damaged {
            what: "hold",
            reason: "its time in carbon.db is not as it was written; give the node back its own data directory as it \
                     was, or start it with an empty one"
                .to_owned(),
        }),
    }
}

/// Keeps it; on disk once the transaction is committed.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, reach_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO hold (id, reach_ms, checksum) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET reach_ms = excluded.reach_ms, checksum = excluded.checksum",
    );
    let query = query.bind(reach_ms).bind(sum(reach_ms));
    write.execute(query, "hold").await.map(drop)
}

/// A later time would let it grant where somebody else may have begun.
fn sum(reach_ms: i64) -> i64 {
    i64::from(checksum(&[&reach_ms.to_be_bytes()]))
}
