//! Gives snapshots piece by piece (C3), beside the feed so that they never delay it. Keeps nothing:
//! the cursor says where a transfer stands, so that a restart of this actor interrupts none.
//!
//! Things that change meanwhile are sent as they are when their piece is read. After them come the
//! entries that were committed since the first piece, up to the head that the last piece names: with
//! them the whole is what the log had made of everything at that head, and nothing newer. So a
//! restored backup leaves nothing behind that no entry would take back. One that is restored
//! between two pieces ends the transfer.

use cluster::{Actor, Address, Asked, BoxError, Clock};
use domain::change_log::{Answer, Position, answer};
use serde::{Deserialize, Serialize};
use storage::apim::snapshots::{Section, list};
use storage::{Database, Read, StoreError, apim::change_log};

use super::fitting::fits;
use super::message::{Piece, Snapshot, SnapshotOf};

/// Things in one piece at most.
const MOST: u32 = 64;
/// Bytes in one piece, unless one thing alone is larger.
// Probes travel behind it on the same connection.
const BYTES: usize = 256 * 1024;

/// What it is started with.
#[derive(Clone)]
pub(super) struct SnapshotArguments {
    pub(super) clock: Clock,
    pub(super) apim: Database,
    pub(super) shared: Database,
}

/// What it is told.
pub(super) enum SnapshotMessage {
    Piece(Asked<Snapshot>),
    /// By a follower on another node.
    PieceFromAfar(Asked<Snapshot>),
}

/// Reads snapshots.
pub(super) struct Snapshots {
    arguments: SnapshotArguments,
}

/// Where a transfer stands; travels as JSON text.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cursor {
    /// The last entry whose effect the pieces so far have for certain.
    at: Position,
    /// The head when the last piece was read.
    seen: Position,
    section: usize,
    after: Vec<String>,
}

// === impl Actor ===

impl Actor for Snapshots {
    type Message = SnapshotMessage;
    type Arguments = SnapshotArguments;
    const KIND: &'static str = "change_feed.snapshots";

    async fn start(
        arguments: SnapshotArguments,
        _me: Address<SnapshotMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self { arguments })
    }

    async fn handle(&mut self, message: SnapshotMessage) -> Result<(), BoxError> {
        let (asked, from_afar) = match message {
            SnapshotMessage::Piece(asked) => (asked, false),
            SnapshotMessage::PieceFromAfar(asked) => (asked, true),
        };
        // Of a transfer that was given up: nobody reads it.
        if asked.reply.is_abandoned() {
            return Ok(());
        }
        let mut piece = match self.piece(&asked.request).await {
            Ok(piece) => piece,
            Err(error) => {
                tracing::warn!(%error, "change feed cannot read a snapshot");
                Piece::Unavailable
            }
        };
        if let (Piece::Part { changes, .. }, true) = (&mut piece, from_afar) {
            changes.retain(|(tenant, change)| fits(tenant, change));
        }
        asked.reply.send(piece);
        Ok(())
    }
}

// === impl Snapshots ===

impl Snapshots {
    async fn piece(&self, asked: &Snapshot) -> Result<Piece, StoreError> {
        let mut read = self.arguments.apim.read().await?;
        let head = change_log::head(&mut read).await?;
        let mut cursor = match serde_json::from_str::<Cursor>(&asked.cursor) {
            Ok(cursor) => cursor,
            // The first piece; a cursor that cannot be read begins anew as well.
            Err(_) => Cursor {
                at: head.clone(),
                seen: head.clone(),
                section: 0,
                after: Vec::new(),
            },
        };
        let log = change_log::find(&mut read, cursor.seen.n).await?;
        if let Answer::Snapshot { reason } = answer(&log, &cursor.seen, 1) {
            tracing::warn!(
                ?reason,
                "the log does not go on from the pieces of a snapshot"
            );
            return Ok(Piece::Unavailable);
        }
        cursor.seen = head;
        let mut shared = self.arguments.shared.read().await?;
        let now_ms = self.arguments.clock.now_ms();
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while let Some(section) = sections(asked.of).get(cursor.section) {
            let bounds = (MOST, BYTES.saturating_sub(bytes));
            let after = &cursor.after;
            let page = list(&mut read, &mut shared, *section, after, bounds, now_ms).await?;
            for item in page.items {
                let change = serde_json::to_string(&item.change).unwrap_or_default();
                if is_full(&changes, bytes, change.len()) {
                    return Ok(cursor.part(changes, false));
                }
                bytes += change.len();
                changes.push((item.tenant, change));
                cursor.after = item.key;
            }
            if page.is_last {
                cursor.section += 1;
                cursor.after = Vec::new();
            }
        }
        self.since(&mut read, asked.of, cursor, changes, bytes)
            .await
    }

    /// What was committed since the first piece, as far as it fits; the piece that reaches the head is the last.
    async fn since(
        &self,
        read: &mut Read,
        of: SnapshotOf,
        mut cursor: Cursor,
        mut changes: Vec<(String, String)>,
        mut bytes: usize,
    ) -> Result<Piece, StoreError> {
        let log = change_log::find(read, cursor.at.n).await?;
        let entries = match answer(&log, &cursor.at, u64::from(MOST)) {
            Answer::UpToDate => Vec::new(),
            Answer::Entries { from, to } => {
                change_log::list(read, from, to, BYTES.saturating_sub(bytes)).await?
            }
            Answer::Snapshot { .. } => return Ok(Piece::Unavailable),
        };
        for entry in entries {
            if is_full(&changes, bytes, entry.payload.len()) {
                break;
            }
            cursor.at = Position::of(&entry);
            if !holds(of, &entry.kind) {
                continue;
            }
            bytes += entry.payload.len();
            changes.push((entry.tenant, entry.payload));
        }
        let done = cursor.at.n == log.head;
        Ok(cursor.part(changes, done))
    }
}

const fn sections(of: SnapshotOf) -> &'static [Section] {
    match of {
        SnapshotOf::Everything => &Section::ALL,
        SnapshotOf::Policies => &[Section::Policies],
    }
}

/// Whether a snapshot of this wants entries of a kind.
fn holds(of: SnapshotOf, kind: &str) -> bool {
    match of {
        SnapshotOf::Everything => true,
        SnapshotOf::Policies => matches!(kind, "policy_saved" | "policy_removed"),
    }
}

/// Whether a change of `more` bytes has to wait for the next piece.
fn is_full(changes: &[(String, String)], bytes: usize, more: usize) -> bool {
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    !changes.is_empty() && (changes.len() >= most || bytes.saturating_add(more) > BYTES)
}

// === impl Cursor ===

impl Cursor {
    fn part(self, changes: Vec<(String, String)>, done: bool) -> Piece {
        let next = serde_json::to_string(&self).unwrap_or_default();
        Piece::Part {
            changes,
            cursor: (!done).then_some(next),
            n: self.at.n,
            uuid: self.at.uuid,
        }
    }
}
