//! `headgate start`: one node, until SIGTERM or Ctrl-C.

use std::process::ExitCode;
use std::sync::Arc;

use super::signals::{Asked, Hangup};
use crate::app::{self, Notify};
use crate::config::{Config, Flags};

pub(super) fn run(flags: &Flags) -> anyhow::Result<ExitCode> {
    let config = Config::load(flags, std::env::vars_os())?;
    super::runtime()?.block_on(async {
        // Before the start, which may take a while: being asked to stop is no failure, and a reload ends nothing.
        let hangup = Hangup::listen()?;
        let mut asked = std::pin::pin!(Asked::listen()?.stop());
        let mut node = tokio::select! {
            node = app::start(config) => node?,
            // What a start leaves half done the next one finishes, as after a crash.
            () = &mut asked => return Ok(ExitCode::SUCCESS),
        };
        let manager = Arc::new(Notify::by_environment());
        let (reload, told) = (node.reload(), Arc::clone(&manager));
        hangup.each(move || {
            told.reloading();
            // What came of it is in the log as well.
            let read = reload.reload();
            told.reloaded(read.as_ref().err().map(String::as_str));
        });
        let up = manager.up(node.standing());
        let refused = async {
            tokio::select! {
                () = asked => None,
                refused = node.refused() => Some(refused),
            }
        };
        let refused = until(refused, up).await;
        manager.stopping();
        tracing::info!("stopping: no new requests, open ones may end");
        match refused {
            None => {
                node.stop().await;
                Ok(ExitCode::SUCCESS)
            }
            Some(refused) => {
                node.stop_now().await;
                Err(refused)
            }
        }
    })
}

/// What the first comes to; the second goes on beside it, as long as there is anything to it.
async fn until<T>(first: impl Future<Output = T>, beside: impl Future<Output = ()>) -> T {
    let (mut first, mut beside) = (std::pin::pin!(first), std::pin::pin!(beside));
    tokio::select! {
        came = &mut first => came,
        () = &mut beside => first.await,
    }
}
