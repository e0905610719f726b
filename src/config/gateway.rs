//! `[gateway]`: how API calls are taken in and passed on.

use std::path::Path;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use domain::address::AddressRange;
use domain::serving_lease::WhenCutOff;

use super::endpoint::Endpoint;
use super::read;
use super::source::{ConfigError, Source};

/// How much resident memory is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxMemory {
    /// By what the machine or the control group has.
    Auto,
    /// However much there is.
    None,
    Bytes(u64),
}

/// `[gateway]`
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    /// `gateway.trusted_proxies`, default none: addresses and networks whose `X-Forwarded-For` counts, for calls and for
    /// logins: all its lines, from the last; a hop may have a port.
    pub(crate) trusted_proxies: Vec<AddressRange>,
    /// `gateway.http_endpoint`, default where `listen.ingress_http` is, on the API's virtual host: the same without TLS.
    pub(crate) http_endpoint: Endpoint,
    /// `gateway.https_endpoint`, default where `listen.ingress_https` is, on the API's virtual host: where callers reach
    /// the gateways, such as `https://apis.example.com`, or `off`: the Developer Portal and the publisher's settings name
    /// it; set it where gateways are nodes of their own, behind a balancer or on other ports.
    pub(crate) https_endpoint: Endpoint,
    /// `gateway.allow_loopback_endpoints`, default `false`: whether endpoints may lie on this machine.
    pub(crate) allow_loopback_endpoints: bool,
    /// `gateway.max_calls`, default `16384`: the most calls under way at once on a gateway, from the head to the last byte of the
    /// answer and of what is uploaded; one more is answered with 503 and `Retry-After`, before anything is done for it.
    pub(crate) max_calls: usize,
    /// `gateway.max_connections`, default `16384`: the most connections at once on each of a gateway's listeners; one more is
    /// answered with 503 and closed, over TLS and while 64 others are told only closed. The process needs descriptors for these
    /// and for upstreams.
    pub(crate) max_connections: usize,
    /// `gateway.max_memory`, default `auto`: resident memory of the process beyond which a call that comes while 64 others are
    /// under way is answered with 503 and `Retry-After`: a size, `auto` for 85 of a hundred of what the machine or the process's
    /// control group has, or `none`.
    pub(crate) max_memory: MaxMemory,
    /// `gateway.body_limit`, default `2GB`: the most bytes of a request body.
    pub(crate) body_limit: u64,
    /// `gateway.connect_timeout_ms`, default `5000`: to connect to an upstream.
    pub(crate) connect_timeout: Duration,
    /// `gateway.response_timeout_ms`, default `120000`: from the last byte that an upstream was handed to its response
    /// head, and of its silence after that; an upload that its upstream has answered ends when no byte more of it is
    /// taken for so long, however slowly it flows before.
    pub(crate) response_timeout: Duration,
    /// `gateway.enable_outbound_auth_header`, default `false`: whether upstreams see the caller's credential. When not,
    /// anonymous resources' upstreams see neither API keys nor tokens of ours; a credential of another issuer or scheme
    /// is passed on there, and in `Authorization` wherever the API looks for credentials elsewhere.
    pub(crate) outbound_auth_header: bool,
    /// `gateway.upstream_ca`, default none: PEM file of authorities that are trusted toward upstreams, beside the
    /// machine's own; relative to the file it stands in.
    pub(crate) upstream_authorities: Vec<CertificateDer<'static>>,
    /// `gateway.head_timeout_ms`, default `10000`: for a request's head from its first byte on, and for a TLS handshake.
    pub(crate) head_timeout: Duration,
    /// `gateway.idle_timeout_ms`, default `60000`: a caller's connection may be without a request.
    pub(crate) idle_timeout: Duration,
    /// `gateway.body_timeout_ms`, default `30000`: for each KiB of a request's body.
    pub(crate) body_timeout: Duration,
    /// `gateway.websocket_idle_timeout_ms`, default `900000`: a WebSocket may be without a byte in either direction, pings among
    /// them; then the gateway closes it with 1001.
    pub(crate) websocket_idle_timeout: Duration,
    /// `gateway.when_cut_off`, default `serve`: what a gateway does that no node of the control plane answers: `serve`
    /// goes on by what it knows, `refuse` answers 503.
    pub(crate) when_cut_off: WhenCutOff,
    /// `gateway.max_stale_s`, default `86400`: for how long `serve` goes on at most.
    pub(crate) max_stale: Duration,
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn read(source: &mut Source, file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut flag = |key: &str| source.take(key, "false", read::flag);
        let allow_loopback_endpoints = flag("gateway.allow_loopback_endpoints")?;
        let outbound_auth_header = flag("gateway.enable_outbound_auth_header")?;
        let mut wait = |key: &str, default| source.take(key, default, read::milliseconds);
        let connect_timeout = wait("gateway.connect_timeout_ms", "5000")?;
        let response_timeout = wait("gateway.response_timeout_ms", "120000")?;
        let head_timeout = wait("gateway.head_timeout_ms", "10000")?;
        let idle_timeout = wait("gateway.idle_timeout_ms", "60000")?;
        let body_timeout = wait("gateway.body_timeout_ms", "30000")?;
        let websocket_idle_timeout = wait("gateway.websocket_idle_timeout_ms", "900000")?;
        // A relative path in a file is meant beside that file, wherever the command runs.
        let key = "gateway.upstream_ca";
        let beside = file
            .and_then(Path::parent)
            .filter(|_| source.is_from_file(key));
        let upstream_authorities = source.take(key, "", |path| {
            authorities(beside.unwrap_or(Path::new("")), path)
        })?;
        Ok(Self {
            trusted_proxies: source.take("gateway.trusted_proxies", "", networks)?,
            http_endpoint: source.take("gateway.http_endpoint", "", |text| {
                Endpoint::read(text, "http", 80)
            })?,
            https_endpoint: source.take("gateway.https_endpoint", "", |text| {
                Endpoint::read(text, "https", 443)
            })?,
            allow_loopback_endpoints,
            max_calls: source.take("gateway.max_calls", "16384", read::most)?,
            max_connections: source.take("gateway.max_connections", "16384", read::most)?,
            max_memory: source.take("gateway.max_memory", "auto", max_memory)?,
            body_limit: source.take("gateway.body_limit", "2GB", read::bytes)?,
            connect_timeout,
            response_timeout,
            outbound_auth_header,
            upstream_authorities,
            head_timeout,
            idle_timeout,
            body_timeout,
            websocket_idle_timeout,
            when_cut_off: source.take("gateway.when_cut_off", "serve", when_cut_off)?,
            max_stale: source.take("gateway.max_stale_s", "86400", max_stale)?,
        })
    }
}

fn when_cut_off(text: &str) -> Result<WhenCutOff, String> {
    WhenCutOff::parse(text).ok_or_else(|| "must be serve or refuse".to_owned())
}

fn max_memory(text: &str) -> Result<MaxMemory, String> {
    match text {
        "auto" => Ok(MaxMemory::Auto),
        "none" => Ok(MaxMemory::None),
        // Less would be a mistake of the unit.
        size => match read::bytes(size) {
            Ok(bytes) if bytes >= 16 << 20 => Ok(MaxMemory::Bytes(bytes)),
            _ => Err("must be auto, none or a size of at least 16MB, such as 2GB".to_owned()),
        },
    }
}

/// A number of things that may be there at once.
fn max_stale(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        // As long as the control plane names those that it does not reach.
        Ok(seconds) if seconds <= 86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err("must be a number of seconds, at most 86400, which is a day".to_owned()),
    }
}

fn networks(text: &str) -> Result<Vec<AddressRange>, String> {
    let wrong = |text: &str| format!("{text:?} is no address or network, write 10.0.0.0/8");
    read::list(text)?
        .iter()
        .map(|text| AddressRange::parse(text).ok_or_else(|| wrong(text)))
        .collect()
}

/// The certificates of a PEM file; none when no file is named.
fn authorities(beside: &Path, path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let path = beside.join(path);
    let wrong = |problem: String| format!("{}: {problem}", path.display());
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    for certificate in &found {
        let usable = RootCertStore::empty().add(certificate.clone());
        usable.map_err(|error| wrong(error.to_string()))?;
    }
    Ok(found)
}
