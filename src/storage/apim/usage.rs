//! Usage by minute, counted once (M4): a batch of a gateway's incarnation is taken only if its
//! numbers lie beyond what was taken before.

use domain::usage::{Histogram, MinuteSum, UsageCount};
use sqlx::any::AnyRow;

use super::change_log::{signed, unsigned};
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All of it is added.
    Now,
    /// Everything up to this number was added before, the batch's first number included: nothing
    /// is changed.
    Before(u64),
}

/// Adds the counts of a batch that spans the numbers `first` to `last`, unless a part of it was
/// added before: then the sender leaves that part out and sends the rest.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn save(
    write: &mut Write,
    node: &str,
    incarnation: u64,
    (first, last): (u64, u64),
    counts: &[UsageCount],
) -> Result<Taken, StoreError> {
    // One at a time, also of several control-plane nodes: histograms are read, added and written.
    let claim = sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('usage', '') \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
    write.execute(claim, "usage").await?;
    let known = sqlx::query(
        "SELECT taken_sequence FROM usage_sources WHERE node = $1 AND incarnation = $2",
    );
    let known = known.bind(node.to_owned()).bind(signed(incarnation));
    let known = write.optional(known).await?;
    let before = known.map_or(Ok(0), |row| unsigned(row.integer("taken_sequence")?))?;
    if before >= first {
        return Ok(Taken::Before(before));
    }
    let take = sqlx::query(
        "INSERT INTO usage_sources (node, incarnation, taken_sequence, unknown_calls) \
         VALUES ($1, $2, $3, 0) ON CONFLICT (node, incarnation) DO UPDATE SET \
         taken_sequence = excluded.taken_sequence",
    )
    .bind(node.to_owned())
    .bind(signed(incarnation))
    .bind(signed(last));
    write.execute(take, "usage source").await?;
    for count in counts {
        add(write, count).await?;
    }
    Ok(Taken::Now)
}

/// Says how many calls of an incarnation may have happened and are lost; replaces what was said.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_unknown(
    write: &mut Write,
    node: &str,
    incarnation: u64,
    unknown: u64,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO usage_sources (node, incarnation, taken_sequence, unknown_calls) \
         VALUES ($1, $2, 0, $3) ON CONFLICT (node, incarnation) DO UPDATE SET \
         unknown_calls = excluded.unknown_calls",
    )
    .bind(node.to_owned())
    .bind(signed(incarnation))
    .bind(signed(unknown));
    write.execute(query, "usage source").await.map(drop)
}

/// The counts of the minutes that begin from `from_ms` to before `to_ms`: at most `most` of them
/// after the first `offset`.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(
    read: &mut Read,
    from_ms: i64,
    to_ms: i64,
    (offset, most): (u32, u32),
) -> Result<Vec<UsageCount>, StoreError> {
    let query = sqlx::query(
        "SELECT minute_ms, tenant, api_id, application_id, status, calls, forwarded, bytes_in, bytes_out, \
         latency \
         FROM usage_minutes WHERE minute_ms >= $1 AND minute_ms < $2 \
         ORDER BY minute_ms, tenant, api_id, application_id, status LIMIT $3 OFFSET $4",
    )
    .bind(from_ms)
    .bind(to_ms)
    .bind(i64::from(most))
    .bind(i64::from(offset));
    let rows = read.all(query).await?;
    rows.iter().map(map).collect()
}

/// The sums of the minutes that begin from `from_ms` to before `to_ms`, a row for each minute and
/// status; as few as there are statuses, however many APIs and applications are counted.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn sums(read: &mut Read, from_ms: i64, to_ms: i64) -> Result<Vec<MinuteSum>, StoreError> {
    let query = sqlx::query(
        "SELECT minute_ms, status, CAST(SUM(calls) AS BIGINT) AS calls, \
         CAST(SUM(forwarded) AS BIGINT) AS forwarded \
         FROM usage_minutes WHERE minute_ms >= $1 AND minute_ms < $2 GROUP BY minute_ms, status",
    );
    let rows = read.all(query.bind(from_ms).bind(to_ms)).await?;
    let sums = rows.iter().map(|row| {
        Ok(MinuteSum {
            minute_ms: row.integer("minute_ms")?,
            status: status(row)?,
            calls: unsigned(row.integer("calls")?)?,
            forwarded: unsigned(row.integer("forwarded")?)?,
        })
    });
    sums.collect()
}

/// Removes counts of minutes that began before `before_ms`, the oldest first and at most `most`;
/// gives how many.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_before(
    write: &mut Write,
    before_ms: i64,
    most: u32,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "DELETE FROM usage_minutes WHERE (minute_ms, tenant, api_id, application_id, status) IN \
         (SELECT minute_ms, tenant, api_id, application_id, status FROM usage_minutes \
         WHERE minute_ms < $1 ORDER BY minute_ms LIMIT $2)",
    )
    .bind(before_ms)
    .bind(i64::from(most));
    write.execute(query, "usage").await
}

/// The time that counts are old by, as it was noted last.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn kept_time(read: &mut Read) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query("SELECT value FROM meta WHERE name = 'usage_kept_time'");
    let noted = read.optional(query).await?;
    let noted = noted.map(|row| row.text("value")).transpose()?;
    let parsed = noted.map(|text| text.parse()).transpose();
    parsed.map_err(|error: std::num::ParseIntError| StoreError::Damaged {
        what: "usage",
        reason: error.to_string(),
    })
}

/// The newest minute that is counted.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn newest(read: &mut Read) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query("SELECT MAX(minute_ms) AS newest FROM usage_minutes");
    let row = read.optional(query).await?;
    let newest = row.map(|row| row.optional_integer("newest")).transpose()?;
    Ok(newest.flatten())
}

/// Notes the time that counts are old by.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save_kept_time(write: &mut Write, at_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('usage_kept_time', $1) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
    let query = query.bind(at_ms.to_string());
    write.execute(query, "usage").await.map(drop)
}

/// Calls of all gateways that may have happened and are lost.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn unknown(read: &mut Read) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "SELECT CAST(COALESCE(SUM(unknown_calls), 0) AS BIGINT) AS unknown FROM usage_sources",
    );
    let row = read.optional(query).await?;
    row.map_or(Ok(0), |row| unsigned(row.integer("unknown")?))
}

async fn add(write: &mut Write, count: &UsageCount) -> Result<(), StoreError> {
    let key = sqlx::query(
        "SELECT minute_ms, tenant, api_id, application_id, status, calls, forwarded, bytes_in, bytes_out, \
         latency \
         FROM usage_minutes WHERE minute_ms = $1 AND tenant = $2 AND api_id = $3 \
         AND application_id = $4 AND status = $5",
    )
    .bind(count.minute_ms)
    .bind(count.tenant.clone())
    .bind(count.api_id.clone())
    .bind(count.application_id.clone())
    .bind(i64::from(count.status));
    let mut sum = count.clone();
    if let Some(row) = write.optional(key).await? {
        sum.merge(&map(&row)?);
    }
    let latency: Vec<String> = sum.latency.counts.iter().map(u64::to_string).collect();
    let save = sqlx::query(
        "INSERT INTO usage_minutes (minute_ms, tenant, api_id, application_id, status, calls, \
         forwarded, bytes_in, bytes_out, latency) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (minute_ms, tenant, api_id, application_id, status) DO UPDATE SET \
         calls = excluded.calls, forwarded = excluded.forwarded, bytes_in = excluded.bytes_in, \
         bytes_out = excluded.bytes_out, latency = excluded.latency",
    )
    .bind(sum.minute_ms)
    .bind(sum.tenant)
    .bind(sum.api_id)
    .bind(sum.application_id)
    .bind(i64::from(sum.status))
    .bind(signed(sum.calls))
    .bind(signed(sum.forwarded))
    .bind(signed(sum.bytes_in))
    .bind(signed(sum.bytes_out))
    .bind(latency.join(","));
    write.execute(save, "usage").await.map(drop)
}

fn map(row: &AnyRow) -> Result<UsageCount, StoreError> {
    let damaged = |reason: String| StoreError::Damaged {
        what: "usage",
        reason,
    };
    let counts: Result<Vec<u64>, _> = row.text("latency")?.split(',').map(str::parse).collect();
    Ok(UsageCount {
        minute_ms: row.integer("minute_ms")?,
        tenant: row.text("tenant")?,
        api_id: row.text("api_id")?,
        application_id: row.text("application_id")?,
        status: status(row)?,
        calls: unsigned(row.integer("calls")?)?,
        forwarded: unsigned(row.integer("forwarded")?)?,
        bytes_in: unsigned(row.integer("bytes_in")?)?,
        bytes_out: unsigned(row.integer("bytes_out")?)?,
        latency: Histogram {
            counts: counts.map_err(|error| damaged(error.to_string()))?,
        },
    })
}

fn status(row: &AnyRow) -> Result<u16, StoreError> {
    let status = u16::try_from(row.integer("status")?);
    status.map_err(|error| StoreError::Damaged {
        what: "usage",
        reason: error.to_string(),
    })
}
