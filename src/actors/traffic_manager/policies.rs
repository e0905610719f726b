//! Follows the change log for the traffic manager: throttling policies, and the position they are
//! true at (L12). Acknowledges what is in force, so that whoever changes a plan can wait for it (C6):
//! nothing is granted by older ones then, for every ask goes by what is published; and every shard
//! has begun to tell gateways what follows for their leases, but those that wait for the disk, which
//! do so when they are free.
//!
//! The rules are `domain::change_log`'s, as for a gateway; this moves the messages. It keeps nothing: what it applies
//! is durable as soon as it is in force, and each life begins with a snapshot, of policies alone, so that it is there in
//! a moment however many APIs there are; what was published before stays in force till then. A pull runs beside the
//! actor and tells it what came, so that an orderly stop never waits for a long poll.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, AskError, BoxError, Clock, Reply, SelfReport, Ticker, spawn_named};
use domain::change::{Change, Entry};
use domain::change_log::{Effect, Follower as Machine, Input, Position, ResyncReason};
use domain::serving_lease::FollowerKind;
use tokio::task::{JoinHandle, JoinSet};

use super::Published;
use super::view::PolicyBook;
use crate::change_feed::message::{Heartbeat, Pulled, SnapshotOf};
use crate::change_feed::{Arrived, Asking, Came, ChangeFeedHandle, Transfer, Waits};

/// How often the machine is told that time passes.
const TICK: Duration = Duration::from_millis(100);
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
    pub(super) clock: Clock,
    /// How many lives this actor has begun.
    pub(super) lives: Arc<AtomicU64>,
}

/// What it is told.
pub(super) enum PoliciesMessage {
    Pulled(Came),
    Piece(Arrived),
    Waits(Waits),
    Tick,
}

/// The follower.
pub(super) struct PolicyFollower {
    arguments: PoliciesArguments,
    me: Address<PoliciesMessage>,
    machine: Machine,
    asking: Asking,
    book: PolicyBook,
    /// What the published policies are true at.
    in_force: Position,
    /// The change that it cannot pass; 0 while there is none. Told once for each.
    stands_before: u64,
    has_begun: bool,
    /// The piece that came, until the machine says that it is to be kept.
    piece: Vec<(String, String)>,
    /// What came of a snapshot, until the machine asks for it to be put in place.
    snapshot: Vec<(String, String)>,
    transfer: Option<Transfer>,
    pull: Option<JoinHandle<()>>,
    _ticker: Ticker,
}

impl From<Came> for PoliciesMessage {
    fn from(came: Came) -> Self {
        Self::Pulled(came)
    }
}

impl From<Arrived> for PoliciesMessage {
    fn from(arrived: Arrived) -> Self {
        Self::Piece(arrived)
    }
}

impl From<Waits> for PoliciesMessage {
    fn from(waits: Waits) -> Self {
        Self::Waits(waits)
    }
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
        let PoliciesArguments {
            feed,
            follower,
            clock,
            lives,
            ..
        } = &arguments;
        let asking = Asking::new(feed.clone(), clock.clone(), follower.clone());
        // A piece that an earlier life asked for may still come.
        let transfers = lives.fetch_add(1, Ordering::Relaxed) << 32;
        let first = me.clone();
        spawn_named("policies begin", async move {
            tokio::task::yield_now().await;
            let _ = first.tell(PoliciesMessage::Tick);
        });
        Ok(Self {
            _ticker: Ticker::start(me.clone(), TICK, || PoliciesMessage::Tick),
            arguments,
            me,
            machine: Machine::resume(Position::default(), transfers),
            asking,
            book: PolicyBook::default(),
            in_force: Position::default(),
            stands_before: 0,
            has_begun: false,
            piece: Vec::new(),
            snapshot: Vec::new(),
            transfer: None,
            pull: None,
        })
    }

    async fn handle(&mut self, message: PoliciesMessage) -> Result<(), BoxError> {
        match message {
            // Only now it can be told what comes.
            PoliciesMessage::Tick if !std::mem::replace(&mut self.has_begun, true) => {
                let begin = self.machine.take_snapshot(self.now_ms());
                self.carry_out(begin).await;
            }
            PoliciesMessage::Tick => self.step(Input::Tick).await,
            PoliciesMessage::Waits(waits) => {
                // What is large may take longer than a follower that says nothing is taken for alive (S3).
                if !self.in_force.uuid.is_empty() {
                    self.says_where_it_is();
                }
                self.step(waits.into()).await;
            }
            PoliciesMessage::Pulled(came) => self.pulled(came).await,
            PoliciesMessage::Piece(arrived) => self.arrived(arrived).await,
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("follows as", &self.arguments.follower)
            .with("applied up to", self.in_force.n)
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
        if let Some(pull) = &self.pull {
            pull.abort();
        }
    }
}

// === impl PolicyFollower ===

impl PolicyFollower {
    async fn pulled(&mut self, came: Came) {
        self.asking.heard(&came);
        let is_latest = self.asking.is_latest(&came);
        let Came {
            after,
            answer,
            pace,
            ..
        } = came;
        match answer {
            Ok(Pulled::Entries { entries, head }) => {
                let is_idle = entries.is_empty();
                let Some(entries) = self.understood(entries) else {
                    self.says_where_it_is();
                    return self.step(Input::PullFailed).await;
                };
                self.step(Input::Entries {
                    after,
                    entries,
                    head,
                })
                .await;
                if is_idle {
                    // All nodes of the control plane hear that it lives, at each end of a long poll.
                    self.says_where_it_is();
                    if !pace.goes_on(self.machine.applied().n >= head) {
                        return;
                    }
                }
                // Long polls follow one another without a pause.
                let n = self.machine.applied().n.saturating_add(1);
                self.step(Input::HeadHint { n }).await;
            }
            Ok(Pulled::Resync { reason }) => {
                let reason = ResyncReason::parse(&reason).unwrap_or(ResyncReason::TooOld);
                self.step(Input::NeedsSnapshot { after, reason }).await;
            }
            Ok(Pulled::Unavailable) | Err(_) if is_latest => self.step(Input::PullFailed).await,
            Ok(Pulled::Unavailable) | Err(_) => {}
        }
    }

    /// The entries before one that is not understood; none when that is the first.
    fn understood(&mut self, mut entries: Vec<Entry>) -> Option<Vec<Entry>> {
        let understood = entries.iter().take_while(|entry| entry.is_understood());
        let known = understood.count();
        if let Some(unknown) = entries.get(known) {
            self.cannot_pass(unknown.n, &unknown.kind);
            entries.truncate(known);
            return (known > 0).then_some(entries);
        }
        Some(entries)
    }

    async fn arrived(&mut self, arrived: Arrived) {
        let Arrived {
            transfer,
            index,
            changes,
            at,
        } = arrived;
        let read = |(_, change): &(String, String)| serde_json::from_str::<Change>(change).err();
        if let Some(error) = changes.iter().find_map(read) {
            // It ends here, and another begins after a while; one that was given up ends nothing.
            if self.transfer.take_if(|one| one.is(transfer)).is_some() {
                self.cannot_pass(NO_CHANGE, &error.to_string());
            }
            return;
        }
        self.piece = changes;
        self.step(Input::SnapshotChunk { transfer, index }).await;
        if let Some(at) = at {
            let chunks = index.saturating_add(1);
            self.step(Input::SnapshotDone {
                transfer,
                at,
                chunks,
            })
            .await;
        }
    }

    async fn step(&mut self, input: Input<Entry>) {
        let effects = self.machine.step(input, self.now_ms());
        self.carry_out(effects).await;
    }

    /// Carries out effects, and those that follow from them; more is asked for when all is in force.
    async fn carry_out(&mut self, effects: Vec<Effect<Entry>>) {
        let (mut left, mut pull) = (VecDeque::from(effects), None);
        while let Some(effect) = left.pop_front() {
            match effect {
                Effect::Pull { after } => pull = Some(after),
                Effect::Apply(entry) => {
                    if let Some(change) = entry.change() {
                        self.book.apply(&entry.tenant, change);
                    }
                }
                // In force first, then acknowledged.
                Effect::Persist { at } => {
                    self.publish(&at).await;
                    left.extend(self.machine.step(Input::Persisted { at }, self.now_ms()));
                }
                Effect::Acknowledge { .. } => self.says_where_it_is(),
                Effect::Resync { reason } if reason.is_alarming() => {
                    tracing::error!(
                        ?reason,
                        "the change log is of another history, reading all policies anew"
                    );
                }
                Effect::Resync { .. } => {}
                Effect::PullSnapshot { transfer } => {
                    self.snapshot.clear();
                    let (feed, me) = (self.arguments.feed.clone(), self.me.clone());
                    let of = SnapshotOf::Policies;
                    self.transfer = Some(Transfer::begin(transfer, feed, of, me));
                }
                Effect::StoreChunk { .. } => self.snapshot.append(&mut self.piece),
                Effect::InstallSnapshot { .. } => self.install(),
            }
        }
        let Some(after) = pull else { return };
        // Shards may have been waited for since the machine wanted it.
        let waits = Input::PullWaits {
            after: after.clone(),
        };
        drop(self.machine.step::<Entry>(waits, self.now_ms()));
        self.pull = Some(self.asking.ask(&self.machine, after, false, &self.me));
    }

    fn install(&mut self) {
        self.book = PolicyBook::default();
        for (tenant, change) in std::mem::take(&mut self.snapshot) {
            // All were read when they came.
            if let Ok(change) = serde_json::from_str::<Change>(&change) {
                self.book.apply(&tenant, change);
            }
        }
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

    async fn publish(&mut self, at: &Position) {
        let view = self.book.view(at.n);
        let PoliciesArguments {
            published, shards, ..
        } = &self.arguments;
        let table = Arc::clone(&view.table);
        let before = published.swap(Some(view.into()));
        // Before the first ones nothing was granted.
        if before.is_some_and(|before| !Arc::ptr_eq(&before.table, &table)) {
            tell(shards).await;
        }
        self.in_force = at.clone();
    }

    /// Acknowledges what is in force, and says that it lives.
    fn says_where_it_is(&self) {
        let heartbeat = Heartbeat {
            follower: self.arguments.follower.clone(),
            incarnation: self.arguments.incarnation,
            kind: FollowerKind::Policies,
            n: self.in_force.n,
            uuid: self.in_force.uuid.clone(),
            leaves: false,
        };
        let feed = self.arguments.feed.clone();
        spawn_named("policies heartbeat", async move {
            if let Err(error) = feed.heartbeat(heartbeat).await {
                tracing::warn!(%error, "the change feed did not take an acknowledgement");
            }
        });
    }

    /// The machine measures how long something takes; nobody's clock is asked what time it is.
    fn now_ms(&self) -> i64 {
        let now = self.arguments.clock.monotonic();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
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

#[cfg(test)]
#[path = "policies_tests.rs"]
mod tests;
