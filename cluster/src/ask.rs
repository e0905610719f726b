//! Questions and answers between actors: the reply port and what can go wrong.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Why an answer did not come. All of them may be retried when the question is idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AskError {
    /// Nobody runs at this address.
    #[error("the actor is not running, try again")]
    Unavailable,
    /// Too many questions wait already.
    #[error("the actor's mailbox is full, try again later")]
    Overloaded,
    /// The actor took the question and ended before it answered.
    #[error("the actor ended before it answered, try again")]
    Dropped,
    /// No answer within the deadline.
    #[error("no answer within the deadline")]
    Timeout,
    /// The other side does not know this message or this version of it (M1).
    #[error("the other side does not understand this message")]
    Unsupported,
}

/// Where an answer goes. Dropping it tells the asker that there will be none.
#[derive(Debug)]
pub struct Reply<T> {
    sender: oneshot::Sender<T>,
    is_hasty: bool,
}

tokio::task_local! {
    /// Set while somebody asks who wants no more than the deed.
    static HASTY: ();
}

/// Whoever this asks, in this process, learns that the answer shall wait for nothing but the deed.
pub async fn hastily<T>(asking: impl Future<Output = T>) -> T {
    HASTY.scope((), asking).await
}

pub(crate) fn reply_pair<T>() -> (Reply<T>, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let is_hasty = HASTY.try_with(|()| ()).is_ok();
    (Reply { sender, is_hasty }, receiver)
}

// === impl Reply ===

impl<T> Reply<T> {
    /// Answers. An asker who has gone away misses nothing.
    pub fn send(self, answer: T) {
        let _ = self.sender.send(answer);
    }

    /// Whether the asker has given up, so that work for it can be spared.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether the asker wants no more than the deed, however much there is to wait for after it.
    #[must_use]
    pub const fn is_hasty(&self) -> bool {
        self.is_hasty
    }
}
