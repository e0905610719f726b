//! What every request of the data plane shares: settings, the gateway's state, the upstream pool.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::GatewayHandle;
use actors::key_manager::Issuer;
use arc_swap::ArcSwap;
use domain::address::AddressRange;
use rustls::pki_types::CertificateDer;

use crate::patience::Patience;

use super::client::{Clients, Upstreams};
use super::crowd::Crowd;
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
    /// The most calls under way at once.
    pub calls: usize,
    /// Resident memory beyond which few calls may be under way, bytes; none for no limit.
    pub memory: Option<u64>,
    /// The most connections of a listener at once.
    pub connections: usize,
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
    /// How long a WebSocket may be silent.
    pub socket_idle: Duration,
}

/// What serves requests.
#[derive(Debug)]
pub struct Ingress {
    pub(super) settings: Settings,
    pub(super) gateway: GatewayHandle,
    pub(super) clients: Clients,
    pub(super) ids: Ids,
    /// Places of requests that wait for units.
    pub(super) held: Arc<Held>,
    /// Calls under way.
    pub(super) crowd: Crowd,
    /// Calls that a change may end on their way.
    pub(super) open_calls: OpenCalls,
}

/// The data plane that connections are accepted for; another takes its place when settings change. Connections keep the
/// one that they began with.
#[derive(Debug, Clone)]
pub struct Current(Arc<ArcSwap<Ingress>>);

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            allow_loopback_endpoints: false,
            body_limit: 2 << 30,
            calls: 16_384,
            connections: 16_384,
            memory: None,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(120),
            outbound_auth_header: false,
            issuer: Issuer::default(),
            upstream_authorities: Vec::new(),
            patience: Patience::default(),
            socket_idle: Duration::from_secs(900),
        }
    }
}

impl Settings {
    /// What of them upstream connections are made by.
    fn upstreams(&self) -> Upstreams<'_> {
        Upstreams {
            allow_loopback: self.allow_loopback_endpoints,
            connect_timeout: self.connect_timeout,
            authorities: &self.upstream_authorities,
        }
    }
}

// === impl Current ===

impl Current {
    /// This one, until another takes its place.
    #[must_use]
    pub fn new(ingress: Arc<Ingress>) -> Self {
        Self(Arc::new(ArcSwap::new(ingress)))
    }

    /// Who issues the tokens that callers present.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        self.0.load().settings.issuer.clone()
    }

    /// The process has so much memory resident now, bytes: beyond [`Settings::memory`] few calls may be under way.
    pub fn has_resident(&self, bytes: u64) {
        let ingress = self.0.load();
        let limit = ingress.settings.memory;
        ingress
            .crowd
            .is_short(limit.is_some_and(|limit| bytes > limit));
    }

    /// What a new connection is served by.
    pub(super) fn get(&self) -> Arc<Ingress> {
        self.0.load_full()
    }

    /// Connections that come from now on are served by these settings; `seed` as of [`Ingress::new`].
    ///
    /// # Errors
    /// When one of `upstream_authorities` is no certificate; then nothing changes.
    pub fn set(&self, settings: Settings, seed: u128) -> std::io::Result<()> {
        let next = self.0.load().with(settings, seed)?;
        self.0.store(next);
        Ok(())
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
        let clients = Clients::new(&settings.upstreams(), gateway.clock())?;
        Ok(Self {
            clients,
            settings,
            gateway,
            ids: Ids::new(seed),
            held: Arc::default(),
            crowd: Crowd::default(),
            open_calls: OpenCalls::default(),
        }
        .watched())
    }

    /// The same with other settings; upstream connections are kept where those allow it.
    fn with(&self, settings: Settings, seed: u128) -> std::io::Result<Arc<Self>> {
        let upstreams = settings.upstreams();
        let clients = if upstreams == self.settings.upstreams() {
            self.clients.clone()
        } else {
            Clients::new(&upstreams, self.gateway.clock())?
        };
        Ok(Self {
            clients,
            settings,
            gateway: self.gateway.clone(),
            ids: Ids::new(seed),
            held: Arc::clone(&self.held),
            crowd: self.crowd.clone(),
            open_calls: OpenCalls::default(),
        }
        .watched())
    }

    fn watched(self) -> Arc<Self> {
        let ingress = Arc::new(self);
        open_calls::watch(&ingress);
        ingress
    }

    /// Whether what an address says of the caller behind it counts.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        let proxies = &self.settings.trusted_proxies;
        proxies.iter().any(|range| range.contains(peer))
    }
}
