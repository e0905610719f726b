//! What is told of calls on `/metrics`: summed up by the usage recorder from the events that calls
//! leave, so that no request pays for it.
//!
//! Series are bounded: beyond [`APIS`] APIs and [`POLICIES`] policies the rest are one, `other`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::usage::UsageEvent;

/// APIs and policies with series of their own.
const APIS: usize = 1_000;
const POLICIES: usize = 200;
/// The status of calls that became sockets.
const SWITCHED: u16 = 101;
/// What those beyond are called.
const OTHER: &str = "other";
/// Upper bounds of durations, microseconds.
const BOUNDS_US: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// The sums of all calls of this process.
#[derive(Debug, Default)]
pub(super) struct CallSums(Mutex<Sums>);

/// The sums, while one counts.
#[derive(Debug, Default)]
pub(super) struct Sums {
    apis: BTreeMap<Arc<str>, OfApi>,
    request: Durations,
    gateway: Durations,
    /// Of those that became sockets, which last as long as their two sides like.
    sockets: Durations,
    throttled: BTreeMap<(&'static str, Arc<str>), u64>,
}

/// The sums of one API.
#[derive(Debug, Default)]
struct OfApi {
    /// By method and status; there are few of them.
    calls: Vec<(&'static str, u16, u64)>,
    upstream: Durations,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Debug, Default)]
struct Durations {
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

// === impl CallSums ===

impl CallSums {
    /// To count several calls in one go.
    pub(super) fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the series as Prometheus text.
    pub(super) fn write(&self, text: &mut String) {
        self.lock().write(text);
    }
}

// === impl Sums ===

impl Sums {
    /// Counts one call.
    pub(super) fn count(&mut self, event: &UsageEvent) {
        if event.status == SWITCHED {
            self.sockets.record(event.latency_us);
        } else {
            self.request.record(event.latency_us);
            let own_us = event.latency_us.saturating_sub(event.upstream_us);
            self.gateway.record(own_us);
        }
        if let Some(level) = level(event.fault) {
            let known = self.throttled.len() < POLICIES;
            let key = (level, event.policy.clone().unwrap_or_default());
            match self.throttled.get_mut(&key) {
                Some(calls) => *calls += 1,
                None if known => *self.throttled.entry(key).or_default() += 1,
                None => *self.throttled.entry((level, OTHER.into())).or_default() += 1,
            }
        }
        self.of_api(&event.api_id).count(event);
    }

    fn of_api(&mut self, api_id: &Arc<str>) -> &mut OfApi {
        let full = self.apis.len() >= APIS && !self.apis.contains_key(api_id);
        let id = if full {
            OTHER.into()
        } else {
            Arc::clone(api_id)
        };
        match self.apis.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(OfApi::default()),
        }
    }

    fn write(&self, text: &mut String) {
        self.write_calls(text);
        self.write_durations(text);
        let name = "headgate_throttled_total";
        kind(
            text,
            name,
            "counter",
            "Calls that a throttling policy refused.",
        );
        for ((level, policy), calls) in &self.throttled {
            let policy = shown(policy);
            let _ = writeln!(
                text,
                "{name}{{policy=\"{policy}\",level=\"{level}\"}} {calls}"
            );
        }
    }

    fn write_calls(&self, text: &mut String) {
        let name = "headgate_http_requests_total";
        kind(text, name, "counter", "Calls through the gateway.");
        for (api, sums) in &self.apis {
            for (method, code, calls) in &sums.calls {
                let labels = format!("api=\"{}\",method=\"{method}\",code=\"{code}\"", shown(api));
                let _ = writeln!(text, "{name}{{{labels}}} {calls}");
            }
        }
        let name = "headgate_http_request_bytes_total";
        kind(text, name, "counter", "Body bytes from callers.");
        for (api, sums) in &self.apis {
            let _ = writeln!(text, "{name}{{api=\"{}\"}} {}", shown(api), sums.bytes_in);
        }
        let name = "headgate_http_response_bytes_total";
        kind(text, name, "counter", "Body bytes to callers.");
        for (api, sums) in &self.apis {
            let _ = writeln!(text, "{name}{{api=\"{}\"}} {}", shown(api), sums.bytes_out);
        }
    }

    fn write_durations(&self, text: &mut String) {
        let name = "headgate_http_request_duration_seconds";
        let help = "From a request's first byte to its answer's last.";
        kind(text, name, "histogram", help);
        self.request.write(text, name, "");
        let name = "headgate_http_gateway_duration_seconds";
        let help = "The same without the wait for the upstream's head.";
        kind(text, name, "histogram", help);
        self.gateway.write(text, name, "");
        let name = "headgate_gateway_websocket_duration_seconds";
        let help = "From the first byte of a WebSocket's request to its last frame's last.";
        kind(text, name, "histogram", help);
        self.sockets.write(text, name, "");
        let name = "headgate_http_upstream_duration_seconds";
        let help = "From the last byte that the upstream was handed to its head.";
        kind(text, name, "histogram", help);
        for (api, sums) in &self.apis {
            if sums.upstream.calls() > 0 {
                let labels = format!("api=\"{}\"", shown(api));
                sums.upstream.write(text, name, &labels);
            }
        }
    }
}

// === impl OfApi ===

impl OfApi {
    fn count(&mut self, event: &UsageEvent) {
        let known = (event.method, event.status);
        let calls = self.calls.iter_mut();
        let mut same = calls.filter(|(method, status, _)| (*method, *status) == known);
        match same.next() {
            Some((_, _, calls)) => *calls += 1,
            None => self.calls.push((event.method, event.status, 1)),
        }
        if event.forwarded {
            self.upstream.record(event.upstream_us);
        }
        self.bytes_in += event.bytes_in;
        self.bytes_out += event.bytes_out;
    }
}

// === impl Durations ===

impl Durations {
    fn record(&mut self, us: u64) {
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut calls = 0;
        for (bound, count) in BOUNDS_US.iter().zip(&self.counts) {
            calls += count;
            let le = *bound as f64 / 1e6;
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{le}\"}} {calls}");
        }
        let calls = self.calls();
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {calls}");
        let (open, close) = if labels.is_empty() {
            ("", "")
        } else {
            ("{", "}")
        };
        let sum = self.sum_us as f64 / 1e6;
        let _ = writeln!(text, "{name}_sum{open}{labels}{close} {sum}");
        let _ = writeln!(text, "{name}_count{open}{labels}{close} {calls}");
    }
}

/// The level of a throttling fault.
const fn level(fault: u32) -> Option<&'static str> {
    match fault {
        900_800 => Some("api"),
        900_802 => Some("resource"),
        900_803 => Some("application"),
        900_804 => Some("subscription"),
        900_807 => Some("subscription burst"),
        900_809 => Some("application burst"),
        _ => None,
    }
}

fn kind(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value.
fn shown(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(api: &str, status: u16) -> UsageEvent {
        UsageEvent {
            method: "GET",
            api_id: api.into(),
            status,
            forwarded: status == 200,
            latency_us: 7_000,
            upstream_us: 5_000,
            bytes_out: 10,
            ..UsageEvent::default()
        }
    }

    fn text(sums: &CallSums) -> String {
        let mut text = String::new();
        sums.write(&mut text);
        text
    }

    #[test]
    fn calls_are_told_by_api_method_and_code_with_durations_in_seconds() {
        let sums = CallSums::default();
        for status in [200, 200, 404] {
            sums.lock().count(&call("shop", status));
        }
        let text = text(&sums);
        for line in [
            "headgate_http_requests_total{api=\"shop\",method=\"GET\",code=\"200\"} 2",
            "headgate_http_requests_total{api=\"shop\",method=\"GET\",code=\"404\"} 1",
            "headgate_http_response_bytes_total{api=\"shop\"} 30",
            "headgate_http_request_duration_seconds_bucket{le=\"0.005\"} 0",
            "headgate_http_request_duration_seconds_bucket{le=\"0.01\"} 3",
            "headgate_http_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "headgate_http_request_duration_seconds_sum 0.021",
            "headgate_http_request_duration_seconds_count 3",
            "headgate_http_gateway_duration_seconds_bucket{le=\"0.0025\"} 3",
            "headgate_http_upstream_duration_seconds_bucket{api=\"shop\",le=\"0.005\"} 2",
            "headgate_http_upstream_duration_seconds_count{api=\"shop\"} 2",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn how_long_a_socket_is_open_says_nothing_of_how_long_calls_take() {
        let sums = CallSums::default();
        sums.lock().count(&call("shop", 101));
        let text = text(&sums);
        for line in [
            "headgate_http_requests_total{api=\"shop\",method=\"GET\",code=\"101\"} 1",
            "headgate_gateway_websocket_duration_seconds_count 1",
            "headgate_http_request_duration_seconds_count 0",
            "headgate_http_gateway_duration_seconds_count 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn refusals_are_told_by_policy_and_level_and_names_are_escaped() {
        let sums = CallSums::default();
        let refused = |policy: &str, fault| UsageEvent {
            policy: Some(policy.into()),
            fault,
            ..call("shop", 429)
        };
        sums.lock().count(&refused("Gold", 900_804));
        sums.lock().count(&refused("a\"b\\c\nd", 900_803));
        sums.lock().count(&refused("", 900_901));
        let text = text(&sums);
        let throttled = |line: &&str| line.starts_with("headgate_throttled_total{");
        let lines: Vec<_> = text.lines().filter(throttled).collect();
        assert_eq!(
            lines,
            [
                "headgate_throttled_total{policy=\"a\\\"b\\\\c\\nd\",level=\"application\"} 1",
                "headgate_throttled_total{policy=\"Gold\",level=\"subscription\"} 1",
            ]
        );
    }

    #[test]
    fn however_many_apis_there_are_the_series_stay_bounded_and_no_call_is_left_out() {
        let sums = CallSums::default();
        for number in 0..APIS + 50 {
            sums.lock().count(&call(&format!("api-{number}"), 200));
        }
        let text = text(&sums);
        let lines = text.lines();
        let lines = lines.filter(|line| line.starts_with("headgate_http_requests_total{"));
        assert_eq!(lines.count(), APIS + 1);
        let other = "headgate_http_requests_total{api=\"other\",method=\"GET\",code=\"200\"} 50";
        assert!(text.contains(other), "{other}");
    }
}
