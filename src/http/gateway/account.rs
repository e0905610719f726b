//! The last phase: when the last byte went to the client, or the client went away, the call is
//! left with the usage recorder, the access log and the metrics. It never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::usage::UsageEvent;

use super::ingress::Ingress;
use super::meters::Meters;

/// What is known of a call; recorded when dropped.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) ingress: Arc<Ingress>,
    pub(super) event: UsageEvent,
    pub(super) began: Duration,
    pub(super) bytes_in: Arc<AtomicU64>,
    pub(super) bytes_out: u64,
    /// Counts the bytes, when a policy limits them.
    pub(super) meters: Option<Arc<Meters>>,
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
        self.event.bytes_in = self.bytes_in.load(Ordering::Relaxed);
        self.event.bytes_out = self.bytes_out;
        tracing::info!(
            target: "headgate::access",
            api = %self.event.api_id,
            application = %self.event.application_id,
            status = self.event.status,
            fault = self.event.fault,
            latency_us = self.event.latency_us,
            bytes_in = self.event.bytes_in,
            bytes_out = self.event.bytes_out,
            broken = self.broken,
            "call"
        );
        gateway.record_usage(std::mem::take(&mut self.event));
    }
}
