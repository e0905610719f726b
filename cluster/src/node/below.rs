//! What runs below the node's actor: the cluster library's server of sessions, the router of asks, and the port that is dialed.

use std::sync::Arc;

use ractor::{ActorCell, ActorRef};
use ractor_cluster::node::NodeConnectionMode;
use ractor_cluster::{IncomingEncryptionMode, NodeServer, NodeServerMessage};
use tokio::task::JoinHandle;

use super::events::{Events, Porter};
use super::{NodeMessage, NodeSettings};
use crate::actor::BoxError;
use crate::address::Address;
use crate::cluster::Cluster;
use crate::task::spawn_named;
use crate::transport::accept;

/// What the library below compares; who may come in is decided before.
const COOKIE: &str = "headgate";
/// The most bytes of a frame: an ask, and what is around it.
const FRAME: u64 = 5 * 1024 * 1024;

/// What runs below, for as long as the actor does.
pub(super) struct Below {
    pub(super) router: ActorCell,
    pub(super) server: ActorRef<NodeServerMessage>,
    accepting: JoinHandle<()>,
}

// === impl Below ===

impl Below {
    pub(super) async fn start(
        router: ActorCell,
        cluster: &Cluster,
        settings: &NodeSettings,
        me: &Address<NodeMessage>,
    ) -> Result<Self, BoxError> {
        let member = cluster.me();
        // Whoever is there has said so and was judged before the library below sees it; its own
        // proof of a shared word adds nothing.
        let server = NodeServer::new(
            0,
            COOKIE.to_owned(),
            format!("{}.{}.{}", member.id, member.incarnation, member.life),
            "headgate".to_owned(),
            Some(IncomingEncryptionMode::Tls(nobody()?)),
            Some(NodeConnectionMode::Isolated),
        )
        .with_listen_addr(std::net::Ipv4Addr::LOCALHOST.into())
        .with_max_inbound_frame_size(FRAME);
        let (server, _) = ractor::ActorRuntime::spawn(None, server, ()).await?;
        server.cast(NodeServerMessage::SubscribeToEvents {
            id: "headgate".to_owned(),
            subscription: Box::new(Events(me.clone())),
        })?;
        let at = (settings.listener.clone(), Arc::clone(&cluster.0.port));
        let counters = Arc::clone(&cluster.0.counters);
        let accepting = accept(
            at,
            settings.security.clone(),
            counters,
            Porter(me.clone(), cluster.clone()),
        );
        let accepting = spawn_named("cluster port", accepting);
        Ok(Self {
            router,
            server,
            accepting,
        })
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        self.accepting.abort();
        self.server.stop(None);
        self.router.stop(None);
    }
}

/// The library's own port cannot be left out: no handshake ever succeeds there.
fn nobody() -> Result<tokio_rustls::TlsAcceptor, BoxError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    Ok(Arc::new(config).into())
}
