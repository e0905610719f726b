//! What `/metrics` tells besides what was recorded: calls, the change log, other nodes, the agreed view, the
//! certificate, the build and the process.

use std::fmt::{Display, Write as _};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actors::agreed_view::AgreedView;
use actors::change_feed::ChangeFeedHandle;
use actors::gateway::GatewayHandle;
use cluster::{Clock, Cluster, Mutual};
use rustix::time::{ClockId, clock_gettime};

use super::{member_metrics, view_metrics};
use crate::tls::ServerCertificate;

/// Renders the metrics.
pub(super) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// What is looked at for each scrape.
pub(super) struct Looked {
    pub(super) gateway: Option<GatewayHandle>,
    pub(super) cluster: Cluster,
    pub(super) feed: ChangeFeedHandle,
    pub(super) agreed: AgreedView,
    /// Where the nodes speak TLS.
    pub(super) cluster_certificate: Option<Mutual>,
    pub(super) clock: Clock,
    pub(super) certificate: Arc<ServerCertificate>,
}

/// `recorded`, and what is looked at for each scrape.
pub(super) fn scrape(recorded: Render, looked: Looked) -> Render {
    let started = looked.clock.now_ms() as f64 / 1e3;
    Arc::new(move || {
        let mut text = recorded();
        if let Some(gateway) = &looked.gateway {
            gateway.write_metrics(&mut text);
            applied(&mut text, gateway);
        }
        node(&mut text, &looked);
        port(&mut text, &looked.cluster);
        member_metrics::write(&mut text, &looked.cluster, &looked.feed);
        view_metrics::write(&mut text, &looked.agreed);
        process(&mut text, started);
        text
    })
}

fn node(text: &mut String, looked: &Looked) {
    let version = env!("CARGO_PKG_VERSION");
    let name = "headgate_build_info";
    kind(text, name, "gauge", "The version that runs.");
    let _ = writeln!(text, "{name}{{version=\"{version}\"}} 1");
    gauge(
        text,
        "headgate_cert_expiry_seconds",
        "When the server's certificate ends, seconds since the epoch.",
        looked.certificate.ends(),
    );
    if let Some(certificate) = &looked.cluster_certificate {
        gauge(
            text,
            "headgate_cluster_certificate_expires_seconds",
            "When the certificate ends that this node shows to others, seconds since the epoch.",
            certificate.ends(),
        );
    }
}

/// Who did not come in at the cluster's port.
fn port(text: &mut String, cluster: &Cluster) {
    let counters = cluster.counters();
    for (name, help, count) in [
        (
            "headgate_cluster_newcomers_refused_total",
            "Nodes that were refused for good, by their certificate, token, name, cluster, version or settings.",
            &counters.newcomers_refused,
        ),
        (
            "headgate_cluster_turned_away_total",
            "Connections to the cluster port that were closed at their first words.",
            &counters.turned_away,
        ),
    ] {
        kind(text, name, "counter", help);
        let _ = writeln!(text, "{name} {}", count.load(Ordering::Relaxed));
    }
}

fn applied(text: &mut String, gateway: &GatewayHandle) {
    gauge(
        text,
        "headgate_config_version",
        "Number of the last change in the change log that calls see.",
        gateway.applied(),
    );
    gauge(
        text,
        "headgate_config_unconfirmed_seconds",
        "Time since the change log was last known to be applied to its head.",
        gateway
            .unconfirmed_for()
            .map_or("+Inf".to_owned(), |since| since.as_secs_f64().to_string()),
    );
}

/// The series that Prometheus' own clients give of a process.
fn process(text: &mut String, started: f64) {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let name = "process_cpu_seconds_total";
    kind(text, name, "counter", "Processor time spent.");
    let spent = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
    let _ = writeln!(text, "{name} {spent}");
    gauge(
        text,
        "process_start_time_seconds",
        "When it started, seconds since the epoch.",
        started,
    );
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (line, unit, name, help) in [
        (
            "VmRSS:",
            1024,
            "process_resident_memory_bytes",
            "Memory resident.",
        ),
        (
            "VmSize:",
            1024,
            "process_virtual_memory_bytes",
            "Memory mapped.",
        ),
        ("Threads:", 1, "process_threads", "Threads."),
    ] {
        let mut lines = status.lines();
        if let Some(value) = lines.find_map(|known| number(known.strip_prefix(line)?)) {
            gauge(text, name, help, value * unit);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let help = "File descriptors in use.";
        gauge(text, "process_open_fds", help, open.count());
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let mut limits = limits.lines();
    if let Some(most) = limits.find_map(|line| number(line.strip_prefix("Max open files")?)) {
        let help = "File descriptors that may be in use.";
        gauge(text, "process_max_fds", help, most);
    }
}

/// The first number of a line.
fn number(line: &str) -> Option<u64> {
    line.split_whitespace().next()?.parse().ok()
}

pub(super) fn gauge(text: &mut String, name: &str, help: &str, value: impl Display) {
    kind(text, name, "gauge", help);
    let _ = writeln!(text, "{name} {value}");
}

pub(super) fn kind(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
