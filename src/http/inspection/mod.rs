//! What operators and their machines look at: health, metrics, actors, the cluster, its shards, and what is ordered there.

mod actors;
mod cluster;
mod config;
mod forget;
mod health;
pub(crate) use health::is_health;
mod key_changes;
mod key_name;
mod keys;
mod members;
mod metrics;
mod reload;
mod shards;
mod usage;
mod voters;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};

use crate::operation::Operation;
use crate::services::Services;

/// The declared operations.
pub const OPERATIONS: &[&Operation] = &[
    &health::LIVE,
    &health::READY,
    &metrics::METRICS,
    &actors::LIST_ACTORS,
    &actors::ACTOR,
    &actors::RESTART_ACTOR,
    &cluster::CLUSTER,
    &cluster::CHANGES,
    &config::CONFIG,
    &forget::FORGETTABLE,
    &forget::FORGET,
    &keys::KEY,
    &reload::RELOAD,
    &key_changes::CHANGE_KEY,
    &shards::SHARDS,
    &voters::VOTERS,
    &voters::CHOOSE_VOTERS,
    &voters::FREE_VOTERS,
    &usage::USAGE,
];

/// The routes of inspection, on every node.
pub(crate) fn router() -> Router<Services> {
    let router = health::LIVE.mount(Router::new(), health::live);
    let router = health::READY.mount(router, health::ready);
    let router = metrics::METRICS.mount(router, metrics::metrics);
    let router = actors::LIST_ACTORS.mount(router, actors::list);
    let router = actors::ACTOR.mount(router, actors::actor);
    let router = actors::RESTART_ACTOR.mount(router, actors::restart);
    let router = cluster::CLUSTER.mount(router, cluster::cluster);
    let router = cluster::CHANGES.mount(router, cluster::changes);
    let router = config::CONFIG.mount(router, config::config);
    let router = forget::FORGETTABLE.mount(router, forget::look);
    let router = forget::FORGET.mount(router, forget::forget);
    let router = keys::KEY.mount(router, keys::key);
    let router = key_changes::CHANGE_KEY.mount(router, key_changes::change);
    let router = reload::RELOAD.mount(router, reload::reload);
    let router = shards::SHARDS.mount(router, shards::shards);
    let router = voters::VOTERS.mount(router, voters::voters);
    let router = voters::CHOOSE_VOTERS.mount(router, voters::choose);
    let router = voters::FREE_VOTERS.mount(router, voters::free);
    usage::USAGE.mount(router, usage::usage)
}

/// Whether a request comes from this machine: over loopback, and not through a proxy that stands
/// here and speaks for somebody elsewhere.
fn is_local(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let headers = request.headers();
    let passed_on = ["x-forwarded-for", "forwarded", "x-real-ip"];
    peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
        && !passed_on.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::operation::Access;

    #[test]
    fn the_audit_log_tells_who_looks_at_anything_that_administrators_alone_see() {
        for operation in OPERATIONS {
            let is_look = operation.method == "GET" && operation.access != Access::Own;
            assert_eq!(operation.looked_at, is_look, "{}", operation.path);
        }
    }

    #[test]
    fn who_comes_through_a_proxy_on_this_machine_is_not_local() {
        let from = |peer: &str, header: Option<&'static str>| {
            let mut request = Request::new(Body::empty());
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(header) = header {
                let value = axum::http::HeaderValue::from_static("192.0.2.7");
                request.headers_mut().insert(header, value);
            }
            is_local(&request)
        };
        assert!(from("127.0.0.1:1", None) && from("[::ffff:127.0.0.1]:1", None));
        assert!(!from("192.0.2.7:1", None));
        assert!(!from("127.0.0.1:1", Some("x-forwarded-for")));
        assert!(!from("127.0.0.1:1", Some("forwarded")));
    }
}
