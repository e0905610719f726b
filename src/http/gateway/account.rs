//! The last phase: when the last byte went to the client, or the client went away, the call is
//! left with the usage recorder, the access log and the metrics. It never waits.

use std::sync::Arc;
use std::time::Duration;

use domain::usage::UsageEvent;
use http::{HeaderValue, Method, Uri};

use super::crowd::Place;
use super::ingress::Ingress;
use super::intake::Intake;
use super::meters::Meters;
use super::open_calls::Entered;
use super::upload;

/// The most bytes of a path in the access log.
const SHOWN: usize = 512;

/// What is known of a call; recorded when dropped.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) ingress: Arc<Ingress>,
    pub(super) request_id: HeaderValue,
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) event: UsageEvent,
    pub(super) began: Duration,
    pub(super) intake: Arc<Intake>,
    pub(super) bytes_out: u64,
    /// Counts the bytes, when a policy limits them.
    pub(super) meters: Option<Arc<Meters>>,
    /// Its place among the calls under way, unless there was none.
    pub(super) place: Option<Place>,
    /// Its place among the open calls, if it was handed on.
    pub(super) _open: Option<Arc<Entered>>,
    /// Whether the answer has not gone out whole.
    pub(super) broken: bool,
}

// === impl Account ===

impl Account {
    /// Bytes of the answer's body that passed.
    pub(super) fn passed(&mut self, bytes: u64) {
        self.bytes_out += bytes;
        if let Some(meters) = &self.meters {
            meters.count(bytes);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let gateway = &self.ingress.gateway;
        let spent = gateway.clock().monotonic().saturating_sub(self.began);
        self.event.latency_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        self.event.bytes_in = self.intake.bytes();
        self.event.bytes_out = self.bytes_out;
        tracing::info!(
            target: "headgate::access",
            request_id = self.request_id.to_str().unwrap_or_default(),
            method = self.method.as_str(),
            path = shown(&self.target),
            tenant = %self.event.tenant,
            api = %self.event.api_id,
            application = %self.event.application_id,
            status = self.event.status,
            fault = self.event.fault,
            latency_us = self.event.latency_us,
            upstream_us = self.event.upstream_us,
            bytes_in = self.event.bytes_in,
            bytes_out = self.event.bytes_out,
            broken = self.broken,
            "call"
        );
        gateway.record_usage(std::mem::take(&mut self.event));
        let limit = self.ingress.settings.response_timeout;
        upload::outlives(&self.intake, limit, &self.request_id, self.place.take());
    }
}

/// The path without its query, which may carry keys, and not longer than a line should be.
fn shown(target: &Uri) -> &str {
    let path = target.path();
    path.get(..path.floor_char_boundary(SHOWN)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_without_its_query_and_within_bounds() {
        assert_eq!(shown(&Uri::from_static("/shop/1?apikey=secret")), "/shop/1");
        let long: Uri = format!("/{}", "a".repeat(5_000)).parse().unwrap();
        assert_eq!(shown(&long).len(), SHOWN);
    }
}
