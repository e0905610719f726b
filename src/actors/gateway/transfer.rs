//! Brings the pieces of a snapshot to the follower, one after the other.

use std::time::Duration;

use cluster::{Address, spawn_named};
use domain::change_log::Position;
use tokio::task::JoinHandle;

use super::follower::Message;
use crate::change_feed::ChangeFeedHandle;
use crate::change_feed::message::SnapshotOf;

/// How often the follower is told that a piece is still asked for.
const WAITING: Duration = Duration::from_secs(1);

/// A transfer under way; ends when dropped, so that two never ask side by side.
pub(super) struct Transfer(JoinHandle<()>);

/// A piece of a snapshot.
pub(super) struct Arrived {
    pub(super) transfer: u64,
    pub(super) index: u32,
    pub(super) changes: Vec<(String, String)>,
    /// With the last piece: what the whole is true at.
    pub(super) at: Option<Position>,
}

// === impl Transfer ===

impl Transfer {
    /// Begins the transfer of this number.
    pub(super) fn begin(transfer: u64, feed: ChangeFeedHandle, me: Address<Message>) -> Self {
        Self(spawn_named("pull snapshot", async move {
            let mut cursor = String::new();
            for index in 0.. {
                // One that does not come for good ends the transfer; the machine starts another.
                let Some(part) = waited_for(transfer, &feed, &me, &cursor).await else {
                    return;
                };
                let (at, next) = match part.next {
                    Some(next) => (None, next),
                    None => (Some(part.at), String::new()),
                };
                let is_last = at.is_some();
                let _ = me.tell(Message::Piece(Arrived {
                    transfer,
                    index,
                    changes: part.changes,
                    at,
                }));
                if is_last {
                    return;
                }
                cursor = next;
            }
        }))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn waited_for(
    transfer: u64,
    feed: &ChangeFeedHandle,
    me: &Address<Message>,
    cursor: &str,
) -> Option<crate::change_feed::Part> {
    let asking = feed.piece(SnapshotOf::Everything, cursor);
    tokio::pin!(asking);
    loop {
        tokio::select! {
            piece = &mut asking => {
                return piece
                    .inspect_err(|error| tracing::warn!(%error, "a piece of a snapshot did not come"))
                    .ok();
            }
            () = tokio::time::sleep(WAITING) => {
                let _ = me.tell(Message::Waits { transfer });
            }
        }
    }
}
