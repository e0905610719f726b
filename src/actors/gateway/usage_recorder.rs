//! Counts what calls were and hands the counts on: never waits for a request, never makes one wait.
//!
//! Event numbers are reserved durably ahead of the calls that begin, and given to events in the
//! order in which calls end, so that after a crash what is not recorded is known as unknown (M4).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Ticker, spawn_named};
use domain::usage::{Histogram, UsageCount, UsageEvent};
use tokio::sync::mpsc::Sender;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use super::call_sums::CallSums;
use super::inbox::Inbox;
use crate::usage::UsageHandle;

/// Event numbers kept reserved ahead of the calls that begin: as many as began in the last round,
/// within these bounds. They bound what is unknown after a crash.
const LEAST_AHEAD: u64 = 64;
const MOST_AHEAD: u64 = 65_536;
/// Rounds without a call after which numbers that nobody uses are given back.
const IDLE_ROUNDS: u32 = 5;
/// How long a call waits for a number before it goes on without one.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Events of one batch.
const BATCH: u64 = 8_192;
/// What is counted is recorded so often: rarely enough that a busy gateway's disk has rest, often
/// enough that a crash leaves a fraction of a second unknown.
const FLUSH: Duration = Duration::from_millis(200);
const MINUTE_MS: i64 = 60_000;

/// What requests hold.
#[derive(Debug)]
pub(super) struct Tally {
    /// Calls that began.
    begun: AtomicU64,
    /// Calls that ended and left their event, or were dropped.
    ended: AtomicU64,
    /// Calls whose events have numbers. Those that began and are not among them, open ones too,
    /// need theirs also of a recorder that begins anew.
    numbered: AtomicU64,
    /// The last number that was used.
    used: AtomicU64,
    /// Calls that may begin: for so many there are reserved numbers.
    allowed: AtomicU64,
    /// Tells the recorder that calls wait for numbers.
    wanted: Notify,
    /// Tells calls that there are numbers again.
    given: Notify,
    dropped: AtomicU64,
    /// Whether a call waited in vain since numbers were last given: then the others do not, so
    /// that a full disk makes no call slower than the first.
    stalled: AtomicBool,
    events: Sender<UsageEvent>,
    /// Numbered and counted, not yet recorded; outlives the actor's incarnations, as these calls are
    /// in no inbox any more.
    pending: StdMutex<Option<Batch>>,
    /// What is told of calls in the metrics.
    sums: Arc<CallSums>,
}

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) tally: Arc<Tally>,
    pub(super) usage: UsageHandle,
    /// Outlives the actor's incarnations.
    pub(super) inbox: Arc<Mutex<Inbox>>,
}

pub(super) enum Message {
    /// Time to record.
    Tick,
    /// Calls wait for numbers.
    Wanted,
}

pub(super) struct UsageRecorder {
    arguments: Arguments,
    /// Reserved numbers, both ends included, in order.
    free: VecDeque<(u64, u64)>,
    /// Numbers reserved by this incarnation and not given back.
    reserved: u64,
    begun_before: u64,
    /// Calls that had begun at the last round, and rounds without one.
    begun_last: u64,
    idle: u32,
    /// Whether numbers were given back: until a call begins none are reserved, so that an idle
    /// node's disk has rest and a crash leaves nothing unknown.
    resting: bool,
    _waker: Waker,
    /// Whether the last try to record failed.
    failing: bool,
    _ticker: Ticker,
}

/// A call that waits for its number; dropped, it has ended.
struct Leaving<'a>(&'a Tally);

#[derive(Debug, Clone)]
struct Batch {
    first: u64,
    last: u64,
    counts: Vec<UsageCount>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new() -> (Arc<Self>, Arc<Mutex<Inbox>>) {
        let sums = Arc::new(CallSums::default());
        let (inbox, events) = Inbox::new(Arc::clone(&sums));
        let tally = Self {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            numbered: AtomicU64::new(0),
            used: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            wanted: Notify::new(),
            given: Notify::new(),
            dropped: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            events,
            pending: StdMutex::new(None),
            sums,
        };
        (Arc::new(tally), Arc::new(Mutex::new(inbox)))
    }

    /// A call begins. A number for its event is reserved before it goes on, so that after a crash
    /// no call is neither counted nor unknown; nearly always one is there already.
    pub(super) async fn begin(&self) {
        let mine = self.begun.fetch_add(1, Ordering::SeqCst);
        if mine < self.allowed.load(Ordering::SeqCst) {
            return;
        }
        if self.stalled.load(Ordering::Relaxed) {
            metrics::counter!("headgate_usage_unnumbered_total").increment(1);
            return;
        }
        // Whoever waits here may go away: then the call is over before it left anything.
        let leaving = Leaving(self);
        let waiting = async {
            loop {
                let given = self.given.notified();
                self.wanted.notify_one();
                if mine < self.allowed.load(Ordering::SeqCst) {
                    return;
                }
                given.await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            if !self.stalled.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "usage cannot be written to the broker database: calls go on and wait in \
                     memory to be counted, a crash would lose them untold"
                );
            }
            metrics::counter!("headgate_usage_unnumbered_total").increment(1);
        }
        std::mem::forget(leaving);
    }

    /// A call begins that is answered without any wait: that it has no number is no fault, and not counted as one.
    pub(super) fn begin_at_once(&self) {
        if self.begun.fetch_add(1, Ordering::SeqCst) >= self.allowed.load(Ordering::SeqCst) {
            self.wanted.notify_one();
        }
    }

    /// Calls that began and did not end yet.
    pub(super) fn open(&self) -> u64 {
        let ended = self.ended.load(Ordering::SeqCst);
        self.begun.load(Ordering::SeqCst).saturating_sub(ended)
    }

    /// Appends what is known of calls, as Prometheus text.
    pub(super) fn write_metrics(&self, text: &mut String) {
        self.sums.write(text);
    }

    fn pending(&self) -> MutexGuard<'_, Option<Batch>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a batch waits to be recorded.
    #[cfg(test)]
    pub(super) fn has_pending(&self) -> bool {
        self.pending().is_some()
    }

    /// The call ended. Its event lies there before the call counts as ended, so that whoever finds
    /// all calls ended finds all events.
    pub(super) fn record(&self, event: UsageEvent) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("headgate_usage_dropped_total").increment(1);
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

// === impl Leaving ===

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Actor for UsageRecorder {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.usage_recorder";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        let tally = &arguments.tally;
        let begun_before = tally.numbered.load(Ordering::SeqCst);
        let begun_last = tally.begun.load(Ordering::SeqCst);
        let mut recorder = Self {
            free: VecDeque::new(),
            reserved: 0,
            begun_before,
            begun_last,
            idle: 0,
            resting: false,
            _waker: Waker::start(me.clone(), Arc::clone(&arguments.tally)),
            failing: false,
            arguments,
            _ticker: Ticker::start(me, FLUSH, || Message::Tick),
        };
        recorder.reserve().await?;
        Ok(recorder)
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        let done = match message {
            Message::Tick => self.round().await,
            Message::Wanted => {
                self.resting = false;
                self.reserve().await
            }
        };
        if done.is_err() {
            self.arguments.inbox.lock().await.look_at_all();
        }
        // Said once: it is tried five times a second.
        match done {
            Err(error) if !self.failing => {
                tracing::warn!(%error, "usage could not be recorded, trying again");
                self.failing = true;
            }
            Ok(()) if self.failing => {
                tracing::info!("usage is recorded again");
                self.failing = false;
            }
            Err(_) | Ok(()) => {}
        }
        Ok(())
    }

    async fn stop(&mut self) {
        // Calls that did not end in time may have been served: they are in no count, and told.
        let tally = &self.arguments.tally;
        tally.dropped.fetch_add(tally.open(), Ordering::SeqCst);
        let last_word = match self.flush().await {
            Ok(()) => self.arguments.usage.close().await.map_err(BoxError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = last_word {
            let waiting = self.arguments.inbox.lock().await.len();
            let pending = self.arguments.tally.pending();
            let calls = waiting + pending.as_ref().map_or(0, Batch::len);
            drop(pending);
            tracing::warn!(%error, calls, "usage of the last moments is not recorded");
        }
    }
}

// === impl UsageRecorder ===

impl UsageRecorder {
    /// Records what waits now; what comes meanwhile is the next round's, or a busy gateway would
    /// write without end.
    pub(super) async fn flush(&mut self) -> Result<(), BoxError> {
        let mut due = self.due().await;
        if due > 0 && self.free.is_empty() {
            self.reserve().await?;
        }
        loop {
            // Of an earlier try, or of an earlier incarnation.
            let known = self.arguments.tally.pending().clone();
            let batch = match known {
                None if due == 0 => return Ok(()),
                None => self.next_batch().await,
                known => known,
            };
            let Some(batch) = batch else {
                return Ok(());
            };
            let (first, last) = (batch.first, batch.last);
            let usage = &self.arguments.usage;
            let recorded = usage.record((first, last), batch.counts, self.block());
            let recorded = recorded.await?;
            *self.arguments.tally.pending() = None;
            if let Some(numbers) = recorded.reserved {
                self.reserved(numbers);
            }
            due = due.saturating_sub((last + 1).saturating_sub(first));
        }
    }

    /// Events that have no number yet, those that were dropped included.
    async fn due(&self) -> u64 {
        let waiting = self.arguments.inbox.lock().await.len();
        waiting.saturating_add(self.arguments.tally.dropped.load(Ordering::SeqCst))
    }

    /// Numbers what waits, as far as reserved numbers go.
    async fn next_batch(&mut self) -> Option<Batch> {
        let (first, end) = *self.free.front()?;
        let most = BATCH.min(end.saturating_sub(first).saturating_add(1));
        // What was dropped has a number too, and in no count it is told as unknown.
        let tally = &self.arguments.tally;
        let dropped = tally.dropped.swap(0, Ordering::Relaxed);
        let mut used = dropped.min(most);
        tally.dropped.fetch_add(dropped - used, Ordering::Relaxed);
        let mut counts = BTreeMap::new();
        let mut inbox = self.arguments.inbox.lock().await;
        used += inbox.take(most - used, |event| count(&mut counts, event));
        drop(inbox);
        if used == 0 {
            return None;
        }
        let last = first + used - 1;
        self.free.pop_front();
        if last < end {
            self.free.push_front((last + 1, end));
        }
        let batch = Batch {
            first,
            last,
            counts: counts.into_values().collect(),
        };
        // Nothing waits between the taking and this: no kill can come in between.
        let tally = &self.arguments.tally;
        *tally.pending() = Some(batch.clone());
        tally.numbered.fetch_add(used, Ordering::SeqCst);
        tally.used.store(last, Ordering::SeqCst);
        Some(batch)
    }

    /// Keeps numbers ahead of the calls that begin.
    async fn reserve(&mut self) -> Result<(), BoxError> {
        loop {
            let block = self.block();
            if block == 0 {
                return Ok(());
            }
            let numbers = self.arguments.usage.reserve(block).await?;
            self.reserved(numbers);
        }
    }

    /// How many more numbers are to be reserved, so that until the next round no call waits.
    fn block(&self) -> u64 {
        let begun = self.arguments.tally.begun.load(Ordering::SeqCst);
        let lately = begun.saturating_sub(self.begun_last);
        let ahead = lately.clamp(LEAST_AHEAD, MOST_AHEAD);
        let wanted = begun.saturating_sub(self.begun_before) + ahead + ahead / 2;
        if self.reserved >= wanted && !self.free.is_empty() {
            return 0;
        }
        wanted.saturating_sub(self.reserved).max(ahead)
    }

    fn reserved(&mut self, (first, last): (u64, u64)) {
        match self.free.back_mut() {
            Some(range) if range.1.saturating_add(1) == first => range.1 = last,
            _ => self.free.push_back((first, last)),
        }
        self.reserved += last.saturating_sub(first).saturating_add(1);
        self.allow(self.begun_before + self.reserved);
    }

    fn allow(&self, calls: u64) {
        let tally = &self.arguments.tally;
        tally.allowed.store(calls, Ordering::SeqCst);
        tally.stalled.store(false, Ordering::Relaxed);
        tally.given.notify_waiters();
    }

    /// Records what waits; gives numbers back once nobody has called for a while, and then rests.
    async fn round(&mut self) -> Result<(), BoxError> {
        let begun = self.arguments.tally.begun.load(Ordering::SeqCst);
        if self.resting && begun == self.begun_last && self.due().await == 0 {
            return Ok(());
        }
        self.resting = false;
        self.flush().await?;
        self.reserve().await?;
        let begun = self.arguments.tally.begun.load(Ordering::SeqCst);
        let idle = self.idle.saturating_add(1);
        self.idle = if begun == self.begun_last { idle } else { 0 };
        self.begun_last = begun;
        if self.idle >= IDLE_ROUNDS {
            self.give_back().await?;
        }
        Ok(())
    }

    /// Gives unused numbers back, unless a call began meanwhile or an event waits for one: whoever
    /// begins counts themself before they look at what is allowed, and this looks at the counts
    /// after it lowered that.
    pub(super) async fn give_back(&mut self) -> Result<(), BoxError> {
        let tally = Arc::clone(&self.arguments.tally);
        let before = tally.allowed.load(Ordering::SeqCst);
        let ended = tally.ended.load(Ordering::SeqCst);
        tally.allowed.store(ended, Ordering::SeqCst);
        let under_way = tally.begun.load(Ordering::SeqCst) != ended;
        if under_way || self.due().await > 0 || tally.pending().is_some() {
            self.allow(before);
            return Ok(());
        }
        self.free.clear();
        self.begun_before = ended;
        self.reserved = 0;
        // Nobody is left who needs a number.
        tally.numbered.store(ended, Ordering::SeqCst);
        let used = tally.used.load(Ordering::SeqCst);
        self.arguments.usage.release(used).await?;
        self.resting = true;
        Ok(())
    }
}

// === impl Batch ===

impl Batch {
    const fn len(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// Passes the wish for numbers on to the recorder at once; ends with its incarnation.
struct Waker(JoinHandle<()>);

// === impl Waker ===

impl Waker {
    fn start(recorder: Address<Message>, tally: Arc<Tally>) -> Self {
        Self(spawn_named("usage numbers", async move {
            loop {
                tally.wanted.notified().await;
                let _ = recorder.tell(Message::Wanted);
            }
        }))
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Counts = BTreeMap<(i64, Arc<str>, Arc<str>, Arc<str>, u16), UsageCount>;

fn count(counts: &mut Counts, event: &UsageEvent) {
    let minute_ms = event.at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
    let key = (
        minute_ms,
        Arc::clone(&event.tenant),
        Arc::clone(&event.api_id),
        Arc::clone(&event.application_id),
        event.status,
    );
    let sum = counts.entry(key).or_insert_with(|| UsageCount {
        minute_ms,
        tenant: event.tenant.to_string(),
        api_id: event.api_id.to_string(),
        application_id: event.application_id.to_string(),
        status: event.status,
        calls: 0,
        forwarded: 0,
        bytes_in: 0,
        bytes_out: 0,
        latency: Histogram::default(),
    });
    sum.calls += 1;
    sum.forwarded += u64::from(event.forwarded);
    sum.bytes_in += event.bytes_in;
    sum.bytes_out += event.bytes_out;
    sum.latency.record(event.latency_us);
}
