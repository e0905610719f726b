//! What a key manager reads about a credential, all in one snapshot (V1).

use domain::application::{ApplicationStatus, KeyType};
use domain::subscription::SubscriptionStatus;
use domain::validation::{GrantedApplication, GrantedSubscription};

use super::change_log::unsigned;
use crate::database::Read;
use crate::error::StoreError;
use crate::row::Columns as _;

/// An API key as a validation needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Tenant domain.
    pub tenant: String,
    /// Production or sandbox.
    pub key_type: KeyType,
    /// The API it is bound to.
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
}

/// The head of the change log: read first, so that everything after it is at least that new.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn head(read: &mut Read) -> Result<u64, StoreError> {
    let row = read
        .optional(sqlx::query("SELECT n FROM change_head WHERE id = 1"))
        .await?;
    let n = row.map(|row| row.integer("n")).transpose()?.unwrap_or(0);
    Ok(u64::try_from(n).unwrap_or(0))
}

/// The number of the entry that a change of Shared was relayed as, by the id of its outbox row.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_relayed(read: &mut Read, outbox_id: &str) -> Result<Option<u64>, StoreError> {
    let query = sqlx::query("SELECT n FROM change_log WHERE source = $1");
    let row = read.optional(query.bind(outbox_id.to_owned())).await?;
    let n = row.map(|row| row.integer("n")).transpose()?;
    n.map(unsigned).transpose()
}

/// The application that a consumer key serves, and for which kind of keys.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn application_of_client(
    read: &mut Read,
    consumer_key: &str,
) -> Result<Option<(String, KeyType)>, StoreError> {
    let query = sqlx::query(
        "SELECT application_id, key_type FROM application_keys WHERE consumer_key = $1",
    );
    let Some(row) = read.optional(query.bind(consumer_key.to_owned())).await? else {
        return Ok(None);
    };
    Ok(Some((
        row.text("application_id")?,
        key_type(&row.text("key_type")?)?,
    )))
}

/// An application as a gateway needs it.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn application(
    read: &mut Read,
    id: &str,
) -> Result<Option<GrantedApplication>, StoreError> {
    let query = sqlx::query(
        "SELECT id, name, owner, throttling_policy, status FROM applications WHERE id = $1",
    );
    let Some(row) = read.optional(query.bind(id.to_owned())).await? else {
        return Ok(None);
    };
    let status = row.text("status")?;
    Ok(Some(GrantedApplication {
        id: row.text("id")?,
        name: row.text("name")?,
        owner: row.text("owner")?,
        policy: row.text("throttling_policy")?,
        status: ApplicationStatus::parse(&status).ok_or_else(|| unknown("status", &status))?,
    }))
}

/// An application's subscriptions.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn subscriptions(
    read: &mut Read,
    application_id: &str,
) -> Result<Vec<GrantedSubscription>, StoreError> {
    let query = sqlx::query(
        "SELECT id, api_id, policy, status FROM subscriptions WHERE application_id = $1",
    );
    let rows = read.all(query.bind(application_id.to_owned())).await?;
    let of = |row: &sqlx::any::AnyRow| {
        let status = row.text("status")?;
        Ok(GrantedSubscription {
            id: row.text("id")?,
            api_id: row.text("api_id")?,
            policy: row.text("policy")?,
            status: SubscriptionStatus::parse(&status).ok_or_else(|| unknown("status", &status))?,
        })
    };
    rows.iter().map(of).collect()
}

/// The API key with this hash.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn api_key(read: &mut Read, hash: &str) -> Result<Option<KeyRow>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, name, key_hash, key_type, api_id, application_id, owner, permitted_ips, \
         permitted_referers, issued_at_ms, validity_seconds, last_used_at_ms \
         FROM api_keys WHERE key_hash = $1",
    );
    let Some(row) = read.optional(query.bind(hash.to_owned())).await? else {
        return Ok(None);
    };
    Ok(Some(KeyRow {
        tenant: row.text("tenant")?,
        key_type: key_type(&row.text("key_type")?)?,
        api_id: row.text("api_id")?,
        application_id: row.optional_text("application_id")?,
        owner: row.text("owner")?,
        permitted_ips: row.text("permitted_ips")?,
        permitted_referers: row.text("permitted_referers")?,
        issued_at_ms: row.integer("issued_at_ms")?,
        validity_seconds: row.integer("validity_seconds")?,
    }))
}

fn key_type(text: &str) -> Result<KeyType, StoreError> {
    KeyType::parse(text).ok_or_else(|| unknown("key type", text))
}

fn unknown(what: &'static str, text: &str) -> StoreError {
    StoreError::Damaged {
        what,
        reason: format!("{text:?} is not known"),
    }
}
