//! Revisions of APIs: frozen pairs of document and definition, at most five per API.

use sqlx::any::AnyRow;

use crate::database::{Read, Statement, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// A row of `api_revisions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// The API.
    pub api_id: String,
    /// Counts within the API, from 1.
    pub number: i64,
    /// For people.
    pub description: String,
    /// Blob of the frozen document.
    pub document_blob: String,
    /// Blob of the frozen definition.
    pub definition_blob: String,
    /// The user who made it.
    pub created_by: String,
    /// Created, milliseconds since the epoch.
    pub created_at_ms: i64,
}

/// The revisions of an API, oldest first.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    api_id: &str,
) -> Result<Vec<RevisionRow>, StoreError> {
    let rows = read.all(of_api(tenant, api_id)).await?;
    rows.iter().map(map).collect()
}

/// [`list`] inside a write.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list_for_change(
    write: &mut Write,
    tenant: &str,
    api_id: &str,
) -> Result<Vec<RevisionRow>, StoreError> {
    let rows = write.all(of_api(tenant, api_id)).await?;
    rows.iter().map(map).collect()
}

/// The number of an API's next revision: none comes twice, whatever is deleted.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such API.
pub async fn next_number(write: &mut Write, tenant: &str, api_id: &str) -> Result<i64, StoreError> {
    let query = sqlx::query(
        "UPDATE apis SET revisions_made = revisions_made + 1 WHERE tenant = $1 AND id = $2 \
         RETURNING revisions_made",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned());
    match write.optional(query).await? {
        Some(row) => row.integer("revisions_made"),
        None => Err(StoreError::NotFound(format!("api {api_id}"))),
    }
}

/// Inserts a revision.
///
/// # Errors
/// [`StoreError::Duplicate`] when the API has a revision of this number.
pub async fn create(write: &mut Write, revision: &RevisionRow) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO api_revisions (id, tenant, api_id, number, description, document_blob, \
         definition_blob, created_by, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(revision.id.clone())
    .bind(revision.tenant.clone())
    .bind(revision.api_id.clone())
    .bind(revision.number)
    .bind(revision.description.clone())
    .bind(revision.document_blob.clone())
    .bind(revision.definition_blob.clone())
    .bind(revision.created_by.clone())
    .bind(revision.created_at_ms);
    write.execute(query, "revision").await.map(drop)
}

/// Removes a revision.
///
/// # Errors
/// [`StoreError::NotFound`] when it is not there.
pub async fn delete(write: &mut Write, tenant: &str, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM api_revisions WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    match write.execute(query, "revision").await? {
        0 => Err(StoreError::NotFound(format!("revision {id}"))),
        _ => Ok(()),
    }
}

fn of_api(tenant: &str, api_id: &str) -> Statement<'static> {
    sqlx::query("SELECT id, tenant, api_id, number, description, document_blob, definition_blob, created_by, \
         created_at_ms \
         FROM api_revisions WHERE tenant = $1 AND api_id = $2 ORDER BY number")
        .bind(tenant.to_owned())
        .bind(api_id.to_owned())
}

fn map(row: &AnyRow) -> Result<RevisionRow, StoreError> {
    Ok(RevisionRow {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        api_id: row.text("api_id")?,
        number: row.integer("number")?,
        description: row.text("description")?,
        document_blob: row.text("document_blob")?,
        definition_blob: row.text("definition_blob")?,
        created_by: row.text("created_by")?,
        created_at_ms: row.integer("created_at_ms")?,
    })
}
