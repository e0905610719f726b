//! What this node has promised as a voter of the agreed view (W4): one row.

use domain::view::Voter;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Its promises; those of a voter that has made none, where there is no row.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<Voter, StoreError> {
    let query = sqlx::query("SELECT promises FROM voter WHERE id = 1");
    let Some(row) = read.optional(query).await? else {
        return Ok(Voter::default());
    };
    let promises = row.text("promises")?;
    serde_json::from_str(&promises).map_err(StoreError::damaged("voter"))
}

/// Keeps them; on disk once the transaction is committed.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn save(write: &mut Write, voter: &Voter) -> Result<(), StoreError> {
    let promises = serde_json::to_string(voter).map_err(StoreError::damaged("voter"))?;
    let query = sqlx::query(
        "INSERT INTO voter (id, promises) VALUES (1, $1) \
         ON CONFLICT (id) DO UPDATE SET promises = excluded.promises",
    );
    write.execute(query.bind(promises), "voter").await.map(drop)
}
