//! The way to another node's router, with a bound on what is under way (M2): what ractor below
//! would queue without end is refused here at once.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use ractor::rpc::CallResult;
use tokio::sync::Semaphore;

use crate::ask::AskError;
use crate::counters::Counters;
use crate::router::Routed;

/// Asks under way to one peer.
const ASKS: usize = 1_024;
/// Bytes of them.
const BYTES: usize = 8 * 1024 * 1024;

/// The way to one incarnation of one node, while its connection lives.
pub(crate) struct Path {
    router: ActorRef<Routed>,
    asks: Semaphore,
    bytes: Semaphore,
    counters: Arc<Counters>,
}

// === impl Path ===

impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Path").finish_non_exhaustive()
    }
}

impl Path {
    pub(crate) fn new(router: ActorRef<Routed>, counters: Arc<Counters>) -> Self {
        Self {
            router,
            asks: Semaphore::new(ASKS),
            bytes: Semaphore::new(BYTES),
            counters,
        }
    }

    /// Sends an encoded ask and waits for the encoded answer.
    pub(crate) async fn ask(
        &self,
        bytes: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, AskError> {
        let size = u32::try_from(bytes.len()).map_err(|_| AskError::Overloaded)?;
        let room = (self.asks.try_acquire(), self.bytes.try_acquire_many(size));
        let (Ok(_ask), Ok(_bytes)) = room else {
            return Err(AskError::Overloaded);
        };
        self.send(bytes, deadline).await
    }

    /// The same without a place among the asks: a probe must not wait for what it is to judge.
    pub(crate) async fn probe(
        &self,
        bytes: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, AskError> {
        self.send(bytes, deadline).await
    }

    async fn send(&self, bytes: Vec<u8>, deadline: Duration) -> Result<Vec<u8>, AskError> {
        Counters::add(&self.counters.asks);
        let called = self
            .router
            .call(|reply| Routed { bytes, reply }, Some(deadline));
        let answer = match called.await {
            Ok(CallResult::Success(answer)) => Ok(answer),
            Ok(CallResult::Timeout) => Err(AskError::Timeout),
            // The connection ended: the ask may have been carried out or not.
            Ok(CallResult::SenderError) => Err(AskError::Dropped),
            // Nothing was sent.
            Err(_) => Err(AskError::Unavailable),
        };
        if answer.is_err() {
            Counters::add(&self.counters.asks_failed);
        }
        answer
    }
}
