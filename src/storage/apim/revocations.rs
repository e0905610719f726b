//! Revocations that are not over yet (S4): single tokens, and issued-before marks on subjects.

use domain::change::MarkedSubject;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// An issued-before mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Tenant domain.
    pub tenant: String,
    /// What it is on.
    pub subject: MarkedSubject,
    /// Its id.
    pub subject_id: String,
    /// Tokens issued before this are refused, milliseconds since the epoch.
    pub before_ms: i64,
    /// When the last of them will have expired.
    pub until_ms: i64,
}

/// A revoked token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Tenant domain.
    pub tenant: String,
    /// Issuer; empty for an opaque token.
    pub issuer: String,
    /// `jti` or hash.
    pub token_id: String,
    /// When it would have expired anyway.
    pub expires_at_ms: i64,
}

/// Revokes one token; revoking it again changes nothing.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, revocation: &Revocation) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO revoked_tokens (tenant, issuer, token_id, expires_at_ms) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, issuer, token_id) DO NOTHING",
    )
    .bind(revocation.tenant.clone())
    .bind(revocation.issuer.clone())
    .bind(revocation.token_id.clone())
    .bind(revocation.expires_at_ms);
    write.execute(query, "revocation").await.map(drop)
}

/// Says how long tokens may live, before any is given such a life; what was said before stays true
/// of those that were issued then.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn raise_longest_life(write: &mut Write, seconds: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO token_lives (id, longest_seconds) VALUES (1, $1) \
         ON CONFLICT (id) DO UPDATE SET longest_seconds = excluded.longest_seconds \
         WHERE excluded.longest_seconds > token_lives.longest_seconds",
    );
    let query = query.bind(seconds);
    write.execute(query, "longest life").await.map(drop)
}

/// When the last token that a mark covers will have expired at the latest, whatever lives are
/// configured now.
async fn kept_until(write: &mut Write, mark: &Mark) -> Result<i64, StoreError> {
    let query = sqlx::query("SELECT longest_seconds FROM token_lives WHERE id = 1");
    let longest = match write.optional(query).await? {
        Some(row) => row.integer("longest_seconds")?,
        None => 0,
    };
    let longest_ms = longest.saturating_mul(1_000);
    Ok(mark.until_ms.max(mark.before_ms.saturating_add(longest_ms)))
}

/// Sets a mark; an older one is replaced, never weakened. Gives until when it is kept: as `mark`
/// says, or longer where tokens were given a longer life once.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_mark(write: &mut Write, mark: &Mark) -> Result<i64, StoreError> {
    let until_ms = kept_until(write, mark).await?;
    let query = sqlx::query(
        "INSERT INTO issued_before_marks (tenant, subject, subject_id, before_ms, until_ms) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, subject, subject_id) DO UPDATE SET \
         before_ms = excluded.before_ms, until_ms = CASE \
         WHEN excluded.until_ms > issued_before_marks.until_ms THEN excluded.until_ms \
         ELSE issued_before_marks.until_ms END \
         WHERE excluded.before_ms > issued_before_marks.before_ms",
    )
    .bind(mark.tenant.clone())
    .bind(mark.subject.as_str())
    .bind(mark.subject_id.clone())
    .bind(mark.before_ms)
    .bind(until_ms);
    write.execute(query, "mark").await?;
    Ok(until_ms)
}

/// Removes the API keys, issued before a moment, of a user who is marked: a mark lapses when the
/// last token has expired, a key may have no end. An application's keys are its keeper's to remove.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_api_keys(
    write: &mut Write,
    tenant: &str,
    subject: MarkedSubject,
    subject_id: &str,
    before_ms: i64,
) -> Result<(), StoreError> {
    if subject != MarkedSubject::User {
        return Ok(());
    }
    let query =
        sqlx::query("DELETE FROM api_keys WHERE tenant = $1 AND owner = $2 AND issued_at_ms < $3")
            .bind(tenant.to_owned())
            .bind(subject_id.to_owned())
            .bind(before_ms);
    write.execute(query, "API key").await.map(drop)
}

/// Whether a token is revoked.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn is_revoked(
    read: &mut Read,
    tenant: &str,
    issuer: &str,
    token_id: &str,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "SELECT expires_at_ms FROM revoked_tokens \
         WHERE tenant = $1 AND issuer = $2 AND token_id = $3",
    )
    .bind(tenant.to_owned())
    .bind(issuer.to_owned())
    .bind(token_id.to_owned());
    Ok(read.optional(query).await?.is_some())
}

/// The moment before which what was issued to a subject is refused, if there is one.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_mark(
    read: &mut Read,
    tenant: &str,
    subject: MarkedSubject,
    subject_id: &str,
) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query(
        "SELECT before_ms FROM issued_before_marks \
         WHERE tenant = $1 AND subject = $2 AND subject_id = $3",
    )
    .bind(tenant.to_owned())
    .bind(subject.as_str())
    .bind(subject_id.to_owned());
    let row = read.optional(query).await?;
    row.map(|row| row.integer("before_ms")).transpose()
}

/// All revocations that are not over at `now_ms`.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(read: &mut Read, now_ms: i64) -> Result<Vec<Revocation>, StoreError> {
    let query = sqlx::query(
        "SELECT tenant, issuer, token_id, expires_at_ms \
         FROM revoked_tokens WHERE expires_at_ms > $1",
    );
    let rows = read.all(query.bind(now_ms)).await?;
    let of = |row: &sqlx::any::AnyRow| {
        Ok(Revocation {
            tenant: row.text("tenant")?,
            issuer: row.text("issuer")?,
            token_id: row.text("token_id")?,
            expires_at_ms: row.integer("expires_at_ms")?,
        })
    };
    rows.iter().map(of).collect()
}

/// All marks that are not over at `now_ms`.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list_marks(read: &mut Read, now_ms: i64) -> Result<Vec<Mark>, StoreError> {
    let query = sqlx::query(
        "SELECT tenant, subject, subject_id, before_ms, until_ms \
         FROM issued_before_marks WHERE until_ms > $1",
    );
    let rows = read.all(query.bind(now_ms)).await?;
    let of = |row: &sqlx::any::AnyRow| {
        let subject = row.text("subject")?;
        Ok(Mark {
            tenant: row.text("tenant")?,
            subject: subject_of(&subject)?,
            subject_id: row.text("subject_id")?,
            before_ms: row.integer("before_ms")?,
            until_ms: row.integer("until_ms")?,
        })
    };
    rows.iter().map(of).collect()
}

pub(crate) fn subject_of(text: &str) -> Result<MarkedSubject, StoreError> {
    [
        MarkedSubject::User,
        MarkedSubject::Application,
        MarkedSubject::Client,
        MarkedSubject::Session,
        MarkedSubject::Login,
    ]
    .into_iter()
    .find(|subject| subject.as_str() == text)
    .ok_or_else(|| StoreError::Damaged {
        what: "mark",
        reason: format!("subject {text:?} is not known"),
    })
}
