//! Nodes that an operator has forgotten, by their ids: their certificates are not renewed. One that joins with a token again
//! is none of them any more, and how often it did is kept: a word that was meant before it did retires nobody.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// When a node was retired, milliseconds since the epoch; none where it was not.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read, node: &str) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query("SELECT retired_ms FROM retired_nodes WHERE node_id = $1");
    let row = read.optional(query.bind(node.to_owned())).await?;
    row.map(|row| row.integer("retired_ms")).transpose()
}

/// How often a node was admitted with a token, as far as that was counted.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find_admissions(read: &mut Read, node: &str) -> Result<i64, StoreError> {
    let query = sqlx::query("SELECT times FROM admissions WHERE node_id = $1");
    let row = read.optional(query.bind(node.to_owned())).await?;
    row.map_or(Ok(0), |row| row.integer("times"))
}

/// Retires one that was admitted as often as `admissions`, and gives whether it was: else nothing is to be committed. Nobody
/// admits it meanwhile. Who is retired stays so from when it was.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn create(
    write: &mut Write,
    node: &str,
    admissions: i64,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let locked = sqlx::query(
        "INSERT INTO admissions (node_id, times) VALUES ($1, 0) \
         ON CONFLICT (node_id) DO UPDATE SET times = admissions.times RETURNING times",
    );
    let locked = write.optional(locked.bind(node.to_owned())).await?;
    if locked.map_or(Ok(0), |row| row.integer("times"))? != admissions {
        return Ok(false);
    }
    let query = sqlx::query(
        "INSERT INTO retired_nodes (node_id, retired_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(node.to_owned())
    .bind(now_ms);
    write.execute(query, "retired node").await?;
    Ok(true)
}

/// It is admitted with a token: it is a member again, whoever forgot it before.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, node: &str) -> Result<(), StoreError> {
    let counted = sqlx::query(
        "INSERT INTO admissions (node_id, times) VALUES ($1, 1) \
         ON CONFLICT (node_id) DO UPDATE SET times = admissions.times + 1",
    );
    let counted = counted.bind(node.to_owned());
    write.execute(counted, "admission").await?;
    let query = sqlx::query("DELETE FROM retired_nodes WHERE node_id = $1");
    let query = query.bind(node.to_owned());
    write.execute(query, "retired node").await.map(drop)
}
