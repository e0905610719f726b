//! One piece of a snapshot after another (C3). The cursor of a piece says where a transfer stands, and
//! it is with the asker: so a piece that does not come is asked for again, of whichever node answers,
//! and what came before it stays good. A slow link makes pieces late, and no transfer begin anew.

use std::time::Duration;

use cluster::AskError;
use domain::change_log::Position;
use tokio::time::Instant;

use super::handle::ChangeFeedHandle;
use super::message::{Piece, Snapshot, SnapshotOf};

/// What the first try of a piece may take; the next ones twice as long. A connection over which nothing
/// comes ends by itself long before.
const FIRST: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(60);
/// The pause between two tries.
const AGAIN: Duration = Duration::from_millis(200);
/// As often a feed may say that it has nothing to give: its database may be away for a moment, and
/// when the log does not go on from the cursor it says so for good.
const REFUSALS: u32 = 3;
/// A piece that does not come for so long ends the transfer.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// A piece that came.
#[derive(Debug)]
pub(crate) struct Part {
    /// `(tenant, change)` pairs.
    pub(crate) changes: Vec<(String, String)>,
    /// What to ask with next; none when this was the last piece.
    pub(crate) next: Option<String>,
    /// Of the last piece: the position that the whole snapshot is true at.
    pub(crate) at: Position,
}

impl ChangeFeedHandle {
    /// The piece of a snapshot that comes after `cursor`, asked for until it comes.
    ///
    /// # Errors
    /// When the transfer has to begin anew.
    pub(crate) async fn piece(&self, of: SnapshotOf, cursor: &str) -> Result<Part, AskError> {
        let (mut within, mut refusals) = (FIRST, 0);
        let end = Instant::now() + GIVEN_UP;
        loop {
            let cursor = cursor.to_owned();
            let error = match self.try_snapshot(Snapshot { cursor, of }, within).await {
                Ok(Piece::Part {
                    changes,
                    cursor,
                    n,
                    uuid,
                }) => {
                    return Ok(Part {
                        changes,
                        next: cursor,
                        at: Position::new(n, uuid),
                    });
                }
                Ok(Piece::Unavailable) => {
                    refusals += 1;
                    AskError::Unavailable
                }
                Err(error) => error,
            };
            if error == AskError::Timeout {
                within = (within * 2).min(LONGEST);
            }
            let is_over = refusals >= REFUSALS || Instant::now() >= end;
            if is_over || error == AskError::Unsupported {
                return Err(error);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
