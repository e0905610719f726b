//! What protects the connections between nodes.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;

/// How nodes speak.
#[derive(Debug, Clone)]
pub enum Security {
    /// In the clear. `anywhere` says that it may leave the machine, which an operator must want.
    Plain {
        /// Whether addresses beyond loopback are allowed.
        anywhere: bool,
    },
    /// Mutual TLS: each side shows a certificate of the cluster's authority.
    Mutual(Mutual),
}

/// The two sides of mutual TLS.
#[derive(Debug, Clone)]
pub struct Mutual {
    /// For those who dial in; requires their certificate.
    pub server: Arc<rustls::ServerConfig>,
    /// For dialing; shows this node's certificate.
    pub client: Arc<rustls::ClientConfig>,
    /// The name that every node's certificate bears.
    pub name: ServerName<'static>,
}

// === impl Security ===

impl Security {
    /// Whether a connection with this peer is allowed as it is.
    pub(crate) fn allows(&self, peer: SocketAddr) -> bool {
        match self {
            Self::Mutual(_) | Self::Plain { anywhere: true } => true,
            Self::Plain { anywhere: false } => peer.ip().to_canonical().is_loopback(),
        }
    }
}
