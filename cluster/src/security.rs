//! What protects the connections between nodes.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, Error};

use crate::certificate::{CredentialError, Named};
use crate::credentials::Credentials;
use crate::join::Admission;
use crate::own_certificate::OwnCertificate;

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

/// The two sides of mutual TLS, as [`crate::Credentials::mutual`] makes them.
#[derive(Clone)]
pub struct Mutual {
    /// For those who dial in.
    pub(crate) server: Arc<rustls::ServerConfig>,
    /// For dialing; shows this node's certificate.
    pub(crate) client: Arc<rustls::ClientConfig>,
    /// What both show.
    pub(crate) own: Arc<OwnCertificate>,
    /// The name that every node's certificate bears.
    pub(crate) name: ServerName<'static>,
    /// Asked for certificates by those who have none.
    pub(crate) admission: Option<Arc<dyn Admission>>,
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

// === impl Mutual ===

impl Mutual {
    /// Shows these from now on; connections that are open go on.
    ///
    /// # Errors
    /// [`CredentialError::Tls`], and what was shown before is shown on.
    pub fn shows(&self, credentials: &Credentials) -> Result<(), CredentialError> {
        self.own.replace(credentials.pair()?);
        Ok(())
    }

    /// When the certificate ends that is shown now, seconds since the epoch.
    #[must_use]
    pub fn ends(&self) -> i64 {
        self.own.ends()
    }
}

impl std::fmt::Debug for Mutual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutual")
            .field("admits", &self.admission.is_some())
            .finish_non_exhaustive()
    }
}

/// Whom the peer's certificate names, which was verified already.
pub(crate) fn shown(certificates: Option<&[CertificateDer<'_>]>) -> Option<Named> {
    Named::of(certificates?.first()?)
}

/// What is wrong with the certificate of whoever is at the other end, when that is why this end has
/// ended the handshake.
pub(crate) fn refused_certificate(error: &std::io::Error) -> Option<&CertificateError> {
    match inner(error)? {
        Error::InvalidCertificate(problem) => Some(problem),
        _ => None,
    }
}

/// Whether one end refused the other's certificate.
pub(crate) fn is_about_certificates(error: &std::io::Error) -> bool {
    let by_the_other = |alert: &AlertDescription| {
        matches!(
            alert,
            AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRequired
                | AlertDescription::DecryptError
        )
    };
    match inner(error) {
        Some(Error::InvalidCertificate(_)) => true,
        Some(Error::AlertReceived(alert)) => by_the_other(alert),
        _ => false,
    }
}

fn inner(error: &std::io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
