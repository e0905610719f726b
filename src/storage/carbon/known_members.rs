//! Where the members of the cluster were dialed last.

use std::collections::BTreeSet;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// All addresses, in order.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(read: &mut Read) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query("SELECT address FROM known_members ORDER BY address");
    let rows = read.all(query).await?;
    rows.iter().map(|row| row.text("address")).collect()
}

/// These, and no others.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(write: &mut Write, addresses: &BTreeSet<String>) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM known_members");
    write.execute(query, "member").await?;
    for address in addresses {
        let query = sqlx::query("INSERT INTO known_members (address) VALUES ($1)");
        write.execute(query.bind(address.clone()), "member").await?;
    }
    Ok(())
}

/// One more.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn add(write: &mut Write, address: &str) -> Result<(), StoreError> {
    let query =
        sqlx::query("INSERT INTO known_members (address) VALUES ($1) ON CONFLICT DO NOTHING");
    let query = query.bind(address.to_owned());
    write.execute(query, "member").await.map(drop)
}
