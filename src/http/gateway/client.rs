//! The pool of upstream connections: HTTP/1.1, and HTTP/2 where TLS agrees on it. Names are
//! resolved here, and only addresses that an upstream may have are connected to (threats 18).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cluster::Clock;
use domain::endpoint::check_address;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::endable::Endables;
use super::upload::RequestBody;

/// Idle upstream connections are kept for so long.
const IDLE: Duration = Duration::from_secs(60);

pub(super) type Client = hyper_util::client::legacy::Client<
    Endables<HttpsConnector<HttpConnector<Resolver>>>,
    RequestBody,
>;

/// Resolves names; leaves out addresses that are not allowed.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    allow_loopback: bool,
}

/// An upstream lies where none may.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the upstream's address is not allowed")]
pub(super) struct NotAllowed;

type Resolving = Pin<Box<dyn Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

/// How upstream connections are made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upstreams<'a> {
    pub(super) allow_loopback: bool,
    pub(super) connect_timeout: Duration,
    pub(super) authorities: &'a [CertificateDer<'static>],
}

/// The pools.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    /// Of calls.
    pub(super) usual: Client,
    /// Of connections that may become sockets: in HTTP/1.1, and each of them of one request alone.
    pub(super) switching: Client,
}

// === impl Clients ===

impl Clients {
    /// Pools of no connection yet.
    pub(super) fn new(upstreams: &Upstreams<'_>, clock: &Clock) -> io::Result<Self> {
        let tls = tls(upstreams.authorities)?;
        let mut http = HttpConnector::new_with_resolver(Resolver {
            allow_loopback: upstreams.allow_loopback,
        });
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(upstreams.connect_timeout));
        let connectors = || HttpsConnectorBuilder::new().with_tls_config(tls.clone());
        let usual = connectors().https_or_http().enable_http1().enable_http2();
        let switching = connectors().https_or_http().enable_http1();
        let pool = |connector, kept| {
            hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(kept)
                .build(Endables::new(connector, clock.clone()))
        };
        Ok(Self {
            usual: pool(usual.wrap_connector(http.clone()), usize::MAX),
            switching: pool(switching.wrap_connector(http), 0),
        })
    }
}

/// TLS toward upstreams: the machine's roots, and the authorities of the configuration.
fn tls(authorities: &[CertificateDer<'static>]) -> io::Result<ClientConfig> {
    let machine = rustls_native_certs::load_native_certs();
    for error in &machine.errors {
        tracing::warn!(%error, "a root certificate of the machine cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(machine.certs);
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
    if roots.is_empty() {
        tracing::warn!(
            "no certificate roots: upstreams with TLS fail until gateway.upstream_ca names some"
        );
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|found| check_address(found.ip(), allow_loopback).is_ok())
                .collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, NotAllowed));
            }
            Ok(allowed.into_iter())
        })
    }
}
