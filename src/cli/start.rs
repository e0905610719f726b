//! `headgate start`: one node, until SIGTERM or Ctrl-C.

use std::process::ExitCode;

use super::signals::stop_asked;
use crate::app;
use crate::config::{Config, Flags};

pub(super) fn run(flags: &Flags) -> anyhow::Result<ExitCode> {
    let config = Config::load(flags, std::env::vars())?;
    super::runtime()?.block_on(async {
        let node = app::start(config).await?;
        stop_asked().await?;
        tracing::info!("stopping: no new requests, open ones may end");
        node.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}
