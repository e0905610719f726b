//! Deny policies: who or what is refused before anything is counted.

use sqlx::any::AnyRow;

use domain::deny_policy::{DenyPolicy, DenyTarget};

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// All deny policies of a tenant.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read, tenant: &str) -> Result<Vec<DenyPolicy>, StoreError> {
    let query = sqlx::query("SELECT * FROM deny_policies WHERE tenant = $1 ORDER BY kind, id");
    let rows = read.all(query.bind(tenant.to_owned())).await?;
    rows.iter().map(map).collect()
}

/// The deny policy with this id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(
    read: &mut Read,
    tenant: &str,
    id: &str,
) -> Result<Option<DenyPolicy>, StoreError> {
    let query = sqlx::query("SELECT * FROM deny_policies WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    read.optional(query).await?.map(|row| map(&row)).transpose()
}

/// Whether what a policy denies is there, read inside a write: the API by its context with
/// version, the application by its owner and name, ignoring case. Users and addresses may come.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn is_known(write: &mut Write, policy: &DenyPolicy) -> Result<bool, StoreError> {
    match &policy.target {
        DenyTarget::Api(context) => {
            let query = sqlx::query("SELECT id FROM apis WHERE tenant = $1 AND full_context = $2")
                .bind(policy.tenant.clone())
                .bind(context.clone());
            Ok(write.optional(query).await?.is_some())
        }
        DenyTarget::Application(text) => {
            let (owner, name) = text.split_once(':').unwrap_or_default();
            let query =
                sqlx::query("SELECT owner FROM applications WHERE tenant = $1 AND name_key = $2")
                    .bind(policy.tenant.clone())
                    .bind(name.to_lowercase());
            let rows = write.all(query).await?;
            let owners: Vec<_> = rows
                .iter()
                .map(|row| row.text("owner"))
                .collect::<Result<_, _>>()?;
            let owner = owner.to_lowercase();
            Ok(owners.iter().any(|known| known.to_lowercase() == owner))
        }
        DenyTarget::Address { .. } | DenyTarget::AddressRange { .. } | DenyTarget::User(_) => {
            Ok(true)
        }
    }
}

/// Stores a new deny policy.
///
/// # Errors
/// [`StoreError::Duplicate`] when the same is denied already.
pub async fn create(write: &mut Write, policy: &DenyPolicy) -> Result<(), StoreError> {
    let target =
        serde_json::to_string(&policy.target).map_err(StoreError::damaged("deny policy"))?;
    let query = sqlx::query(
        "INSERT INTO deny_policies (id, tenant, kind, target, active) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(policy.id.clone())
    .bind(policy.tenant.clone())
    .bind(policy.target.kind())
    .bind(target)
    .bind(i64::from(policy.active));
    write
        .execute(query, "a deny policy for this")
        .await
        .map(drop)
}

/// Puts a deny policy in or out of force; gives it as it is then.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn set_active(
    write: &mut Write,
    tenant: &str,
    id: &str,
    active: bool,
) -> Result<DenyPolicy, StoreError> {
    let query = sqlx::query(
        "UPDATE deny_policies SET active = $1 WHERE tenant = $2 AND id = $3 RETURNING *",
    )
    .bind(i64::from(active))
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("deny policy {id}"))),
    }
}

/// Removes a deny policy.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(write: &mut Write, tenant: &str, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM deny_policies WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    match write.execute(query, "deny policy").await? {
        0 => Err(StoreError::NotFound(format!("deny policy {id}"))),
        _ => Ok(()),
    }
}

fn map(row: &AnyRow) -> Result<DenyPolicy, StoreError> {
    Ok(DenyPolicy {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        target: serde_json::from_str(&row.text("target")?)
            .map_err(StoreError::damaged("deny policy"))?,
        active: row.flag("active")?,
    })
}
