//! How a node goes (M3): first it says so, not ready and with its last answer on each connection, while it serves on; then
//! it takes no connection any more, and what is open has a while to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Version;
use http::header::{CONNECTION, HeaderMap, HeaderValue};
use tokio_util::sync::CancellationToken;

/// How far a node has got with it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Leaving(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_told: AtomicBool,
    stop: CancellationToken,
    drain: Duration,
}

// === impl Leaving ===

impl Leaving {
    /// Of a node that stays. Once it stops, open requests may go on for `drain`.
    #[must_use]
    pub fn new(drain: Duration) -> Self {
        Self::at(CancellationToken::new(), drain)
    }

    /// The same, of one that stops with others: when this is cancelled.
    #[must_use]
    pub fn at(stop: CancellationToken, drain: Duration) -> Self {
        Self(Arc::new(Inner {
            is_told: AtomicBool::new(false),
            stop,
            drain,
        }))
    }

    /// From now on the node says that it goes, and serves whoever has not heard it.
    pub fn tell(&self) {
        self.0.is_told.store(true, Ordering::Relaxed);
    }

    /// From now on it takes no connection, and open ones end with their requests.
    pub fn stop(&self) {
        self.tell();
        self.0.stop.cancel();
    }

    /// Whether it goes.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.0.is_told.load(Ordering::Relaxed)
    }

    /// Cancelled when it stops.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// How long open requests may go on after that.
    pub(crate) fn drain(&self) -> Duration {
        self.0.drain
    }

    /// Whether an answer in this version is to be the last one on its connection. On HTTP/2 the connection itself says
    /// so, with a frame of its own (RFC 9113 §6.8).
    pub(crate) fn ends(&self, version: Version) -> bool {
        self.is_told() && version < Version::HTTP_2
    }
}

/// Says that the connection ends with this answer (RFC 9112 §9.6).
pub(crate) fn close(fields: &mut HeaderMap) {
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
}
