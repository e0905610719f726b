//! What every request of the data plane shares: settings, the gateway's state, the upstream pool.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::GatewayHandle;
use actors::key_manager::Issuer;
use domain::address::AddressRange;
use rustls::pki_types::CertificateDer;

use crate::patience::Patience;

use super::client::{self, Client};
use super::held::Held;
use super::open_calls::{self, OpenCalls};
use super::stamp::Ids;

/// `[gateway]` as the data plane needs it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whether upstreams may lie on this machine.
    pub allow_loopback_endpoints: bool,
    /// The most bytes of a request body.
    pub body_limit: u64,
    /// How long an upstream may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long an upstream may take to its response head.
    pub response_timeout: Duration,
    /// Whether the caller's credential is passed on.
    pub outbound_auth_header: bool,
    /// Who issues the tokens that callers present, as they name it.
    pub issuer: Issuer,
    /// Authorities that are trusted toward upstreams, beside the machine's own.
    pub upstream_authorities: Vec<CertificateDer<'static>>,
    /// How long callers may take.
    pub patience: Patience,
}

/// What serves requests.
#[derive(Debug)]
pub struct Ingress {
    pub(super) settings: Settings,
    pub(super) gateway: GatewayHandle,
    pub(super) client: Client,
    pub(super) ids: Ids,
    /// Places of requests that wait for units.
    pub(super) held: Held,
    /// Calls that a change may end on their way.
    pub(super) open_calls: OpenCalls,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            allow_loopback_endpoints: false,
            body_limit: 2 << 30,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(120),
            outbound_auth_header: false,
            issuer: Issuer::default(),
            upstream_authorities: Vec::new(),
            patience: Patience::default(),
        }
    }
}

// === impl Ingress ===

impl Ingress {
    /// A data plane over the gateway's state; `seed` starts its request identifiers. Within a
    /// runtime, which looks after its open calls.
    ///
    /// # Errors
    /// When one of `upstream_authorities` is no certificate.
    pub fn new(
        gateway: GatewayHandle,
        settings: Settings,
        seed: u128,
    ) -> std::io::Result<Arc<Self>> {
        let ingress = Arc::new(Self {
            client: client::pool(&settings, gateway.clock())?,
            settings,
            gateway,
            ids: Ids::new(seed),
            held: Held::default(),
            open_calls: OpenCalls::default(),
        });
        open_calls::watch(&ingress);
        Ok(ingress)
    }

    /// Whether what an address says of the caller behind it counts.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        let proxies = &self.settings.trusted_proxies;
        proxies.iter().any(|range| range.contains(peer))
    }
}
