//! Immutable blobs: documents and definitions of APIs, each version under an id of its own (C5).
//!
//! A writer saves them before the row of API-M that points at them; nobody ever changes one. The
//! publisher's sweeper removes those that nothing points at.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// A row of `blobs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// What it is, such as `document`.
    pub kind: String,
    /// Media type of the bytes.
    pub media_type: String,
    /// The bytes as they came.
    pub bytes: Vec<u8>,
    /// Created, milliseconds since the epoch.
    pub created_at_ms: i64,
}

/// Saves a blob.
///
/// # Errors
/// [`StoreError::Duplicate`] when the id is taken.
pub async fn create(write: &mut Write, blob: &Blob) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO blobs (id, tenant, kind, media_type, bytes, created_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(blob.id.clone())
    .bind(blob.tenant.clone())
    .bind(blob.kind.clone())
    .bind(blob.media_type.clone())
    .bind(blob.bytes.clone())
    .bind(blob.created_at_ms);
    write.execute(query, "blob").await.map(drop)
}

/// The blob with this id.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find(read: &mut Read, tenant: &str, id: &str) -> Result<Option<Blob>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, kind, media_type, bytes, created_at_ms \
         FROM blobs WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    let Some(row) = read.optional(query).await? else {
        return Ok(None);
    };
    Ok(Some(Blob {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        kind: row.text("kind")?,
        media_type: row.text("media_type")?,
        bytes: row.bytes("bytes")?,
        created_at_ms: row.integer("created_at_ms")?,
    }))
}

/// What is known of a blob without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// What it is, such as `document`.
    pub kind: String,
    /// How many bytes it has.
    pub size: usize,
}

/// The blob with this id, without reading its bytes.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn outline(
    read: &mut Read,
    tenant: &str,
    id: &str,
) -> Result<Option<Outline>, StoreError> {
    let query = sqlx::query(
        "SELECT kind, CAST(LENGTH(bytes) AS BIGINT) AS size FROM blobs \
         WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    let Some(row) = read.optional(query).await? else {
        return Ok(None);
    };
    Ok(Some(Outline {
        kind: row.text("kind")?,
        size: usize::try_from(row.integer("size")?).unwrap_or(usize::MAX),
    }))
}

/// Ids of blobs made before a moment (milliseconds since the epoch) that come after `cursor` in
/// the order of ids; at most `limit`.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list_before(
    read: &mut Read,
    before_ms: i64,
    cursor: &str,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query(
        "SELECT id FROM blobs WHERE created_at_ms < $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(before_ms)
    .bind(cursor.to_owned())
    .bind(limit);
    let rows = read.all(query).await?;
    rows.iter().map(|row| row.text("id")).collect()
}

/// Removes a blob.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM blobs WHERE id = $1").bind(id.to_owned());
    write.execute(query, "blob").await.map(drop)
}
