//! Follows the change log for the traffic manager: throttling policies, and the position they are
//! true at (L12). Acknowledges what is in force, so that whoever changes a plan can wait for it (C6):
//! nothing is granted by older ones then, for every ask goes by what is published; and every shard
//! has begun to tell gateways what follows for their leases, but those that wait for the disk, which
//! do so when they are free.
//!
//! A pull runs beside the actor and tells it what came, so that an orderly stop never waits for a
//! long poll. After a restart it takes a snapshot, of policies alone, so that it is there in a moment however many APIs
//! there are; what was published before stays in force till then.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, AskError, BoxError, Reply, SelfReport, spawn_named};
use domain::change::{Change, Entry};
use domain::change_log::Position;
use domain::serving_lease::FollowerKind;
use tokio::task::{JoinHandle, JoinSet};

use super::Published;
use super::view::PolicyBook;
use crate::change_feed::ChangeFeedHandle;
use crate::change_feed::message::{Heartbeat, Pull, Pulled, SnapshotOf};

/// A long poll of the feed, milliseconds.
const POLL_MS: u32 = 5_000;
/// Entries asked for at once.
const MOST: u32 = 500;
/// The pause after something went wrong.
const PAUSE: Duration = Duration::from_millis(200);
/// And so long after something that this version does not understand; it is heard all the same, and not fenced.
const NOT_UNDERSTOOD: Duration = Duration::from_secs(2);
/// Stands for the number of a change that came in a snapshot.
const NO_CHANGE: u64 = u64::MAX;
/// What shards may take, all together, to go by other policies; one that takes longer does it with its next tick.
const FOLLOWING: Duration = Duration::from_secs(1);

/// An actor whose shards go by other policies when they are told.
#[derive(Clone)]
pub(super) struct GoBy {
    name: String,
    ask: Arc<dyn Fn() -> Following + Send + Sync>,
}

type Following = Pin<Box<dyn Future<Output = Result<(), AskError>> + Send>>;

/// What it is started with.
#[derive(Clone)]
pub(super) struct PoliciesArguments {
    pub(super) feed: ChangeFeedHandle,
    pub(super) published: Published,
    /// Who goes by what is published.
    pub(super) shards: Vec<GoBy>,
    /// Its name among the followers.
    pub(super) follower: String,
    /// The node's incarnation (W1).
    pub(super) incarnation: u64,
}

/// What it is told.
pub(super) enum PoliciesMessage {
    Snapshot(Result<(Vec<(String, String)>, Position), AskError>),
    Pulled(Result<Pulled, AskError>),
}

/// The follower.
pub(super) struct PolicyFollower {
    arguments: PoliciesArguments,
    me: Address<PoliciesMessage>,
    book: PolicyBook,
    position: Position,
    /// The change that it cannot pass; 0 while there is none. Told once for each.
    stands_before: u64,
    under_way: JoinHandle<()>,
}

// === impl GoBy ===

impl GoBy {
    /// Told by this message.
    pub(super) fn of<M: Send + 'static>(address: &Address<M>, follow: fn(Reply<()>) -> M) -> Self {
        let address = address.clone();
        Self {
            name: address.name().to_owned(),
            ask: Arc::new(move || {
                let address = address.clone();
                Box::pin(async move { address.ask(FOLLOWING, follow).await })
            }),
        }
    }
}

// === impl Actor ===

impl Actor for PolicyFollower {
    type Message = PoliciesMessage;
    type Arguments = PoliciesArguments;
    const KIND: &'static str = "traffic_manager.policies";

    async fn start(
        arguments: PoliciesArguments,
        me: Address<PoliciesMessage>,
    ) -> Result<Self, BoxError> {
        let under_way = take_snapshot(arguments.feed.clone(), me.clone(), Duration::ZERO);
        Ok(Self {
            arguments,
            me,
            book: PolicyBook::default(),
            position: Position::default(),
            stands_before: 0,
            under_way,
        })
    }

    async fn handle(&mut self, message: PoliciesMessage) -> Result<(), BoxError> {
        match message {
            PoliciesMessage::Snapshot(Ok((changes, position))) => {
                self.restore(changes, position).await;
            }
            PoliciesMessage::Snapshot(Err(error)) => {
                tracing::warn!(%error, "traffic manager cannot read the policies, trying again");
                self.snapshot(PAUSE);
            }
            PoliciesMessage::Pulled(Ok(Pulled::Entries { entries, .. })) => {
                self.apply(entries).await;
            }
            PoliciesMessage::Pulled(Ok(Pulled::Resync { reason })) => {
                tracing::warn!(reason, "traffic manager reads all policies anew");
                self.snapshot(Duration::ZERO);
            }
            PoliciesMessage::Pulled(Ok(Pulled::Unavailable) | Err(_)) => self.pull(PAUSE),
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("follows as", &self.arguments.follower)
            .with("applied up to", self.position.n)
            .with(
                "cannot pass change",
                match self.stands_before {
                    0 => "none".to_owned(),
                    n => n.to_string(),
                },
            )
            .linked("change-feed of a control plane")
            .linked_all(self.arguments.shards.iter().map(|shards| &shards.name))
    }
}

impl Drop for PolicyFollower {
    fn drop(&mut self) {
        self.under_way.abort();
    }
}

// === impl PolicyFollower ===

impl PolicyFollower {
    async fn restore(&mut self, changes: Vec<(String, String)>, position: Position) {
        let mut book = PolicyBook::default();
        for (tenant, change) in changes {
            match serde_json::from_str::<Change>(&change) {
                Ok(change) => book.apply(&tenant, change),
                Err(error) => {
                    self.cannot_pass(NO_CHANGE, &error.to_string());
                    return self.snapshot(NOT_UNDERSTOOD);
                }
            }
        }
        self.book = book;
        self.position = position;
        self.publish().await;
    }

    async fn apply(&mut self, entries: Vec<Entry>) {
        if entries.is_empty() {
            let (feed, heartbeat) = (self.arguments.feed.clone(), self.heartbeat());
            // All nodes of the control plane hear that it lives, at each end of a long poll.
            spawn_named("policies heartbeat", async move {
                feed.heartbeat(heartbeat).await
            });
            return self.pull(Duration::ZERO);
        }
        for entry in entries {
            if !entry.is_understood() {
                self.cannot_pass(entry.n, &entry.kind);
                self.stays().await;
                return self.pull(NOT_UNDERSTOOD);
            }
            if entry.n != self.position.n + 1 {
                tracing::error!(n = entry.n, "entries do not follow one another");
                return self.snapshot(PAUSE);
            }
            if let Some(change) = entry.change() {
                self.book.apply(&entry.tenant, change);
            }
            self.position = Position::of(&entry);
        }
        self.publish().await;
    }

    /// Passing over it would acknowledge what is not so (M1).
    fn cannot_pass(&mut self, n: u64, what: &str) {
        if std::mem::replace(&mut self.stands_before, n) != n {
            tracing::error!(
                n,
                what,
                "a change that this version does not understand is not passed: start this node with the version \
                 that the control plane has"
            );
        }
    }

    /// In force first, then acknowledged.
    async fn publish(&mut self) {
        self.stays().await;
        self.pull(Duration::ZERO);
    }

    /// The same without asking for more.
    async fn stays(&mut self) {
        let view = self.book.view(self.position.n);
        let PoliciesArguments {
            feed,
            published,
            shards,
            ..
        } = &self.arguments;
        let table = Arc::clone(&view.table);
        let before = published.swap(Some(view.into()));
        // Before the first ones nothing was granted.
        if before.is_some_and(|before| !Arc::ptr_eq(&before.table, &table)) {
            tell(shards).await;
        }
        if let Err(error) = feed.heartbeat(self.heartbeat()).await {
            tracing::warn!(%error, "the change feed did not take an acknowledgement");
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            follower: self.arguments.follower.clone(),
            incarnation: self.arguments.incarnation,
            kind: FollowerKind::Policies,
            n: self.position.n,
            uuid: self.position.uuid.clone(),
            leaves: false,
        }
    }

    fn pull(&mut self, pause: Duration) {
        let (feed, me) = (self.arguments.feed.clone(), self.me.clone());
        let pull = Pull {
            follower: self.arguments.follower.clone(),
            n: self.position.n,
            uuid: self.position.uuid.clone(),
            most: MOST,
            wait_ms: POLL_MS,
            small: false,
        };
        self.under_way = spawn_named("policies pull", async move {
            tokio::time::sleep(pause).await;
            let pulled = feed.pull(pull).await;
            let _ = me.tell(PoliciesMessage::Pulled(pulled));
        });
    }

    fn snapshot(&mut self, pause: Duration) {
        self.under_way = take_snapshot(self.arguments.feed.clone(), self.me.clone(), pause);
    }
}

/// Tells all shards at once: while they are waited for nothing else is followed, and on a disk that hangs each would
/// take its whole time.
async fn tell(shards: &[GoBy]) {
    let mut told = JoinSet::new();
    for shards in shards {
        let shards = shards.clone();
        told.spawn(async move {
            if let Err(error) = (shards.ask)().await {
                tracing::warn!(actor = shards.name, %error, "a shard was not told of other policies");
            }
        });
    }
    while told.join_next().await.is_some() {}
}

fn take_snapshot(
    feed: ChangeFeedHandle,
    me: Address<PoliciesMessage>,
    pause: Duration,
) -> JoinHandle<()> {
    spawn_named("policies snapshot", async move {
        tokio::time::sleep(pause).await;
        let mut message = PoliciesMessage::Snapshot(whole(&feed).await);
        // The first one may be ready before the actor can be reached.
        while let Err(cluster::Undelivered(back)) = me.tell(message) {
            message = back;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

async fn whole(feed: &ChangeFeedHandle) -> Result<(Vec<(String, String)>, Position), AskError> {
    let (mut all, mut asked) = (Vec::new(), String::new());
    loop {
        let part = feed.piece(SnapshotOf::Policies, &asked).await?;
        all.extend(part.changes);
        match part.next {
            Some(next) => asked = next,
            None => return Ok((all, part.at)),
        }
    }
}

#[cfg(test)]
#[path = "policies_tests.rs"]
mod tests;
