//! Which roles may get which scope of an API, by version of the API's document (C5).
//!
//! A version is written once, before the row of API-M that points at its document, and never
//! changed; so whoever asks which roles count takes the versions that API-M points at. A change of
//! bindings takes effect in the very transaction that changes the API, or not at all.

use std::collections::BTreeMap;

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

/// Scopes that one statement looks for.
const LOT: usize = 20;

/// What all versions of all APIs bind scopes to, by scope; one that none defines is left out. Whoever
/// asks for a token names as many scopes as fit in, so they are looked for in lots.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    scopes: &[&str],
) -> Result<BTreeMap<String, Vec<Binding>>, StoreError> {
    let mut found: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
    let scopes: Vec<&str> = scopes.iter().copied().filter(|s| is_storable(s)).collect();
    for lot in scopes.chunks(LOT) {
        let mut query = sqlx::query(
            "SELECT scope, api_id, version, role FROM scope_roles WHERE tenant = $1 AND scope IN \
             ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
             $20, $21) ORDER BY scope, role, version",
        )
        .bind(tenant.to_owned());
        // A lot that is not full names its scopes again.
        for scope in lot.iter().cycle().take(LOT) {
            query = query.bind((*scope).to_owned());
        }
        for row in read.all(query).await? {
            let bindings = found.entry(row.text("scope")?).or_default();
            bindings.push(Binding {
                api_id: row.text("api_id")?,
                version: row.text("version")?,
                role: row.text("role")?,
            });
        }
    }
    Ok(found)
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
