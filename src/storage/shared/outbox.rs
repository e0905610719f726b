//! Changes of Shared on their way into the change log of API-M (C5).

use domain::change::Change;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// A change that still has to be relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Unique: what was relayed already is known by it.
    pub id: String,
    /// Tenant domain.
    pub tenant: String,
    /// The change.
    pub change: Change,
}

/// Adds a change in the transaction that makes it true, with its time and its place among the
/// changes of that transaction: they are relayed in this order.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create(
    write: &mut Write,
    id: &str,
    tenant: &str,
    change: &Change,
    (now_ms, place): (i64, i64),
) -> Result<(), StoreError> {
    let payload = serde_json::to_string(change).map_err(StoreError::damaged("change"))?;
    let query = sqlx::query(
        "INSERT INTO outbox (id, tenant, payload, at_ms, place) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.to_owned())
    .bind(tenant.to_owned())
    .bind(payload)
    .bind(now_ms)
    .bind(place);
    write.execute(query, "outbox row").await.map(drop)
}

/// The oldest pending changes.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn list(read: &mut Read, most: i64) -> Result<Vec<Pending>, StoreError> {
    let query = sqlx::query(
        "SELECT id, tenant, payload, at_ms, place FROM outbox ORDER BY at_ms, place, id LIMIT $1",
    );
    let rows = read.all(query.bind(most)).await?;
    let of = |row: &sqlx::any::AnyRow| {
        let payload = row.text("payload")?;
        Ok(Pending {
            id: row.text("id")?,
            tenant: row.text("tenant")?,
            change: serde_json::from_str(&payload).map_err(StoreError::damaged("outbox row"))?,
        })
    };
    rows.iter().map(of).collect()
}

/// Removes a change that was relayed.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, id: &str) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM outbox WHERE id = $1");
    write
        .execute(query.bind(id.to_owned()), "outbox row")
        .await
        .map(drop)
}
