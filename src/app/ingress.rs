//! The gateway's listeners: configuration in, running data plane out.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use actors::gateway::GatewayHandle;
use actors::key_manager::Issuer;
use cluster::spawn_named;
use headgate_http::gateway::{Current, Ingress, Patience, Settings, listen};
use headgate_http::{Acceptance, Leaving};

use super::memory;
use crate::config::{Config, Gateway};

/// The data plane of a node.
pub(super) fn ingress(
    config: &Config,
    gateway: GatewayHandle,
    issuer: Issuer,
) -> anyhow::Result<Current> {
    let settings = settings(&config.gateway, issuer);
    let ingress = Ingress::new(gateway, settings, seed());
    Ok(Current::new(ingress.context(AUTHORITIES)?))
}

/// Serves connections from now on by what is configured now.
pub(super) fn renew(current: &Current, config: &Gateway) -> anyhow::Result<()> {
    let settings = settings(config, current.issuer());
    current.set(settings, seed()).context(AUTHORITIES)
}

const AUTHORITIES: &str = "gateway.upstream_ca cannot be used";

fn seed() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

fn settings(config: &Gateway, issuer: Issuer) -> Settings {
    Settings {
        trusted_proxies: config.trusted_proxies.clone(),
        allow_loopback_endpoints: config.allow_loopback_endpoints,
        calls: config.max_calls,
        connections: config.max_connections,
        memory: memory::limit(config.max_memory),
        body_limit: config.body_limit,
        connect_timeout: config.connect_timeout,
        response_timeout: config.response_timeout,
        outbound_auth_header: config.outbound_auth_header,
        issuer,
        upstream_authorities: config.upstream_authorities.clone(),
        patience: Patience {
            head: config.head_timeout,
            idle: config.idle_timeout,
            body: config.body_timeout,
        },
        socket_idle: config.websocket_idle_timeout,
    }
}

/// Serves API calls on the listeners that are configured.
pub(super) fn serve(
    ingress: &Current,
    plain: Option<(TcpListener, Acceptance)>,
    encrypted: Option<(TcpListener, Acceptance)>,
    tls: &Arc<rustls::ServerConfig>,
    leaving: &Leaving,
) -> Vec<JoinHandle<()>> {
    let plain = plain.map(|listener| (listener, None));
    let encrypted = encrypted.map(|listener| (listener, Some(Arc::clone(tls))));
    let both = plain.into_iter().chain(encrypted);
    both.map(|(listener, tls)| {
        let serving = listen(listener, tls, ingress.clone(), leaving.clone());
        spawn_named("ingress", serving)
    })
    .collect()
}
