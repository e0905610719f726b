//! What this node has promised as a voter of the view register (W3, W4): bytes that the register understands, with
//! checksums. It is read as a whole or refused as a whole: half a promise is none.

use crate::apim::change_log::{signed, unsigned};
use crate::checksum::checksum;
use crate::database::{Read, Write};
use crate::error::StoreError;
use crate::row::Columns as _;

/// The format of the tables that this version writes.
const FORMAT: i64 = 1;

/// Whose promises they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The cluster that the node is in.
    pub cluster_id: String,
    /// The node's stable id.
    pub node_id: String,
}

/// All promises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promises {
    /// The vote; empty before there is one, as the next two.
    pub vote: Vec<u8>,
    /// The place up to which all is agreed on.
    pub committed: Vec<u8>,
    /// The place of the last entry that was removed.
    pub purged: Vec<u8>,
    /// The entries in the order of their numbers.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The snapshot.
    pub snapshot: Option<Vec<u8>>,
}

/// The row that says what else there is.
#[derive(Debug, Clone, Default)]
struct Head {
    vote: Vec<u8>,
    committed: Vec<u8>,
    purged: Vec<u8>,
    first: u64,
    next: u64,
    snapshot_checksum: u32,
}

/// Everything; nothing before the first promise.
///
/// # Errors
/// [`StoreError::Forbidden`] when it is another's or of a later version, [`StoreError::Damaged`] when anything of it is
/// missing or changed, [`StoreError::Unavailable`].
pub async fn find(read: &mut Read, owner: &Owner) -> Result<Promises, StoreError> {
    let head = read.optional(sqlx::query(HEAD)).await?;
    let head = head.map(|row| Head::of(&row, owner)).transpose()?;
    let query = sqlx::query("SELECT n, body, checksum FROM register_entries ORDER BY n");
    let rows = read.all(query).await?;
    let query = sqlx::query("SELECT body FROM register_snapshot WHERE id = 1");
    let snapshot = read.optional(query).await?;
    let snapshot = snapshot.map(|row| row.bytes("body")).transpose()?;
    let Some(head) = head else {
        return match (rows.is_empty(), snapshot) {
            (true, None) => Ok(Promises::default()),
            _ => Err(damaged("its first row is missing")),
        };
    };
    let mut entries = Vec::with_capacity(rows.len());
    let mut next = head.first;
    for row in rows {
        let (n, body) = (unsigned(row.integer("n")?)?, row.bytes("body")?);
        if n != next || n >= head.next {
            return Err(damaged(format!("entry {next} is missing, there is {n}")));
        }
        if row.integer("checksum")? != i64::from(of_entry(n, &body)) {
            return Err(damaged(format!("entry {n} was changed")));
        }
        entries.push((n, body));
        next += 1;
    }
    if next != head.next {
        return Err(damaged(format!("the entries from {next} on are missing")));
    }
    if snapshot.as_deref().map_or(0, checksum_of) != head.snapshot_checksum {
        return Err(damaged("its snapshot is missing or was changed"));
    }
    Ok(Promises {
        vote: head.vote,
        committed: head.committed,
        purged: head.purged,
        entries,
        snapshot,
    })
}

/// Replaces the vote.
///
/// # Errors
/// As [`find`], as far as the first row is concerned.
pub async fn save_vote(write: &mut Write, owner: &Owner, vote: &[u8]) -> Result<(), StoreError> {
    let mut head = Head::find(write, owner).await?;
    head.vote = vote.to_vec();
    head.save(write, owner).await
}

/// Replaces the place up to which all is agreed on.
///
/// # Errors
/// As [`save_vote`].
pub async fn save_committed(
    write: &mut Write,
    owner: &Owner,
    committed: &[u8],
) -> Result<(), StoreError> {
    let mut head = Head::find(write, owner).await?;
    head.committed = committed.to_vec();
    head.save(write, owner).await
}

/// Adds entries behind the last one.
///
/// # Errors
/// As [`save_vote`]; [`StoreError::Forbidden`] when they do not follow it.
pub async fn append(
    write: &mut Write,
    owner: &Owner,
    entries: &[(u64, Vec<u8>)],
) -> Result<(), StoreError> {
    let mut head = Head::find(write, owner).await?;
    for (n, body) in entries {
        if *n != head.next {
            let next = head.next;
            let refused = format!("entry {n} of the view register does not follow, {next} does");
            return Err(StoreError::Forbidden(refused));
        }
        let query =
            sqlx::query("INSERT INTO register_entries (n, body, checksum) VALUES ($1, $2, $3)")
                .bind(signed(*n))
                .bind(body.clone())
                .bind(i64::from(of_entry(*n, body)));
        write.execute(query, "register entry").await?;
        head.next += 1;
    }
    head.save(write, owner).await
}

/// Removes the entries from `from` on.
///
/// # Errors
/// As [`save_vote`].
pub async fn delete_from(write: &mut Write, owner: &Owner, from: u64) -> Result<(), StoreError> {
    let mut head = Head::find(write, owner).await?;
    let query = sqlx::query("DELETE FROM register_entries WHERE n >= $1").bind(signed(from));
    write.execute(query, "register entry").await?;
    head.next = head.next.min(from.max(head.first));
    head.save(write, owner).await
}

/// Removes the entries up to and with `through`, whose place is `purged`. There need not be so many: a snapshot may
/// reach further than the log.
///
/// # Errors
/// As [`save_vote`].
pub async fn delete_through(
    write: &mut Write,
    owner: &Owner,
    (through, purged): (u64, &[u8]),
) -> Result<(), StoreError> {
    let mut head = Head::find(write, owner).await?;
    let query = sqlx::query("DELETE FROM register_entries WHERE n <= $1").bind(signed(through));
    write.execute(query, "register entry").await?;
    head.first = head.first.max(through.saturating_add(1));
    head.next = head.next.max(head.first);
    head.purged = purged.to_vec();
    head.save(write, owner).await
}

/// Replaces the snapshot.
///
/// # Errors
/// As [`save_vote`].
pub async fn save_snapshot(
    write: &mut Write,
    owner: &Owner,
    snapshot: &[u8],
) -> Result<(), StoreError> {
    let mut head = Head::find(write, owner).await?;
    let query = sqlx::query(
        "INSERT INTO register_snapshot (id, body) VALUES (1, $1) \
         ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    );
    let query = query.bind(snapshot.to_vec());
    write.execute(query, "register snapshot").await?;
    head.snapshot_checksum = checksum_of(snapshot);
    head.save(write, owner).await
}

const HEAD: &str = "SELECT * FROM register WHERE id = 1";

// === impl Head ===

impl Head {
    async fn find(write: &mut Write, owner: &Owner) -> Result<Self, StoreError> {
        let row = write.optional(sqlx::query(HEAD)).await?;
        row.map_or_else(|| Ok(Self::default()), |row| Self::of(&row, owner))
    }

    fn of(row: &sqlx::any::AnyRow, owner: &Owner) -> Result<Self, StoreError> {
        let format = row.integer("format")?;
        if format > FORMAT {
            return Err(StoreError::Forbidden(format!(
                "the view register of this node was written by a later version of headgate (format {format}): start \
                 that version again"
            )));
        }
        let found = Owner {
            cluster_id: row.text("cluster_id")?,
            node_id: row.text("node_id")?,
        };
        let head = Self {
            vote: row.bytes("vote")?,
            committed: row.bytes("committed")?,
            purged: row.bytes("purged")?,
            first: unsigned(row.integer("first_entry")?)?,
            next: unsigned(row.integer("next_entry")?)?,
            snapshot_checksum: u32::try_from(row.integer("snapshot_checksum")?)
                .map_err(|_| damaged("its first row was changed"))?,
        };
        if row.integer("checksum")? != i64::from(head.checksum(format, &found)) {
            return Err(damaged("its first row was changed"));
        }
        if found != *owner {
            return Err(StoreError::Forbidden(format!(
                "the view register in this data directory is of node {} in cluster {}, and this is node {} in cluster \
                 {}: {REMEDY}",
                found.node_id, found.cluster_id, owner.node_id, owner.cluster_id
            )));
        }
        Ok(head)
    }

    fn checksum(&self, format: i64, owner: &Owner) -> u32 {
        let numbers = [
            signed(self.first),
            signed(self.next),
            i64::from(self.snapshot_checksum),
            format,
        ];
        let numbers = numbers.map(i64::to_be_bytes).concat();
        checksum(&[
            owner.cluster_id.as_bytes(),
            owner.node_id.as_bytes(),
            &self.vote,
            &self.committed,
            &self.purged,
            &numbers,
        ])
    }

    async fn save(&self, write: &mut Write, owner: &Owner) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO register (id, format, cluster_id, node_id, vote, committed, purged, first_entry, next_entry, \
             snapshot_checksum, checksum) VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (id) DO UPDATE SET vote = excluded.vote, committed = excluded.committed, \
             purged = excluded.purged, first_entry = excluded.first_entry, next_entry = excluded.next_entry, \
             snapshot_checksum = excluded.snapshot_checksum, checksum = excluded.checksum",
        )
        .bind(FORMAT)
        .bind(owner.cluster_id.clone())
        .bind(owner.node_id.clone())
        .bind(self.vote.clone())
        .bind(self.committed.clone())
        .bind(self.purged.clone())
        .bind(signed(self.first))
        .bind(signed(self.next))
        .bind(i64::from(self.snapshot_checksum))
        .bind(i64::from(self.checksum(FORMAT, owner)));
        write.execute(query, "register").await.map(drop)
    }
}

fn of_entry(n: u64, body: &[u8]) -> u32 {
    checksum(&[&n.to_be_bytes(), body])
}

/// Never 0, which stands for none.
fn checksum_of(snapshot: &[u8]) -> u32 {
    checksum(&[snapshot]).max(1)
}

/// What to do where promises are not as they were written.
pub(super) const REMEDY: &str = "give the node back its own data directory as it was, or start it with an empty one: it joins as \
                      a new node then, and an operator takes the old one's vote away (headgate cluster voters)";

fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        what: "view register",
        reason: format!("{}; {REMEDY}", what.into()),
    }
}

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
