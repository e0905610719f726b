//! Dialing another node: all of it within one deadline.

use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::{AnyStream, socket};
use crate::hello::{Answer, DEADLINE, Hello, HelloError, Refusal};
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

async fn dialed(address: &str, security: &Security, hello: &Hello) -> Result<Dialed, DialError> {
    // Before a connection: a seed that is wrong must not be told that this node is there.
    let found = lookup_host(address).await?;
    let allowed: Vec<SocketAddr> = found.filter(|found| security.allows(*found)).collect();
    if allowed.is_empty() {
        return Err(DialError::Plain);
    }
    let tcp = TcpStream::connect(allowed.as_slice()).await?;
    socket::prepare(&tcp)?;
    let (mut stream, named): (AnyStream, _) = match security {
        Security::Plain { .. } => (Box::new(tcp), None),
        Security::Mutual(mutual) => {
            let connector = TlsConnector::from(mutual.client.clone());
            let stream = connector.connect(mutual.name.clone(), tcp).await?;
            let named = shown(stream.get_ref().1.peer_certificates());
            (Box::new(stream), Some(named))
        }
    };
    hello.write(&mut stream).await?;
    match Answer::read(&mut stream).await? {
        Answer::Welcome(hello) => match named {
            // Over TLS it is the node that its certificate names.
            Some(named) if named.as_ref().map(|named| &named.node) != Some(&hello.member.id) => {
                Err(DialError::Certificate)
            }
            _ => Ok(Dialed { hello, stream }),
        },
        Answer::Refused(refusal) => Err(DialError::Refused(refusal.heard_by(hello.versions))),
    }
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
