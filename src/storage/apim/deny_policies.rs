//! Deny policies: who or what is refused before anything is counted.

use sqlx::any::AnyRow;

use domain::application::Application;
use domain::deny_policy::{DenyPolicy, DenyTarget};

use crate::apim::applications;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// All deny policies of a tenant.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read, tenant: &str) -> Result<Vec<DenyPolicy>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, kind, target, active, application_id \
         FROM deny_policies WHERE tenant = $1 ORDER BY kind, id",
    );
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
    let query = sqlx::query(
        "SELECT id, tenant, kind, target, active, application_id \
         FROM deny_policies WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    read.optional(query).await?.map(|row| map(&row)).transpose()
}

/// The deny policy with this id, read for a change.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn lock(write: &mut Write, tenant: &str, id: &str) -> Result<DenyPolicy, StoreError> {
    let query = sqlx::query(
        "UPDATE deny_policies SET active = active WHERE tenant = $1 AND id = $2 \
         RETURNING id, tenant, kind, target, active, application_id",
    )
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    match write.optional(query).await? {
        Some(row) => map(&row),
        None => Err(StoreError::NotFound(format!("deny policy {id}"))),
    }
}

/// The policy with what it denies, read inside a write; none when that is not there: the API by
/// its context with version, the application by its owner and name, ignoring case. Users and
/// addresses may come.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn resolve(
    write: &mut Write,
    mut policy: DenyPolicy,
) -> Result<Option<DenyPolicy>, StoreError> {
    let is_known = match &policy.target {
        DenyTarget::Api(context) => {
            let query = sqlx::query("SELECT id FROM apis WHERE tenant = $1 AND full_context = $2")
                .bind(policy.tenant.clone())
                .bind(context.clone());
            write.optional(query).await?.is_some()
        }
        DenyTarget::Application(text) => {
            let (owner, name) = text.split_once(':').unwrap_or_default();
            let query = sqlx::query(
                "SELECT id, owner, name FROM applications WHERE tenant = $1 AND name_key = $2",
            )
            .bind(policy.tenant.clone())
            .bind(name.to_lowercase());
            let rows = write.all(query).await?;
            let (owner, name_key) = (owner.to_lowercase(), name.to_lowercase());
            let mut found = None;
            for row in &rows {
                if row.text("owner")?.to_lowercase() == owner {
                    found = Some(row.text("id")?);
                }
            }
            let found = match found {
                None => None,
                Some(id) => named(write, &policy.tenant, &id, &name_key).await?,
            };
            if let Some(application) = found {
                // As it is written: the same policy in other letters is a duplicate.
                let name = format!("{}:{}", application.owner, application.name);
                policy.application_id = Some(application.id);
                policy.target = DenyTarget::Application(name);
            }
            policy.application_id.is_some()
        }
        DenyTarget::Address { .. } | DenyTarget::AddressRange { .. } | DenyTarget::User(_) => true,
    };
    Ok(is_known.then_some(policy))
}

/// An application if it has this name, in lower case; it keeps it until this transaction ends.
async fn named(
    write: &mut Write,
    tenant: &str,
    id: &str,
    name_key: &str,
) -> Result<Option<Application>, StoreError> {
    match applications::lock(write, tenant, id).await {
        Ok(found) => Ok((found.name.to_lowercase() == name_key).then_some(found)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lets the deny policies of an application that was just renamed from `before` name it as it is
/// called now; gives them. One that has named it by that name alone is bound to it from now on: it
/// was bound to none, or to one that is gone.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn carry(
    write: &mut Write,
    application: &Application,
    before: &str,
) -> Result<Vec<DenyPolicy>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, kind, target, active, application_id \
             FROM deny_policies WHERE tenant = $1 AND kind = 'APPLICATION'",
    );
    let rows = write.all(query.bind(application.tenant.clone())).await?;
    let all = rows.iter().map(map).collect::<Result<Vec<_>, _>>()?;
    let named = |owner: &str, name: &str| format!("{owner}:{name}");
    let old = named(&application.owner, before).to_lowercase();
    let new = DenyTarget::Application(named(&application.owner, &application.name));
    let mut is_taken = all.iter().any(|policy| policy.target == new);
    let mut carried = Vec::new();
    for mut policy in all {
        let by_name = matches!(&policy.target, DenyTarget::Application(text)
            if text.to_lowercase() == old);
        let is_carried = match &policy.application_id {
            Some(bound) if *bound == application.id => true,
            Some(bound) => by_name && !is_there(write, &application.tenant, bound).await?,
            None => by_name,
        };
        if !is_carried {
            continue;
        }
        policy.application_id = Some(application.id.clone());
        if !is_taken {
            policy.target = new.clone();
            is_taken = true;
        }
        let query = sqlx::query(
            "UPDATE deny_policies SET target = $1, application_id = $2 \
             WHERE tenant = $3 AND id = $4",
        )
        .bind(text(&policy.target)?)
        .bind(policy.application_id.clone())
        .bind(policy.tenant.clone())
        .bind(policy.id.clone());
        write.execute(query, "deny policy").await?;
        carried.push(policy);
    }
    Ok(carried)
}

/// Whether an application is there, read inside a write.
async fn is_there(write: &mut Write, tenant: &str, id: &str) -> Result<bool, StoreError> {
    let query = sqlx::query("SELECT id FROM applications WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_owned())
        .bind(id.to_owned());
    Ok(write.optional(query).await?.is_some())
}

/// Stores a new deny policy.
///
/// # Errors
/// [`StoreError::Duplicate`] when the same is denied already.
pub async fn create(write: &mut Write, policy: &DenyPolicy) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO deny_policies (id, tenant, kind, target, application_id, active) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(policy.id.clone())
    .bind(policy.tenant.clone())
    .bind(policy.target.kind())
    .bind(text(&policy.target)?)
    .bind(policy.application_id.clone())
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
        "UPDATE deny_policies SET active = $1 WHERE tenant = $2 AND id = $3 \
         RETURNING id, tenant, kind, target, active, application_id",
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

fn text(target: &DenyTarget) -> Result<String, StoreError> {
    serde_json::to_string(target).map_err(StoreError::damaged("deny policy"))
}

/// Reads a row.
pub(super) fn map(row: &AnyRow) -> Result<DenyPolicy, StoreError> {
    Ok(DenyPolicy {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        target: serde_json::from_str(&row.text("target")?)
            .map_err(StoreError::damaged("deny policy"))?,
        application_id: row.optional_text("application_id")?,
        active: row.flag("active")?,
    })
}
