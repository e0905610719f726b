//! Which blobs of Shared the rows of API-M point at: what the sweeper must leave alone (C5).

use std::collections::HashSet;

use crate::database::Read;
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
