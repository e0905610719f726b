//! Subscriptions: an application's right to call an API under a business plan.

use sqlx::any::AnyRow;

use domain::subscription::{Subscription, SubscriptionStatus};

use crate::apim::apis::pattern;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::{Columns as _, word};

/// A subscription as the publisher lists it, with its application's name and owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// The subscription.
    pub subscription: Subscription,
    /// Name of the application.
    pub application: String,
    /// Owner of the application.
    pub owner: String,
    /// Description of the application.
    pub description: String,
}

/// The subscription with this id, read for a change.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(write: &mut Write, tenant: &str, id: &str) -> Result<Subscription, StoreError> {
    let query = sqlx::query(
        "UPDATE subscriptions SET status = status WHERE tenant = $1 AND id = $2 \
         RETURNING id, tenant, api_id, application_id, policy, requested_policy, status, subscriber, \
         created_at_ms",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("subscription {id}"))),
    }
}

/// The subscription with this id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(
    read: &mut Read,
    tenant: &str,
    id: &str,
) -> Result<Option<Subscription>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, api_id, application_id, policy, requested_policy, status, subscriber, \
         created_at_ms \
         FROM subscriptions WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    read.optional(query).await?.map(|row| map(&row)).transpose()
}

/// An application's subscriptions, oldest first.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list_by_application(
    read: &mut Read,
    tenant: &str,
    application_id: &str,
) -> Result<Vec<Subscription>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, api_id, application_id, policy, requested_policy, status, subscriber, \
         created_at_ms \
         FROM subscriptions WHERE tenant = $1 AND application_id = $2 \
         ORDER BY created_at_ms, id",
    )
    .bind(tenant.to_owned())
    .bind(application_id.to_owned());
    read.all(query).await?.iter().map(map).collect()
}

/// Whether an application subscribes to an API, read inside a write that has locked the
/// application.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn is_held(
    write: &mut Write,
    tenant: &str,
    application_id: &str,
    api_id: &str,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "SELECT id FROM subscriptions WHERE tenant = $1 AND application_id = $2 AND api_id = $3",
    )
    .bind(tenant.to_owned())
    .bind(application_id.to_owned())
    .bind(api_id.to_owned());
    Ok(write.optional(query).await?.is_some())
}

/// The subscriptions to an API that an owner's applications hold, oldest first.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list_by_owner(
    read: &mut Read,
    tenant: &str,
    api_id: &str,
    owner: &str,
) -> Result<Vec<Subscription>, StoreError> {
    let query = sqlx::query(
        "SELECT s.id, s.tenant, s.api_id, s.application_id, s.policy, s.requested_policy, s.status, \
         s.subscriber, s.created_at_ms \
         FROM subscriptions s \
         JOIN applications a ON a.tenant = s.tenant AND a.id = s.application_id \
         WHERE s.tenant = $1 AND s.api_id = $2 AND a.owner = $3 ORDER BY s.created_at_ms, s.id",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned())
    .bind(owner.to_owned());
    read.all(query).await?.iter().map(map).collect()
}

/// Changes a subscription's plan.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn update_policy(
    write: &mut Write,
    tenant: &str,
    id: &str,
    policy: &str,
) -> Result<Subscription, StoreError> {
    let query = sqlx::query(
        "UPDATE subscriptions SET policy = $1, requested_policy = $1 \
         WHERE tenant = $2 AND id = $3 \
         RETURNING id, tenant, api_id, application_id, policy, requested_policy, status, subscriber, \
         created_at_ms",
    )
    .bind(policy.to_owned())
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("subscription {id}"))),
    }
}

/// Removes a subscription; gives it as it was.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(write: &mut Write, tenant: &str, id: &str) -> Result<Subscription, StoreError> {
    let query = sqlx::query("DELETE FROM subscriptions WHERE tenant = $1 AND id = $2 \
         RETURNING id, tenant, api_id, application_id, policy, requested_policy, status, subscriber, \
         created_at_ms")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("subscription {id}"))),
    }
}

/// Sets what a subscription allows.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn set_status(
    write: &mut Write,
    tenant: &str,
    id: &str,
    status: SubscriptionStatus,
) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE subscriptions SET status = $1 WHERE tenant = $2 AND id = $3")
        .bind(status.as_str())
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    write.execute(query, "subscription").await.map(drop)
}

/// The subscriptions of an API that an application holds, read inside a write.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list_for_change(
    write: &mut Write,
    tenant: &str,
    api_id: &str,
) -> Result<Vec<Subscription>, StoreError> {
    let query = sqlx::query(
        "SELECT s.id, s.tenant, s.api_id, s.application_id, s.policy, s.requested_policy, s.status, \
         s.subscriber, s.created_at_ms \
         FROM subscriptions s JOIN applications a ON a.id = s.application_id \
         WHERE s.tenant = $1 AND s.api_id = $2",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned());
    write.all(query).await?.iter().map(map).collect()
}

/// Inserts a subscription.
///
/// # Errors
/// [`StoreError::Duplicate`] when the application subscribes to the API already.
pub async fn create(write: &mut Write, subscription: &Subscription) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO subscriptions (id, tenant, api_id, application_id, policy, \
         requested_policy, status, subscriber, created_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(subscription.id.clone())
    .bind(subscription.tenant.clone())
    .bind(subscription.api_id.clone())
    .bind(subscription.application_id.clone())
    .bind(subscription.policy.clone())
    .bind(subscription.requested_policy.clone())
    .bind(subscription.status.as_str())
    .bind(subscription.subscriber.clone())
    .bind(subscription.created_at_ms);
    write.execute(query, "subscription").await.map(drop)
}

/// How many subscriptions an API has, as they are listed, read inside a write.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn count_of_api(
    write: &mut Write,
    tenant: &str,
    api_id: &str,
) -> Result<i64, StoreError> {
    let query = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) AS total FROM subscriptions s \
         JOIN applications a ON a.id = s.application_id \
         WHERE s.tenant = $1 AND s.api_id = $2",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned());
    match write.optional(query).await? {
        Some(row) => row.integer("total"),
        None => Ok(0),
    }
}

/// One page of the subscriptions of an API, or of all APIs when `api_id` is empty, and how many
/// there are in all. `words` must occur in the name of the application, its owner or the plan.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list_by_api(
    read: &mut Read,
    tenant: &str,
    api_id: &str,
    words: &str,
    (limit, offset): (usize, usize),
) -> Result<(Vec<Subscriber>, usize), StoreError> {
    let words = pattern(Some(words), "");
    let count = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) AS total FROM subscriptions s \
         JOIN applications a ON a.id = s.application_id \
         WHERE s.tenant = $1 AND ($2 = '' OR s.api_id = $2) \
         AND (a.name_key LIKE $3 ESCAPE '!' \
              OR COALESCE(a.owner_key, LOWER(a.owner)) LIKE $3 ESCAPE '!' \
              OR LOWER(s.policy) LIKE $3 ESCAPE '!')",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned())
    .bind(words.clone());
    let total = match read.optional(count).await? {
        Some(row) => usize::try_from(row.integer("total")?).unwrap_or(0),
        None => 0,
    };
    let page = sqlx::query(
        "SELECT s.id, s.tenant, s.api_id, s.application_id, s.policy, s.requested_policy, s.status, \
         s.subscriber, s.created_at_ms, \
         a.name AS application, a.owner AS owner, a.description AS description \
         FROM subscriptions s JOIN applications a ON a.id = s.application_id \
         WHERE s.tenant = $1 AND ($2 = '' OR s.api_id = $2) \
         AND (a.name_key LIKE $3 ESCAPE '!' \
              OR COALESCE(a.owner_key, LOWER(a.owner)) LIKE $3 ESCAPE '!' \
              OR LOWER(s.policy) LIKE $3 ESCAPE '!') \
         ORDER BY s.created_at_ms DESC, s.id LIMIT $4 OFFSET $5",
    )
    .bind(tenant.to_owned())
    .bind(api_id.to_owned())
    .bind(words)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(i64::try_from(offset).unwrap_or(i64::MAX));
    let rows = read.all(page).await?;
    let rows = rows.iter().map(|row| {
        Ok(Subscriber {
            subscription: map(row)?,
            application: row.text("application")?,
            owner: row.text("owner")?,
            description: row.text("description")?,
        })
    });
    Ok((rows.collect::<Result<_, StoreError>>()?, total))
}

fn map(row: &AnyRow) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        api_id: row.text("api_id")?,
        application_id: row.text("application_id")?,
        policy: row.text("policy")?,
        requested_policy: row.text("requested_policy")?,
        status: word(row, "status", SubscriptionStatus::parse)?,
        subscriber: row.text("subscriber")?,
        created_at_ms: row.integer("created_at_ms")?,
    })
}
