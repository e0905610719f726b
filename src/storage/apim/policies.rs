//! Throttling policies of every level; the policy lies in its row as JSON.

use std::collections::HashMap;

use sqlx::any::AnyRow;

use domain::policy::{Policy, PolicyLevel};

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Saves the policies that a tenant starts with, once: one that an administrator removes stays
/// away. Those that nobody can remove are made good at every start.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn seed(write: &mut Write, policies: &[Policy]) -> Result<(), StoreError> {
    let mut is_new = HashMap::new();
    for policy in policies {
        let tenant = policy.tenant.as_str();
        let is_new = match is_new.get(tenant) {
            Some(known) => *known,
            None => {
                let first = mark_seeded(write, tenant).await?;
                is_new.insert(tenant, first);
                first
            }
        };
        if !is_new && !policy.is_built_in() {
            continue;
        }
        let document =
            serde_json::to_string(policy).map_err(StoreError::damaged("throttling policy"))?;
        let query = sqlx::query(
            "INSERT INTO policies (id, tenant, level, name, document, row_version) \
             VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT DO NOTHING",
        )
        .bind(policy.id.clone())
        .bind(policy.tenant.clone())
        .bind(policy.level.as_str())
        .bind(policy.name.clone())
        .bind(document);
        write.execute(query, "throttling policy").await?;
    }
    Ok(())
}

/// Notes that a tenant has had its policies; whether it had not before.
async fn mark_seeded(write: &mut Write, tenant: &str) -> Result<bool, StoreError> {
    let query =
        sqlx::query("INSERT INTO meta (name, value) VALUES ($1, '') ON CONFLICT DO NOTHING")
            .bind(format!("policies of {tenant}"));
    Ok(write.execute(query, "throttling policies").await? > 0)
}

/// The policies of a level, by name.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    level: PolicyLevel,
) -> Result<Vec<Policy>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, level, name, document, row_version \
             FROM policies WHERE tenant = $1 AND level = $2 ORDER BY name",
    )
    .bind(tenant.to_owned())
    .bind(level.as_str());
    read.all(query).await?.iter().map(map).collect()
}

/// The policy of this name.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(
    read: &mut Read,
    tenant: &str,
    level: PolicyLevel,
    name: &str,
) -> Result<Option<Policy>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, level, name, document, row_version \
             FROM policies WHERE tenant = $1 AND level = $2 AND name = $3",
    )
    .bind(tenant.to_owned())
    .bind(level.as_str())
    .bind(name.to_owned());
    let row = read.optional(query).await?;
    row.map(|row| map(&row)).transpose()
}

/// The policy with this id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find_by_id(
    read: &mut Read,
    tenant: &str,
    level: PolicyLevel,
    id: &str,
) -> Result<Option<Policy>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, level, name, document, row_version \
         FROM policies WHERE tenant = $1 AND level = $2 AND id = $3",
    )
    .bind(tenant.to_owned())
    .bind(level.as_str())
    .bind(id.to_owned());
    let row = read.optional(query).await?;
    row.map(|row| map(&row)).transpose()
}

/// The policy of this name, read for a change: nobody else changes or removes it until this
/// transaction ends, so what names it can be stored.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(
    write: &mut Write,
    tenant: &str,
    level: PolicyLevel,
    name: &str,
) -> Result<Policy, StoreError> {
    let query = sqlx::query(
        "UPDATE policies SET row_version = row_version \
         WHERE tenant = $1 AND level = $2 AND name = $3 \
         RETURNING id, tenant, level, name, document, row_version",
    )
    .bind(tenant.to_owned())
    .bind(level.as_str())
    .bind(name.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("throttling policy {name}"))),
    }
}

/// Stores a new policy.
///
/// # Errors
/// [`StoreError::Duplicate`] when its level has one of that name.
pub async fn create(write: &mut Write, policy: &Policy) -> Result<(), StoreError> {
    let document =
        serde_json::to_string(policy).map_err(StoreError::damaged("throttling policy"))?;
    let query = sqlx::query(
        "INSERT INTO policies (id, tenant, level, name, document, row_version) \
         VALUES ($1, $2, $3, $4, $5, 1)",
    )
    .bind(policy.id.clone())
    .bind(policy.tenant.clone())
    .bind(policy.level.as_str())
    .bind(policy.name.clone())
    .bind(document);
    let what = format!("throttling policy {}", policy.name);
    write.execute(query, &what).await.map(drop)
}

/// Replaces a policy's document; its name stays. Gives the new row version.
///
/// # Errors
/// [`StoreError::NotFound`] when the row is gone, [`StoreError::Stale`] when
/// `policy.row_version` is not 0 and not the stored one.
pub async fn update(write: &mut Write, policy: &Policy) -> Result<i64, StoreError> {
    let document =
        serde_json::to_string(policy).map_err(StoreError::damaged("throttling policy"))?;
    let stored = lock(write, &policy.tenant, policy.level, &policy.name).await?;
    if stored.id != policy.id {
        return Err(gone(policy));
    }
    if policy.row_version != 0 && policy.row_version != stored.row_version {
        return Err(StoreError::Stale);
    }
    let query = sqlx::query(
        "UPDATE policies SET document = $1, row_version = row_version + 1 \
         WHERE tenant = $2 AND id = $3",
    )
    .bind(document)
    .bind(policy.tenant.clone())
    .bind(policy.id.clone());
    write.execute(query, "throttling policy").await?;
    Ok(stored.row_version + 1)
}

/// Removes a policy that nothing uses; it is locked first, so that nothing begins to use it.
///
/// # Errors
/// [`StoreError::Forbidden`] while an application or a subscription uses it,
/// [`StoreError::NotFound`], [`StoreError::Stale`] when `policy.row_version` is not 0 and not the
/// stored one.
pub async fn delete(write: &mut Write, policy: &Policy) -> Result<(), StoreError> {
    let stored = lock(write, &policy.tenant, policy.level, &policy.name).await?;
    if stored.id != policy.id {
        return Err(gone(policy));
    }
    if policy.row_version != 0 && policy.row_version != stored.row_version {
        return Err(StoreError::Stale);
    }
    let (query, users) = match policy.level {
        PolicyLevel::Subscription => (
            "SELECT s.id FROM subscriptions s JOIN applications a ON a.id = s.application_id \
             WHERE s.tenant = $1 AND s.policy = $2 LIMIT 1",
            "subscriptions",
        ),
        // APIs name their policies inside of their documents; who deletes one looks there first.
        PolicyLevel::Application | PolicyLevel::Api => (
            "SELECT id FROM applications WHERE tenant = $1 AND throttling_policy = $2 LIMIT 1",
            "applications",
        ),
    };
    if policy.level != PolicyLevel::Api {
        let query = sqlx::query(query)
            .bind(policy.tenant.clone())
            .bind(policy.name.clone());
        if write.optional(query).await?.is_some() {
            return Err(StoreError::Forbidden(format!(
                "throttling policy {} is used by {users}",
                policy.name
            )));
        }
    }
    let query = sqlx::query("DELETE FROM policies WHERE tenant = $1 AND id = $2")
        .bind(policy.tenant.clone())
        .bind(policy.id.clone());
    match write.execute(query, "throttling policy").await? {
        0 => Err(gone(policy)),
        _ => Ok(()),
    }
}

/// The names of a level's policies, read inside a write.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn names(
    write: &mut Write,
    tenant: &str,
    level: PolicyLevel,
) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query("SELECT name FROM policies WHERE tenant = $1 AND level = $2")
        .bind(tenant.to_owned())
        .bind(level.as_str());
    let rows = write.all(query).await?;
    rows.iter().map(|row| row.text("name")).collect()
}

fn gone(policy: &Policy) -> StoreError {
    StoreError::NotFound(format!("throttling policy {}", policy.id))
}

fn map(row: &AnyRow) -> Result<Policy, StoreError> {
    let mut policy: Policy = serde_json::from_str(&row.text("document")?)
        .map_err(StoreError::damaged("throttling policy"))?;
    policy.row_version = row.integer("row_version")?;
    Ok(policy)
}
