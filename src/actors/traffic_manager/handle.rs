//! The typed client of the traffic managers: finds the shard's owner.

use std::time::Duration;

use cluster::{AskError, Door};

use super::message::{LeaseMany, Leased};

/// The deadline of one question; requests are held at most 3 s in all (L8).
const DEADLINE: Duration = Duration::from_secs(1);

/// Asks the owner of a shard, wherever it lives.
#[derive(Debug, Clone)]
pub struct TrafficManagerHandle {
    lease: Door<LeaseMany>,
}

// === impl TrafficManagerHandle ===

impl TrafficManagerHandle {
    /// A handle that asks through this door.
    #[must_use]
    pub const fn new(lease: Door<LeaseMany>) -> Self {
        Self { lease }
    }

    /// Asks for units of several keys of one shard (L7). May be repeated: replies are cumulative.
    ///
    /// # Errors
    /// When no owner answers in time.
    pub async fn lease(&self, request: LeaseMany) -> Result<Leased, AskError> {
        self.lease.ask(request, DEADLINE).await
    }
}
