//! Nodes that an operator has forgotten, by their ids: their certificates are not renewed. One that joins with a token again
//! is none of them any more.

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

/// Retires one; who is retired stays so from when it was.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create(write: &mut Write, node: &str, now_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO retired_nodes (node_id, retired_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(node.to_owned())
    .bind(now_ms);
    write.execute(query, "retired node").await.map(drop)
}

/// It is a member again.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, node: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM retired_nodes WHERE node_id = $1");
    let query = query.bind(node.to_owned());
    write.execute(query, "retired node").await.map(drop)
}
