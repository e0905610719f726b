//! Gives snapshots piece by piece (C3), beside the feed so that they never delay it. Keeps nothing:
//! the cursor says where a transfer stands, so that a restart of this actor interrupts none.
//!
//! All pieces carry the head as it was before the first was read. Things that change meanwhile may
//! be sent newer than that; the entries after it bring everybody to the same end.

use cluster::{Actor, Address, Asked, BoxError, Clock};
use domain::change_log::Position;
use serde::{Deserialize, Serialize};
use storage::apim::snapshots::{Section, list};
use storage::{Database, StoreError, apim::change_log};

use super::message::{Piece, Snapshot};

/// Things in one piece at most.
const MOST: usize = 64;
/// Bytes in one piece, unless one thing alone is larger.
const BYTES: usize = 1024 * 1024;

/// What it is started with.
#[derive(Clone)]
pub(super) struct SnapshotArguments {
    pub(super) clock: Clock,
    pub(super) apim: Database,
    pub(super) shared: Database,
}

/// What it is told.
pub(super) struct SnapshotMessage(pub(super) Asked<Snapshot>);

/// Reads snapshots.
pub(super) struct Snapshots {
    arguments: SnapshotArguments,
}

/// Where a transfer stands; travels as JSON text.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cursor {
    n: u64,
    uuid: String,
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

    async fn handle(&mut self, SnapshotMessage(asked): SnapshotMessage) -> Result<(), BoxError> {
        let piece = match self.piece(&asked.request.cursor).await {
            Ok(piece) => piece,
            Err(error) => {
                tracing::warn!(%error, "change feed cannot read a snapshot");
                Piece::Unavailable
            }
        };
        asked.reply.send(piece);
        Ok(())
    }
}

// === impl Snapshots ===

impl Snapshots {
    async fn piece(&self, cursor: &str) -> Result<Piece, StoreError> {
        let mut read = self.arguments.apim.read().await?;
        let mut cursor = match serde_json::from_str::<Cursor>(cursor) {
            Ok(cursor) => cursor,
            // The first piece; a cursor that cannot be read begins anew as well.
            Err(_) => {
                let Position { n, uuid } = change_log::head(&mut read).await?;
                Cursor {
                    n,
                    uuid,
                    section: 0,
                    after: Vec::new(),
                }
            }
        };
        let mut shared = self.arguments.shared.read().await?;
        let now_ms = self.arguments.clock.now_ms();
        let (mut changes, mut bytes) = (Vec::new(), 0);
        let most = i64::try_from(MOST).unwrap_or(i64::MAX);
        while let Some(section) = Section::ALL.get(cursor.section) {
            let items = list(
                &mut read,
                &mut shared,
                *section,
                &cursor.after,
                most,
                now_ms,
            )
            .await?;
            let last = items.len() < MOST;
            for item in items {
                let change = serde_json::to_string(&item.change).unwrap_or_default();
                let full = changes.len() >= MOST || bytes + change.len() > BYTES;
                if full && !changes.is_empty() {
                    return Ok(cursor.part(changes));
                }
                bytes += change.len();
                changes.push((item.tenant, change));
                cursor.after = item.key;
            }
            if last {
                cursor.section += 1;
                cursor.after = Vec::new();
            }
        }
        Ok(Piece::Part {
            changes,
            cursor: None,
            n: cursor.n,
            uuid: cursor.uuid,
        })
    }
}

// === impl Cursor ===

impl Cursor {
    fn part(self, changes: Vec<(String, String)>) -> Piece {
        let next = serde_json::to_string(&self).unwrap_or_default();
        Piece::Part {
            changes,
            cursor: Some(next),
            n: self.n,
            uuid: self.uuid,
        }
    }
}
