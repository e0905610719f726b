//! How a running command is asked to stop: Ctrl-C or SIGTERM.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process is asked to stop.
pub(crate) async fn stop_asked() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be waited for")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
