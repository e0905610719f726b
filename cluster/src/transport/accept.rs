//! Accepting other nodes: a task a connection, so that a silent stranger holds up nobody, with a
//! deadline and a bound on how many may be at their first words.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::places::Places;
use super::port::Port;
use super::{AnyStream, socket};
use crate::bulk::{BulkAnswer, BulkHello, Carrier};
use crate::certificate::Named;
use crate::counters::Counters;
use crate::hello::{Answer, DEADLINE, FirstWords, Hello, HelloError, Refusal};
use crate::join;
use crate::security::{Mutual, Security, is_about_certificates, shown};
use crate::task::spawn_named;

/// The pause after the system has refused to accept.
const PAUSE: Duration = Duration::from_millis(100);

/// A node that was welcomed.
pub(crate) struct Arrival {
    pub(crate) link: u64,
    pub(crate) from: SocketAddr,
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

    /// What answers a member that opens a connection for what is large; or why nothing does.
    fn carrier(
        &self,
        hello: BulkHello,
    ) -> impl Future<Output = Result<Carrier, &'static str>> + Send;
}

/// Accepts until dropped, and says at the port how that goes.
pub(crate) async fn accept<D: Gate>(
    (listener, port): (Arc<TcpListener>, Arc<Port>),
    security: Security,
    counters: Arc<Counters>,
    door: D,
) {
    let places = Places::default();
    let accepting = port.begin();
    loop {
        let (tcp, peer) = match listener.accept().await {
            Ok(accepted) => {
                accepting.accepted();
                accepted
            }
            Err(error) => {
                accepting.failed(&error);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let place = match places.take(peer.ip()) {
            Ok(place) => place,
            Err(reason) => {
                counters.turned_away(peer, "too many", &reason);
                continue;
            }
        };
        let (security, counters, door) = (security.clone(), Arc::clone(&counters), door.clone());
        let greeting = async move {
            let greeted = async {
                if security.allows(peer) {
                    tcp.peek(&mut [0]).await?;
                    place.speaks();
                }
                greet((tcp, peer), &security, &counters, &door).await
            };
            tokio::select! {
                greeted = tokio::time::timeout(DEADLINE, greeted) => match greeted {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => counters.turned_away(peer, error.kind(), &error),
                    Err(_) => counters.turned_away(peer, "late", &"did not say who it is in time"),
                },
                () = place.given_away() => {
                    let reason = "said nothing, and another one needs its place";
                    counters.turned_away(peer, "silent", &reason);
                }
            }
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
    match security {
        Security::Plain { .. } => welcome((Box::new(tcp), peer), None, counters, door).await,
        Security::Mutual(mutual) => {
            let acceptor = TlsAcceptor::from(mutual.server.clone());
            let mut stream = match acceptor.accept(tcp).await {
                Ok(stream) => stream,
                Err(error) if is_about_certificates(&error) => {
                    counters.certificate_refused(peer, &error);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            let certificates = stream.get_ref().1.peer_certificates();
            match (certificates.is_some(), shown(certificates)) {
                (_, Some(named)) => {
                    welcome((Box::new(stream), peer), Some(named), counters, door).await
                }
                (true, None) => Err(HelloError::Stranger),
                (false, None) => admit(&mut stream, peer, mutual, counters).await,
            }
        }
    }
}

/// Hears a node out; over TLS it is the one that its certificate names.
async fn welcome<D: Gate>(
    (mut stream, peer): (AnyStream, SocketAddr),
    named: Option<Named>,
    counters: &Counters,
    door: &D,
) -> Result<(), HelloError> {
    let hello = match FirstWords::read(&mut stream).await? {
        FirstWords::Hello(hello) => hello,
        FirstWords::Bulk(hello) => {
            return carry((stream, peer), named, hello, counters, door).await;
        }
    };
    let name = hello.member.name.clone();
    let judged = match named {
        Some(named) if named.node != hello.member.id => Err(Refusal::Certificate(named.node)),
        _ => door.judge(hello).await,
    };
    match judged {
        Ok((link, own)) => {
            let mut welcomed = Welcomed {
                door,
                link: Some(link),
            };
            Answer::Welcome(own).write(&mut stream).await?;
            welcomed.link = None;
            door.arrived(Arrival {
                link,
                from: peer,
                stream,
            });
            Ok(())
        }
        Err(refusal) => {
            if refusal.is_final() {
                counters.newcomer_refused(peer, &name, (refusal.kind(), &refusal));
            }
            Answer::Refused(refusal).write(&mut stream).await
        }
    }
}

/// Lets in a member's connection for what is large; over TLS it is the one that its certificate
/// names.
async fn carry<D: Gate>(
    (mut stream, peer): (AnyStream, SocketAddr),
    named: Option<Named>,
    hello: BulkHello,
    counters: &Counters,
    door: &D,
) -> Result<(), HelloError> {
    let found = match named {
        Some(named) if named.node != hello.member.id => Err("its certificate is another node's"),
        _ => door.carrier(hello).await,
    };
    match found {
        Ok(carrier) => {
            BulkAnswer::Welcome.write(&mut stream).await?;
            carrier.carry(stream);
            Ok(())
        }
        Err(reason) => {
            counters.turned_away(peer, "nobody's", &reason);
            let answer = BulkAnswer::Refused(reason.to_owned());
            answer.write(&mut stream).await
        }
    }
}

/// Whoever shows no certificate may ask for one, and for nothing else.
async fn admit(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    peer: SocketAddr,
    mutual: &Mutual,
    counters: &Counters,
) -> Result<(), HelloError> {
    let admission = mutual.admission.as_ref().ok_or(HelloError::Stranger)?;
    let ask = join::heard(stream).await?;
    let (id, name) = (ask.id.clone(), ask.name.clone());
    let answer = admission.admit(ask).await;
    match &answer {
        Ok(_) => tracing::info!(%peer, id, name, "a node was admitted with a token"),
        Err(reason) => counters.newcomer_refused(peer, &name, (reason.kind(), reason)),
    }
    join::answer(stream, answer).await?;
    stream.shutdown().await?;
    Ok(())
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
