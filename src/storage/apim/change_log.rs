//! The change log as its keeper reads it (C1 to C3): head, entries after a position, pruning.
//! Entries are appended by [`Write::commit_with`] alone.

use domain::change::Entry;
use domain::change_log::{Log, Position};

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// Name in `meta` under which the last pruned verification keys of a tenant are kept.
pub(crate) const PRUNED_KEYS: &str = "verification keys of ";

/// Entries that are read before anything is known of their size.
const FIRST_STEP: u64 = 4;

/// The last entry's position; [`Position::default`] when nothing was ever written.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn head(read: &mut Read) -> Result<Position, StoreError> {
    let n = head_number(read).await?;
    let uuid = uuid_at(read, n).await?.unwrap_or_default();
    Ok(Position::new(n, uuid))
}

/// When the last entry was written, milliseconds since the epoch; none before the first one.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn last_at_ms(read: &mut Read) -> Result<Option<i64>, StoreError> {
    let last = sqlx::query("SELECT at_ms FROM change_log ORDER BY n DESC LIMIT 1");
    let row = read.optional(last).await?;
    row.map(|row| row.integer("at_ms")).transpose()
}

/// What there is of the log, for the decision about a follower at `follower_n` (C2).
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read, follower_n: u64) -> Result<Log, StoreError> {
    let head = head_number(read).await?;
    let first = sqlx::query("SELECT n FROM change_log ORDER BY n LIMIT 1");
    let tail = match read.optional(first).await? {
        Some(row) => unsigned(row.integer("n")?)?,
        None => head + 1,
    };
    let uuid_at_follower = uuid_at(read, follower_n).await?;
    Ok(Log {
        head,
        tail,
        uuid_at_follower,
    })
}

/// The entries from `from` to `to`, both included, in order; fewer when they exceed `most_bytes` of
/// payload, but at least one. Only a few more than those are read: an entry can be a whole API.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    from: u64,
    to: u64,
    most_bytes: usize,
) -> Result<Vec<Entry>, StoreError> {
    let (mut entries, mut bytes): (Vec<Entry>, usize) = (Vec::new(), 0);
    let mut next = from;
    let mut step = FIRST_STEP;
    while next <= to {
        let query = sqlx::query(
            "SELECT n, uuid, kind, tenant, payload, source, at_ms \
                 FROM change_log WHERE n >= $1 AND n <= $2 ORDER BY n LIMIT $3",
        )
        .bind(signed(next))
        .bind(signed(to))
        .bind(signed(step));
        let rows = read.all(query).await?;
        let Some(last) = rows.last() else {
            break;
        };
        next = unsigned(last.integer("n")?)?.saturating_add(1);
        for row in &rows {
            let entry = entry(row)?;
            bytes = bytes.saturating_add(entry.payload.len());
            if bytes > most_bytes && !entries.is_empty() {
                return Ok(entries);
            }
            entries.push(entry);
        }
        // As many as fit when they are as large as those before.
        let average = bytes.div_ceil(entries.len().max(1)).max(1);
        let fitting = most_bytes.saturating_sub(bytes) / average;
        step = u64::try_from(fitting).unwrap_or(u64::MAX).max(1);
    }
    Ok(entries)
}

fn entry(row: &sqlx::any::AnyRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        n: unsigned(row.integer("n")?)?,
        uuid: row.text("uuid")?,
        kind: row.text("kind")?,
        tenant: row.text("tenant")?,
        payload: row.text("payload")?,
        at_ms: row.integer("at_ms")?,
    })
}

/// Forgets the entries before `keep_from`, never the last one. What only the log knows (the
/// verification keys) is kept for snapshots. Gives how many are gone.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn delete_before(write: &mut Write, keep_from: u64) -> Result<u64, StoreError> {
    let keys = sqlx::query(
        "SELECT tenant, payload FROM change_log \
         WHERE n < $1 AND kind = 'verification_keys_changed' ORDER BY n",
    );
    for row in write.all(keys.bind(signed(keep_from))).await? {
        let save = sqlx::query(
            "INSERT INTO meta (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(format!("{PRUNED_KEYS}{}", row.text("tenant")?))
        .bind(row.text("payload")?);
        write.execute(save, "pruned keys").await?;
    }
    let delete = sqlx::query(
        "DELETE FROM change_log WHERE n < $1 AND n < (SELECT n FROM change_head WHERE id = 1)",
    );
    write.execute(delete.bind(signed(keep_from)), "entry").await
}

async fn head_number(read: &mut Read) -> Result<u64, StoreError> {
    let query = sqlx::query("SELECT n FROM change_head WHERE id = 1");
    match read.optional(query).await? {
        Some(row) => unsigned(row.integer("n")?),
        None => Err(StoreError::Damaged {
            what: "change head",
            reason: "its row is missing".to_owned(),
        }),
    }
}

async fn uuid_at(read: &mut Read, n: u64) -> Result<Option<String>, StoreError> {
    let query = sqlx::query("SELECT uuid FROM change_log WHERE n = $1").bind(signed(n));
    let row = read.optional(query).await?;
    row.map(|row| row.text("uuid")).transpose()
}

/// A number as a column holds it.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A column that is never negative.
pub(crate) fn unsigned(n: i64) -> Result<u64, StoreError> {
    u64::try_from(n).map_err(|_| StoreError::Damaged {
        what: "number",
        reason: "it is negative".to_owned(),
    })
}
