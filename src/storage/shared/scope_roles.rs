//! Which roles may get which scope of an API.

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::{Columns as _, is_storable};

/// The role that stands for "anybody" in a row of its own, so that a scope without roles is known.
const ANYBODY: &str = "";

/// The roles of a scope over all APIs that define it: none when no API does, empty when anybody
/// may have it.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find(
    read: &mut Read,
    tenant: &str,
    scope: &str,
) -> Result<Option<Vec<String>>, StoreError> {
    if !is_storable(scope) {
        return Ok(None);
    }
    let query = sqlx::query(
        "SELECT DISTINCT role FROM scope_roles WHERE tenant = $1 AND scope = $2 ORDER BY role",
    );
    let rows = read
        .all(query.bind(tenant.to_owned()).bind(scope.to_owned()))
        .await?;
    let roles: Vec<String> = rows
        .iter()
        .map(|row| row.text("role"))
        .collect::<Result<_, _>>()?;
    Ok(match roles.as_slice() {
        [] => None,
        [only] if only == ANYBODY => Some(Vec::new()),
        _ => Some(roles.into_iter().filter(|role| role != ANYBODY).collect()),
    })
}

/// Replaces the scopes of an API: `(scope, roles)`.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(
    write: &mut Write,
    tenant: &str,
    api_id: &str,
    scopes: &[(String, Vec<String>)],
) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM scope_roles WHERE tenant = $1 AND api_id = $2");
    let query = query.bind(tenant.to_owned()).bind(api_id.to_owned());
    write.execute(query, "scope").await?;
    for (scope, roles) in scopes {
        let anybody = [ANYBODY.to_owned()];
        let roles = if roles.is_empty() {
            &anybody[..]
        } else {
            roles
        };
        for role in roles {
            let query = sqlx::query(
                "INSERT INTO scope_roles (tenant, api_id, scope, role) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (tenant, api_id, scope, role) DO NOTHING",
            )
            .bind(tenant.to_owned())
            .bind(api_id.to_owned())
            .bind(scope.clone())
            .bind(role.clone());
            write.execute(query, "scope").await?;
        }
    }
    Ok(())
}
