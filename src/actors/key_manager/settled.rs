//! What a command has come to. A worker's part ends with the commit: that the followers have applied
//! it is waited for beside the worker, which carries out the next command meanwhile.

use cluster::{Reply, spawn_named};
use storage::StoreError;

use super::command::{Outcome, Refused};
use crate::change_feed::ChangeFeedHandle;

/// A command that was carried out.
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// The entry that its answer waits for.
    pub(super) n: Option<u64>,
    /// The same where it is an entry of others.
    pub(super) of_others: Option<u64>,
}

/// A command that was refused.
#[derive(Debug)]
pub(super) struct Halt {
    pub(super) refused: Refused,
    /// What was changed all the same: the refusal waits for it.
    pub(super) n: Option<u64>,
}

// === impl Done ===

impl Done {
    /// Done with an entry, which the answer tells who has applied it.
    pub(super) const fn at(n: u64) -> Self {
        Self {
            outcome: Outcome::Yes,
            n: Some(n),
            of_others: None,
        }
    }

    /// Nothing had to be done, but what was done before, up to this entry, has to be known.
    pub(super) const fn before(n: u64) -> Self {
        Self {
            outcome: Outcome::Yes,
            n: None,
            of_others: Some(n),
        }
    }
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            n: None,
            of_others: None,
        }
    }
}

// === impl Halt ===

impl From<Refused> for Halt {
    fn from(refused: Refused) -> Self {
        Self { refused, n: None }
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Refused::from(error).into()
    }
}

/// Answers at once, or when the followers have applied the entry; the wait goes on when the asker
/// has given up, so that the feed learns of it.
pub(super) fn answer(
    feed: &ChangeFeedHandle,
    reply: Reply<Result<Outcome, Refused>>,
    settled: Result<Done, Halt>,
) {
    let (answer, n, of_others) = match settled {
        Ok(done) => (Ok(done.outcome), done.n, done.of_others),
        Err(halt) => (Err(halt.refused), halt.n, None),
    };
    if n.or(of_others).is_none() {
        reply.send(answer);
        return;
    }
    let feed = feed.clone();
    spawn_named("key-manager.applied", async move {
        let applied = match n {
            Some(n) => feed.committed(n).await,
            None => feed.caught_up(of_others.unwrap_or_default()).await,
        };
        reply.send(match answer {
            Ok(Outcome::Yes) => Ok(Outcome::Applied(applied)),
            Ok(made) => Ok(Outcome::Changed(Box::new(made), applied)),
            refused => refused,
        });
    });
}
