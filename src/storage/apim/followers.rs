//! Followers of the change log as all nodes of the control plane know them (S1, S3).

use domain::change_log::Registered;
use domain::serving_lease::FollowerKind;

use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// A registration is on its way for so long at most, milliseconds; more than any write may take.
const ON_ITS_WAY_MS: i64 = 10_000;

/// Registers a follower, anew when it is known; gives whether it did. A life that a later one has
/// followed registers nobody, unless that one is fenced: the node may have been put back from a
/// backup, and counts its lives from there. Nor does a life that has just left: what still comes of it
/// was on its way. `now_ms` is the database's own moment, by which it left as well.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn save(
    write: &mut Write,
    name: &str,
    kind: FollowerKind,
    incarnation: u64,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO followers (name, kind, incarnation, registered_at_ms) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, \
         incarnation = excluded.incarnation, registered_at_ms = excluded.registered_at_ms, \
         fenced_at_ms = NULL, left_at_ms = NULL \
         WHERE (followers.incarnation <= excluded.incarnation \
         OR followers.fenced_at_ms IS NOT NULL) AND (followers.left_at_ms IS NULL \
         OR followers.incarnation <> excluded.incarnation OR followers.left_at_ms < $5)",
    )
    .bind(name.to_owned())
    .bind(kind.as_str())
    .bind(count(incarnation))
    .bind(now_ms)
    .bind(now_ms.saturating_sub(ON_ITS_WAY_MS));
    write.execute(query, "follower").await.map(|rows| rows > 0)
}

/// Fences a follower, unless it has registered since it was read; gives whether it did.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn fence(
    write: &mut Write,
    name: &str,
    registered_at_ms: i64,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "UPDATE followers SET fenced_at_ms = $3 \
         WHERE name = $1 AND registered_at_ms = $2 AND fenced_at_ms IS NULL",
    )
    .bind(name.to_owned())
    .bind(registered_at_ms)
    .bind(now_ms);
    write.execute(query, "follower").await.map(|rows| rows > 0)
}

/// Notes that a follower leaves in this life, registered or not, and fences it; gives whether it did. A
/// later life stays. The row stays too, for a registration that is on its way finds it there: one that
/// found no row would wait for nobody's leave.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn leave(
    write: &mut Write,
    name: &str,
    kind: FollowerKind,
    incarnation: u64,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(
        "INSERT INTO followers (name, kind, incarnation, registered_at_ms, fenced_at_ms, left_at_ms) \
         VALUES ($1, $2, $3, $4, $4, $4) ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, \
         incarnation = excluded.incarnation, fenced_at_ms = excluded.fenced_at_ms, \
         left_at_ms = excluded.left_at_ms WHERE followers.incarnation <= excluded.incarnation",
    )
    .bind(name.to_owned())
    .bind(kind.as_str())
    .bind(count(incarnation))
    .bind(now_ms);
    write.execute(query, "follower").await.map(|rows| rows > 0)
}

/// Forgets those that were fenced, or left, before a time.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete_fenced(write: &mut Write, before_ms: i64) -> Result<(), StoreError> {
    let query = sqlx::query("DELETE FROM followers WHERE fenced_at_ms < $1");
    let query = query.bind(before_ms);
    write.execute(query, "follower").await.map(drop)
}

/// All of them, by name.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn list(read: &mut Read) -> Result<Vec<Registered>, StoreError> {
    let rows = read
        .all(sqlx::query(
            "SELECT name, kind, registered_at_ms, fenced_at_ms, incarnation, left_at_ms \
             FROM followers ORDER BY name",
        ))
        .await?;
    rows.iter().map(of).collect()
}

/// One of them.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Damaged`].
pub async fn find(read: &mut Read, name: &str) -> Result<Option<Registered>, StoreError> {
    let query = sqlx::query(
        "SELECT name, kind, registered_at_ms, fenced_at_ms, incarnation, left_at_ms \
         FROM followers WHERE name = $1",
    );
    let row = read.optional(query.bind(name.to_owned())).await?;
    row.as_ref().map(of).transpose()
}

fn count(incarnation: u64) -> i64 {
    i64::try_from(incarnation).unwrap_or(i64::MAX)
}

fn of(row: &sqlx::any::AnyRow) -> Result<Registered, StoreError> {
    let kind = row.text("kind")?;
    Ok(Registered {
        name: row.text("name")?,
        kind: FollowerKind::parse(&kind).ok_or_else(|| StoreError::Damaged {
            what: "follower",
            reason: format!("its kind is {kind:?}"),
        })?,
        incarnation: row.integer("incarnation")?.unsigned_abs(),
        registered_at_ms: row.integer("registered_at_ms")?,
        fenced_at_ms: row.optional_integer("fenced_at_ms")?,
        left_at_ms: row.optional_integer("left_at_ms")?,
    })
}
