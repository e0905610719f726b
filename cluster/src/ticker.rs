//! Regular messages to an actor, for as long as one incarnation of it lives: kept in the actor's
//! state, a ticker ends with it, so that a restarted actor never hears two.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::address::Address;
use crate::task::spawn_named;

/// Sends a message again and again until dropped.
#[derive(Debug)]
pub struct Ticker(JoinHandle<()>);

// === impl Ticker ===

impl Ticker {
    /// Sends `message()` to `address` every `period`, the first one after one period. A message
    /// that cannot be delivered is skipped.
    #[must_use]
    pub fn start<M: Send + 'static>(
        address: Address<M>,
        period: Duration,
        message: impl Fn() -> M + Send + 'static,
    ) -> Self {
        Self(spawn_named("ticker", async move {
            loop {
                tokio::time::sleep(period).await;
                let _ = address.tell(message());
            }
        }))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.abort();
    }
}
