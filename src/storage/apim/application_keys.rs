//! Which OAuth2 client serves an application, for production and for the sandbox.

use sqlx::any::AnyRow;

use domain::application::KeyType;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// A key mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationKey {
    /// UUID, the contract's `keyMappingId`.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// The application.
    pub application_id: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// Name of the key manager.
    pub key_manager: String,
    /// The client.
    pub consumer_key: String,
    /// `additionalProperties` of the contract, a JSON object.
    pub properties: String,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
}

/// An application's keys.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    application_id: &str,
) -> Result<Vec<ApplicationKey>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM application_keys WHERE tenant = $1 AND application_id = $2 \
         ORDER BY key_type",
    )
    .bind(tenant.to_owned())
    .bind(application_id.to_owned());
    read.all(query).await?.iter().map(map).collect()
}

/// Stores a key mapping.
///
/// # Errors
/// [`StoreError::Duplicate`] when the application has keys of that type.
pub async fn create(write: &mut Write, key: &ApplicationKey) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO application_keys (id, tenant, application_id, key_type, key_manager, \
         consumer_key, properties, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(key.id.clone())
    .bind(key.tenant.clone())
    .bind(key.application_id.clone())
    .bind(key.key_type.as_str())
    .bind(key.key_manager.clone())
    .bind(key.consumer_key.clone())
    .bind(key.properties.clone())
    .bind(key.created_at_ms);
    let what = format!("a {} key of this application", key.key_type.as_str());
    write.execute(query, &what).await.map(drop)
}

/// Replaces the additional properties of a key mapping.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn update(write: &mut Write, id: &str, properties: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE application_keys SET properties = $1 WHERE id = $2")
        .bind(properties.to_owned())
        .bind(id.to_owned());
    match write.execute(query, "key").await? {
        0 => Err(StoreError::NotFound(format!("key {id}"))),
        _ => Ok(()),
    }
}

/// Removes a key mapping.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM application_keys WHERE id = $1").bind(id.to_owned());
    match write.execute(query, "key").await? {
        0 => Err(StoreError::NotFound(format!("key {id}"))),
        _ => Ok(()),
    }
}

fn map(row: &AnyRow) -> Result<ApplicationKey, StoreError> {
    let word = row.text("key_type")?;
    Ok(ApplicationKey {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        application_id: row.text("application_id")?,
        key_type: KeyType::parse(&word).ok_or_else(|| StoreError::Damaged {
            what: "key type",
            reason: format!("{word:?} is not known"),
        })?,
        key_manager: row.text("key_manager")?,
        consumer_key: row.text("consumer_key")?,
        properties: row.text("properties")?,
        created_at_ms: row.integer("created_at_ms")?,
    })
}
