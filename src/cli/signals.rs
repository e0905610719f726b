//! How a running command is asked to stop: Ctrl-C or SIGTERM.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use cluster::spawn_named;

/// One Ctrl-C may come twice, from the terminal and from whatever wraps the command.
const SAME: Duration = Duration::from_secs(1);
/// The status of a process that SIGINT has ended.
const INTERRUPTED: i32 = 130;

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

    /// Returns when the process is asked to stop, or was since it listens. Whoever presses Ctrl-C
    /// again after that does not want to wait for a stop in order: the process ends.
    pub(crate) async fn stop(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        let asked = Instant::now();
        spawn_named("second signal", async move {
            while self.interrupt.recv().await.is_some() {
                if asked.elapsed() >= SAME {
                    tracing::warn!("interrupted again: ending without a stop in order");
                    std::process::exit(INTERRUPTED);
                }
            }
        });
    }
}

/// Hears from its making on that the configuration is to be read anew: until then the signal ends the process.
pub(super) struct Hangup(Signal);

// === impl Hangup ===

impl Hangup {
    /// Begins to listen.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be waited for")?;
        Ok(Self(hangup))
    }

    /// Calls `reload` at each SIGHUP, and for one that came already.
    pub(super) fn each(mut self, reload: impl Fn() + Send + 'static) {
        spawn_named("hangup", async move {
            while self.0.recv().await.is_some() {
                tokio::task::block_in_place(&reload);
            }
        });
    }
}

/// Returns when the process is asked to stop.
pub(crate) async fn stop_asked() -> anyhow::Result<()> {
    Asked::listen()?.stop().await;
    Ok(())
}
