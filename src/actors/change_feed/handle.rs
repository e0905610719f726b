//! The typed client of the change feed, the only door to it.

use std::sync::PoisonError;
use std::time::Duration;

use cluster::{AskError, Cluster, Door, Reply, Request, spawn_named};

use domain::change_log::Applied;

use crate::CONTROL_PLANE;

use super::message::{Heard, Heartbeat, Piece, Pull, Pulled, Snapshot, WaitApplied};
use super::positions::{Positions, Standing};
use super::together::Together;
use super::{FeedSettings, SharedFollowers};

/// What an answer may take beyond the wait that the question itself asks for.
const GRACE: Duration = Duration::from_secs(2);
/// The same for what a follower catches up with.
pub(super) const CATCHING_UP: Duration = Duration::from_secs(15);
/// The pause before a feed that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// When another node of the control plane is asked beside the first for what may be answered at once.
const HEDGE: Duration = Duration::from_millis(300);
/// A pull that may be held so long at most is put to another node as well, once it is late.
const SHORT_POLL_MS: u32 = 1_000;

/// Asks the change feed, wherever it lives.
#[derive(Debug, Clone)]
pub struct ChangeFeedHandle {
    pull: Door<Pull>,
    /// For pulls that are answered soon where all is well.
    short_pull: Option<Door<Pull>>,
    snapshot: Door<Snapshot>,
    heartbeat: Door<Heartbeat>,
    wait: Door<WaitApplied>,
    positions: Option<Door<Positions>>,
    /// What this node has heard of followers, where it has a feed.
    followers: Option<SharedFollowers>,
    /// Where other nodes of the control plane are told what this one knows.
    cluster: Option<Cluster>,
    /// Where other nodes pull from this one's.
    afar: Option<(Door<Pull>, Door<Snapshot>)>,
    /// Whether the feed is another node's.
    is_elsewhere: bool,
    /// How long a change waits for its followers before the answer names who is behind (C6).
    patience: Duration,
    together: Together,
}

/// A committed change: what it made and who has applied it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// What the write gives back.
    pub value: T,
    /// Who has applied it; for the header `Headgate-Applied`.
    pub applied: Applied,
}

/// What a change made, and who has applied it when it made entries of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved<T> {
    /// What the change gives back.
    pub value: T,
    /// For the header `Headgate-Applied`.
    pub applied: Option<Applied>,
}

/// A committed change that its followers have yet to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the write gives back.
    pub value: T,
    /// The last entry that tells of it.
    pub n: u64,
}

// === impl ChangeFeedHandle ===

impl ChangeFeedHandle {
    /// A handle that asks through these doors.
    #[must_use]
    pub fn new(
        pull: Door<Pull>,
        snapshot: Door<Snapshot>,
        heartbeat: Door<Heartbeat>,
        wait: Door<WaitApplied>,
    ) -> Self {
        Self {
            pull,
            short_pull: None,
            snapshot,
            heartbeat,
            wait,
            positions: None,
            followers: None,
            cluster: None,
            afar: None,
            is_elsewhere: false,
            patience: FeedSettings::default().wait,
            together: Together::default(),
        }
    }

    /// The same handle, whose changes wait so long for their followers.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same handle, through whose other two doors followers on other nodes pull: what they are
    /// answered fits into a message.
    #[must_use]
    pub(super) fn open_to(self, afar: (Door<Pull>, Door<Snapshot>)) -> Self {
        Self {
            afar: Some(afar),
            ..self
        }
    }

    pub(super) fn told_at(self, positions: Door<Positions>) -> Self {
        let positions = Some(positions);
        Self { positions, ..self }
    }

    pub(super) fn showing(self, followers: SharedFollowers) -> Self {
        let followers = Some(followers);
        Self { followers, ..self }
    }

    /// Where the change log stands and how far its followers are.
    ///
    /// # Errors
    /// When no feed answers in time.
    pub async fn positions(&self, deadline: Duration) -> Result<Standing, AskError> {
        match &self.positions {
            Some(positions) => positions.ask(Positions, deadline).await,
            None => Err(AskError::Unavailable),
        }
    }

    /// How many changes each follower that this node has heard has yet to apply; none on a node
    /// without a feed.
    #[must_use]
    pub fn behind(&self) -> Option<Vec<(String, u64)>> {
        let followers = self.followers.as_ref()?;
        let followers = followers.lock().unwrap_or_else(PoisonError::into_inner);
        Some(followers.behind())
    }

    /// Has this node's feed answer others, and tells theirs what this one learns: where a change
    /// is committed, and how far followers are.
    #[must_use]
    pub fn joined(self, cluster: &Cluster) -> Self {
        if let Some((pull, snapshot)) = &self.afar {
            cluster.serve(pull.clone());
            cluster.serve(snapshot.clone());
        }
        cluster.serve(self.heartbeat.clone());
        cluster.serve(self.wait.clone());
        if let Some(positions) = &self.positions {
            cluster.serve(positions.clone());
        }
        Self {
            cluster: Some(cluster.clone()),
            ..self
        }
    }

    /// The feed of whichever node of the control plane answers.
    #[must_use]
    pub fn elsewhere(cluster: &Cluster) -> Self {
        // Long polls are silent for a while: nobody is asked beside them.
        let never = Duration::MAX;
        let late = Duration::from_millis(SHORT_POLL_MS.into()) + HEDGE;
        let short_pull = Door::anywhere(None, cluster, CONTROL_PLANE, late);
        Self {
            pull: Door::anywhere(None, cluster, CONTROL_PLANE, never),
            short_pull: Some(short_pull),
            snapshot: Door::anywhere(None, cluster, CONTROL_PLANE, never),
            heartbeat: Door::anywhere(None, cluster, CONTROL_PLANE, HEDGE),
            wait: Door::anywhere(None, cluster, CONTROL_PLANE, never),
            positions: Some(Door::anywhere(None, cluster, CONTROL_PLANE, HEDGE)),
            followers: None,
            cluster: Some(cluster.clone()),
            afar: None,
            is_elsewhere: true,
            patience: FeedSettings::default().wait,
            together: Together::default(),
        }
    }

    /// The same handle with another way to snapshots.
    #[cfg(test)]
    pub(crate) fn through(self, snapshot: Door<Snapshot>) -> Self {
        Self { snapshot, ..self }
    }

    /// The same handle with another way to those who know how far followers are.
    #[cfg(test)]
    pub(crate) fn waiting_at(self, wait: Door<WaitApplied>) -> Self {
        Self { wait, ..self }
    }

    /// Tells the feed that `n` is committed and waits for the followers, at most as long as
    /// is set. The change stands whatever comes of it, so there is no error: who did not answer is behind.
    pub async fn committed(&self, n: u64) -> Applied {
        let within_ms = u32::try_from(self.patience.as_millis()).unwrap_or(u32::MAX);
        // Whoever follows another node hears of it there.
        self.tell_others(&WaitApplied { n, within_ms: 0 });
        let asked = WaitApplied { n, within_ms };
        // A feed that is being started again has forgotten who waits; the change has not.
        let asking = async {
            loop {
                match self.wait.ask(asked.clone(), self.patience + GRACE).await {
                    Ok(applied) => return applied,
                    Err(error) => {
                        tracing::warn!(n, %error, "change feed did not tell who has applied a change");
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        let most = self.patience + GRACE;
        let told = tokio::time::timeout(most, asking).await;
        let applied = told.unwrap_or_else(|_| Applied::unknown());
        match &self.cluster {
            Some(cluster) => applied.named(|id| cluster.name_of(id)),
            None => applied,
        }
    }

    /// The same for who has changed nothing, and waits for all that was changed up to `n`: many who do at once are one
    /// question.
    pub(crate) async fn caught_up(&self, n: u64) -> Applied {
        self.together.applied(n, |n| self.committed(n)).await
    }

    /// [`ChangeFeedHandle::committed`] together with what the write made.
    pub async fn changed<T>(&self, n: u64, value: T) -> Changed<T> {
        let applied = self.committed(n).await;
        Changed { value, applied }
    }

    /// Answers a refusal at once, and a change when the followers have applied it: that wait is
    /// not the writer's, and it goes on when the caller has hung up, so that the feed learns of the
    /// entry.
    pub(crate) fn settle<T, E>(
        &self,
        outcome: Result<Committed<T>, E>,
        answer: Reply<Result<Changed<T>, E>>,
    ) where
        T: Send + 'static,
        E: Send + 'static,
    {
        match outcome {
            Ok(Committed { value, n }) => {
                let feed = self.clone();
                spawn_named("change_feed.applied", async move {
                    answer.send(Ok(feed.changed(n, value).await));
                });
            }
            Err(error) => answer.send(Err(error)),
        }
    }

    /// The same for a change that ends no access, of which an asker may want no more than that it is
    /// committed (C6).
    pub(crate) fn settle_made<T, E>(
        &self,
        outcome: Result<Committed<T>, E>,
        answer: Reply<Result<Changed<T>, E>>,
    ) where
        T: Send + 'static,
        E: Send + 'static,
    {
        match outcome {
            Ok(Committed { value, n }) if answer.is_hasty() => {
                let applied = Applied::not_waited_for();
                answer.send(Ok(Changed { value, applied }));
                self.tell(n);
            }
            outcome => self.settle(outcome, answer),
        }
    }

    /// Tells the feed of an entry whose change nobody is answered with.
    pub(crate) fn tell(&self, n: u64) {
        let feed = self.clone();
        spawn_named("change_feed.told", async move { feed.committed(n).await });
    }

    /// The entries after a position (C4).
    ///
    /// # Errors
    /// When no feed answers in time.
    pub async fn pull(&self, pull: Pull) -> Result<Pulled, AskError> {
        // Much may come at once, and slowly.
        let grace = if pull.is_bulk() { CATCHING_UP } else { GRACE };
        let deadline = Duration::from_millis(u64::from(pull.wait_ms)) + grace;
        self.pull_within(pull, deadline).await
    }

    /// The same within another deadline.
    pub(super) async fn pull_within(
        &self,
        pull: Pull,
        deadline: Duration,
    ) -> Result<Pulled, AskError> {
        let is_short = pull.wait_ms <= SHORT_POLL_MS;
        let short = self.short_pull.as_ref().filter(|_| is_short);
        short.unwrap_or(&self.pull).ask(pull, deadline).await
    }

    /// One piece of a snapshot, asked for once.
    #[cfg(test)]
    pub(super) async fn snapshot(
        &self,
        of: super::message::SnapshotOf,
        cursor: String,
    ) -> Result<Piece, AskError> {
        let asked = Snapshot { cursor, of };
        self.try_snapshot(asked, GRACE * 5).await
    }

    /// One try of one piece of a snapshot (C3).
    pub(crate) async fn try_snapshot(
        &self,
        asked: Snapshot,
        within: Duration,
    ) -> Result<Piece, AskError> {
        self.snapshot.ask(asked, within).await
    }

    /// Tells all nodes of the control plane how far a follower is, and that it lives; whichever of
    /// them answers first says what it may go by.
    ///
    /// # Errors
    /// When no feed answers in time.
    pub async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<Heard, AskError> {
        // Whichever of them has made a change waits for this.
        match &self.cluster {
            Some(cluster) if self.is_elsewhere => {
                match cluster.ask_all(CONTROL_PLANE, &heartbeat, GRACE).await {
                    // Nobody is there; somebody may be in a moment.
                    Err(AskError::Unavailable) => self.heartbeat.ask(heartbeat, GRACE).await,
                    answered => answered,
                }
            }
            _ => {
                self.tell_others(&heartbeat);
                self.heartbeat.ask(heartbeat, GRACE).await
            }
        }
    }

    fn tell_others<R: Request>(&self, request: &R) {
        if let Some(cluster) = &self.cluster {
            cluster.tell_all(CONTROL_PLANE, request, GRACE);
        }
    }
}
