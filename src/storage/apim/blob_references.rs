//! Which blobs of Shared the rows of API-M point at: what the sweeper must leave alone (C5), and
//! what the documents behind them say that other rows depend on.

use std::collections::HashSet;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// The ids of all blobs that an API or a revision points at.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(read: &mut Read) -> Result<HashSet<String>, StoreError> {
    let query = sqlx::query(
        "SELECT document_blob AS blob FROM apis UNION SELECT definition_blob FROM apis \
         UNION SELECT document_blob FROM api_revisions \
         UNION SELECT definition_blob FROM api_revisions",
    );
    let rows = read.all(query).await?;
    rows.iter().map(|row| row.text("blob")).collect()
}

/// A document that a row points at, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Blob of the document.
    pub blob: String,
    /// The API's name.
    pub name: String,
    /// The API's version.
    pub version: String,
}

/// The documents of a tenant's APIs, and those of the revisions that are deployed.
const IN_USE: &str = "SELECT document_blob, name, version FROM apis WHERE tenant = $1 \
     UNION SELECT r.document_blob, a.name, a.version FROM api_deployments d \
     JOIN api_revisions r ON r.id = d.revision_id JOIN apis a ON a.id = d.api_id \
     WHERE d.tenant = $1 ORDER BY name, version, document_blob";

/// The documents of a tenant's APIs, and those that its deployed revisions froze.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn documents(read: &mut Read, tenant: &str) -> Result<Vec<Document>, StoreError> {
    let query = sqlx::query(IN_USE).bind(tenant.to_owned());
    read.all(query).await?.iter().map(document).collect()
}

/// [`documents`] inside a write.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn documents_for_change(
    write: &mut Write,
    tenant: &str,
) -> Result<Vec<Document>, StoreError> {
    let query = sqlx::query(IN_USE).bind(tenant.to_owned());
    write.all(query).await?.iter().map(document).collect()
}

/// The API of another name that a document belongs to, as it stands or as a revision froze it.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn owner_of_another_name(
    write: &mut Write,
    tenant: &str,
    blob: &str,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let query = sqlx::query(
        "SELECT a.name FROM apis a WHERE a.tenant = $1 AND a.name_key <> $3 \
         AND (a.document_blob = $2 OR a.id IN \
              (SELECT api_id FROM api_revisions WHERE tenant = $1 AND document_blob = $2))",
    )
    .bind(tenant.to_owned())
    .bind(blob.to_owned())
    .bind(name.to_lowercase());
    let row = write.optional(query).await?;
    row.map(|row| row.text("name")).transpose()
}

fn document(row: &sqlx::any::AnyRow) -> Result<Document, StoreError> {
    Ok(Document {
        blob: row.text("document_blob")?,
        name: row.text("name")?,
        version: row.text("version")?,
    })
}
