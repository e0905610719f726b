//! Counts what calls were and hands the counts on: never waits for a request, never makes one wait.
//!
//! Requests take a sequence number before they are forwarded and leave an event after; numbers
//! come from blocks that were reserved durably before use, so that after a crash it is known how
//! many calls are not counted (M4).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, BoxError, Ticker};
use domain::usage::UsageEvent;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::Mutex;

/// Events that may wait to be counted.
const WAITING: usize = 65_536;
/// Sequence numbers reserved at a time.
const BLOCK: u64 = 65_536;
/// Events of one batch.
const BATCH: usize = 16_384;
const FLUSH: Duration = Duration::from_millis(100);

/// Where usage goes: durable before it answers.
pub trait UsageSink: Send + Sync + 'static {
    /// Sequences up to this one may be used from now on.
    fn reserve(&self, up_to: u64) -> Stored<'_>;
    /// Stores events.
    fn store(&self, events: Vec<UsageEvent>, dropped: u64) -> Stored<'_>;
}

/// Whether it was stored.
pub type Stored<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

/// What requests hold.
#[derive(Debug)]
pub(super) struct Tally {
    next: AtomicU64,
    reserved: AtomicU64,
    dropped: AtomicU64,
    events: Sender<UsageEvent>,
}

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) tally: Arc<Tally>,
    pub(super) sink: Arc<dyn UsageSink>,
    pub(super) events: Arc<Mutex<Receiver<UsageEvent>>>,
}

pub(super) enum Message {
    Tick,
}

pub(super) struct UsageRecorder {
    arguments: Arguments,
    /// Taken from the channel, not yet stored.
    pending: Vec<UsageEvent>,
    _ticker: Ticker,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new() -> (Arc<Self>, Arc<Mutex<Receiver<UsageEvent>>>) {
        let (events, receiver) = channel(WAITING);
        let tally = Self {
            next: AtomicU64::new(1),
            reserved: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            events,
        };
        (Arc::new(tally), Arc::new(Mutex::new(receiver)))
    }

    /// The next sequence number; none while no block is reserved.
    pub(super) fn begin(&self) -> Option<u64> {
        let reserved = self.reserved.load(Ordering::Acquire);
        self.next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (next <= reserved).then_some(next + 1)
            })
            .ok()
    }

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
        let mut recorder = Self {
            arguments,
            pending: Vec::new(),
            _ticker: Ticker::start(me, FLUSH, || Message::Tick),
        };
        recorder.reserve().await?;
        Ok(recorder)
    }

    async fn handle(&mut self, Message::Tick: Message) -> Result<(), BoxError> {
        self.flush().await;
        Ok(())
    }

    async fn stop(&mut self) {
        self.flush().await;
    }
}

// === impl UsageRecorder ===

impl UsageRecorder {
    async fn flush(&mut self) {
        if let Err(error) = self.reserve().await {
            tracing::warn!(%error, "usage sequences could not be reserved");
        }
        loop {
            {
                let mut events = self.arguments.events.lock().await;
                while self.pending.len() < BATCH {
                    let Ok(event) = events.try_recv() else { break };
                    self.pending.push(event);
                }
            }
            let dropped = self.arguments.tally.dropped.swap(0, Ordering::Relaxed);
            if self.pending.is_empty() && dropped == 0 {
                return;
            }
            let full = self.pending.len() >= BATCH;
            let stored = self.arguments.sink.store(self.pending.clone(), dropped).await;
            if let Err(error) = stored {
                // Kept for the next time; the channel behind it is bounded.
                self.arguments.tally.dropped.fetch_add(dropped, Ordering::Relaxed);
                tracing::warn!(%error, "usage could not be stored, trying again");
                return;
            }
            self.pending.clear();
            if !full {
                return;
            }
        }
    }

    async fn reserve(&mut self) -> Result<(), BoxError> {
        let tally = &self.arguments.tally;
        let reserved = tally.reserved.load(Ordering::Relaxed);
        if reserved.saturating_sub(tally.next.load(Ordering::Relaxed)) < BLOCK / 2 {
            let up_to = reserved.saturating_add(BLOCK);
            self.arguments.sink.reserve(up_to).await?;
            tally.reserved.store(up_to, Ordering::Release);
        }
        Ok(())
    }
}
