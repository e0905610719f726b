//! How a running command is asked to stop: Ctrl-C or SIGTERM.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears from its making on that the process is asked to stop: until then a signal just ends it.
#[derive(Debug)]
pub(crate) struct Asked {
    interrupt: Signal,
    terminate: Signal,
}

// === impl Asked ===

impl Asked {
    /// Begins to listen.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("SIGINT cannot be waited for")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?,
        })
    }

    /// Returns when the process is asked to stop, or was since it listens.
    pub(crate) async fn stop(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Returns when the process is asked to stop.
pub(crate) async fn stop_asked() -> anyhow::Result<()> {
    Asked::listen()?.stop().await;
    Ok(())
}
