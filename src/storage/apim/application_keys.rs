//! Which OAuth2 client serves an application, for production and for the sandbox.

use sqlx::any::AnyRow;

use domain::application::{KeyType, names_application};

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

/// A client that was made for an application and serves none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Tenant domain.
    pub tenant: String,
    /// The client.
    pub consumer_key: String,
}

/// Anybody may register names that look alike, any number of them. So each page begins where the
/// one before ended in the order that the table is kept in: all pages together read it once.
pub(crate) const LOOK_ALIKES: &str = "SELECT c.tenant, c.consumer_key, c.owner, c.name \
     FROM oauth_clients c WHERE c.created_at_ms < $1 AND c.consumer_key > $2 \
     AND (c.name LIKE '%!_PRODUCTION' ESCAPE '!' OR c.name LIKE '%!_SANDBOX' ESCAPE '!') \
     AND NOT EXISTS (SELECT 1 FROM application_keys k WHERE k.tenant = c.tenant \
     AND k.consumer_key = c.consumer_key) ORDER BY c.consumer_key LIMIT 500";

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
        "SELECT id, tenant, application_id, key_type, key_manager, consumer_key, properties, created_at_ms \
         FROM application_keys WHERE tenant = $1 AND application_id = $2 \
         ORDER BY key_type",
    )
    .bind(tenant.to_owned())
    .bind(application_id.to_owned());
    read.all(query).await?.iter().map(map).collect()
}

/// A key mapping, read for a change.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(write: &mut Write, tenant: &str, id: &str) -> Result<ApplicationKey, StoreError> {
    let query = sqlx::query(
        "UPDATE application_keys SET properties = properties WHERE tenant = $1 AND id = $2 \
         RETURNING id, tenant, application_id, key_type, key_manager, consumer_key, properties, created_at_ms",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("key {id}"))),
    }
}

/// Reads a client for a change: nobody else maps or removes it until this transaction ends.
/// False when it is gone.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn lock_client(
    write: &mut Write,
    tenant: &str,
    consumer_key: &str,
) -> Result<bool, StoreError> {
    let query =
        sqlx::query("UPDATE oauth_clients SET name = name WHERE tenant = $1 AND consumer_key = $2")
            .bind(tenant.to_owned())
            .bind(consumer_key.to_owned());
    Ok(write.execute(query, "client").await? > 0)
}

/// Whether a client serves an application, read inside a write that has locked the client.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn is_mapped(
    write: &mut Write,
    tenant: &str,
    consumer_key: &str,
) -> Result<bool, StoreError> {
    let query =
        sqlx::query("SELECT id FROM application_keys WHERE tenant = $1 AND consumer_key = $2")
            .bind(tenant.to_owned())
            .bind(consumer_key.to_owned());
    Ok(write.optional(query).await?.is_some())
}

/// One page of the clients made before a moment that serve no application although they are named
/// as if they did (`{owner}_{applicationId}_{type}`): what a crash between client and mapping
/// leaves. Other clients without an application are somebody's registration. With the orphans comes
/// where the next page begins, none after the last; the first begins at the empty text.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list_orphans(
    read: &mut Read,
    before_ms: i64,
    after: &str,
) -> Result<(Vec<Orphan>, Option<String>), StoreError> {
    let query = sqlx::query(LOOK_ALIKES)
        .bind(before_ms)
        .bind(after.to_owned());
    let rows = read.all(query).await?;
    let mut orphans = Vec::new();
    for row in &rows {
        if names_application(&row.text("name")?, &row.text("owner")?) {
            orphans.push(Orphan {
                tenant: row.text("tenant")?,
                consumer_key: row.text("consumer_key")?,
            });
        }
    }
    let end = rows.last().map(|row| row.text("consumer_key"));
    Ok((orphans, end.transpose()?))
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
pub async fn update(
    write: &mut Write,
    tenant: &str,
    id: &str,
    properties: &str,
) -> Result<(), StoreError> {
    let query =
        sqlx::query("UPDATE application_keys SET properties = $1 WHERE tenant = $2 AND id = $3")
            .bind(properties.to_owned())
            .bind(tenant.to_owned())
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
pub async fn delete(write: &mut Write, tenant: &str, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM application_keys WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
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
