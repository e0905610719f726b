//! What the lease ledger leaves on disk: high-water marks (L5), and whether it stopped in order (L6).

use domain::ledger::{Mark, SHARDS};

use crate::checksum::checksum;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Marks in one statement.
const AT_ONCE: usize = 64;

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

/// Marks the ledger as running; gives what the last run left.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn begin(write: &mut Write) -> Result<Left, StoreError> {
    let query = sqlx::query("SELECT clean, t_ms, lost_ms, epoch FROM ledger_state WHERE id = 1");
    let left = match write.optional(query).await? {
        None => Left {
            last_stop: LastStop::Never,
            t_ms: 0,
            lost_ms: None,
            epoch: 0,
        },
        Some(row) => Left {
            last_stop: if row.flag("clean")? {
                LastStop::Clean
            } else {
                LastStop::Crashed
            },
            t_ms: row.integer("t_ms")?,
            lost_ms: row.optional_integer("lost_ms")?,
            epoch: row.integer("epoch")?.cast_unsigned(),
        },
    };
    set(write, false, left.t_ms).await?;
    Ok(left)
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
    let query = sqlx::query("SELECT t_ms FROM ledger_state WHERE id = 1");
    let row = read.optional(query).await?;
    row.map(|row| row.integer("t_ms")).transpose()
}

/// Says that a ledger ran elsewhere until `t_ms`, and that nothing is left of it: the next one begins
/// as after a crash.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn begin_without_past(write: &mut Write, t_ms: i64) -> Result<(), StoreError> {
    set(write, false, t_ms).await
}

/// Notes the T that the running ledger counts by; a lower one changes nothing.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn note(write: &mut Write, t_ms: i64) -> Result<(), StoreError> {
    set(write, false, t_ms).await
}

/// The view that this file took part in first; none before that. Of what was granted before it the file has nothing.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn begun(write: &mut Write) -> Result<Option<u64>, StoreError> {
    let query = sqlx::query("SELECT begun FROM ledger_state WHERE id = 1");
    let row = write.optional(query).await?;
    let begun = row.map(|row| row.optional_integer("begun")).transpose()?;
    Ok(begun.flatten().map(i64::cast_unsigned))
}

/// The latest view that anything here is of; none where this file took part in none. A row that is no row any more says of
/// none: whoever reads its shard refuses it, and says what to do.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn counted_in(read: &mut Read) -> Result<Option<u64>, StoreError> {
    let query = sqlx::query(
        "SELECT max(begun, epoch, coalesce((SELECT max(CASE WHEN json_valid(mark) THEN mark ->> '$.stamp.epoch' END) \
         FROM ledger_cells), 0)) AS latest \
         FROM ledger_state WHERE id = 1 AND begun IS NOT NULL",
    );
    let row = read.optional(query).await?;
    let latest = row.map(|row| row.integer("latest")).transpose()?;
    Ok(latest.map(i64::cast_unsigned))
}

/// Notes the view that this file takes part in first; a later one changes nothing.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn take_part(write: &mut Write, epoch: u64) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE ledger_state SET begun = $1 WHERE id = 1 AND begun IS NULL");
    let query = query.bind(epoch.cast_signed());
    write.execute(query, "ledger state").await.map(drop)
}

/// Marks an orderly stop; the marks of all cells are in the same transaction. Short windows that had begun by `lost_ms`
/// stay full.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn end(write: &mut Write, left: &Left) -> Result<(), StoreError> {
    set(write, true, left.t_ms).await?;
    let query = sqlx::query("UPDATE ledger_state SET lost_ms = $1, epoch = $2 WHERE id = 1");
    let query = query.bind(left.lost_ms).bind(left.epoch.cast_signed());
    write.execute(query, "ledger state").await?;
    Ok(())
}

/// Saves the marks of a shard; each replaces its cell's row, unless that has a later stamp: a write that was held up
/// must not undo what was written after it. One that is no row any more is replaced: whoever writes knows all that counts. Many go into one statement: an orderly
/// stop has seconds for hundreds of thousands.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn save(write: &mut Write, shard: u16, marks: &[Mark]) -> Result<(), StoreError> {
    let many = marks.chunks_exact(AT_ONCE);
    let few = many.remainder().chunks(1);
    for rows in many.chain(few) {
        let text = if rows.len() == 1 {
            insert(1)
        } else {
            insert(AT_ONCE)
        };
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(i64::from(shard));
        for mark in rows {
            let cell = serde_json::to_string(&mark.cell).map_err(StoreError::damaged("cell"))?;
            let text = serde_json::to_string(mark).map_err(StoreError::damaged("mark"))?;
            let place = Place {
                shard,
                cell: &cell,
                end_ms: mark.end_ms,
            };
            let text = place.with_sum(&text);
            query = query.bind(cell).bind(text).bind(mark.end_ms);
        }
        write.execute(query, "mark").await?;
    }
    Ok(())
}

/// The statement for so many rows of one shard.
fn insert(rows: usize) -> String {
    let row = |row: usize| format!("($1, ${}, ${}, ${})", 3 * row + 2, 3 * row + 3, 3 * row + 4);
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO ledger_cells (shard, cell_key, mark, window_end_ms) VALUES {} \
         ON CONFLICT (shard, cell_key) DO UPDATE SET \
         mark = excluded.mark, window_end_ms = excluded.window_end_ms \
         WHERE CASE WHEN json_valid(ledger_cells.mark) \
         THEN (excluded.mark ->> '$.stamp.epoch', excluded.mark ->> '$.stamp.seq') \
         >= (ledger_cells.mark ->> '$.stamp.epoch', ledger_cells.mark ->> '$.stamp.seq') ELSE 1 END",
        rows.join(", ")
    )
}

/// What stands before the sum of a row, at its end.
const SUM: &str = ",\"sum\":";

/// Where a mark lies: another place or end would be another count, or none.
struct Place<'a> {
    shard: u16,
    cell: &'a str,
    end_ms: i64,
}

// === impl Place ===

impl Place<'_> {
    /// A row with its sum: a number that has changed on the disk would be another count.
    fn with_sum(&self, mark: &str) -> String {
        let sum = self.sum(mark);
        let open = mark.strip_suffix('}').unwrap_or(mark);
        format!("{open}{SUM}{sum}}}")
    }

    /// The mark of a row here, if that is as it was written. Rows of before have no sum.
    fn mark_of(&self, row: &str) -> Option<Mark> {
        let is_whole = row.rsplit_once(SUM).is_none_or(|(open, sum)| {
            let written = sum.strip_suffix('}').and_then(|sum| sum.parse().ok());
            written == Some(self.sum(&format!("{open}}}")))
        });
        let mark = serde_json::from_str(row).ok().filter(|_| is_whole);
        mark.filter(|mark: &Mark| mark.end_ms == self.end_ms)
    }

    fn sum(&self, mark: &str) -> u32 {
        let (shard, end) = (self.shard.to_be_bytes(), self.end_ms.to_be_bytes());
        checksum(&[mark.as_bytes(), &shard, self.cell.as_bytes(), &end])
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged {
        what: "mark of the ledger",
        reason: "a row of broker.db is not as it was written, so none of them is used. Put back the file as it was; or \
                 move it away and start again: what only it knew counts as used then, until `headgate cluster forget` gives \
                 it up"
            .to_owned(),
    }
}

/// The marks of a shard whose windows are not over at `now_ms`: all of them, or none where one is damaged. A row that is of
/// no shard at all may have been of this one.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read, shard: u16, now_ms: i64) -> Result<Vec<Mark>, StoreError> {
    let query = sqlx::query(
        "SELECT mark, cell_key, window_end_ms, shard = $1 AS is_here FROM ledger_cells \
         WHERE shard = $1 OR typeof(shard) <> 'integer' OR shard < 0 OR shard >= $2 ORDER BY cell_key",
    );
    let query = query.bind(i64::from(shard)).bind(i64::from(SHARDS));
    let rows = read.all(query).await?;
    let mut marks = Vec::new();
    for row in rows {
        let (text, cell) = (row.text("mark")?, row.text("cell_key")?);
        let end_ms = row.integer("window_end_ms")?;
        let cell = cell.as_str();
        let place = Place {
            shard,
            cell,
            end_ms,
        };
        let is_here = row.flag("is_here")?;
        match place.mark_of(&text).filter(|_| is_here) {
            Some(mark) if mark.end_ms > now_ms => marks.push(mark),
            Some(_) => {}
            // Its end is believed only where it says nothing else itself: the row alone is damaged then.
            None if end_ms <= now_ms && !says_it_lasts(&text, now_ms) => {}
            None => return Err(damaged()),
        }
    }
    Ok(marks)
}

/// Whether a row that is not as it was written says that its window is not over.
fn says_it_lasts(row: &str, now_ms: i64) -> bool {
    let mark = serde_json::from_str(row).ok();
    mark.is_some_and(|mark: Mark| mark.end_ms > now_ms)
}

/// Removes the marks of windows that are over; gives how many. What the row says of its end counts as well.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_ended(write: &mut Write, now_ms: i64) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "DELETE FROM ledger_cells WHERE window_end_ms <= $1 \
         AND CASE WHEN json_valid(mark) THEN coalesce(mark ->> '$.end_ms', 0) <= $1 ELSE 1 END",
    );
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
