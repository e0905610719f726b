//! What management handlers reach: the handles of the components, never their state or storage.

use std::sync::Arc;

use actors::admin::AdminHandle;
use actors::agreed_view::Orders;
use actors::change_feed::ChangeFeedHandle;
use actors::devportal::DevPortalHandle;
use actors::key_manager::{KeyManagerHandle, hash_hex};
use actors::publisher::PublisherHandle;
use actors::traffic_manager::Overview;
use actors::usage::UsageIntakeHandle;
use cluster::{Cluster, SettingsSeen, System};
use domain::address::AddressRange;

use crate::looks::Looks;
use crate::readiness::Readiness;
use crate::turned_away::TurnedAway;

/// The doors of this node, cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Clock and registry.
    pub system: System,
    /// The node's place among others.
    pub cluster: Cluster,
    /// What traffic managers say of their shards.
    pub overview: Overview,
    /// What an operator orders of those that vote on views.
    pub orders: Orders,
    /// Whether the node may take requests.
    pub readiness: Arc<Readiness>,
    /// Renders the metrics; none where nobody records them.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// The SHA-256, lower-case hex, of the credential that lies in the data directory for the
    /// node's operator.
    pub operator_hash: Option<String>,
    /// Token validation; every role has one, wherever the key manager lives.
    pub key_manager: KeyManagerHandle,
    /// Whether this node has the key manager's role, and with it its operations.
    pub key_manager_here: bool,
    /// The Developer Portal, where this node has the role.
    pub devportal: Option<DevPortalHandle>,
    /// Throttling and deny policies, where this node has the role.
    pub admin: Option<AdminHandle>,
    /// Who has applied which change.
    pub change_feed: ChangeFeedHandle,
    /// Counts of calls, where this node takes them in.
    pub usage: Option<UsageIntakeHandle>,
    /// The publisher, where its role runs.
    pub publisher: Option<PublisherHandle>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Arc<[AddressRange]>,
    /// Who looked at what operators see lately.
    pub looks: Arc<Looks>,
    /// Who was turned away from it lately.
    pub turned_away: Arc<TurnedAway>,
    /// Where callers reach the gateways.
    pub ingress: Ingress,
    /// What this node is configured with.
    pub settings: Arc<dyn Fn() -> SettingsSeen + Send + Sync>,
    /// Reads the configuration once more; what is wrong with it when it cannot be used.
    pub reload: Arc<dyn Fn() -> Result<Reloaded, String> + Send + Sync>,
}

/// What came of reading the configuration once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What is different and in force.
    pub applied: Vec<Setting>,
    /// What is different and waits for the node's next start.
    pub at_restart: Vec<Setting>,
}

/// A setting as it was read; secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Section and key.
    pub key: String,
    /// What it is.
    pub value: String,
    /// Where that was read.
    pub origin: String,
}

/// Where callers reach the gateways of the environment; none for a scheme that they do not offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingress {
    /// Without TLS.
    pub http: Option<Reached>,
    /// With TLS.
    pub https: Option<Reached>,
}

/// Where callers reach gateways by one scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Name or address; the virtual host that an API is deployed to when none.
    pub host: Option<Arc<str>>,
    /// Port.
    pub port: u16,
}

// === impl Ingress ===

impl Ingress {
    /// Where a scheme is reached.
    #[must_use]
    pub fn of(&self, scheme: &str) -> Option<&Reached> {
        match scheme {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        }
    }

    /// The URL of a path on a virtual host, for a scheme that is offered.
    #[must_use]
    pub fn url(&self, scheme: &str, vhost: &str, path: &str) -> Option<String> {
        let Reached { host, port } = self.of(scheme)?;
        let host = host.as_deref().unwrap_or(vhost);
        Some(match (scheme, *port) {
            ("https", 443) | ("http", 80) => format!("{scheme}://{host}{path}"),
            (_, port) => format!("{scheme}://{host}:{port}{path}"),
        })
    }
}

// === impl Services ===

impl Services {
    /// Whether a bearer token is the operator's own credential. Hashes are compared, so the time
    /// it takes tells nothing of the credential.
    #[must_use]
    pub fn is_operator(&self, token: &str) -> bool {
        let hash = self.operator_hash.as_deref();
        hash.is_some_and(|hash| hash == hash_hex(token))
    }
}
