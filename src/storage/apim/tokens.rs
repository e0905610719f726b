//! Opaque access tokens and refresh tokens, known by their hashes alone.

use sqlx::any::AnyRow;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// How long revocations and marks are kept after what they revoke has ended.
pub const REVOCATIONS_KEPT_MS: i64 = 7 * 86_400_000;

/// An opaque access token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// SHA-256, lower-case hex.
    pub token_hash: String,
    /// Tenant domain.
    pub tenant: String,
    /// The client it was issued to.
    pub consumer_key: String,
    /// The chain of refreshed tokens it belongs to; empty for none.
    pub session: String,
    /// The user it stands for, or the client's owner.
    pub username: String,
    /// `APPLICATION` or `APPLICATION_USER`.
    pub user_type: String,
    /// Scopes, separated by spaces.
    pub scopes: String,
    /// Milliseconds since the epoch.
    pub issued_at_ms: i64,
    /// Milliseconds since the epoch.
    pub expires_at_ms: i64,
}

/// A refresh token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256, lower-case hex.
    pub token_hash: String,
    /// Tenant domain.
    pub tenant: String,
    /// The client it was issued to.
    pub consumer_key: String,
    /// The chain of refreshed tokens it belongs to.
    pub session: String,
    /// The user it stands for.
    pub username: String,
    /// Scopes, separated by spaces.
    pub scopes: String,
    /// Whether it has been used; it works once.
    pub used: bool,
    /// Milliseconds since the epoch.
    pub issued_at_ms: i64,
    /// Milliseconds since the epoch.
    pub expires_at_ms: i64,
}

/// The opaque access token with this hash.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_access(read: &mut Read, hash: &str) -> Result<Option<AccessToken>, StoreError> {
    let query = sqlx::query(
        "SELECT token_hash, tenant, consumer_key, session, username, user_type, scopes, issued_at_ms, \
         expires_at_ms \
         FROM access_tokens WHERE token_hash = $1",
    );
    let row = read.optional(query.bind(hash.to_owned())).await?;
    row.map(|row| access(&row)).transpose()
}

/// The refresh token with this hash.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_refresh(read: &mut Read, hash: &str) -> Result<Option<RefreshToken>, StoreError> {
    let query = sqlx::query(
        "SELECT token_hash, tenant, consumer_key, session, username, scopes, used, issued_at_ms, \
         expires_at_ms \
         FROM refresh_tokens WHERE token_hash = $1",
    );
    let row = read.optional(query.bind(hash.to_owned())).await?;
    row.map(|row| refresh(&row)).transpose()
}

/// Stores an opaque access token.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create_access(write: &mut Write, token: &AccessToken) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO access_tokens (token_hash, tenant, consumer_key, session, username, \
         user_type, scopes, issued_at_ms, expires_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(token.token_hash.clone())
    .bind(token.tenant.clone())
    .bind(token.consumer_key.clone())
    .bind(token.session.clone())
    .bind(token.username.clone())
    .bind(token.user_type.clone())
    .bind(token.scopes.clone())
    .bind(token.issued_at_ms)
    .bind(token.expires_at_ms);
    write.execute(query, "token").await.map(drop)
}

/// Stores a refresh token.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create_refresh(write: &mut Write, token: &RefreshToken) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO refresh_tokens (token_hash, tenant, consumer_key, session, username, \
         scopes, used, issued_at_ms, expires_at_ms) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8)",
    )
    .bind(token.token_hash.clone())
    .bind(token.tenant.clone())
    .bind(token.consumer_key.clone())
    .bind(token.session.clone())
    .bind(token.username.clone())
    .bind(token.scopes.clone())
    .bind(token.issued_at_ms)
    .bind(token.expires_at_ms);
    write.execute(query, "token").await.map(drop)
}

/// Uses a refresh token up; false when somebody else has (M5: a conditional update decides).
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn use_refresh(write: &mut Write, hash: &str) -> Result<bool, StoreError> {
    let query =
        sqlx::query("UPDATE refresh_tokens SET used = 1 WHERE token_hash = $1 AND used = 0");
    Ok(write.execute(query.bind(hash.to_owned()), "token").await? == 1)
}

/// Ends a chain of refreshed tokens: none of its stored tokens works any more. What a refresh that
/// was faster has stored goes as well, see [`delete_logins`].
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_session(write: &mut Write, session: &str) -> Result<(), StoreError> {
    let refresh =
        || sqlx::query("DELETE FROM refresh_tokens WHERE session = $1").bind(session.to_owned());
    while write.execute(refresh(), "token").await? > 0 {}
    let access = sqlx::query("DELETE FROM access_tokens WHERE session = $1");
    let access = access.bind(session.to_owned());
    write.execute(access, "token").await.map(drop)
}

/// Ends all chains of refreshed tokens of a user: no session can be gone on with.
///
/// A server lets a refresh commit beside this write, and a statement sees what was there when it
/// began: it waits for the row that the refresh uses up, and does not see the one that the refresh
/// stores. So it is repeated until it finds nothing. A refresh that comes later finds its row gone.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_logins(
    write: &mut Write,
    tenant: &str,
    username: &str,
) -> Result<(), StoreError> {
    let refresh = || {
        sqlx::query(
            "DELETE FROM refresh_tokens WHERE tenant = $1 AND username = $2 AND session <> ''",
        )
        .bind(tenant.to_owned())
        .bind(username.to_owned())
    };
    while write.execute(refresh(), "token").await? > 0 {}
    Ok(())
}

/// Removes the tokens that stand in a user's name and were issued before a moment.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_of_user(
    write: &mut Write,
    tenant: &str,
    username: &str,
    before_ms: i64,
) -> Result<(), StoreError> {
    for query in [
        "DELETE FROM access_tokens WHERE tenant = $1 AND username = $2 AND issued_at_ms < $3",
        "DELETE FROM refresh_tokens WHERE tenant = $1 AND username = $2 AND issued_at_ms < $3",
    ] {
        let query = sqlx::query(query)
            .bind(tenant.to_owned())
            .bind(username.to_owned())
            .bind(before_ms);
        write.execute(query, "token").await?;
    }
    Ok(())
}

/// Removes an opaque access token.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_access(write: &mut Write, hash: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM access_tokens WHERE token_hash = $1");
    write
        .execute(query.bind(hash.to_owned()), "token")
        .await
        .map(drop)
}

/// Removes at most `most` expired rows of each kind; gives how many were removed. Revocations stay a
/// week longer: a clock that was ahead for a while must not have let anything in for good.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_expired(write: &mut Write, now_ms: i64, most: i64) -> Result<u64, StoreError> {
    let long_ago_ms = now_ms.saturating_sub(REVOCATIONS_KEPT_MS);
    let mut removed = 0;
    for (query, before_ms) in [
        (
            "DELETE FROM access_tokens WHERE token_hash IN (SELECT token_hash FROM access_tokens \
             WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)",
            now_ms,
        ),
        (
            "DELETE FROM refresh_tokens WHERE token_hash IN (SELECT token_hash FROM refresh_tokens \
             WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)",
            now_ms,
        ),
        (
            "DELETE FROM revoked_tokens WHERE (tenant, issuer, token_id) IN \
             (SELECT tenant, issuer, token_id FROM revoked_tokens \
             WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2)",
            long_ago_ms,
        ),
        (
            "DELETE FROM issued_before_marks WHERE (tenant, subject, subject_id) IN \
             (SELECT tenant, subject, subject_id FROM issued_before_marks \
             WHERE until_ms <= $1 ORDER BY until_ms LIMIT $2)",
            long_ago_ms,
        ),
    ] {
        let query = sqlx::query(query).bind(before_ms).bind(most);
        removed += write.execute(query, "token").await?;
    }
    Ok(removed)
}

fn access(row: &AnyRow) -> Result<AccessToken, StoreError> {
    Ok(AccessToken {
        token_hash: row.text("token_hash")?,
        tenant: row.text("tenant")?,
        consumer_key: row.text("consumer_key")?,
        session: row.text("session")?,
        username: row.text("username")?,
        user_type: row.text("user_type")?,
        scopes: row.text("scopes")?,
        issued_at_ms: row.integer("issued_at_ms")?,
        expires_at_ms: row.integer("expires_at_ms")?,
    })
}

fn refresh(row: &AnyRow) -> Result<RefreshToken, StoreError> {
    Ok(RefreshToken {
        token_hash: row.text("token_hash")?,
        tenant: row.text("tenant")?,
        consumer_key: row.text("consumer_key")?,
        session: row.text("session")?,
        username: row.text("username")?,
        scopes: row.text("scopes")?,
        used: row.flag("used")?,
        issued_at_ms: row.integer("issued_at_ms")?,
        expires_at_ms: row.integer("expires_at_ms")?,
    })
}
