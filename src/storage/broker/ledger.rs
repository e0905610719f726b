//! What the lease ledger leaves on disk of its cells: high-water marks (L5).

use domain::ledger::{Mark, SHARDS};

use crate::checksum::checksum;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Marks in one statement.
const AT_ONCE: usize = 64;

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

/// A row that must not be read as it is, and what to do.
pub(super) fn damaged(what: &'static str) -> StoreError {
    StoreError::Damaged {
        what,
        reason: "a row of broker.db is not as it was written, so none of them is used. Put back the file as it was; or \
                 move it away and start again: what only it knew counts as used then, until `headgate cluster forget` gives \
                 it up"
            .to_owned(),
    }
}

/// Those of a shard, and of none: texts and blobs lie behind all numbers, and what is no whole number beside one. A start
/// asks this of each shard, so each part of it is a range of the key.
pub(super) const LIST: &str = "SELECT mark, cell_key, window_end_ms, shard = $1 AS is_here FROM ledger_cells \
                    WHERE shard >= $1 AND shard < $1 + 1 OR shard < 0 OR shard >= $2 ORDER BY cell_key";

/// The marks of a shard whose windows are not over at `now_ms`: all of them, or none where one is damaged. A row that is of
/// no shard at all may have been of this one.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read, shard: u16, now_ms: i64) -> Result<Vec<Mark>, StoreError> {
    let query = sqlx::query(LIST);
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
            None => return Err(damaged("mark of the ledger")),
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
