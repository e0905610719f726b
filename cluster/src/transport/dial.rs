//! Dialing another node: all of it within one deadline.

use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::{AnyStream, socket};
use crate::bulk::{BulkAnswer, BulkHello};
use crate::certificate::Named;
use crate::hello::{Answer, DEADLINE, Hello, HelloError, Refusal};
use crate::member::Member;
use crate::security::{Security, is_about_certificates, shown};

/// A node that wants this one.
pub(crate) struct Dialed {
    pub(crate) hello: Hello,
    pub(crate) stream: AnyStream,
}

/// Why a dial came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Late,
    #[error("in the clear only loopback addresses are dialed")]
    Plain,
    #[error("{0}")]
    Hello(#[from] HelloError),
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("the system gives no random numbers")]
    Random,
    #[error("it says that it is another node than its certificate names")]
    Certificate,
    #[error("refused: {0}")]
    Unwelcome(String),
}

/// What the node at the other end has shown of itself.
enum Shown {
    /// In the clear there is nothing to show.
    Nothing,
    /// A certificate of the cluster's, and whom it names.
    Certificate(Option<Named>),
}

// === impl Shown ===

impl Shown {
    /// Over TLS it is the node that its certificate names.
    fn is(&self, id: &str) -> bool {
        match self {
            Self::Nothing => true,
            Self::Certificate(named) => named.as_ref().is_some_and(|named| named.node == id),
        }
    }
}

// === impl DialError ===

impl DialError {
    /// Whether a certificate stands between the two.
    pub(crate) fn is_about_certificates(&self) -> bool {
        match self {
            Self::Io(error) | Self::Hello(HelloError::Io(error)) => is_about_certificates(error),
            Self::Certificate => true,
            _ => false,
        }
    }
}

/// Dials `address`, says `hello` and hears the answer.
pub(crate) async fn dial(
    address: &str,
    security: &Security,
    hello: &Hello,
) -> Result<Dialed, DialError> {
    let dialing = tokio::time::timeout(DEADLINE, dialed(address, security, hello));
    dialing.await.map_err(|_| DialError::Late)?
}

/// Dials a member for what is large; it is the node that its other connection is with.
pub(crate) async fn dial_for_bulk(
    to: &Member,
    security: &Security,
    hello: &BulkHello,
) -> Result<AnyStream, DialError> {
    let dialing = async {
        let (mut stream, shown) = connected(&to.address, security).await?;
        if !shown.is(&to.id) {
            return Err(DialError::Certificate);
        }
        hello.write(&mut stream).await?;
        match BulkAnswer::read(&mut stream).await? {
            BulkAnswer::Welcome => Ok(stream),
            BulkAnswer::Refused(reason) => Err(DialError::Unwelcome(reason)),
        }
    };
    let dialing = tokio::time::timeout(DEADLINE, dialing);
    dialing.await.map_err(|_| DialError::Late)?
}

async fn dialed(address: &str, security: &Security, hello: &Hello) -> Result<Dialed, DialError> {
    let (mut stream, shown) = connected(address, security).await?;
    hello.write(&mut stream).await?;
    match Answer::read(&mut stream).await? {
        Answer::Welcome(theirs) if !shown.is(&theirs.member.id) => Err(DialError::Certificate),
        Answer::Welcome(hello) => Ok(Dialed { hello, stream }),
        Answer::Refused(refusal) => Err(DialError::Refused(refusal.heard_by(hello.versions))),
    }
}

async fn connected(address: &str, security: &Security) -> Result<(AnyStream, Shown), DialError> {
    // Before a connection: a seed that is wrong must not be told that this node is there.
    let found = lookup_host(address).await?;
    let allowed: Vec<SocketAddr> = found.filter(|found| security.allows(*found)).collect();
    if allowed.is_empty() {
        return Err(DialError::Plain);
    }
    let tcp = TcpStream::connect(allowed.as_slice()).await?;
    socket::prepare(&tcp)?;
    Ok(match security {
        Security::Plain { .. } => (Box::new(tcp), Shown::Nothing),
        Security::Mutual(mutual) => {
            let connector = TlsConnector::from(mutual.client.clone());
            let stream = connector.connect(mutual.name.clone(), tcp).await?;
            let named = shown(stream.get_ref().1.peer_certificates());
            (Box::new(stream), Shown::Certificate(named))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::Member;

    #[tokio::test]
    async fn in_the_clear_nothing_beyond_loopback_is_even_connected_to() {
        let hello = Hello {
            versions: (1, 2),
            cluster: String::new(),
            member: Member {
                id: "i".to_owned(),
                incarnation: 1,
                life: 1,
                name: "n".to_owned(),
                address: "127.0.0.1:1".to_owned(),
                roles: Vec::new(),
                facts: Vec::new(),
            },
            key: 1,
            known: Vec::new(),
        };
        let plain = Security::Plain { anywhere: false };
        // An address of documentation: nobody answers there, and a try would end otherwise.
        let dialed = dial("192.0.2.1:4370", &plain, &hello).await.map(|_| ());
        assert!(matches!(dialed, Err(DialError::Plain)), "{dialed:?}");
    }
}
