//! Brings the pieces of a snapshot to a follower, one after the other; and says of what is large that it is still
//! on its way, so that it is not asked for again.

use std::time::Duration;

use cluster::{Address, AskError, spawn_named};
use domain::change_log::{Input, Position};
use tokio::task::JoinHandle;

use super::handle::ChangeFeedHandle;
use super::message::SnapshotOf;

/// How often the follower is told that something is still asked for; below the machine's patience with a pull.
const WAITING: Duration = Duration::from_millis(500);
/// After a refusal. The machine gives the transfer up when nothing came for long.
const PAUSE: Duration = Duration::from_millis(200);

/// A transfer under way; ends when dropped, so that two never ask side by side.
pub(crate) struct Transfer {
    number: u64,
    task: JoinHandle<()>,
}

/// A piece of a snapshot.
pub(crate) struct Arrived {
    pub(crate) transfer: u64,
    pub(crate) index: u32,
    pub(crate) changes: Vec<(String, String)>,
    /// With the last piece: what the whole is true at.
    pub(crate) at: Option<Position>,
}

/// What is still on its way.
pub(crate) enum Waits {
    /// A piece of this transfer.
    Piece { transfer: u64 },
    /// The answer to the pull from here.
    Pull { after: Position },
}

/// What a follower's machine is told of it.
impl<E> From<Waits> for Input<E> {
    fn from(waits: Waits) -> Self {
        match waits {
            Waits::Piece { transfer } => Self::SnapshotWaits { transfer },
            Waits::Pull { after } => Self::PullWaits { after },
        }
    }
}

// === impl Transfer ===

impl Transfer {
    /// Begins the transfer of this number, whose pieces are told to `me`.
    pub(crate) fn begin<M>(
        transfer: u64,
        feed: ChangeFeedHandle,
        of: SnapshotOf,
        me: Address<M>,
    ) -> Self
    where
        M: From<Arrived> + From<Waits> + Send + 'static,
    {
        let task = spawn_named("pull snapshot", async move {
            let mut cursor = String::new();
            for index in 0.. {
                let part = loop {
                    let asking = feed.piece(of, &cursor);
                    match waited_for(asking, &me, || Waits::Piece { transfer }).await {
                        Ok(part) => break part,
                        // The log may not go on from what came: then the machine begins anew. A version before stays one.
                        Err(error) if index > 0 || error == AskError::Unsupported => {
                            return tracing::warn!(%error, "a piece of a snapshot did not come");
                        }
                        Err(error) => {
                            tracing::warn!(%error, "a snapshot did not begin, asking again");
                        }
                    }
                    tokio::time::sleep(PAUSE).await;
                };
                let (at, next) = match part.next {
                    Some(next) => (None, next),
                    None => (Some(part.at), String::new()),
                };
                let is_last = at.is_some();
                let arrived = Arrived {
                    transfer,
                    index,
                    changes: part.changes,
                    at,
                };
                let _ = me.tell(arrived.into());
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
    pub(crate) fn is(&self, number: u64) -> bool {
        self.number == number
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks, and tells the follower meanwhile that it does.
pub(super) async fn waited_for<T, M: From<Waits> + Send + 'static>(
    asking: impl Future<Output = T>,
    me: &Address<M>,
    waits: impl Fn() -> Waits,
) -> T {
    tokio::pin!(asking);
    loop {
        tokio::select! {
            answer = &mut asking => return answer,
            () = tokio::time::sleep(WAITING) => {
                let _ = me.tell(waits().into());
            }
        }
    }
}
