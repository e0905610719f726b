//! Brings the pieces of a snapshot to the follower, one after the other; and says of what is large that it is still
//! on its way, so that it is not asked for again.

use std::time::Duration;

use cluster::{Address, spawn_named};
use domain::change_log::Position;
use tokio::task::JoinHandle;

use super::follower::Message;
use crate::change_feed::ChangeFeedHandle;
use crate::change_feed::message::SnapshotOf;

/// How often the follower is told that something is still asked for; below the machine's patience with a pull.
const WAITING: Duration = Duration::from_millis(500);

/// A transfer under way; ends when dropped, so that two never ask side by side.
pub(super) struct Transfer {
    number: u64,
    task: JoinHandle<()>,
}

/// A piece of a snapshot.
pub(super) struct Arrived {
    pub(super) transfer: u64,
    pub(super) index: u32,
    pub(super) changes: Vec<(String, String)>,
    /// With the last piece: what the whole is true at.
    pub(super) at: Option<Position>,
}

/// What is still on its way.
pub(super) enum Waits {
    /// A piece of this transfer.
    Piece { transfer: u64 },
    /// The answer to the pull from here.
    Pull { after: Position },
}

// === impl Transfer ===

impl Transfer {
    /// Begins the transfer of this number.
    pub(super) fn begin(transfer: u64, feed: ChangeFeedHandle, me: Address<Message>) -> Self {
        let task = spawn_named("pull snapshot", async move {
            let mut cursor = String::new();
            for index in 0.. {
                // One that does not come for good ends the transfer; the machine starts another.
                let asking = feed.piece(SnapshotOf::Everything, &cursor);
                let part = match waited_for(asking, &me, || Waits::Piece { transfer }).await {
                    Ok(part) => part,
                    Err(error) => {
                        return tracing::warn!(%error, "a piece of a snapshot did not come");
                    }
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
        });
        Self {
            number: transfer,
            task,
        }
    }

    /// Whether it has this number: a piece of an earlier one may still come.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks, and tells the follower meanwhile that it does.
pub(super) async fn waited_for<T>(
    asking: impl Future<Output = T>,
    me: &Address<Message>,
    waits: impl Fn() -> Waits,
) -> T {
    tokio::pin!(asking);
    loop {
        tokio::select! {
            answer = &mut asking => return answer,
            () = tokio::time::sleep(WAITING) => {
                let _ = me.tell(Message::Waits(waits()));
            }
        }
    }
}
