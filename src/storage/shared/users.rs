//! People and their roles.

use sqlx::any::AnyRow;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::{Columns as _, is_storable};

const COUNT_WITH_ROLE: &str = "SELECT COUNT(*) AS n FROM user_roles r \
     JOIN users u ON u.tenant = r.tenant AND u.id = r.user_id \
     WHERE r.tenant = $1 AND r.role = $2 AND u.active = 1";

/// A user as stored; roles are kept beside.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// UUID.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// Unique per tenant, ignoring case.
    pub name: String,
    /// Argon2id in its own string form.
    pub password_hash: String,
    /// Mail address, may be empty.
    pub email: String,
    /// May be empty.
    pub given_name: String,
    /// May be empty.
    pub family_name: String,
    /// Whether the user may sign in.
    pub active: bool,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Milliseconds since the epoch.
    pub updated_at_ms: i64,
}

// === impl User ===

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The user with this id.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find(read: &mut Read, tenant: &str, id: &str) -> Result<Option<User>, StoreError> {
    if !is_storable(id) {
        return Ok(None);
    }
    let query = sqlx::query(
        "SELECT id, tenant, name, name_key, password_hash, email, given_name, family_name, active, \
         created_at_ms, updated_at_ms, row_version \
         FROM users WHERE tenant = $1 AND id = $2",
    );
    let query = query.bind(tenant.to_owned()).bind(id.to_owned());
    read.optional(query).await?.map(|row| of(&row)).transpose()
}

/// The user of this name, ignoring case.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn find_by_name(
    read: &mut Read,
    tenant: &str,
    name: &str,
) -> Result<Option<User>, StoreError> {
    if !is_storable(name) {
        return Ok(None);
    }
    let query = sqlx::query(
        "SELECT id, tenant, name, name_key, password_hash, email, given_name, family_name, active, \
         created_at_ms, updated_at_ms, row_version \
         FROM users WHERE tenant = $1 AND name_key = $2",
    );
    let query = query.bind(tenant.to_owned()).bind(name.to_lowercase());
    read.optional(query).await?.map(|row| of(&row)).transpose()
}

/// All users by name, a page of them, with how many there are in all.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(
    read: &mut Read,
    tenant: &str,
    limit: i64,
    offset: i64,
) -> Result<(Vec<User>, i64), StoreError> {
    let count = sqlx::query("SELECT COUNT(*) AS n FROM users WHERE tenant = $1");
    let total = read.optional(count.bind(tenant.to_owned())).await?;
    let total = total.map(|row| row.integer("n")).transpose()?.unwrap_or(0);
    let query = sqlx::query(
        "SELECT id, tenant, name, name_key, password_hash, email, given_name, family_name, active, \
             created_at_ms, updated_at_ms, row_version \
             FROM users WHERE tenant = $1 ORDER BY name_key LIMIT $2 OFFSET $3",
    )
    .bind(tenant.to_owned())
    .bind(limit)
    .bind(offset);
    let rows = read.all(query).await?;
    let users = rows.iter().map(of).collect::<Result<_, _>>()?;
    Ok((users, total))
}

/// A user's roles, the stored ones.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn roles(read: &mut Read, tenant: &str, id: &str) -> Result<Vec<String>, StoreError> {
    let query =
        sqlx::query("SELECT role FROM user_roles WHERE tenant = $1 AND user_id = $2 ORDER BY role");
    let rows = read
        .all(query.bind(tenant.to_owned()).bind(id.to_owned()))
        .await?;
    rows.iter().map(|row| row.text("role")).collect()
}

/// How many active users hold a role.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn count_with_role(read: &mut Read, tenant: &str, role: &str) -> Result<i64, StoreError> {
    let query = sqlx::query(COUNT_WITH_ROLE);
    let row = read
        .optional(query.bind(tenant.to_owned()).bind(role.to_owned()))
        .await?;
    row.map_or(Ok(0), |row| row.integer("n"))
}

/// Whether a role exists.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn role_exists(read: &mut Read, tenant: &str, role: &str) -> Result<bool, StoreError> {
    let query = sqlx::query("SELECT name FROM roles WHERE tenant = $1 AND name = $2");
    let row = read
        .optional(query.bind(tenant.to_owned()).bind(role.to_owned()))
        .await?;
    Ok(row.is_some())
}

/// Makes a tenant and its roles where they are missing.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn seed(
    write: &mut Write,
    tenant: &str,
    roles: &[&str],
    now_ms: i64,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO tenants (domain, active, created_at_ms) VALUES ($1, 1, $2) \
         ON CONFLICT (domain) DO NOTHING",
    );
    write
        .execute(query.bind(tenant.to_owned()).bind(now_ms), "tenant")
        .await?;
    for role in roles {
        save_role(write, tenant, role).await?;
    }
    Ok(())
}

/// Makes a role; one that is there stays.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_role(write: &mut Write, tenant: &str, role: &str) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO roles (tenant, name) VALUES ($1, $2) ON CONFLICT (tenant, name) DO NOTHING",
    );
    let query = query.bind(tenant.to_owned()).bind(role.to_owned());
    write.execute(query, "role").await.map(drop)
}

/// Stores a new user with roles.
///
/// # Errors
/// [`StoreError::Duplicate`] when the name is taken.
pub async fn create(write: &mut Write, user: &User, roles: &[String]) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO users (id, tenant, name, name_key, password_hash, email, given_name, \
         family_name, active, created_at_ms, updated_at_ms, row_version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)",
    )
    .bind(user.id.clone())
    .bind(user.tenant.clone())
    .bind(user.name.clone())
    .bind(user.name.to_lowercase())
    .bind(user.password_hash.clone())
    .bind(user.email.clone())
    .bind(user.given_name.clone())
    .bind(user.family_name.clone())
    .bind(i64::from(user.active))
    .bind(user.created_at_ms)
    .bind(user.updated_at_ms);
    write.execute(query, "user").await?;
    for role in roles {
        let query = sqlx::query(
            "INSERT INTO user_roles (tenant, user_id, role) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant, user_id, role) DO NOTHING",
        )
        .bind(user.tenant.clone())
        .bind(user.id.clone())
        .bind(role.clone());
        write.execute(query, "role").await?;
    }
    Ok(())
}

/// Replaces a user's password; false when there is no such user.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn update_password(
    write: &mut Write,
    tenant: &str,
    id: &str,
    password_hash: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "UPDATE users SET password_hash = $1, updated_at_ms = $2, row_version = row_version + 1 \
         WHERE tenant = $3 AND id = $4",
    )
    .bind(password_hash.to_owned())
    .bind(now_ms)
    .bind(tenant.to_owned())
    .bind(id.to_owned());
    Ok(write.execute(query, "user").await? == 1)
}

/// Replaces the password that `proof` is the hash of; false when the user's is another by now, or
/// the user is gone.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn replace_password(
    write: &mut Write,
    (tenant, id): (&str, &str),
    proof: &str,
    password_hash: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "UPDATE users SET password_hash = $1, updated_at_ms = $2, row_version = row_version + 1 \
         WHERE tenant = $3 AND id = $4 AND password_hash = $5",
    )
    .bind(password_hash.to_owned())
    .bind(now_ms)
    .bind(tenant.to_owned())
    .bind(id.to_owned())
    .bind(proof.to_owned());
    Ok(write.execute(query, "user").await? == 1)
}

/// Has all others who make or remove a tenant's users wait for this write.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn lock(write: &mut Write, tenant: &str) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE tenants SET active = active WHERE domain = $1");
    let query = query.bind(tenant.to_owned());
    write.execute(query, "tenant").await.map(drop)
}

/// Removes a user with roles, unless no active user would hold `kept_role` any more; false when
/// there was none.
///
/// # Errors
/// [`StoreError::Forbidden`] for the last holder of `kept_role`; then the write must be dropped.
pub async fn delete(
    write: &mut Write,
    tenant: &str,
    id: &str,
    kept_role: &str,
) -> Result<bool, StoreError> {
    // Two removals in one tenant come one after the other: each counts what the other has left.
    lock(write, tenant).await?;
    let held =
        sqlx::query("DELETE FROM user_roles WHERE tenant = $1 AND user_id = $2 AND role = $3");
    let held = held
        .bind(tenant.to_owned())
        .bind(id.to_owned())
        .bind(kept_role.to_owned());
    let held = write.execute(held, "role").await? > 0;
    let roles = sqlx::query("DELETE FROM user_roles WHERE tenant = $1 AND user_id = $2");
    let roles = roles.bind(tenant.to_owned()).bind(id.to_owned());
    write.execute(roles, "role").await?;
    let user = sqlx::query("DELETE FROM users WHERE tenant = $1 AND id = $2");
    let user = user.bind(tenant.to_owned()).bind(id.to_owned());
    let removed = write.execute(user, "user").await? == 1;
    if held {
        let left = sqlx::query(COUNT_WITH_ROLE)
            .bind(tenant.to_owned())
            .bind(kept_role.to_owned());
        let row = write.optional(left).await?;
        if row.map_or(Ok(0), |row| row.integer("n"))? == 0 {
            let reason = format!("is the last one with the role {kept_role}");
            return Err(StoreError::Forbidden(reason));
        }
    }
    Ok(removed)
}

fn of(row: &AnyRow) -> Result<User, StoreError> {
    Ok(User {
        id: row.text("id")?,
        tenant: row.text("tenant")?,
        name: row.text("name")?,
        password_hash: row.text("password_hash")?,
        email: row.text("email")?,
        given_name: row.text("given_name")?,
        family_name: row.text("family_name")?,
        active: row.flag("active")?,
        created_at_ms: row.integer("created_at_ms")?,
        updated_at_ms: row.integer("updated_at_ms")?,
    })
}
