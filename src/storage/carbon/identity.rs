//! Who this node is (W1): a stable id, and an incarnation that rises with each start.

use crate::apim::change_log::{signed, unsigned};
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// A node's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stable as long as the data directory lives.
    pub node_id: String,
    /// For people.
    pub node_name: String,
    /// Starts so far.
    pub incarnation: u64,
    /// The cluster it belongs to; empty before it has joined or founded one.
    pub cluster_id: String,
    /// Whether plans were ever counted here.
    pub has_counted: bool,
    /// The issuer of the cluster's tokens, as it was heard last; empty before that.
    pub issuer: String,
}

/// Raises the incarnation for a start, above `above` too; the first start makes the identity with
/// `new_id`. On disk once the write is committed.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn raise(
    write: &mut Write,
    node_name: &str,
    above: u64,
    new_id: impl FnOnce() -> String,
) -> Result<Identity, StoreError> {
    let query = sqlx::query(
        "INSERT INTO identity (id, node_id, node_name, incarnation) VALUES (1, $1, $2, $3 + 1) \
         ON CONFLICT (id) DO UPDATE SET node_name = excluded.node_name, \
         incarnation = MAX(identity.incarnation, $3) + 1 RETURNING *",
    )
    .bind(new_id())
    .bind(node_name.to_owned())
    .bind(signed(above));
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound("identity".to_owned())),
    }
}

/// Keeps the cluster that the node belongs to from now on.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_cluster(write: &mut Write, cluster_id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE identity SET cluster_id = $1 WHERE id = 1");
    let query = query.bind(cluster_id.to_owned());
    write.execute(query, "identity").await.map(drop)
}

/// The cluster that the node belongs to, as it is known within a write; empty before it belongs to one.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn cluster_in(write: &mut Write) -> Result<String, StoreError> {
    let query = sqlx::query("SELECT cluster_id FROM identity WHERE id = 1");
    let row = write.optional(query).await?;
    row.map_or_else(|| Ok(String::new()), |row| row.text("cluster_id"))
}

/// Keeps the issuer of the cluster's tokens for a start that nobody tells it.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_issuer(write: &mut Write, issuer: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE identity SET issuer = $1 WHERE id = 1");
    let query = query.bind(issuer.to_owned());
    write.execute(query, "identity").await.map(drop)
}

/// Notes that plans are counted here, before the first of them is.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn note_counting(write: &mut Write) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE identity SET has_counted = 1 WHERE id = 1");
    write.execute(query, "identity").await.map(drop)
}

/// The identity, none before the first start.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<Option<Identity>, StoreError> {
    let query = sqlx::query("SELECT * FROM identity WHERE id = 1");
    let row = read.optional(query).await?;
    row.map(|row| map(&row)).transpose()
}

fn map(row: &sqlx::any::AnyRow) -> Result<Identity, StoreError> {
    Ok(Identity {
        node_id: row.text("node_id")?,
        node_name: row.text("node_name")?,
        incarnation: unsigned(row.integer("incarnation")?)?,
        cluster_id: row.text("cluster_id")?,
        has_counted: row.flag("has_counted")?,
        issuer: row.text("issuer")?,
    })
}
