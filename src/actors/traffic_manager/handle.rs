//! The typed clients of this component: one asks the owner of a shard, one tells the gateways that
//! hold leases of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cluster::{AskError, Door};

use super::Published;
use super::message::{LeaseMany, Leased, TellLeases, Told};

/// The deadline of one question; requests are held at most 3 s in all (L8).
const DEADLINE: Duration = Duration::from_secs(1);

/// Asks the owner of a shard, wherever it lives.
#[derive(Debug, Clone)]
pub struct TrafficManagerHandle {
    lease: Door<LeaseMany>,
    policies: Published,
}

/// Tells gateways what concerns their leases, wherever they live. Each is known by its stable id,
/// and its latest door counts. Cheap to clone; all clones know the same gateways.
#[derive(Debug, Clone, Default)]
pub struct GatewayLeases {
    doors: Arc<RwLock<BTreeMap<String, Door<TellLeases>>>>,
}

// === impl TrafficManagerHandle ===

impl TrafficManagerHandle {
    /// A handle that asks through this door, of an owner who goes by these policies.
    pub(super) const fn new(lease: Door<LeaseMany>, policies: Published) -> Self {
        Self { lease, policies }
    }

    /// Whether the policies were read: until then nothing is granted (L12).
    #[must_use]
    pub fn has_policies(&self) -> bool {
        self.policies.load().is_some()
    }

    /// Asks for units of several keys of one shard (L7). May be repeated: replies are cumulative.
    ///
    /// # Errors
    /// When no owner answers in time.
    pub async fn lease(&self, request: LeaseMany) -> Result<Leased, AskError> {
        self.lease.ask(request, DEADLINE).await
    }
}

// === impl GatewayLeases ===

impl GatewayLeases {
    /// The gateway with this stable id is reached through this door from now on.
    pub fn admit(&self, node: &str, door: Door<TellLeases>) {
        let mut doors = self.doors.write().unwrap_or_else(PoisonError::into_inner);
        doors.insert(node.to_owned(), door);
    }

    /// Tells a gateway (L9). May be repeated: all of it is about what was granted in all.
    ///
    /// # Errors
    /// When the gateway is not known or does not answer in time.
    pub async fn tell(&self, news: TellLeases) -> Result<Told, AskError> {
        match self.door(&news.node) {
            Some(door) => door.ask(news, DEADLINE).await,
            None => Err(AskError::Unavailable),
        }
    }

    fn door(&self, node: &str) -> Option<Door<TellLeases>> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        doors.get(node).cloned()
    }
}
