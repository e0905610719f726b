//! Dialing another node: all of it within one deadline.

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{AnyStream, socket};
use crate::hello::{Answer, DEADLINE, Hello, HelloError, Refusal};
use crate::security::Security;

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
    let tcp = TcpStream::connect(address).await?;
    if !security.allows(tcp.peer_addr()?) {
        return Err(DialError::Plain);
    }
    socket::prepare(&tcp)?;
    let mut stream: AnyStream = match security {
        Security::Plain { .. } => Box::new(tcp),
        Security::Mutual(mutual) => {
            let connector = TlsConnector::from(mutual.client.clone());
            Box::new(connector.connect(mutual.name.clone(), tcp).await?)
        }
    };
    hello.write(&mut stream).await?;
    match Answer::read(&mut stream).await? {
        Answer::Welcome(hello) => Ok(Dialed { hello, stream }),
        Answer::Refused(refusal) => Err(DialError::Refused(refusal)),
    }
}
