//! Logs and metrics: one subscriber and one recorder for the process. Standard error is JSON
//! unless a person is watching.

use std::io::IsTerminal as _;
use std::sync::Arc;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Log, LogFormat};

/// Begins logging. A second call in one process changes nothing.
pub(crate) fn start(log: &Log) {
    // The access log is a target of its own, so that it can be left out without other lines.
    let access = if log.access {
        ""
    } else {
        ",headgate::access=off"
    };
    let filter = EnvFilter::new(format!("{}{access}", log.filter));
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour);
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_target(false).try_init()
    };
}

/// Begins recording metrics; gives the function that renders them.
pub(crate) fn metrics() -> anyhow::Result<Arc<dyn Fn() -> String + Send + Sync>> {
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .context("metrics are recorded already")?;
    Ok(Arc::new(move || handle.render()))
}
