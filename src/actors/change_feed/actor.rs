//! The feed itself: answers pulls (long polls are parked), takes acknowledgements, answers those
//! who wait for them. Reads API-M; told of commits by [`super::ChangeFeedHandle::committed`], and
//! finds those of other control-plane nodes by looking at the head (C4).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Clock, SelfReport};
use domain::change_log::{Answer, Applied, Followers, Log, Position, Registered, answer};
use storage::apim::change_log;
use storage::{Database, StoreError};

use super::SharedFollowers;
use super::fitting::{fit, leave_large};
use super::message::{Heartbeat, Pull, Pulled, WaitApplied};
use super::positions::Positions;
use super::registrar::RegistrarMessage;
use crate::ticker::{Ticker, ticker};

/// Deadlines are looked at so often.
const TICK: Duration = Duration::from_millis(50);
/// The head is looked at in every so many ticks.
const LOOK_EVERY: u32 = 4;
/// And at who is silent in every so many.
const FENCE_EVERY: u32 = 20;
/// Whoever ticks later than this has stood still, or waited for a database, milliseconds.
const STOOD_STILL_MS: i64 = 1_000;
/// How long one look at the database may take: others wait for their leases behind it.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of payload in one answer at most, unless a single entry is larger.
// Probes travel behind it on the same connection.
const BYTES: usize = 256 * 1024;
/// The same for a follower that wants small entries, and with a larger one at all.
const SMALL: usize = 64 * 1024;
/// Entries in one answer at most.
const MOST: u64 = 1_024;
/// A change waits for its followers so long at most, whatever another node asks for, milliseconds.
const LONGEST_WAIT_MS: u32 = 5_000;
/// Long polls are open so long at most, milliseconds.
const LONGEST_MS: u32 = 30_000;

/// What the feed is started with.
#[derive(Clone)]
pub(super) struct FeedArguments {
    pub(super) clock: Clock,
    pub(super) apim: Database,
    pub(super) followers: SharedFollowers,
    /// Who writes down who follows.
    pub(super) registrar: Address<RegistrarMessage>,
}

/// What the feed is told.
pub(super) enum FeedMessage {
    Pull(Asked<Pull>),
    /// By a follower on another node.
    PullFromAfar(Asked<Pull>),
    Heartbeat(Asked<Heartbeat>),
    Wait(Asked<WaitApplied>),
    Positions(Asked<Positions>),
    Tick,
}

/// The feed's state; nothing of it is missed after a restart.
pub(super) struct Feed {
    pub(super) arguments: FeedArguments,
    pub(super) head: u64,
    ticks: u32,
    /// When it ticked last.
    ticked_ms: i64,
    polls: Vec<Parked<Pull>>,
    waits: Vec<Wait>,
    _ticker: Ticker,
}

/// A question that is answered later.
struct Parked<R: cluster::Request> {
    asked: Asked<R>,
    until_ms: i64,
    /// Whether the answer has to fit into a message.
    from_afar: bool,
}

/// A change that waits for its followers: those that were registered once it was committed.
struct Wait {
    parked: Parked<WaitApplied>,
    /// None until that could be read.
    registered: Option<Vec<Registered>>,
}

// === impl Actor ===

impl Actor for Feed {
    type Message = FeedMessage;
    type Arguments = FeedArguments;
    const KIND: &'static str = "change_feed.feed";

    async fn start(arguments: FeedArguments, me: Address<FeedMessage>) -> Result<Self, BoxError> {
        let feed = Self {
            head: 0,
            ticks: 0,
            ticked_ms: super::boot_ms(&arguments.clock),
            arguments,
            polls: Vec::new(),
            waits: Vec::new(),
            _ticker: ticker("change feed ticks", TICK, me, || FeedMessage::Tick),
        };
        // While there was none nobody could be heard.
        let now_ms = feed.now_ms();
        feed.followers(|all| all.forgive(now_ms));
        Ok(feed)
    }

    async fn handle(&mut self, message: FeedMessage) -> Result<(), BoxError> {
        match message {
            FeedMessage::Pull(asked) => self.pull(asked, false).await,
            FeedMessage::PullFromAfar(asked) => self.pull(asked, true).await,
            FeedMessage::Heartbeat(asked) => self.heartbeat(asked).await,
            FeedMessage::Wait(asked) => self.wait(asked).await,
            FeedMessage::Positions(asked) => self.tell_positions(asked).await,
            FeedMessage::Tick => self.tick().await,
        }
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        let behind = self.followers(|followers| followers.behind());
        let stands = |(name, behind): (String, u64)| match behind {
            0 => name,
            behind => format!("{name} ({behind} behind)"),
        };
        SelfReport::default()
            .with("head", self.head)
            .with("questions that wait for changes", self.polls.len())
            .with("changes that wait for followers", self.waits.len())
            .linked("API-M database")
            .linked_all(behind.into_iter().map(stands))
    }
}

// === impl Feed ===

impl Feed {
    async fn pull(&mut self, asked: Asked<Pull>, from_afar: bool) {
        let now_ms = self.now_ms();
        let pull = &asked.request;
        self.followers(|followers| followers.pulled(&pull.follower, pull.n, now_ms));
        let until_ms = now_ms + i64::from(pull.wait_ms.min(LONGEST_MS));
        let parked = Parked {
            asked,
            until_ms,
            from_afar,
        };
        self.serve(parked).await;
        self.wake_those_behind().await;
        self.answer_waits();
    }

    async fn heartbeat(&mut self, asked: Asked<Heartbeat>) {
        // Whoever gave up has said more since.
        if asked.reply.is_abandoned() {
            return;
        }
        self.hear(asked).await;
        self.answer_waits();
    }

    async fn wait(&mut self, asked: Asked<WaitApplied>) {
        let now_ms = self.now_ms();
        let WaitApplied { n, within_ms } = asked.request;
        let until_ms = now_ms + i64::from(within_ms.min(LONGEST_WAIT_MS));
        if within_ms == 0 {
            // Whoever tells of a change that it made waits by itself.
            asked.reply.send(Applied::default());
        } else {
            // Read after the commit: whoever registers later is told a head that has the change (S3).
            let registered = self.registered().await;
            let parked = Parked {
                asked,
                until_ms,
                from_afar: false,
            };
            self.waits.push(Wait { parked, registered });
            self.answer_waits();
        }
        self.reached(n).await;
    }

    async fn tick(&mut self) {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(self.ticked_ms) > STOOD_STILL_MS {
            self.followers(|all| all.forgive(now_ms));
        }
        self.ticked_ms = now_ms;
        // One look for all of them: leases wait behind it.
        if self.waits.iter().any(|wait| wait.registered.is_none())
            && let Some(registered) = self.registered().await
        {
            for wait in &mut self.waits {
                wait.registered.get_or_insert_with(|| registered.clone());
            }
        }
        if self.ticks.is_multiple_of(FENCE_EVERY) {
            let fence = RegistrarMessage::Fence { said_ms: now_ms };
            drop(self.arguments.registrar.tell(fence));
        }
        self.ticks = self.ticks.wrapping_add(1);
        // Also while all are silent: how far behind they are is told meanwhile.
        let is_looked_for = || !self.polls.is_empty() || !self.followers(|all| all.is_empty());
        if self.ticks.is_multiple_of(LOOK_EVERY) && is_looked_for() {
            match in_time(self.read_log()).await {
                Ok(log) => self.compare(&log).await,
                Err(error) => tracing::warn!(%error, "change feed cannot look at the head"),
            }
        }
        for parked in std::mem::take(&mut self.polls) {
            self.followers(|all| all.waits(&parked.asked.request.follower, now_ms));
            if parked.until_ms <= now_ms {
                self.serve(parked).await;
            } else if !parked.asked.reply.is_abandoned() {
                self.polls.push(parked);
            }
        }
        self.wake_those_behind().await;
        self.answer_waits();
    }

    /// The head is this now. Lower than before means that a backup was restored: whoever polls has
    /// to hear of it, and nobody has acknowledged anything of it (C2).
    pub(super) async fn look_at(&mut self, head: u64) {
        let is_another = self.followers(|all| all.looked_at(head));
        self.goes_by(head, is_another).await;
    }

    /// The same by what the log has of the highest position that was acknowledged.
    pub(super) async fn compare(&mut self, log: &Log) {
        let is_another = self.followers(|all| all.compared(log));
        self.goes_by(log.head, is_another).await;
    }

    async fn goes_by(&mut self, head: u64, is_another: bool) {
        if is_another {
            self.head = head;
            return self.wake().await;
        }
        self.reached(head).await;
    }

    /// The head is at least `n`: whoever polls gets it.
    async fn reached(&mut self, n: u64) {
        self.has_head(self.head.max(n));
        self.wake_those_behind().await;
    }

    fn has_head(&mut self, head: u64) {
        self.head = head;
        self.followers(|all| all.has_head(head));
    }

    /// Whoever polls from below the head gets what lies between. The head also rises by what one pull reads: the
    /// others must not sleep on then, for nobody tells of that change any more.
    async fn wake_those_behind(&mut self) {
        let mut head = None;
        // What is committed meanwhile is read by some and not by others, so once more, as long as the head rises.
        while head.replace(self.head) != Some(self.head) {
            let n = self.head;
            let (behind, level): (Vec<_>, Vec<_>) = std::mem::take(&mut self.polls)
                .into_iter()
                .partition(|parked| parked.asked.request.n < n);
            self.polls = level;
            for parked in behind {
                if !parked.asked.reply.is_abandoned() {
                    self.serve(parked).await;
                }
            }
        }
    }

    async fn wake(&mut self) {
        for parked in std::mem::take(&mut self.polls) {
            if !parked.asked.reply.is_abandoned() {
                self.serve(parked).await;
            }
        }
    }

    /// Answers a pull, or parks it while there is nothing to say.
    async fn serve(&mut self, parked: Parked<Pull>) {
        let pull = &parked.asked.request;
        let wants_small = parked.from_afar && pull.small;
        let bytes = if wants_small { SMALL } else { BYTES };
        let mut pulled = match in_time(self.read(pull, bytes)).await {
            Ok(pulled) => pulled,
            Err(error) => {
                // No answer: the follower asks another node.
                tracing::warn!(%error, follower = %pull.follower, "change feed cannot read the log");
                return;
            }
        };
        match &mut pulled {
            Pulled::Entries { entries, head } => {
                if parked.from_afar {
                    fit(entries);
                }
                self.has_head(self.head.max(*head));
                let waiting = parked.until_ms > self.now_ms();
                if entries.is_empty() && waiting {
                    return self.polls.push(parked);
                }
                if wants_small {
                    leave_large(entries, SMALL);
                }
            }
            Pulled::Resync { .. } => self.followers(|all| all.resync(&pull.follower)),
            Pulled::Unavailable => {}
        }
        parked.asked.reply.send(pulled);
    }

    async fn read(&self, pull: &Pull, bytes: usize) -> Result<Pulled, StoreError> {
        let mut read = self.arguments.apim.read().await?;
        let log = change_log::find(&mut read, pull.n).await?;
        let follower = Position::new(pull.n, pull.uuid.clone());
        let limit = u64::from(pull.most).clamp(1, MOST);
        let entries = match answer(&log, &follower, limit) {
            Answer::UpToDate => Vec::new(),
            Answer::Entries { from, to } => change_log::list(&mut read, from, to, bytes).await?,
            Answer::Snapshot { reason } => {
                if reason.is_alarming() {
                    tracing::error!(
                        follower = %pull.follower, n = pull.n, head = log.head, ?reason,
                        "follower is of another history, it takes everything anew"
                    );
                }
                return Ok(Pulled::Resync {
                    reason: reason.word().to_owned(),
                });
            }
        };
        Ok(Pulled::Entries {
            entries,
            head: log.head,
        })
    }

    /// The head, and whether the log has what was acknowledged.
    async fn read_log(&self) -> Result<Log, StoreError> {
        let highest = self.followers(|all| all.highest());
        let mut read = self.arguments.apim.read().await?;
        change_log::find(&mut read, highest).await
    }

    fn answer_waits(&mut self) {
        let now_ms = self.now_ms();
        for wait in std::mem::take(&mut self.waits) {
            let n = wait.parked.asked.request.n;
            let (applied, waits) = match &wait.registered {
                Some(registered) => self.followers(|all| all.applied(registered, n, now_ms)),
                None => (Applied::unknown(), true),
            };
            if !waits || wait.parked.until_ms <= now_ms {
                wait.parked.asked.reply.send(applied);
            } else if !wait.parked.asked.reply.is_abandoned() {
                self.waits.push(wait);
            }
        }
    }

    /// The boot clock: nobody is silent because a clock was set.
    pub(super) fn now_ms(&self) -> i64 {
        super::boot_ms(&self.arguments.clock)
    }

    pub(super) fn followers<T>(&self, use_them: impl FnOnce(&mut Followers) -> T) -> T {
        let shared = Arc::clone(&self.arguments.followers);
        let mut followers = shared.lock().unwrap_or_else(PoisonError::into_inner);
        use_them(&mut followers)
    }
}

/// What comes of a look at the database, unless it takes too long.
pub(super) async fn in_time<T>(
    look: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, BoxError> {
    Ok(tokio::time::timeout(LOOK, look).await??)
}
