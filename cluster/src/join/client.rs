//! The newcomer's side: one connection, one question.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::token::JoinToken;
use super::words::{Admitted, JoinAsk, NotAdmitted, ask};
use crate::authority::ADMITS;
use crate::certificate::fingerprint;
use crate::hello::HelloError;
use crate::judged::judged_by;
use crate::security::refused_certificate;

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a node could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody is there.
    #[error("the member at {0} cannot be reached: {1}")]
    Unreachable(String, std::io::Error),
    /// It says nothing.
    #[error("the member at {0} does not answer within {seconds} s", seconds = DEADLINE.as_secs())]
    Late(String),
    /// Somebody else is there.
    #[error(
        "at {0} is a node of another cluster than the token's: its authority has another \
         fingerprint"
    )]
    Fingerprint(String),
    /// A node of the cluster is there, and not one that admits others.
    #[error(
        "the member at {0} does not hold the authority of the cluster, so the token was not shown to \
         it: is that the node that printed the token, and does it run this build or a later one?"
    )]
    AdmitsNobody(String),
    /// Its certificate is good at another time.
    #[error(
        "the certificate of the member at {0} is not valid now: is this machine's clock right?"
    )]
    Clock(String),
    /// It does not speak as it should.
    #[error(
        "the member at {0} does not speak as one that admits others: is that its cluster port, \
         does it speak TLS? ({1})"
    )]
    Strange(String, String),
    /// It will not have this node.
    #[error(transparent)]
    Refused(#[from] NotAdmitted),
}

/// Asks the member that the token names.
///
/// # Errors
/// See [`JoinError`].
pub async fn join(token: &JoinToken, asked: &JoinAsk) -> Result<Admitted, JoinError> {
    let joining = tokio::time::timeout(DEADLINE, joined(token, asked));
    let late = |_| JoinError::Late(token.address.clone());
    joining.await.map_err(late)?
}

async fn joined(token: &JoinToken, asked: &JoinAsk) -> Result<Admitted, JoinError> {
    let at = || token.address.clone();
    let strange = |error: &dyn std::fmt::Display| JoinError::Strange(at(), error.to_string());
    let tcp = TcpStream::connect(&token.address).await;
    let tcp = tcp.map_err(|error| JoinError::Unreachable(at(), error))?;
    let config = config(token.fingerprint).map_err(|error| strange(&error))?;
    let name = ServerName::try_from(ADMITS).map_err(|error| strange(&error))?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let mut stream = connecting
        .await
        .map_err(|error| match refused_certificate(&error) {
            Some(CertificateError::UnknownIssuer) => JoinError::Fingerprint(at()),
            Some(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => JoinError::AdmitsNobody(at()),
            Some(
                CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
                | CertificateError::Expired
                | CertificateError::ExpiredContext { .. },
            ) => JoinError::Clock(at()),
            _ => strange(&error),
        })?;
    match ask(&mut stream, asked).await {
        Ok(answer) => Ok(answer?),
        Err(HelloError::Io(error)) => Err(strange(&error)),
        Err(error) => Err(strange(&error)),
    }
}

/// Believes one authority, whom it knows by its fingerprint alone, and those for whom it vouches.
fn config(of: [u8; 32]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    judged_by(&[&rustls::version::TLS13], move |shown| {
        let mut others = shown.others.iter();
        let authority = others.find(|other| fingerprint(other) == of);
        let authority = authority.ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(shown.leaf, &[], shown.name, shown.revocation, shown.now)
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_refusal_is_told_once() {
        let refused = JoinError::from(NotAdmitted::Unknown);
        assert_eq!(refused.to_string(), NotAdmitted::Unknown.to_string());
        assert!(
            refused.source().is_none(),
            "whoever tells the causes tells it twice"
        );
    }
}
