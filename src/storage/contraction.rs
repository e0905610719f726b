//! What a later version has taken away from a database (M1). A version only adds to what the one before it uses;
//! what nothing needs any more is taken away by the version after. Such a migration is named
//! `contracts_0024_…`, after the one by which its place was taken: a build that lacks that one still
//! uses what is gone, and must not start on the database.

use crate::database::{Backend, Database, Read, Schema};
use crate::error::StoreError;
use crate::row::Columns as _;

/// What the name of such a migration begins with.
const CONTRACTS: &str = "contracts_";

/// Whether this build may use what later versions have left of the database; any may use a new one.
///
/// # Errors
/// [`StoreError::Contracted`] when it may not, [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub(crate) async fn allows(database: &Database, schema: &Schema) -> Result<(), StoreError> {
    let mut read = database.read().await?;
    if !has_table(&mut read, database.backend(), "_sqlx_migrations").await? {
        return Ok(());
    }
    let applied = sqlx::query("SELECT version, description FROM _sqlx_migrations");
    for row in read.all(applied).await? {
        let (version, name) = (row.integer("version")?, row.text("description")?);
        let Some(needs) = needed(&name) else { continue };
        let is_known = |known: i64| schema.migrations.iter().any(|one| one.0 == known);
        if !is_known(version) && !is_known(needs) {
            return Err(StoreError::Contracted {
                database: schema.name,
                version,
                needs,
            });
        }
    }
    Ok(())
}

/// Whether a database has a table of this name.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub(crate) async fn has_table(
    read: &mut Read,
    backend: Backend,
    name: &str,
) -> Result<bool, StoreError> {
    let query = match backend {
        Backend::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = $1",
        Backend::Postgres => "SELECT 1 FROM pg_class WHERE oid = to_regclass($1)",
    };
    let found = read
        .optional(sqlx::query(query).bind(name.to_owned()))
        .await?;
    Ok(found.is_some())
}

/// The migration that a build has to know which uses what a migration of this name has left.
fn needed(name: &str) -> Option<i64> {
    let rest = name.strip_prefix(CONTRACTS)?;
    let digits = rest.split('_').next().unwrap_or_default();
    // One that does not say so is only for those that know it itself.
    Some(digits.parse().unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "contraction_tests.rs"]
mod tests;
