//! Follows the change log: pulls, applies in order, makes it visible to requests, writes Carbon,
//! then acknowledges (C4). The rules are `domain::change_log`'s; this moves the messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, BoxError, SelfReport, Ticker, spawn_named};
use domain::change::{Change, Entry};
use domain::change_log::{Effect, Follower as Machine, Input, Position, ResyncReason};
use domain::serving_lease::ServingLease;
use domain::validation_cache::Subject;
use storage::carbon::projection::{self as rows, Item};
use storage::{Database, StoreError};

use super::projection::{Kept, Projection};
use super::refiller::PolicyName;
use super::restore::{self, Restored};
use super::standing::Standing;
use super::state::State;
use super::steady_ms;
use super::touched::touched;
use super::{consumers, keeper, locked, refiller, validator};
use crate::change_feed::message::{Pulled, SnapshotOf};
use crate::change_feed::{Arrived, Asking, Came, ChangeFeedHandle, Transfer, Waits};

/// How long another actor of this gateway is waited for.
const DEADLINE: Duration = Duration::from_secs(5);
/// Whom key managers have told of is written to Carbon so often.
const SAVED_MS: i64 = 1_000;
/// Stands for the number of a change that came in a snapshot.
const NO_CHANGE: u64 = u64::MAX;
/// What is over is removed from Carbon so often.
const SWEEP_MS: i64 = 60_000;

pub(super) enum Message {
    Pulled(Came),
    Piece(Arrived),
    /// What was asked for is still on its way.
    Waits(Waits),
    Tick,
    /// There is more of whom key managers have told of to be written.
    SaveConsumers,
}

impl From<Came> for Message {
    fn from(came: Came) -> Self {
        Self::Pulled(came)
    }
}

impl From<Arrived> for Message {
    fn from(arrived: Arrived) -> Self {
        Self::Piece(arrived)
    }
}

impl From<Waits> for Message {
    fn from(waits: Waits) -> Self {
        Self::Waits(waits)
    }
}

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) state: Arc<State>,
    pub(super) feed: ChangeFeedHandle,
    pub(super) carbon: Database,
    pub(super) validator: Address<validator::Message>,
    pub(super) refiller: Address<refiller::Message>,
    pub(super) keeper: Address<keeper::Message>,
    /// The stable name under which it follows.
    pub(super) name: String,
    /// How many lives this actor has begun.
    pub(super) lives: Arc<AtomicU64>,
}

pub(super) struct Follower {
    arguments: Arguments,
    me: Address<Message>,
    machine: Machine,
    asking: Asking,
    projection: Projection,
    /// The change that it cannot pass; 0 while there is none. Told once for each.
    stands_before: u64,
    /// Not yet in Carbon.
    unsaved: Vec<Kept>,
    /// What changes have touched that are not in Carbon yet, each with its change.
    touched: Vec<(u64, Subject)>,
    replace: bool,
    /// The piece that came, until the machine says that it is to be kept.
    piece: Vec<(String, String)>,
    /// What came of a snapshot, until the machine asks for it to be put in place.
    snapshot: Vec<(String, String)>,
    /// Brings the pieces; of one transfer at a time.
    transfer: Option<Transfer>,
    /// When what is over was removed from Carbon.
    swept_ms: i64,
    /// When whom key managers have told of was written there.
    saved_ms: i64,
    _ticker: Ticker,
}

impl Actor for Follower {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.follower";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        let state = &arguments.state;
        let Restored {
            position,
            age_ms,
            projection,
            said,
            begins_anew,
        } = restore::restore(&arguments.carbon, &state.clock).await?;
        // Before anything older shows: a lease that needs more ends.
        state.resumes_at(position.n);
        projection.publish(state);
        locked(&state.consumers).load(said);
        let resumed = |done| validator::Message::Resumed(position.n, done);
        arguments.validator.ask(DEADLINE, resumed).await?;
        state.stored.store(Some(Arc::new(position.clone())));
        // Calls wait for a lease from now on.
        let _ = arguments.keeper.tell(keeper::Message::Applied);
        if let Some(age_ms) = age_ms {
            let at_ms = steady_ms(&state.clock).saturating_sub(age_ms);
            state.stand.was_current(at_ms);
        }
        let ticker = Ticker::start(me.clone(), Duration::from_millis(100), || Message::Tick);
        me_first(&me);
        // A snapshot that an earlier life asked for may still come.
        let transfers = arguments.lives.fetch_add(1, Ordering::Relaxed) << 32;
        let asking = Asking::new(
            arguments.feed.clone(),
            state.clock.clone(),
            arguments.name.clone(),
        );
        Ok(Self {
            machine: Machine::resume(position, transfers),
            asking,
            arguments,
            me,
            projection,
            stands_before: 0,
            unsaved: Vec::new(),
            touched: Vec::new(),
            replace: begins_anew,
            piece: Vec::new(),
            snapshot: Vec::new(),
            transfer: None,
            swept_ms: i64::MIN,
            saved_ms: i64::MIN,
            _ticker: ticker,
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        match message {
            Message::Tick => {
                self.sweep().await;
                self.save_soon().await;
                self.step(Input::Tick).await
            }
            Message::SaveConsumers => {
                self.save_consumers().await;
                Ok(())
            }
            Message::Pulled(came) => self.pulled(came).await,
            Message::Waits(waits) => self.step(waits.into()).await,
            Message::Piece(Arrived {
                transfer,
                index,
                changes,
                at,
            }) => {
                if !restore::is_understood(&changes) {
                    // It ends here, and another begins after a while; one that was given up ends nothing.
                    if self.transfer.take_if(|one| one.is(transfer)).is_some() {
                        self.cannot_pass(NO_CHANGE, "snapshot");
                    }
                    return Ok(());
                }
                self.piece = changes;
                self.step(Input::SnapshotChunk { transfer, index }).await?;
                let Some(at) = at else { return Ok(()) };
                let chunks = index.saturating_add(1);
                let done = Input::SnapshotDone {
                    transfer,
                    at,
                    chunks,
                };
                self.step(done).await
            }
        }
    }

    fn shows(&self) -> SelfReport {
        self.projection.said(&self.machine, self.unsaved.len())
    }
}

// === impl Follower ===

impl Follower {
    async fn pulled(&mut self, came: Came) -> Result<(), BoxError> {
        self.asking.heard(&came);
        let is_latest = self.asking.is_latest(&came);
        let Came {
            after,
            answer,
            pace,
            ..
        } = came;
        match answer {
            Ok(Pulled::Entries { mut entries, head }) => {
                let known = entries
                    .iter()
                    .take_while(|entry| entry.is_understood())
                    .count();
                if let Some(unknown) = entries.get(known) {
                    self.cannot_pass(unknown.n, &unknown.kind);
                    entries.truncate(known);
                    if entries.is_empty() {
                        return self.step(Input::PullFailed).await;
                    }
                }
                let idle = entries.is_empty();
                self.step(Input::Entries {
                    after,
                    entries,
                    head,
                })
                .await?;
                let at_head = self.machine.applied().n >= head;
                if at_head {
                    let state = &self.arguments.state;
                    let now_ms = steady_ms(&state.clock);
                    state.current_at_ms.store(now_ms, Ordering::Release);
                }
                if idle && !pace.goes_on(at_head) {
                    return Ok(());
                }
                // Long polls follow one another without a pause.
                let n = self.machine.applied().n.saturating_add(1);
                self.step(Input::HeadHint { n }).await
            }
            Ok(Pulled::Resync { reason }) => {
                tracing::info!(%reason, "change log asks for a snapshot");
                let reason = ResyncReason::parse(&reason).unwrap_or(ResyncReason::TooOld);
                self.step(Input::NeedsSnapshot { after, reason }).await
            }
            Ok(Pulled::Unavailable) | Err(_) if is_latest => self.step(Input::PullFailed).await,
            Ok(Pulled::Unavailable) | Err(_) => Ok(()),
        }
    }

    /// One step of the machine with its effects, and the steps that follow from them.
    async fn step(&mut self, input: Input<Entry>) -> Result<(), BoxError> {
        let now_ms = self.arguments.state.clock.now_ms();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.machine.step(input, now_ms) {
                match effect {
                    Effect::Pull { after } => self.pull(after),
                    Effect::Apply(entry) => self.apply(&entry).await?,
                    Effect::Persist { at } => {
                        self.persist(&at, now_ms).await?;
                        inputs.push(Input::Persisted { at });
                    }
                    Effect::Acknowledge { .. } => {
                        drop(self.arguments.keeper.tell(keeper::Message::Applied))
                    }
                    Effect::Resync { reason } if reason.is_alarming() => {
                        self.arguments.state.stand.step(ServingLease::begin_anew);
                        tracing::error!(
                            ?reason,
                            "the change log is of another history, taking a snapshot"
                        );
                    }
                    Effect::PullSnapshot { transfer } => self.pull_snapshot(transfer),
                    Effect::StoreChunk { .. } => self.snapshot.append(&mut self.piece),
                    Effect::InstallSnapshot { at } => self.install(&at).await?,
                    Effect::Resync { .. } => {}
                }
            }
        }
        Ok(())
    }

    fn pull(&mut self, after: Position) {
        // The first answer says whether the head was reached, so it must not wait for a change.
        let current_at_ms = &self.arguments.state.current_at_ms;
        let unknown = current_at_ms.load(Ordering::Acquire) == i64::MIN;
        drop(self.asking.ask(&self.machine, after, unknown, &self.me));
    }

    /// What a later version wrote may end an access: passing over it would acknowledge what is not so (M1).
    fn cannot_pass(&mut self, n: u64, kind: &str) {
        if std::mem::replace(&mut self.stands_before, n) != n {
            tracing::error!(
                n,
                kind,
                "a change that this version does not understand is not passed: start this node with the version \
                 that the control plane has"
            );
        }
    }

    async fn apply(&mut self, entry: &Entry) -> Result<(), BoxError> {
        let state = &self.arguments.state;
        let change = entry.change();
        match &change {
            Some(change) => {
                let kept = self.projection.apply(&entry.tenant, change, state);
                self.unsaved.extend(kept);
                let subjects = touched(&entry.tenant, change);
                let n = entry.n;
                let touched = subjects.iter().map(|subject| (n, subject.clone()));
                self.touched.extend(touched);
                self.arguments
                    .validator
                    .ask(DEADLINE, |done| {
                        validator::Message::Applied(n, subjects, done)
                    })
                    .await?;
            }
            // It stands for one that no message holds; all other kinds are known here.
            None => tracing::debug!(n = entry.n, kind = %entry.kind, "change says nothing"),
        }
        state.has_applied(entry.n);
        let (level, name) = match change {
            Some(Change::PolicySaved { policy }) => (policy.level, policy.name),
            Some(Change::PolicyRemoved { level, name }) => (level, name),
            _ => return Ok(()),
        };
        self.limits_changed(Some((entry.tenant.clone(), level, name)))
            .await
    }

    /// The leases of a policy, or of all, are asked for by the limits of now. After the new position is visible, so
    /// that the owner's older limits do not answer (L12); before the change is acknowledged.
    async fn limits_changed(&self, policy: Option<PolicyName>) -> Result<(), BoxError> {
        let changed = |done| refiller::Message::LimitsChanged(policy, done);
        let refiller = &self.arguments.refiller;
        Ok(refiller.ask(DEADLINE, changed).await?)
    }

    /// One transaction: what the entries made, and that they are applied.
    async fn persist(&mut self, at: &Position, now_ms: i64) -> Result<(), BoxError> {
        let mut write = self.arguments.carbon.write("carbon.projection").await?;
        if self.replace {
            rows::delete_all(&mut write).await?;
            consumers::delete_all(&mut write).await?;
        }
        consumers::delete_touched(&mut write, &self.touched).await?;
        for kept in &self.unsaved {
            match &kept.body {
                Some(body) => {
                    let item = Item {
                        section: kept.section.to_owned(),
                        item: kept.item.clone(),
                        body: body.clone(),
                        until_ms: kept.until_ms,
                    };
                    rows::save(&mut write, &item).await?;
                }
                None => rows::delete(&mut write, kept.section, &kept.item).await?,
            }
        }
        rows::save_applied(&mut write, at, now_ms).await?;
        write.commit().await?;
        self.unsaved.clear();
        self.touched.clear();
        self.replace = false;
        let stored = Some(Arc::new(at.clone()));
        self.arguments.state.stored.store(stored);
        Ok(())
    }

    /// Begins a transfer; the one before is given up.
    fn pull_snapshot(&mut self, transfer: u64) {
        self.snapshot.clear();
        let (feed, me) = (self.arguments.feed.clone(), self.me.clone());
        let of = SnapshotOf::Everything;
        self.transfer = Some(Transfer::begin(transfer, feed, of, me));
    }

    /// Once a minute removes from Carbon what is over, such as revocations of tokens that have
    /// ended. What cannot be removed now is the next minute's.
    async fn sweep(&mut self) {
        let now_ms = self.arguments.state.clock.now_ms();
        if now_ms < self.swept_ms.saturating_add(SWEEP_MS) {
            return;
        }
        self.swept_ms = now_ms;
        self.projection.sweep(now_ms);
        // As long as it may serve, what it has is so.
        let state = &self.arguments.state;
        let is_current = state.stand.now(steady_ms(&state.clock)) == Some(Standing::Current);
        let stored = state.stored.load_full().filter(|_| is_current);
        if let Err(error) = sweep(&self.arguments.carbon, stored.as_deref(), now_ms).await {
            tracing::warn!(%error, "what is over could not be removed from Carbon");
        }
    }

    /// Once a second writes whom key managers have told of.
    async fn save_soon(&mut self) {
        let now_ms = steady_ms(&self.arguments.state.clock);
        if now_ms >= self.saved_ms.saturating_add(SAVED_MS) {
            self.saved_ms = now_ms;
            self.save_consumers().await;
        }
    }

    /// Writes a lot of them, between two changes: so nothing is written that was touched by one that
    /// Carbon does not have. The rest comes lot by lot, behind the changes that have come meanwhile.
    async fn save_consumers(&self) {
        let Arguments { carbon, state, .. } = &self.arguments;
        match consumers::save(carbon, &state.consumers).await {
            Ok(false) => {}
            Ok(true) => drop(self.me.tell(Message::SaveConsumers)),
            Err(error) => tracing::warn!(%error, "known consumers could not be kept in Carbon"),
        }
    }

    async fn install(&mut self, at: &Position) -> Result<(), BoxError> {
        let state = &self.arguments.state;
        let aside = State::new(state.clock.clone());
        let mut projection = Projection::new();
        self.unsaved.clear();
        self.touched.clear();
        for (tenant, text) in std::mem::take(&mut self.snapshot) {
            match serde_json::from_str::<Change>(&text) {
                Ok(change) => {
                    self.unsaved
                        .extend(projection.apply(&tenant, &change, &aside));
                }
                Err(error) => tracing::warn!(%error, "change of an unknown kind skipped"),
            }
        }
        projection.publish(state);
        self.projection = projection;
        self.replace = true;
        let n = at.n;
        self.arguments
            .validator
            .ask(DEADLINE, |done| validator::Message::Installed(n, done))
            .await?;
        state.has_applied(n);
        self.limits_changed(None).await
    }
}

/// Removes what is over, and notes that the rest is still so.
pub(super) async fn sweep(
    carbon: &Database,
    stored: Option<&Position>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.projection.sweep").await?;
    if let Some(at) = stored {
        rows::save_applied(&mut write, at, now_ms).await?;
    }
    rows::delete_ended(&mut write, now_ms).await?;
    consumers::delete_old(&mut write, now_ms).await?;
    write.commit().await
}

fn me_first(me: &Address<Message>) {
    let me = me.clone();
    spawn_named("first pull", async move {
        tokio::task::yield_now().await;
        let _ = me.tell(Message::Tick);
    });
}
