//! How the lease ledger of this data directory ended (L6), by which time it counted, and in which views: one row.

use sqlx::any::AnyRow;

use super::ledger::damaged;
use crate::checksum::checksum;
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

/// What the last run left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How it ended.
    pub last_stop: LastStop,
    /// The highest T that it noted.
    pub t_ms: i64,
    /// Short windows that had begun by then are full, because of a crash before.
    pub lost_ms: Option<i64>,
    /// The view in which it stopped in order; 0 where it was of none.
    pub epoch: u64,
}

const SELECT: &str =
    "SELECT clean, t_ms, lost_ms, epoch, begun, checksum FROM ledger_state WHERE id = 1";

/// The row.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    clean: bool,
    t_ms: i64,
    lost_ms: Option<i64>,
    epoch: u64,
    begun: Option<u64>,
}

/// Marks the ledger as running; gives what the last run left.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn begin(write: &mut Write) -> Result<Left, StoreError> {
    let found = State::to_change(write).await?;
    let state = found.unwrap_or_default();
    let last_stop = match found {
        None => LastStop::Never,
        Some(State { clean: true, .. }) => LastStop::Clean,
        Some(State { clean: false, .. }) => LastStop::Crashed,
    };
    let running = State {
        clean: false,
        ..state
    };
    running.save(write).await?;
    Ok(Left {
        last_stop,
        t_ms: state.t_ms,
        lost_ms: state.lost_ms,
        epoch: state.epoch,
    })
}

/// Whether a ledger has ever run here.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn has_run(read: &mut Read) -> Result<bool, StoreError> {
    let query = sqlx::query("SELECT id FROM ledger_state WHERE id = 1");
    Ok(read.optional(query).await?.is_some())
}

/// The T that the last ledger here noted: it counted in none beyond that. None where none has ever run.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn noted(read: &mut Read) -> Result<Option<i64>, StoreError> {
    Ok(State::find(read).await?.map(|state| state.t_ms))
}

/// Says that a ledger ran elsewhere until `t_ms`, and that nothing is left of it: the next one begins
/// as after a crash.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn begin_without_past(write: &mut Write, t_ms: i64) -> Result<(), StoreError> {
    note(write, t_ms).await
}

/// Notes the T that the running ledger counts by; a lower one changes nothing.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn note(write: &mut Write, t_ms: i64) -> Result<(), StoreError> {
    let state = State::to_change(write).await?.unwrap_or_default();
    let noted = State {
        clean: false,
        t_ms: state.t_ms.max(t_ms),
        ..state
    };
    noted.save(write).await
}

/// The view that this file took part in first; none before that. Of what was granted before it the file has nothing.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn begun(write: &mut Write) -> Result<Option<u64>, StoreError> {
    let state = State::to_change(write).await?;
    Ok(state.and_then(|state| state.begun))
}

/// The latest view that anything here is of; none where this file took part in none. A mark that is no row any more says of
/// none: whoever reads its shard refuses it, and says what to do.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn counted_in(read: &mut Read) -> Result<Option<u64>, StoreError> {
    let Some(state) = State::find(read).await? else {
        return Ok(None);
    };
    let Some(begun) = state.begun else {
        return Ok(None);
    };
    let query = sqlx::query(
        "SELECT coalesce(max(CASE WHEN json_valid(mark) THEN mark ->> '$.stamp.epoch' END), 0) AS latest \
         FROM ledger_cells",
    );
    let row = read.optional(query).await?;
    let of_marks = row.map_or(Ok(0), |row| row.integer("latest"))?;
    Ok(Some(begun.max(state.epoch).max(of_marks.cast_unsigned())))
}

/// Notes the view that this file takes part in first; a later one changes nothing.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn take_part(write: &mut Write, epoch: u64) -> Result<(), StoreError> {
    let Some(state) = State::to_change(write).await? else {
        return Ok(());
    };
    let begun = state.begun.or(Some(epoch));
    State { begun, ..state }.save(write).await
}

/// Marks an orderly stop; the marks of all cells are in the same transaction. Short windows that had begun by `lost_ms`
/// stay full.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn end(write: &mut Write, left: &Left) -> Result<(), StoreError> {
    let state = State::to_change(write).await?.unwrap_or_default();
    let ended = State {
        clean: true,
        t_ms: state.t_ms.max(left.t_ms),
        lost_ms: left.lost_ms,
        epoch: left.epoch,
        ..state
    };
    ended.save(write).await
}

// === impl State ===

impl State {
    async fn find(read: &mut Read) -> Result<Option<Self>, StoreError> {
        let row = read.optional(sqlx::query(SELECT)).await?;
        row.as_ref().map(Self::of).transpose()
    }

    async fn to_change(write: &mut Write) -> Result<Option<Self>, StoreError> {
        let row = write.optional(sqlx::query(SELECT)).await?;
        row.as_ref().map(Self::of).transpose()
    }

    /// The row, if it is as it was written. One that a build of before has written has no sum.
    fn of(row: &AnyRow) -> Result<Self, StoreError> {
        let read = || -> Result<(Self, Option<i64>), StoreError> {
            let state = Self {
                clean: row.flag("clean")?,
                t_ms: row.integer("t_ms")?,
                lost_ms: row.optional_integer("lost_ms")?,
                epoch: row.integer("epoch")?.cast_unsigned(),
                begun: row.optional_integer("begun")?.map(i64::cast_unsigned),
            };
            Ok((state, row.optional_integer("checksum")?))
        };
        match read() {
            Ok((state, sum)) if sum.is_none_or(|sum| sum == state.sum()) => Ok(state),
            _ => Err(damaged("state of the ledger")),
        }
    }

    async fn save(self, write: &mut Write) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO ledger_state (id, clean, t_ms, lost_ms, epoch, begun, checksum) \
             VALUES (1, $1, $2, $3, $4, $5, $6) \
             ON CONFLICT (id) DO UPDATE SET clean = excluded.clean, t_ms = excluded.t_ms, \
             lost_ms = excluded.lost_ms, epoch = excluded.epoch, begun = excluded.begun, \
             checksum = excluded.checksum",
        );
        let query = query
            .bind(i64::from(self.clean))
            .bind(self.t_ms)
            .bind(self.lost_ms)
            .bind(self.epoch.cast_signed())
            .bind(self.begun.map(u64::cast_signed))
            .bind(self.sum());
        write.execute(query, "ledger state").await.map(drop)
    }

    /// A number that has changed on the disk would be another time, or an orderly stop that was none.
    fn sum(&self) -> i64 {
        let or_nothing = |number: Option<[u8; 8]>| number.map_or(Vec::new(), Vec::from);
        i64::from(checksum(&[
            &[u8::from(self.clean)],
            &self.t_ms.to_be_bytes(),
            &or_nothing(self.lost_ms.map(i64::to_be_bytes)),
            &self.epoch.to_be_bytes(),
            &or_nothing(self.begun.map(u64::to_be_bytes)),
        ]))
    }
}
