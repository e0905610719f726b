//! Which cluster the databases are one's of, and who issues its tokens (W1, W6): the first to say so is
//! who all others go by.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// What is known of the cluster; each is empty before anybody has said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// The cluster's id.
    pub cluster_id: String,
    /// The `iss` of its tokens.
    pub issuer: String,
}

/// What was said.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<ClusterIdentity, StoreError> {
    let query = sqlx::query("SELECT id, cluster_id, issuer FROM cluster_identity WHERE id = 1");
    let row = read.optional(query).await?;
    let row = row.ok_or_else(|| StoreError::NotFound("cluster identity".to_owned()))?;
    Ok(ClusterIdentity {
        cluster_id: row.text("cluster_id")?,
        issuer: row.text("issuer")?,
    })
}

/// The cluster's id; `new` becomes it where nobody has said one yet.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn ensure_cluster(write: &mut Write, new: &str) -> Result<String, StoreError> {
    let query = sqlx::query(
        "UPDATE cluster_identity SET cluster_id = CASE cluster_id WHEN '' THEN $1 \
         ELSE cluster_id END WHERE id = 1 RETURNING cluster_id",
    );
    said(
        write.optional(query.bind(new.to_owned())).await?,
        "cluster_id",
    )
}

/// The issuer of tokens; `new` becomes it where nobody has said one yet.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn ensure_issuer(write: &mut Write, new: &str) -> Result<String, StoreError> {
    let query = sqlx::query(
        "UPDATE cluster_identity SET issuer = CASE issuer WHEN '' THEN $1 ELSE issuer END \
         WHERE id = 1 RETURNING issuer",
    );
    said(write.optional(query.bind(new.to_owned())).await?, "issuer")
}

/// Another issuer of tokens from now on.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_issuer(write: &mut Write, issuer: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE cluster_identity SET issuer = $1 WHERE id = 1");
    let query = query.bind(issuer.to_owned());
    write.execute(query, "cluster identity").await.map(drop)
}

fn said(row: Option<sqlx::any::AnyRow>, column: &str) -> Result<String, StoreError> {
    match row {
        Some(row) => row.text(column),
        None => Err(StoreError::NotFound("cluster identity".to_owned())),
    }
}
