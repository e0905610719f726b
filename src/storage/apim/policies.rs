//! Throttling policies of every level; the policy lies in its row as JSON.

use sqlx::any::AnyRow;

use domain::policy::{Policy, PolicyLevel};

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Saves the policies that a tenant starts with; those that exist already stay as they are.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn seed(write: &mut Write, policies: &[Policy]) -> Result<(), StoreError> {
    for policy in policies {
        let document =
            serde_json::to_string(policy).map_err(StoreError::damaged("throttling policy"))?;
        let query = sqlx::query(
            "INSERT INTO policies (id, tenant, level, name, document, row_version) \
             VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT (tenant, level, name) DO NOTHING",
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

/// The policies of a level, by name.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    level: PolicyLevel,
) -> Result<Vec<Policy>, StoreError> {
    let query =
        sqlx::query("SELECT * FROM policies WHERE tenant = $1 AND level = $2 ORDER BY name")
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
    let query =
        sqlx::query("SELECT * FROM policies WHERE tenant = $1 AND level = $2 AND name = $3")
            .bind(tenant.to_owned())
            .bind(level.as_str())
            .bind(name.to_owned());
    let row = read.optional(query).await?;
    row.map(|row| map(&row)).transpose()
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

fn map(row: &AnyRow) -> Result<Policy, StoreError> {
    let mut policy: Policy = serde_json::from_str(&row.text("document")?)
        .map_err(StoreError::damaged("throttling policy"))?;
    policy.row_version = row.integer("row_version")?;
    Ok(policy)
}
