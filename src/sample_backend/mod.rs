//! A small real service to stand behind a gateway: weather stations, their readings, a ticker and
//! an echo. `headgate sample-backend` runs it alone, `headgate demo` beside a node.
//!
//! | file | what it holds |
//! |---|---|
//! | `stations` | the state and its rules |
//! | `routes` | the operations of `openapi.yaml` |
//! | `ticker` | a body that arrives line by line |

mod routes;
mod stations;
#[cfg(test)]
mod tests;
mod ticker;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use cluster::Clock;
use headgate_http::{Acceptance, Leaving, Places};

/// The description that the service serves of itself.
pub(crate) const DESCRIPTION: &str = include_str!("openapi.yaml");
/// How long open requests may go on after a stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Where it listens unless told otherwise.
pub(crate) const PORT: u16 = 8290;

/// A bound, not yet serving backend.
#[derive(Debug)]
pub(crate) struct SampleBackend {
    listener: TcpListener,
    address: SocketAddr,
}

// === impl SampleBackend ===

impl SampleBackend {
    /// Binds the address; port 0 takes any.
    pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "port {} ({address}) cannot be used for the sample backend, free it or shift it \
                 with --port-offset",
                address.port()
            )
        })?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address in use.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`.
    pub(crate) async fn serve(self, clock: Clock, stop: CancellationToken) {
        let router = routes::router(clock);
        let watched = (self.listener, Acceptance::new("sample backend"));
        let leaving = Leaving::at(stop, DRAIN);
        let serves = (router, Places::default());
        headgate_http::server::serve(watched, None, serves, leaving).await;
    }
}
