//! The sweeper: at start and every minute it removes clients that were made for an application
//! and serve none, which is what a crash between two transactions leaves.

use std::time::Duration;

use cluster::{Actor, Address, BoxError};

use super::clients::Clients;
use crate::ticker::{Ticker, ticker};

/// Time between two sweeps.
const PERIOD: Duration = Duration::from_secs(60);

/// Asks for a sweep.
pub(super) struct Sweep;

/// Sweeps when asked.
pub(super) struct Sweeper {
    clients: Clients,
    _ticker: Ticker,
}

// === impl Sweeper ===

impl Actor for Sweeper {
    type Message = Sweep;
    type Arguments = Clients;
    const KIND: &'static str = "devportal.sweeper";

    async fn start(clients: Clients, me: Address<Sweep>) -> Result<Self, BoxError> {
        // A mailbox that is full or gone has a sweep coming, or needs none.
        let _ = me.tell(Sweep);
        Ok(Self {
            clients,
            _ticker: ticker("devportal.sweep", PERIOD, me, || Sweep),
        })
    }

    async fn handle(&mut self, Sweep: Sweep) -> Result<(), BoxError> {
        match self.clients.sweep().await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "clients without an application removed"),
            Err(error) => tracing::warn!(%error, "clients could not be swept, trying again later"),
        }
        Ok(())
    }
}
