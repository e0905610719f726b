//! API-bound opaque keys, known by their hashes alone.

use sqlx::any::AnyRow;

use domain::application::KeyType;

use crate::database::{Backend, Database, Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// An API key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// UUID, the contract's `keyUUID`.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// Unique per API and owner.
    pub name: String,
    /// SHA-256, lower-case hex.
    pub key_hash: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// The API it opens.
    pub api_id: String,
    /// The application it is associated with.
    pub application_id: Option<String>,
    /// The user who made it.
    pub owner: String,
    /// Separated by commas; empty for all.
    pub permitted_ips: String,
    /// Separated by commas; empty for all.
    pub permitted_referers: String,
    /// Milliseconds since the epoch.
    pub issued_at_ms: i64,
    /// Seconds; -1 for a key without end.
    pub validity_seconds: i64,
    /// Milliseconds since the epoch, none when never.
    pub last_used_at_ms: Option<i64>,
}

/// The key with this id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read, tenant: &str, id: &str) -> Result<Option<ApiKey>, StoreError> {
    let query = sqlx::query("SELECT id, tenant, name, key_hash, key_type, api_id, application_id, owner, permitted_ips, \
         permitted_referers, issued_at_ms, validity_seconds, last_used_at_ms \
         FROM api_keys WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    read.optional(query).await?.map(|row| map(&row)).transpose()
}

/// The key with this id, read for a change.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(write: &mut Write, tenant: &str, id: &str) -> Result<ApiKey, StoreError> {
    let query = sqlx::query(
        "UPDATE api_keys SET key_hash = key_hash WHERE tenant = $1 AND id = $2 \
         RETURNING id, tenant, name, key_hash, key_type, api_id, application_id, owner, permitted_ips, \
         permitted_referers, issued_at_ms, validity_seconds, last_used_at_ms",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("API key {id}"))),
    }
}

/// A user's keys for an API, by name.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list_by_api(
    read: &mut Read,
    tenant: &str,
    api_id: &str,
    owner: &str,
) -> Result<Vec<ApiKey>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, name, key_hash, key_type, api_id, application_id, owner, permitted_ips, \
         permitted_referers, issued_at_ms, validity_seconds, last_used_at_ms \
         FROM api_keys WHERE tenant = $1 AND api_id = $2 AND owner = $3 ORDER BY name",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned())
    .bind(owner.to_owned());
    read.all(query).await?.iter().map(map).collect()
}

/// The keys that are associated with an application, by name.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list_by_application(
    read: &mut Read,
    tenant: &str,
    application_id: &str,
) -> Result<Vec<ApiKey>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, name, key_hash, key_type, api_id, application_id, owner, permitted_ips, \
         permitted_referers, issued_at_ms, validity_seconds, last_used_at_ms \
         FROM api_keys WHERE tenant = $1 AND application_id = $2 ORDER BY name, id",
    )
    .bind(tenant.to_owned())
    .bind(application_id.to_owned());
    read.all(query).await?.iter().map(map).collect()
}

/// Stores a new key.
///
/// # Errors
/// [`StoreError::Duplicate`] when the user has one of that name for the API.
pub async fn create(write: &mut Write, key: &ApiKey) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO api_keys (id, tenant, name, key_hash, key_type, api_id, application_id, \
         owner, permitted_ips, permitted_referers, issued_at_ms, validity_seconds) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(key.id.clone())
    .bind(key.tenant.clone())
    .bind(key.name.clone())
    .bind(key.key_hash.clone())
    .bind(key.key_type.as_str())
    .bind(key.api_id.clone())
    .bind(key.application_id.clone())
    .bind(key.owner.clone())
    .bind(key.permitted_ips.clone())
    .bind(key.permitted_referers.clone())
    .bind(key.issued_at_ms)
    .bind(key.validity_seconds);
    let what = format!("an API key named {}", key.name);
    write.execute(query, &what).await.map(drop)
}

/// Gives a key a new secret from `issued_at_ms` on.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn update_secret(
    write: &mut Write,
    (tenant, id): (&str, &str),
    key_hash: &str,
    issued_at_ms: i64,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE api_keys SET key_hash = $1, issued_at_ms = $2 WHERE tenant = $3 AND id = $4",
    )
    .bind(key_hash.to_owned())
    .bind(issued_at_ms)
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    changed(write.execute(query, "API key").await?, id)
}

/// Associates a key with an application, or with none.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn update_application(
    write: &mut Write,
    (tenant, id): (&str, &str),
    application_id: Option<&str>,
) -> Result<(), StoreError> {
    let query =
        sqlx::query("UPDATE api_keys SET application_id = $1 WHERE tenant = $2 AND id = $3")
            .bind(application_id.map(str::to_owned))
            .bind(tenant.to_owned())
            .bind(id.to_owned());
    changed(write.execute(query, "API key").await?, id)
}

/// Notes that keys were used, each unless that was noted after `recent_ms`. A server's transaction
/// holds one row at a time: others lock several of them, in an order of their own, and whoever held
/// one and wanted another would block them. A file's writer is alone, and commits all at once.
///
/// # Errors
/// [`StoreError::Unavailable`]; then some may have been noted.
pub async fn note_used(
    database: &Database,
    key_hashes: &[String],
    now_ms: i64,
    recent_ms: i64,
) -> Result<(), StoreError> {
    let at_once = match database.backend() {
        Backend::Sqlite => key_hashes.len().max(1),
        Backend::Postgres => 1,
    };
    for lot in key_hashes.chunks(at_once) {
        let mut write = database.write("apim.api_keys.note_used").await?;
        for hash in lot {
            note_one(&mut write, hash, now_ms, recent_ms).await?;
        }
        write.commit().await?;
    }
    Ok(())
}

async fn note_one(
    write: &mut Write,
    key_hash: &str,
    now_ms: i64,
    recent_ms: i64,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE api_keys SET last_used_at_ms = $1 WHERE key_hash = $2 \
         AND (last_used_at_ms IS NULL OR last_used_at_ms <= $3)",
    )
    .bind(now_ms)
    .bind(key_hash.to_owned())
    .bind(recent_ms);
    write.execute(query, "API key").await.map(drop)
}

/// Removes a key.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(write: &mut Write, tenant: &str, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM api_keys WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    changed(write.execute(query, "API key").await?, id)
}

fn changed(rows: u64, id: &str) -> Result<(), StoreError> {
    match rows {
        0 => Err(StoreError::NotFound(format!("API key {id}"))),
        _ => Ok(()),
    }
}

fn map(row: &AnyRow) -> Result<ApiKey, StoreError> {
    let word = row.text("key_type")?;
    Ok(ApiKey {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        name: row.text("name")?,
        key_hash: row.text("key_hash")?,
        key_type: KeyType::parse(&word).ok_or_else(|| StoreError::Damaged {
            what: "key type",
            reason: format!("{word:?} is not known"),
        })?,
        api_id: row.text("api_id")?,
        application_id: row.optional_text("application_id")?,
        owner: row.text("owner")?,
        permitted_ips: row.text("permitted_ips")?,
        permitted_referers: row.text("permitted_referers")?,
        issued_at_ms: row.integer("issued_at_ms")?,
        validity_seconds: row.integer("validity_seconds")?,
        last_used_at_ms: row.optional_integer("last_used_at_ms")?,
    })
}
