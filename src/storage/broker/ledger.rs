//! What the lease ledger leaves on disk: high-water marks (L5), and whether it stopped in order (L6).

use domain::ledger::Mark;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// How the ledger of this data directory ended last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastStop {
    /// It has never run.
    Never,
    /// In order: the marks are all that counts.
    Clean,
    /// Without a word: only long windows have marks.
    Crashed,
}

/// Marks the ledger as running; gives how it ended before, and the highest T that it noted.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn begin(write: &mut Write) -> Result<(LastStop, i64), StoreError> {
    let query = sqlx::query("SELECT clean, t_ms FROM ledger_state WHERE id = 1");
    let (last, t_ms) = match write.optional(query).await? {
        None => (LastStop::Never, 0),
        Some(row) if row.flag("clean")? => (LastStop::Clean, row.integer("t_ms")?),
        Some(row) => (LastStop::Crashed, row.integer("t_ms")?),
    };
    set(write, false, t_ms).await?;
    Ok((last, t_ms))
}

/// Notes the T that the running ledger counts by; a lower one changes nothing.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn note(write: &mut Write, t_ms: i64) -> Result<(), StoreError> {
    set(write, false, t_ms).await
}

/// Marks an orderly stop at `t_ms`; the marks of all cells are in the same transaction.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn end(write: &mut Write, t_ms: i64) -> Result<(), StoreError> {
    set(write, true, t_ms).await
}

/// Saves the marks of a shard; each replaces its cell's row.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn save(write: &mut Write, shard: u16, marks: &[Mark]) -> Result<(), StoreError> {
    for mark in marks {
        let cell = serde_json::to_string(&mark.cell).map_err(StoreError::damaged("cell"))?;
        let text = serde_json::to_string(mark).map_err(StoreError::damaged("mark"))?;
        let query = sqlx::query(
            "INSERT INTO ledger_cells (shard, cell_key, mark, window_end_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (shard, cell_key) DO UPDATE SET \
             mark = excluded.mark, window_end_ms = excluded.window_end_ms",
        )
        .bind(i64::from(shard))
        .bind(cell)
        .bind(text)
        .bind(mark.end_ms);
        write.execute(query, "mark").await?;
    }
    Ok(())
}

/// The marks of a shard whose windows are not over at `now_ms`.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read, shard: u16, now_ms: i64) -> Result<Vec<Mark>, StoreError> {
    let query = sqlx::query(
        "SELECT mark FROM ledger_cells WHERE shard = $1 AND window_end_ms > $2 ORDER BY cell_key",
    )
    .bind(i64::from(shard))
    .bind(now_ms);
    let rows = read.all(query).await?;
    let of = |row: &sqlx::any::AnyRow| {
        serde_json::from_str(&row.text("mark")?).map_err(StoreError::damaged("mark"))
    };
    rows.iter().map(of).collect()
}

/// Removes the marks of windows that are over; gives how many.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_ended(write: &mut Write, now_ms: i64) -> Result<u64, StoreError> {
    let query = sqlx::query("DELETE FROM ledger_cells WHERE window_end_ms <= $1");
    write.execute(query.bind(now_ms), "mark").await
}

async fn set(write: &mut Write, clean: bool, t_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO ledger_state (id, clean, t_ms) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET clean = excluded.clean, \
         t_ms = MAX(ledger_state.t_ms, excluded.t_ms)",
    );
    let query = query.bind(i64::from(clean)).bind(t_ms);
    write.execute(query, "ledger state").await.map(drop)
}
