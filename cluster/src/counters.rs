//! What happened at the cluster's edge, for metrics; and one line of it in the log at a time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one node.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were closed before they were members'.
    pub turned_away: AtomicU64,
    /// Probes that were sent.
    pub probes: AtomicU64,
    /// Probes that got no answer.
    pub probes_unanswered: AtomicU64,
    /// Asks that were sent to other nodes.
    pub asks: AtomicU64,
    /// Asks that failed.
    pub asks_failed: AtomicU64,
    /// Asks of other nodes that were served.
    pub served: AtomicU64,
    /// Asks of other nodes that were not understood or too many.
    pub refused: AtomicU64,
}

// === impl Counters ===

impl Counters {
    /// Counts a stranger; told at the first of each thousand, so that a flood fills no log.
    pub(crate) fn turned_away(&self, peer: SocketAddr, reason: &str) {
        let before = self.turned_away.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(1_000) {
            tracing::warn!(%peer, reason, count = before + 1, "connection to the cluster port was closed");
        } else {
            tracing::debug!(%peer, reason, "connection to the cluster port was closed");
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
