//! Counts what calls were and hands the counts on: never waits for a request, never makes one wait.
//!
//! Event numbers are reserved durably ahead of the calls that begin, and given to events in the
//! order in which calls end, so that after a crash what is not recorded is known as unknown (M4).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Ticker};
use domain::usage::{Histogram, UsageCount, UsageEvent};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::usage::UsageHandle;

/// Events that may wait to be counted.
const WAITING: usize = 65_536;
/// Event numbers reserved at a time.
const BLOCK: u64 = 16_384;
/// Events of one batch.
const BATCH: u64 = 8_192;
const FLUSH: Duration = Duration::from_millis(100);
const MINUTE_MS: i64 = 60_000;

/// What requests hold.
#[derive(Debug)]
pub(super) struct Tally {
    /// Calls that began.
    begun: AtomicU64,
    dropped: AtomicU64,
    events: Sender<UsageEvent>,
}

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) tally: Arc<Tally>,
    pub(super) usage: UsageHandle,
    /// Outlives the actor's incarnations.
    pub(super) events: Arc<Mutex<Receiver<UsageEvent>>>,
}

pub(super) enum Message {
    Tick,
}

pub(super) struct UsageRecorder {
    arguments: Arguments,
    /// Reserved numbers, both ends included, in order.
    free: VecDeque<(u64, u64)>,
    /// Numbers reserved for calls that began since this incarnation did.
    reserved: u64,
    begun_before: u64,
    /// Numbered and counted, not yet recorded.
    pending: Option<Batch>,
    _ticker: Ticker,
}

struct Batch {
    first: u64,
    last: u64,
    counts: Vec<UsageCount>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new() -> (Arc<Self>, Arc<Mutex<Receiver<UsageEvent>>>) {
        let (events, receiver) = channel(WAITING);
        let tally = Self {
            begun: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            events,
        };
        (Arc::new(tally), Arc::new(Mutex::new(receiver)))
    }

    /// A call begins: room for its event is reserved ahead.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// The call ended.
    pub(super) fn record(&self, event: UsageEvent) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("headgate_usage_dropped_total").increment(1);
        }
    }
}

impl Actor for UsageRecorder {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.usage_recorder";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        let begun_before = arguments.tally.begun.load(Ordering::Relaxed);
        let mut recorder = Self {
            arguments,
            free: VecDeque::new(),
            reserved: 0,
            begun_before,
            pending: None,
            _ticker: Ticker::start(me, FLUSH, || Message::Tick),
        };
        recorder.reserve().await?;
        Ok(recorder)
    }

    async fn handle(&mut self, Message::Tick: Message) -> Result<(), BoxError> {
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "usage could not be recorded, trying again");
        }
        Ok(())
    }

    async fn stop(&mut self) {
        let last_word = match self.flush().await {
            Ok(()) => self.arguments.usage.close().await.map_err(BoxError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = last_word {
            tracing::warn!(%error, "usage of the last moments is not recorded");
        }
    }
}

// === impl UsageRecorder ===

impl UsageRecorder {
    async fn flush(&mut self) -> Result<(), BoxError> {
        self.reserve().await?;
        loop {
            if self.pending.is_none() {
                self.pending = self.next_batch().await;
            }
            let Some(batch) = &self.pending else {
                return Ok(());
            };
            let counts = batch.counts.clone();
            let usage = &self.arguments.usage;
            if !usage.record(batch.first, batch.last, counts).await? {
                metrics::counter!("headgate_usage_dropped_total")
                    .increment(batch.last.saturating_sub(batch.first) + 1);
            }
            self.pending = None;
            self.reserve().await?;
        }
    }

    /// Numbers what waits, as far as reserved numbers go.
    async fn next_batch(&mut self) -> Option<Batch> {
        let (first, end) = *self.free.front()?;
        let most = BATCH.min(end.saturating_sub(first).saturating_add(1));
        // What was dropped has a number too, so that the sums tell of it.
        let tally = &self.arguments.tally;
        let dropped = tally.dropped.swap(0, Ordering::Relaxed);
        let mut used = dropped.min(most);
        tally.dropped.fetch_add(dropped - used, Ordering::Relaxed);
        let mut counts = BTreeMap::new();
        let mut events = self.arguments.events.lock().await;
        while used < most {
            let Ok(event) = events.try_recv() else { break };
            count(&mut counts, &event);
            used += 1;
        }
        if used == 0 {
            return None;
        }
        let last = first + used - 1;
        self.free.pop_front();
        if last < end {
            self.free.push_front((last + 1, end));
        }
        Some(Batch {
            first,
            last,
            counts: counts.into_values().collect(),
        })
    }

    /// Keeps half a block ahead of the calls that begin.
    async fn reserve(&mut self) -> Result<(), BoxError> {
        let begun = self.arguments.tally.begun.load(Ordering::Relaxed);
        let begun = begun.saturating_sub(self.begun_before);
        while self.reserved < begun.saturating_add(BLOCK / 2) || self.free.is_empty() {
            let (first, last) = self.arguments.usage.reserve(BLOCK).await?;
            self.free.push_back((first, last));
            self.reserved += last.saturating_sub(first).saturating_add(1);
        }
        Ok(())
    }
}

type Counts = BTreeMap<(i64, String, String, String, u16), UsageCount>;

fn count(counts: &mut Counts, event: &UsageEvent) {
    let minute_ms = event.at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
    let key = (
        minute_ms,
        event.tenant.clone(),
        event.api_id.clone(),
        event.application_id.clone(),
        event.status,
    );
    let sum = counts.entry(key).or_insert_with(|| UsageCount {
        minute_ms,
        tenant: event.tenant.clone(),
        api_id: event.api_id.clone(),
        application_id: event.application_id.clone(),
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
