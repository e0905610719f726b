//! Whose Broker this is. What waits here is numbered by the node's incarnations, so it has to stay
//! with the node, also when Carbon, which says who the node is, was lost.

use crate::apim::change_log::{signed, unsigned};
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// The node and its last incarnation that used this Broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node's stable id.
    pub node_id: String,
    /// Its incarnation (W1); no higher one has used anything here.
    pub incarnation: u64,
}

/// Whose it is; none before anybody used it.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<Option<Owner>, StoreError> {
    let query = sqlx::query("SELECT node_id, incarnation FROM node WHERE id = 1");
    let Some(row) = read.optional(query).await? else {
        return Ok(None);
    };
    Ok(Some(Owner {
        node_id: row.text("node_id")?,
        incarnation: unsigned(row.integer("incarnation")?)?,
    }))
}

/// Says whose it is from now on; before anything is numbered by this incarnation.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, owner: &Owner) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO node (id, node_id, incarnation) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET node_id = excluded.node_id, \
         incarnation = excluded.incarnation",
    )
    .bind(owner.node_id.clone())
    .bind(signed(owner.incarnation));
    write.execute(query, "node").await.map(drop)
}
