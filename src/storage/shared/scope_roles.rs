//! Which roles may get which scope of an API, by version of the API's document (C5).
//!
//! A version is written once, before the row of API-M that points at its document, and never
//! changed; so whoever asks which roles count takes the versions that API-M points at. A change of
//! bindings takes effect in the very transaction that changes the API, or not at all.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::{Columns as _, is_storable};

/// The role that stands for "anybody" in a row of its own, so that a scope without roles is known.
const ANYBODY: &str = "";

/// A role that a version of an API's document binds a scope to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The API that defines the scope.
    pub api_id: String,
    /// The version: the id of its document's blob.
    pub version: String,
    role: String,
}

/// What all versions of all APIs bind a scope to.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(read: &mut Read, tenant: &str, scope: &str) -> Result<Vec<Binding>, StoreError> {
    if !is_storable(scope) {
        return Ok(Vec::new());
    }
    let query = sqlx::query(
        "SELECT api_id, version, role FROM scope_roles WHERE tenant = $1 AND scope = $2 \
         ORDER BY role, version",
    );
    let rows = read
        .all(query.bind(tenant.to_owned()).bind(scope.to_owned()))
        .await?;
    let binding = |row: &sqlx::any::AnyRow| {
        Ok(Binding {
            api_id: row.text("api_id")?,
            version: row.text("version")?,
            role: row.text("role")?,
        })
    };
    rows.iter().map(binding).collect()
}

/// The roles of a scope over the bindings that count: none when no API defines it, empty when
/// anybody may have it. One API's roles are not undone by another that names none.
#[must_use]
pub fn joined<'b>(bindings: impl Iterator<Item = &'b Binding>) -> Option<Vec<String>> {
    let mut roles: Vec<&str> = bindings.map(|binding| binding.role.as_str()).collect();
    if roles.is_empty() {
        return None;
    }
    roles.sort_unstable();
    roles.dedup();
    let named = roles.into_iter().filter(|role| *role != ANYBODY);
    Some(named.map(str::to_owned).collect())
}

/// Writes what a version of an API's document binds: `(scope, roles)`.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create(
    write: &mut Write,
    tenant: &str,
    api_id: &str,
    version: &str,
    scopes: &[(String, Vec<String>)],
) -> Result<(), StoreError> {
    for (scope, roles) in scopes {
        let anybody = [ANYBODY.to_owned()];
        let roles = if roles.is_empty() {
            &anybody[..]
        } else {
            roles
        };
        for role in roles {
            let query = sqlx::query(
                "INSERT INTO scope_roles (tenant, api_id, version, scope, role) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (version, scope, role) DO NOTHING",
            )
            .bind(tenant.to_owned())
            .bind(api_id.to_owned())
            .bind(version.to_owned())
            .bind(scope.clone())
            .bind(role.clone());
            write.execute(query, "scope").await?;
        }
    }
    Ok(())
}

/// The scopes of a version that other APIs' versions define too: `(scope, version)` of the others.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn defined_elsewhere(
    read: &mut Read,
    tenant: &str,
    api_id: &str,
    version: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let query = sqlx::query(
        "SELECT DISTINCT theirs.scope AS scope, theirs.version AS version FROM scope_roles ours \
         JOIN scope_roles theirs ON theirs.tenant = ours.tenant AND theirs.scope = ours.scope \
         WHERE ours.tenant = $1 AND ours.version = $2 AND theirs.api_id <> $3 ORDER BY 1, 2",
    )
    .bind(tenant.to_owned())
    .bind(version.to_owned())
    .bind(api_id.to_owned());
    let rows = read.all(query).await?;
    rows.iter()
        .map(|row| Ok((row.text("scope")?, row.text("version")?)))
        .collect()
}

/// Removes a version that nothing points at.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, version: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM scope_roles WHERE version = $1");
    let query = query.bind(version.to_owned());
    write.execute(query, "scope").await.map(drop)
}
