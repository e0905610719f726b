//! Usage on its way to API-M (M4): numbered batches, and how many numbers each incarnation reserved.

use domain::usage::UsageCount;

use crate::apim::change_log::{signed, unsigned};
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

const WAITING: &str = "SELECT COUNT(*) AS queued FROM usage_batches";

/// A batch that was recorded and not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The incarnation that counted it (W1).
    pub incarnation: u64,
    /// Its first event's number.
    pub first: u64,
    /// Its last event's number.
    pub last: u64,
    /// The counts.
    pub counts: Vec<UsageCount>,
}

/// How much the queue may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Batches at most.
    pub most: u64,
    /// With so many batches, counts are added to the last one while it has room. More than a
    /// delivery takes at once: a batch that may be under way must not change.
    pub join_from: u64,
    /// Counts that a batch has at most by being added to.
    pub join_counts: usize,
}

/// How far an incarnation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Which one.
    pub incarnation: u64,
    /// Numbers up to this may have been used.
    pub reserved: u64,
    /// Numbers up to this are recorded.
    pub recorded: u64,
    /// Whether it ended in order: nothing beyond `recorded` was used.
    pub closed: bool,
    /// Events that found no room, in memory or in the queue.
    pub dropped: u64,
}

// === impl Reservation ===

impl Reservation {
    /// Events that may have happened and are in no batch, if the incarnation is over.
    #[must_use]
    pub const fn unknown(&self) -> u64 {
        let unrecorded = if self.closed {
            0
        } else {
            self.reserved.saturating_sub(self.recorded)
        };
        unrecorded.saturating_add(self.dropped)
    }
}

/// Reserves `block` numbers; gives the last one reserved so far before and after.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn reserve(
    write: &mut Write,
    incarnation: u64,
    block: u64,
) -> Result<(u64, u64), StoreError> {
    let query = sqlx::query(
        "INSERT INTO usage_reservations (incarnation, reserved, recorded, closed, dropped) \
         VALUES ($1, $2, 0, 0, 0) ON CONFLICT (incarnation) DO UPDATE SET \
         reserved = usage_reservations.reserved + excluded.reserved, closed = 0 RETURNING reserved",
    )
    .bind(signed(incarnation))
    .bind(signed(block));
    let row = write.optional(query).await?;
    let reserved = row.map_or(Ok(block), |row| unsigned(row.integer("reserved")?))?;
    Ok((reserved.saturating_sub(block), reserved))
}

/// Gives back the numbers after `last`: they were not used and will not be.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn release(write: &mut Write, incarnation: u64, last: u64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE usage_reservations SET reserved = $2 \
         WHERE incarnation = $1 AND reserved > $2 AND recorded <= $2",
    )
    .bind(signed(incarnation))
    .bind(signed(last));
    write.execute(query, "reservation").await.map(drop)
}

/// Marks an incarnation as ended in order.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn close(write: &mut Write, incarnation: u64) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE usage_reservations SET closed = 1 WHERE incarnation = $1");
    let query = query.bind(signed(incarnation));
    write.execute(query, "reservation").await.map(drop)
}

/// Records a batch, once; a long queue takes it into its last batch where that has room. Without
/// room in the queue only its number of events is kept, as dropped.
/// Gives whether there was room (or it was recorded before).
///
/// # Errors
/// [`StoreError::NotFound`] when the incarnation never reserved, [`StoreError::Unavailable`],
/// [`StoreError::Damaged`].
pub async fn create(write: &mut Write, batch: &Batch, room: Room) -> Result<bool, StoreError> {
    let Batch {
        incarnation,
        first,
        last,
        counts,
    } = batch;
    let queued = sqlx::query(WAITING);
    let queued = write.optional(queued).await?;
    let queued = queued.map_or(Ok(0), |row| unsigned(row.integer("queued")?))?;
    let joined = if queued >= room.join_from {
        joined(write, batch, room.join_counts).await?
    } else {
        None
    };
    let room = joined.is_some() || queued < room.most;
    // Numbers of a batch that are in none of its counts belong to events that found no room in
    // memory.
    let numbers = (last + 1).saturating_sub(*first);
    let counted: u64 = counts.iter().map(|count| count.calls).sum();
    let dropped = if room {
        numbers.saturating_sub(counted)
    } else {
        numbers
    };
    // The condition makes a repeated batch (the answer was lost) change nothing.
    let recorded = sqlx::query(
        "UPDATE usage_reservations SET recorded = $2, dropped = dropped + $3 \
         WHERE incarnation = $1 AND recorded < $2",
    )
    .bind(signed(*incarnation))
    .bind(signed(*last))
    .bind(signed(dropped));
    if write.execute(recorded, "reservation").await? == 0 {
        let known = sqlx::query("SELECT recorded FROM usage_reservations WHERE incarnation = $1");
        let known = write.optional(known.bind(signed(*incarnation))).await?;
        return match known {
            Some(_) => Ok(true),
            None => Err(StoreError::NotFound("reservation".to_owned())),
        };
    }
    if !room {
        return Ok(false);
    }
    match joined {
        Some((end, counts)) => grow(write, batch, end, &counts).await?,
        None => insert(write, batch).await?,
    }
    Ok(true)
}

async fn insert(write: &mut Write, batch: &Batch) -> Result<(), StoreError> {
    let text = serde_json::to_string(&batch.counts).map_err(StoreError::damaged("usage batch"))?;
    let query = sqlx::query(
        "INSERT INTO usage_batches (incarnation, last_sequence, first_sequence, counts) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(signed(batch.incarnation))
    .bind(signed(batch.last))
    .bind(signed(batch.first))
    .bind(text);
    write.execute(query, "usage batch").await.map(drop)
}

/// The batch that ended at `end` has these counts now, and ends where `batch` does.
async fn grow(
    write: &mut Write,
    batch: &Batch,
    end: u64,
    counts: &[UsageCount],
) -> Result<(), StoreError> {
    let text = serde_json::to_string(counts).map_err(StoreError::damaged("usage batch"))?;
    let query = sqlx::query(
        "UPDATE usage_batches SET last_sequence = $3, counts = $4 \
         WHERE incarnation = $1 AND last_sequence = $2",
    )
    .bind(signed(batch.incarnation))
    .bind(signed(end))
    .bind(signed(batch.last))
    .bind(text);
    write.execute(query, "usage batch").await.map(drop)
}

/// The end of the incarnation's last batch, and its counts with those of `batch`; none where they
/// would be more than `most`.
async fn joined(
    write: &mut Write,
    batch: &Batch,
    most: usize,
) -> Result<Option<(u64, Vec<UsageCount>)>, StoreError> {
    if batch.counts.len() > most {
        return Ok(None);
    }
    let query = sqlx::query(
        "SELECT * FROM usage_batches WHERE incarnation = $1 ORDER BY last_sequence DESC LIMIT 1",
    );
    let query = query.bind(signed(batch.incarnation));
    let Some(row) = write.optional(query).await? else {
        return Ok(None);
    };
    let last = map(&row)?;
    let (end, mut counts) = (last.last, last.counts);
    counts.extend(batch.counts.iter().cloned());
    let counts = UsageCount::merged(counts);
    Ok((counts.len() <= most).then_some((end, counts)))
}

/// How many batches wait.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn waiting(read: &mut Read) -> Result<u64, StoreError> {
    let row = read.optional(sqlx::query(WAITING)).await?;
    row.map_or(Ok(0), |row| unsigned(row.integer("queued")?))
}

/// The oldest batches, all of one incarnation: at most `most`, and at most `bytes` of JSON, but one
/// at least.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn oldest(read: &mut Read, most: u32, bytes: u32) -> Result<Vec<Batch>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM (SELECT *, \
         CAST(SUM(LENGTH(counts)) OVER (ORDER BY last_sequence) AS BIGINT) AS so_far \
         FROM (SELECT * FROM usage_batches \
         WHERE incarnation = (SELECT MIN(incarnation) FROM usage_batches) \
         ORDER BY last_sequence LIMIT $1)) \
         WHERE so_far <= $2 OR so_far = LENGTH(counts) ORDER BY last_sequence",
    )
    .bind(i64::from(most))
    .bind(i64::from(bytes));
    let rows = read.all(query).await?;
    rows.iter().map(map).collect()
}

/// Removes delivered batches, up to the one that ends at `last`.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(write: &mut Write, incarnation: u64, last: u64) -> Result<(), StoreError> {
    let query =
        sqlx::query("DELETE FROM usage_batches WHERE incarnation = $1 AND last_sequence <= $2")
            .bind(signed(incarnation))
            .bind(signed(last));
    write.execute(query, "usage batch").await.map(drop)
}

/// All incarnations that are not settled.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn reservations(read: &mut Read) -> Result<Vec<Reservation>, StoreError> {
    let query = sqlx::query("SELECT * FROM usage_reservations ORDER BY incarnation");
    let rows = read.all(query).await?;
    let of = |row: &sqlx::any::AnyRow| {
        Ok(Reservation {
            incarnation: unsigned(row.integer("incarnation")?)?,
            reserved: unsigned(row.integer("reserved")?)?,
            recorded: unsigned(row.integer("recorded")?)?,
            closed: row.flag("closed")?,
            dropped: unsigned(row.integer("dropped")?)?,
        })
    };
    rows.iter().map(of).collect()
}

/// Removes the reservation of an incarnation that is over and settled.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn settle(write: &mut Write, incarnation: u64) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM usage_reservations WHERE incarnation = $1");
    let query = query.bind(signed(incarnation));
    write.execute(query, "reservation").await.map(drop)
}

fn map(row: &sqlx::any::AnyRow) -> Result<Batch, StoreError> {
    Ok(Batch {
        incarnation: unsigned(row.integer("incarnation")?)?,
        first: unsigned(row.integer("first_sequence")?)?,
        last: unsigned(row.integer("last_sequence")?)?,
        counts: serde_json::from_str(&row.text("counts")?)
            .map_err(StoreError::damaged("usage batch"))?,
    })
}
