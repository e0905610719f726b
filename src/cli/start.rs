//! `headgate start`: one node, until SIGTERM or Ctrl-C.

use std::process::ExitCode;
use std::sync::Arc;

use super::signals::Asked;
use crate::app::{self, Notify};
use crate::config::{Config, Flags};

pub(super) fn run(flags: &Flags) -> anyhow::Result<ExitCode> {
    let config = Config::load(flags, std::env::vars_os())?;
    super::runtime()?.block_on(async {
        // Before the start, which may take a while: being asked to stop is no failure.
        let mut asked = std::pin::pin!(Asked::listen()?.stop());
        let mut node = tokio::select! {
            node = app::start(config) => node?,
            // What a start leaves half done the next one finishes, as after a crash.
            () = &mut asked => return Ok(ExitCode::SUCCESS),
        };
        let manager = Arc::new(Notify::by_environment());
        let (reload, told) = (node.reload(), Arc::clone(&manager));
        super::signals::at_hangup(move || {
            told.reloading();
            // What came of it is in the log as well.
            let read = reload.reload();
            told.status(read.as_ref().err().map_or("running", String::as_str));
            told.ready();
        })?;
        manager.ready();
        let refused = tokio::select! {
            () = asked => None,
            refused = node.refused() => Some(refused),
        };
        manager.stopping();
        tracing::info!("stopping: no new requests, open ones may end");
        node.stop().await;
        match refused {
            None => Ok(ExitCode::SUCCESS),
            Some(refused) => Err(refused),
        }
    })
}
