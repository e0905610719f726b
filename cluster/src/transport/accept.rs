//! Accepting other nodes: a task a connection, so that a silent stranger holds up nobody, with a
//! deadline and a bound on how many may be at their first words.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::places::Places;
use super::{AnyStream, socket};
use crate::counters::Counters;
use crate::hello::{Answer, DEADLINE, Hello, HelloError, Refusal};
use crate::security::Security;
use crate::task::spawn_named;

/// The pause after the system has refused to accept.
const PAUSE: Duration = Duration::from_millis(100);

/// A node that was welcomed.
pub(crate) struct Arrival {
    pub(crate) link: u64,
    pub(crate) stream: AnyStream,
}

/// Where arrivals go: asked with each hello, then given the connection.
pub(crate) trait Gate: Clone + Send + Sync + 'static {
    /// Whether whoever says this is welcome; the connection's number and what to answer.
    fn judge(&self, hello: Hello) -> impl Future<Output = Result<(u64, Hello), Refusal>> + Send;
    /// The welcome was said.
    fn arrived(&self, arrival: Arrival);
    /// The welcome could not be said.
    fn left(&self, link: u64);
}

/// Accepts until dropped.
pub(crate) async fn accept<D: Gate>(
    listener: Arc<TcpListener>,
    security: Security,
    counters: Arc<Counters>,
    door: D,
) {
    let places = Places::default();
    loop {
        let (tcp, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cluster port cannot accept, trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let place = match places.take(peer.ip()) {
            Ok(place) => place,
            Err(reason) => {
                counters.turned_away(peer, reason);
                continue;
            }
        };
        let (security, counters, door) = (security.clone(), Arc::clone(&counters), door.clone());
        let greeting = async move {
            let greeted = greet((tcp, peer), &security, &counters, &door);
            match tokio::time::timeout(DEADLINE, greeted).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => counters.turned_away(peer, &error.to_string()),
                Err(_) => counters.turned_away(peer, "did not say who it is in time"),
            }
            drop(place);
        };
        spawn_named("cluster greeting", greeting);
    }
}

async fn greet<D: Gate>(
    (tcp, peer): (TcpStream, SocketAddr),
    security: &Security,
    counters: &Counters,
    door: &D,
) -> Result<(), HelloError> {
    if !security.allows(peer) {
        return Err(HelloError::Stranger);
    }
    socket::prepare(&tcp)?;
    let mut stream: AnyStream = match security {
        Security::Plain { .. } => Box::new(tcp),
        Security::Mutual(mutual) => {
            let acceptor = TlsAcceptor::from(mutual.server.clone());
            Box::new(acceptor.accept(tcp).await?)
        }
    };
    let hello = Hello::read(&mut stream).await?;
    let name = hello.member.name.clone();
    match door.judge(hello).await {
        Ok((link, own)) => {
            let mut welcomed = Welcomed {
                door,
                link: Some(link),
            };
            Answer::Welcome(own).write(&mut stream).await?;
            welcomed.link = None;
            door.arrived(Arrival { link, stream });
            Ok(())
        }
        Err(refusal) => {
            if refusal.is_final() {
                counters.newcomer_refused(peer, &name, &refusal);
            }
            Answer::Refused(refusal).write(&mut stream).await
        }
    }
}

/// A welcome that is not said in full is taken back, also when its deadline cuts it.
struct Welcomed<'a, D: Gate> {
    door: &'a D,
    link: Option<u64>,
}

impl<D: Gate> Drop for Welcomed<'_, D> {
    fn drop(&mut self) {
        if let Some(link) = self.link {
            self.door.left(link);
        }
    }
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;
