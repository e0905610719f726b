//! The node's listeners, bound before anything is written, so that a busy port is reported with
//! what to change and leaves no trace.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use headgate_http::{Acceptance, Ingress, Reached};
use rustix::io::Errno;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{Config, Endpoint, Role};

/// Connections that may wait to be accepted; the system's own limit may be lower.
const BACKLOG: u32 = 1_024;

/// Bound, not yet served.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) management: TcpListener,
    pub(crate) management_http: Option<TcpListener>,
    pub(crate) ingress_http: Option<TcpListener>,
    pub(crate) ingress_https: Option<TcpListener>,
    /// Where other nodes dial.
    pub(crate) cluster: Option<TcpListener>,
}

/// Bound, with how accepting goes on each.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) management: (TcpListener, Acceptance),
    pub(crate) management_http: Option<(TcpListener, Acceptance)>,
    pub(crate) ingress_http: Option<(TcpListener, Acceptance)>,
    pub(crate) ingress_https: Option<(TcpListener, Acceptance)>,
}

/// The ports in use, as `<data>/run/ports.json` holds them.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ports {
    pub(crate) management: SocketAddr,
    pub(crate) management_http: Option<SocketAddr>,
    pub(crate) ingress_http: Option<SocketAddr>,
    pub(crate) ingress_https: Option<SocketAddr>,
    #[serde(default)]
    pub(crate) cluster: Option<SocketAddr>,
    /// Where other nodes are told to dial this one.
    #[serde(default)]
    pub(crate) cluster_address: Option<String>,
}

// === impl Listeners ===

impl Listeners {
    /// Binds every configured address.
    pub(crate) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let listen = &config.listen;
        let takes_calls = config.node.roles.contains(&Role::Gateway);
        let ingress = |address: Option<SocketAddr>| address.filter(|_| takes_calls);
        Ok(Self {
            management: bind(listen.management, "listen.management").await?,
            management_http: optional(listen.management_http, "listen.management_http").await?,
            ingress_http: optional(ingress(listen.ingress_http), "listen.ingress_http").await?,
            ingress_https: optional(ingress(listen.ingress_https), "listen.ingress_https").await?,
            cluster: optional(config.cluster.listen, "cluster.listen").await?,
        })
    }

    /// The addresses in use.
    pub(crate) fn ports(&self) -> anyhow::Result<Ports> {
        let of = |listener: &Option<TcpListener>| {
            let address = listener.as_ref().map(TcpListener::local_addr);
            address.transpose()
        };
        Ok(Ports {
            management: self.management.local_addr()?,
            management_http: of(&self.management_http)?,
            ingress_http: of(&self.ingress_http)?,
            ingress_https: of(&self.ingress_https)?,
            cluster: of(&self.cluster)?,
            cluster_address: None,
        })
    }
}

impl Listeners {
    /// The same, each with its word on whether it accepts.
    pub(crate) fn watched(self) -> Watched {
        let one = |listener, setting| (listener, Acceptance::new(setting));
        let some = |listener: Option<_>, setting| listener.map(|listener| one(listener, setting));
        Watched {
            management: one(self.management, "listen.management"),
            management_http: some(self.management_http, "listen.management_http"),
            ingress_http: some(self.ingress_http, "listen.ingress_http"),
            ingress_https: some(self.ingress_https, "listen.ingress_https"),
        }
    }
}

// === impl Watched ===

impl Watched {
    /// What each of them says.
    pub(crate) fn acceptances(&self) -> Vec<Acceptance> {
        let optional = [
            &self.management_http,
            &self.ingress_http,
            &self.ingress_https,
        ];
        let all = std::iter::once(&self.management).chain(optional.into_iter().flatten());
        all.map(|(_, acceptance)| acceptance.clone()).collect()
    }
}

// === impl Ports ===

impl Ports {
    /// Where callers reach the gateways, as far as this node knows: where it is told, else where it
    /// takes calls itself, else where it would, as nodes are configured alike.
    pub(crate) fn reached(&self, config: &Config) -> Ingress {
        let (listen, gateway) = (&config.listen, &config.gateway);
        let one = |endpoint: &Endpoint, listened: Option<SocketAddr>| match endpoint {
            Endpoint::Off => None,
            Endpoint::At { host, port } => Some(Reached {
                host: Some(host.as_str().into()),
                port: *port,
            }),
            Endpoint::Listened => {
                // One that the system chooses elsewhere is not known.
                let port = listened.map(|address| address.port());
                let port = port.filter(|port| *port != 0);
                port.map(|port| Reached { host: None, port })
            }
        };
        Ingress {
            http: one(
                &gateway.http_endpoint,
                self.ingress_http.or(listen.ingress_http),
            ),
            https: one(
                &gateway.https_endpoint,
                self.ingress_https.or(listen.ingress_https),
            ),
        }
    }

    /// Reads the ports of the node that runs on a data directory.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read: is the node running?", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }
}

async fn optional(
    address: Option<SocketAddr>,
    setting: &str,
) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => Ok(Some(bind(address, setting).await?)),
        None => Ok(None),
    }
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    bound(address).await.with_context(|| {
        let shifting = match setting {
            // One on the command line is not shifted.
            "cluster.listen" => "--listen-cluster (cluster.listen)".to_owned(),
            _ => format!("{setting} or shift all with --port-offset"),
        };
        let port = address.port();
        format!("port {port} ({address}) cannot be used, choose another with {shifting}")
    })
}

/// `[::]` is every address of the machine, of either family, whatever the system's own rule is; where
/// there is no IPv6 it is every IPv4 address.
async fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return TcpListener::bind(address).await;
    }
    match dual_stack(address) {
        Err(error) if has_no_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

fn dual_stack(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    // As tokio does for listeners: a port whose last connections still end is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let no = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
    no.into_iter()
        .any(|no| Errno::from_io_error(error) == Some(no))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn every_address_is_those_of_both_families_where_the_machine_has_both() {
        let every = "[::]:0".parse().unwrap();
        let listener = bind(every, "listen.ingress_http").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port))
                .await
                .unwrap();
        }
        let told = |errno: Errno| has_no_ipv6(&io::Error::from(errno));
        assert!(told(Errno::AFNOSUPPORT) && told(Errno::ADDRNOTAVAIL));
        assert!(!told(Errno::ADDRINUSE) && !told(Errno::ACCESS));
    }

    #[tokio::test]
    async fn a_busy_port_is_reported_with_what_moves_it() {
        let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = busy.local_addr().unwrap();
        for (setting, moved_by, by_offset) in [
            ("listen.management", "listen.management", true),
            ("cluster.listen", "--listen-cluster", false),
        ] {
            let error = bind(address, setting).await.unwrap_err().to_string();
            assert!(error.contains(moved_by), "{error}");
            assert_eq!(error.contains("--port-offset"), by_offset, "{error}");
        }
    }
}
