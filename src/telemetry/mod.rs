//! Logs and metrics: one subscriber and one recorder for the process. Standard error is JSON
//! unless a person is watching, and no request ever waits for whoever reads it.

mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Log, LogFormat};
use lines::Lines;

/// How long the end of the process waits for the last lines to be read.
const FINISH: Duration = Duration::from_secs(1);

/// Target of the lines that say where a node listens and how it goes.
pub(crate) const NODE: &str = "headgate::node";
/// The directives that let them and the lines of the audit log through; what the filter itself says of them stands behind
/// it, and counts.
const SAYS: &str = "headgate::node=info,audit=info,";

/// Counters of what should never happen. They are there from the start: one that appears with its
/// first event has not increased for who compares two readings.
const COUNTED_FROM_THE_START: [&str; 9] = [
    "headgate_gateway_panics_total",
    "headgate_gateway_local_verifications_total",
    "headgate_gateway_stale_calls_total",
    "headgate_ledger_full_total",
    "headgate_management_panics_total",
    "headgate_throttle_asks_passed_on_total",
    "headgate_throttle_keys_shared_total",
    "headgate_usage_dropped_total",
    "headgate_usage_unnumbered_total",
];

/// Puts another filter in the place of the one that is in force.
type Set = Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>;
static FILTER: OnceLock<Set> = OnceLock::new();
/// The lines of this process.
static LINES: OnceLock<Arc<Lines>> = OnceLock::new();

/// Begins logging. A second call in one process changes nothing.
///
/// Where a node listens and that it is ready is said (target [`NODE`]) whatever the filter's level: whoever started it
/// has to know. `off`, or the target named in the filter, has the last word.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    begin(log, says(log))
}

/// The same for a process that tells a person itself how it is going.
pub(crate) fn start_silent(log: &Log) -> anyhow::Result<()> {
    begin(log, "")
}

/// From now on lines are let through by what `log` says.
pub(crate) fn filter(log: &Log) -> anyhow::Result<()> {
    let set = FILTER.get().context("nothing is logged")?;
    set(directives(log, says(log)))
}

/// What lets through where a node listens, unless all is to be off.
fn says(log: &Log) -> &'static str {
    if log.filter.trim() == "off" { "" } else { SAYS }
}

fn directives(log: &Log, says: &str) -> EnvFilter {
    // The access log is a target of its own, so that it can be left out without other lines.
    let access = if log.access {
        ""
    } else {
        ",headgate::access=off"
    };
    // What these libraries say of connections and of votes the node says itself, with names; and one would write
    // down whole messages, tokens and all, at the levels below.
    let quiet = ",ractor=warn,ractor_cluster=error,openraft=off";
    EnvFilter::new(format!("{says}{}{access}{quiet}", log.filter))
}

fn begin(log: &Log, says: &str) -> anyhow::Result<()> {
    let filter = directives(log, says);
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    if LINES.get().is_some() {
        return Ok(());
    }
    let lines = Lines::start(std::io::stderr()).context("the log's thread did not start")?;
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(Arc::clone(&lines))
        .with_ansi(colour);
    let (begun, set): (_, Set) = if json {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let filter = builder.reload_handle();
        (
            builder.try_init(),
            Box::new(move |next| Ok(filter.reload(next)?)),
        )
    } else {
        let builder = builder.with_target(false).with_filter_reloading();
        let filter = builder.reload_handle();
        (
            builder.try_init(),
            Box::new(move |next| Ok(filter.reload(next)?)),
        )
    };
    if begun.is_ok() && LINES.set(lines).is_ok() {
        let _ = FILTER.set(set);
        std::panic::set_hook(Box::new(report_panic));
    }
    Ok(())
}

/// Waits for the last lines to be read, for a moment at most. Called once, at the end.
pub(crate) fn finish() {
    if let Some(lines) = LINES.get() {
        lines.finish(FINISH);
    }
}

/// Begins recording metrics; gives the function that renders them.
pub(crate) fn metrics() -> anyhow::Result<Arc<dyn Fn() -> String + Send + Sync>> {
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .context("metrics are recorded already")?;
    for name in COUNTED_FROM_THE_START {
        metrics::counter!(name).increment(0);
    }
    Ok(Arc::new(move || {
        let dropped = LINES.get().map_or(0, |lines| lines.dropped());
        metrics::counter!("headgate_log_lines_dropped_total").absolute(dropped);
        handle.render()
    }))
}

/// A panic is a line as any other: the hook it replaces would wait for whoever reads standard
/// error, on the thread of a request.
fn report_panic(info: &PanicHookInfo<'_>) {
    let said = info.payload_as_str().unwrap_or("no message");
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(said, at, %backtrace, "a thread panicked");
    } else {
        tracing::error!(said, at, "a thread panicked");
    }
}
