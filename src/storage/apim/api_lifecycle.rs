//! The history of an API's lifecycle.

use sqlx::any::AnyRow;

use domain::lifecycle::LifecycleState;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::{Columns as _, word};

/// A row of `api_lifecycle`: one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRow {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// The API.
    pub api_id: String,
    /// The state before; none for the first.
    pub previous: Option<LifecycleState>,
    /// The state after.
    pub post: LifecycleState,
    /// The user who moved it.
    pub changed_by: String,
    /// When, milliseconds since the epoch.
    pub changed_at_ms: i64,
}

/// The steps of an API, oldest first.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    api_id: &str,
) -> Result<Vec<LifecycleRow>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, api_id, previous_state, post_state, changed_by, changed_at_ms, position \
         FROM api_lifecycle WHERE tenant = $1 AND api_id = $2 \
         ORDER BY position",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned());
    read.all(query).await?.iter().map(map).collect()
}

/// Adds a step after all others; the API's row is locked, or new.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create(write: &mut Write, step: &LifecycleRow) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO api_lifecycle (id, tenant, api_id, previous_state, post_state, changed_by, \
         changed_at_ms, position) VALUES ($1, $2, $3, $4, $5, $6, $7, \
         (SELECT COALESCE(MAX(position), 0) + 1 FROM api_lifecycle WHERE api_id = $3))",
    )
    .bind(step.id.clone())
    .bind(step.tenant.clone())
    .bind(step.api_id.clone())
    .bind(step.previous.map(LifecycleState::as_str))
    .bind(step.post.as_str())
    .bind(step.changed_by.clone())
    .bind(step.changed_at_ms);
    write.execute(query, "lifecycle step").await.map(drop)
}

fn map(row: &AnyRow) -> Result<LifecycleRow, StoreError> {
    let previous = row.optional_text("previous_state")?;
    Ok(LifecycleRow {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        api_id: row.text("api_id")?,
        previous: previous.as_deref().and_then(LifecycleState::parse),
        post: word(row, "post_state", LifecycleState::parse)?,
        changed_by: row.text("changed_by")?,
        changed_at_ms: row.integer("changed_at_ms")?,
    })
}
