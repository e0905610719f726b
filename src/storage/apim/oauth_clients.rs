//! OAuth2 clients. Their secrets are random, so one SHA-256 hides them.

use sqlx::any::AnyRow;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::{Columns as _, is_storable};

/// A client as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthClient {
    /// Public id.
    pub consumer_key: String,
    /// Tenant domain.
    pub tenant: String,
    /// Unique per owner.
    pub name: String,
    /// The user it belongs to.
    pub owner: String,
    /// SHA-256 of its secret, lower-case hex.
    pub secret_hash: String,
    /// Grant types it may use.
    pub grant_types: Vec<String>,
    /// Where codes may be sent.
    pub callback_url: String,
    /// `JWT` or `OAUTH`.
    pub token_type: String,
    /// Life of its own access tokens, seconds; the key manager's default when none.
    pub access_token_seconds: Option<i64>,
    /// Life of its refresh tokens, seconds; the key manager's default when none.
    pub refresh_token_seconds: Option<i64>,
    /// Life of users' access tokens, seconds; the key manager's default when none.
    pub user_token_seconds: Option<i64>,
    /// Life of identity tokens, seconds; that of the access token when none.
    pub id_token_seconds: Option<i64>,
    /// Created, milliseconds since the epoch.
    pub created_at_ms: i64,
}

const SELECT: &str = "SELECT consumer_key, tenant, name, owner, secret_hash, grant_types, callback_url, token_type, \
     access_token_seconds, refresh_token_seconds, created_at_ms, user_token_seconds, id_token_seconds, \
     previous_secret_hash, previous_secret_until_ms \
     FROM oauth_clients WHERE consumer_key = $1";

/// The client with this consumer key.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find(read: &mut Read, consumer_key: &str) -> Result<Option<OauthClient>, StoreError> {
    if !is_storable(consumer_key) {
        return Ok(None);
    }
    let query = sqlx::query(SELECT).bind(consumer_key.to_owned());
    read.optional(query).await?.map(|row| of(&row)).transpose()
}

/// The client of this name that a user owns.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_by_name(
    read: &mut Read,
    tenant: &str,
    owner: &str,
    name: &str,
) -> Result<Option<OauthClient>, StoreError> {
    if !is_storable(owner) || !is_storable(name) {
        return Ok(None);
    }
    let query =
        sqlx::query("SELECT consumer_key, tenant, name, owner, secret_hash, grant_types, callback_url, token_type, \
             access_token_seconds, refresh_token_seconds, created_at_ms, user_token_seconds, \
             id_token_seconds, previous_secret_hash, previous_secret_until_ms \
             FROM oauth_clients WHERE tenant = $1 AND owner = $2 AND name = $3")
            .bind(tenant.to_owned())
            .bind(owner.to_owned())
            .bind(name.to_owned());
    read.optional(query).await?.map(|row| of(&row)).transpose()
}

/// A client read for a change: nobody else maps, changes or removes it until this transaction ends.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn lock(
    write: &mut Write,
    tenant: &str,
    consumer_key: &str,
) -> Result<Option<OauthClient>, StoreError> {
    let query = sqlx::query(
        "UPDATE oauth_clients SET name = name WHERE tenant = $1 AND consumer_key = $2 \
         RETURNING consumer_key, tenant, name, owner, secret_hash, grant_types, callback_url, token_type, \
         access_token_seconds, refresh_token_seconds, created_at_ms, user_token_seconds, id_token_seconds, \
         previous_secret_hash, previous_secret_until_ms",
    )
    .bind(tenant.to_owned())
    .bind(consumer_key.to_owned());
    write.optional(query).await?.map(|row| of(&row)).transpose()
}

/// Stores a new client.
///
/// # Errors
/// [`StoreError::Duplicate`] when the owner has one of that name.
pub async fn create(write: &mut Write, client: &OauthClient) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO oauth_clients (consumer_key, tenant, name, owner, secret_hash, grant_types, \
         callback_url, token_type, access_token_seconds, refresh_token_seconds, created_at_ms, \
         user_token_seconds, id_token_seconds) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(client.consumer_key.clone())
    .bind(client.tenant.clone())
    .bind(client.name.clone())
    .bind(client.owner.clone())
    .bind(client.secret_hash.clone())
    .bind(client.grant_types.join(" "))
    .bind(client.callback_url.clone())
    .bind(client.token_type.clone())
    .bind(client.access_token_seconds)
    .bind(client.refresh_token_seconds)
    .bind(client.created_at_ms)
    .bind(client.user_token_seconds)
    .bind(client.id_token_seconds);
    write.execute(query, "client").await.map(drop)
}

/// Replaces everything but key, tenant, owner, name and secret.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such client.
pub async fn update(write: &mut Write, client: &OauthClient) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE oauth_clients SET grant_types = $1, callback_url = $2, token_type = $3, \
         access_token_seconds = $4, refresh_token_seconds = $5, user_token_seconds = $6, \
         id_token_seconds = $7 WHERE consumer_key = $8",
    )
    .bind(client.grant_types.join(" "))
    .bind(client.callback_url.clone())
    .bind(client.token_type.clone())
    .bind(client.access_token_seconds)
    .bind(client.refresh_token_seconds)
    .bind(client.user_token_seconds)
    .bind(client.id_token_seconds)
    .bind(client.consumer_key.clone());
    there(write.execute(query, "client").await?)
}

/// Sets the kind of tokens that a client issues.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such client.
pub async fn set_token_type(
    write: &mut Write,
    consumer_key: &str,
    token_type: &str,
) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE oauth_clients SET token_type = $1 WHERE consumer_key = $2")
        .bind(token_type.to_owned())
        .bind(consumer_key.to_owned());
    there(write.execute(query, "client").await?)
}

/// Replaces a client's secret; the one before works until then, or no more. Milliseconds since the
/// epoch.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such client.
pub async fn update_secret(
    write: &mut Write,
    consumer_key: &str,
    secret_hash: &str,
    previous_until_ms: Option<i64>,
) -> Result<(), StoreError> {
    let query = match previous_until_ms {
        Some(_) => {
            "UPDATE oauth_clients SET previous_secret_hash = secret_hash, \
             previous_secret_until_ms = $1, secret_hash = $2 WHERE consumer_key = $3"
        }
        None => {
            "UPDATE oauth_clients SET previous_secret_hash = NULL, \
             previous_secret_until_ms = $1, secret_hash = $2 WHERE consumer_key = $3"
        }
    };
    let query = sqlx::query(query)
        .bind(previous_until_ms)
        .bind(secret_hash.to_owned())
        .bind(consumer_key.to_owned());
    there(write.execute(query, "client").await?)
}

/// The hash of the secret before a client's present one, while it still works.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_previous_secret(
    read: &mut Read,
    consumer_key: &str,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    if !is_storable(consumer_key) {
        return Ok(None);
    }
    let query = sqlx::query(
        "SELECT previous_secret_hash FROM oauth_clients WHERE consumer_key = $1 \
         AND previous_secret_hash IS NOT NULL AND previous_secret_until_ms > $2",
    )
    .bind(consumer_key.to_owned())
    .bind(now_ms);
    let row = read.optional(query).await?;
    row.map(|row| row.text("previous_secret_hash")).transpose()
}

/// The consumer key of the client of this name that a user owns; nobody else changes or removes it
/// until the write ends.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn lock_by_name(
    write: &mut Write,
    tenant: &str,
    owner: &str,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let query = sqlx::query(
        "UPDATE oauth_clients SET name = name WHERE tenant = $1 AND owner = $2 AND name = $3 \
         RETURNING consumer_key",
    )
    .bind(tenant.to_owned())
    .bind(owner.to_owned())
    .bind(name.to_owned());
    let row = write.optional(query).await?;
    row.map(|row| row.text("consumer_key")).transpose()
}

fn there(changed: u64) -> Result<(), StoreError> {
    match changed {
        0 => Err(StoreError::NotFound("client".to_owned())),
        _ => Ok(()),
    }
}

/// Removes a client with its tokens; removing what is not there is no error.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, consumer_key: &str) -> Result<(), StoreError> {
    for query in [
        "DELETE FROM access_tokens WHERE consumer_key = $1",
        "DELETE FROM refresh_tokens WHERE consumer_key = $1",
        "DELETE FROM oauth_clients WHERE consumer_key = $1",
    ] {
        let query = sqlx::query(query).bind(consumer_key.to_owned());
        write.execute(query, "client").await?;
    }
    Ok(())
}

fn of(row: &AnyRow) -> Result<OauthClient, StoreError> {
    let words = row.text("grant_types")?;
    Ok(OauthClient {
        consumer_key: row.text("consumer_key")?,
        tenant: row.text("tenant")?,
        name: row.text("name")?,
        owner: row.text("owner")?,
        secret_hash: row.text("secret_hash")?,
        grant_types: words.split_whitespace().map(str::to_owned).collect(),
        callback_url: row.text("callback_url")?,
        token_type: row.text("token_type")?,
        access_token_seconds: row.optional_integer("access_token_seconds")?,
        refresh_token_seconds: row.optional_integer("refresh_token_seconds")?,
        user_token_seconds: row.optional_integer("user_token_seconds")?,
        id_token_seconds: row.optional_integer("id_token_seconds")?,
        created_at_ms: row.integer("created_at_ms")?,
    })
}
