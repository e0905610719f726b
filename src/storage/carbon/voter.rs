//! What this node has promised as a voter of the agreed view (W4): one row.

use domain::view::Voter;

use super::register::REMEDY;
use crate::checksum::checksum;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Its promises; those of a voter that has made none, where there is no row. A build of before writes no sum.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read) -> Result<Voter, StoreError> {
    let query = sqlx::query("SELECT promises, checksum FROM voter WHERE id = 1");
    let Some(row) = read.optional(query).await? else {
        return Ok(Voter::default());
    };
    let is_whole = |promises: &String| match row.optional_integer("checksum") {
        Ok(written) => written.is_none_or(|written| written == sum(promises)),
        Err(_) => false,
    };
    let promises = row.text("promises").ok().filter(is_whole);
    let voter = promises.and_then(|promises| serde_json::from_str(&promises).ok());
    voter.ok_or_else(|| StoreError::Damaged {
        what: "voter",
        reason: format!("its promises in carbon.db are not as they were written; {REMEDY}"),
    })
}

/// Keeps them; on disk once the transaction is committed.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn save(write: &mut Write, voter: &Voter) -> Result<(), StoreError> {
    let promises = serde_json::to_string(voter).map_err(StoreError::damaged("voter"))?;
    let sum = sum(&promises);
    let query = sqlx::query(
        "INSERT INTO voter (id, promises, checksum) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET promises = excluded.promises, checksum = excluded.checksum",
    );
    let query = query.bind(promises).bind(sum);
    write.execute(query, "voter").await.map(drop)
}

/// An epoch that has changed on the disk would be a promise taken back.
fn sum(promises: &str) -> i64 {
    i64::from(checksum(&[promises.as_bytes()]))
}
