//! What is large travels beside the connection that carries probes and short asks (M2): over one of
//! its own, plain frames after first words of its own, opened by whoever asks and only while it asks.
//! `docs/adr/0016` says why it is no session of the library's.
//!
//! Such a connection rests on the other one: it is let in only for a node that is connected, ends
//! with that connection, and its own end means nothing for the node. Whoever asks has 16 asks under
//! way at most; whoever answers reads the next one when the last answer is written, so that neither
//! end keeps more than one answer of what the other does not take.

mod first;
mod frame;
mod link;
mod serve;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use first::{BULK, BulkAnswer, BulkHello};
pub(crate) use serve::Carrier;

use crate::ask::AskError;
use crate::counters::Counters;
use crate::member::Member;
use crate::security::Security;
use crate::transport::dial_for_bulk;
use link::{Link, Sent};

/// Asks under way over one (C3).
const ASKS: usize = 16;
/// Bytes of them.
const BYTES: usize = 8 * 1024 * 1024;
/// The pause after one could not be had, doubled by each failure; what is large goes the common way meanwhile.
const PAUSE: Duration = Duration::from_secs(2);
const DOUBLED_MOST: u32 = 5;

/// The way to one node's life for what is large, while the other connection with it lives.
pub(crate) struct Bulk {
    to: Member,
    security: Security,
    hello: BulkHello,
    asks: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    state: Mutex<State>,
    ended: CancellationToken,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    /// Dials that failed in a row, and when the next one may be.
    failures: u32,
    not_before: Option<Instant>,
}

/// A place among the asks, and one for the bytes.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// What became of an ask.
pub(crate) enum Carried {
    /// It was sent, and this came of it.
    Sent(Result<Vec<u8>, AskError>),
    /// There is no connection of this kind with the node: the ask as it was.
    NoWay(Vec<u8>),
}

// === impl Bulk ===

impl Bulk {
    /// The way from `me` to `to`, whose asks bear this; it ends when `ended` is said.
    pub(crate) fn new(
        (me, to): (Member, Member),
        bears: u64,
        security: Security,
        counters: Arc<Counters>,
        ended: CancellationToken,
    ) -> Self {
        Self {
            to,
            security,
            hello: BulkHello { member: me, bears },
            asks: Arc::new(Semaphore::new(ASKS)),
            bytes: Arc::new(Semaphore::new(BYTES)),
            state: Mutex::default(),
            ended,
            counters,
        }
    }

    /// Whether it is with this node in this life.
    pub(crate) fn is_with(&self, member: &Member) -> bool {
        let of = |one: &Member| (one.life, one.incarnation, one.id.clone());
        of(&self.to) == of(member)
    }

    /// Asks under way, and bytes of them.
    pub(crate) fn under_way(&self) -> (usize, usize) {
        let asks = ASKS - self.asks.available_permits().min(ASKS);
        (asks, BYTES - self.bytes.available_permits().min(BYTES))
    }

    /// Asks that were handed to the connection, and have no answer.
    #[cfg(test)]
    pub(crate) async fn waiting(&self) -> usize {
        let state = self.state.lock().await;
        state.link.as_ref().map_or(0, |link| link.waiting())
    }

    /// Sends an encoded ask and waits for the encoded answer.
    pub(crate) async fn ask(&self, bytes: Vec<u8>, deadline: Duration) -> Carried {
        let end = Instant::now() + deadline;
        let Some(mut places) = self.places(bytes.len()) else {
            return Carried::Sent(Err(AskError::Overloaded));
        };
        let mut bytes = bytes;
        // One that nobody had asked over for a while may end in this very moment.
        for _ in 0..2 {
            let Ok(link) = tokio::time::timeout_at(end, self.link()).await else {
                return Carried::Sent(Err(AskError::Unavailable));
            };
            let Some(link) = link else { break };
            let left = end.saturating_duration_since(Instant::now());
            match link.ask(bytes, left, places).await {
                Sent::Answered(answer) => return Carried::Sent(answer),
                Sent::Over(back, kept) => (bytes, places) = (back, kept),
            }
        }
        Carried::NoWay(bytes)
    }

    fn places(&self, size: usize) -> Option<Places> {
        let size = u32::try_from(size).ok()?;
        let ask = Arc::clone(&self.asks).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(size).ok()?;
        Some((ask, bytes))
    }

    /// The connection; dialed when there is none. Whoever comes meanwhile waits for the same one.
    async fn link(&self) -> Option<Arc<Link>> {
        let mut state = self.state.lock().await;
        if let Some(link) = state.link.as_ref().filter(|link| !link.is_over()) {
            return Some(Arc::clone(link));
        }
        state.link = None;
        if self.ended.is_cancelled() || state.not_before.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        // Before it is tried: whoever dials may be given up meanwhile.
        let pause = PAUSE * (1 << state.failures.min(DOUBLED_MOST));
        state.failures += 1;
        state.not_before = Some(Instant::now() + pause);
        match dial_for_bulk(&self.to, &self.security, &self.hello).await {
            Ok(stream) => {
                Counters::add(&self.counters.bulk_dialed);
                let link = Arc::new(Link::start(stream, self.ended.child_token()));
                state.link = Some(Arc::clone(&link));
                (state.failures, state.not_before) = (0, None);
                Some(link)
            }
            Err(error) => {
                let member = self.to.name.as_str();
                tracing::debug!(member, %error, "no connection for what is large");
                state.not_before = Some(Instant::now() + pause);
                None
            }
        }
    }
}
