//! TLS toward a server whose certificate a rule of ours judges. That it has the certificate's key is judged as always.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};

/// What a server shows, and whom it is to be.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Its own certificate.
    pub leaf: &'a CertificateDer<'a>,
    /// Those that are to vouch for it.
    pub others: &'a [CertificateDer<'a>],
    /// The name that it was dialled by.
    pub name: &'a ServerName<'a>,
    /// What it says of its certificate's revocation, empty when it says nothing.
    pub revocation: &'a [u8],
    /// When the handshake is.
    pub now: UnixTime,
}

/// Believes whom its rule believes.
struct Judged<J> {
    judge: J,
    provider: Arc<CryptoProvider>,
}

/// TLS of these versions that believes whom `judge` believes, whose refusals it tells. This side shows no certificate.
///
/// # Errors
/// [`rustls::Error`] for versions that nobody speaks.
pub fn judged_by<J>(
    versions: &[&'static SupportedProtocolVersion],
    judge: J,
) -> Result<ClientConfig, rustls::Error>
where
    J: Fn(Shown<'_>) -> Result<ServerCertVerified, rustls::Error> + Send + Sync + 'static,
{
    let provider = Arc::new(aws_lc_rs::default_provider());
    let judged = Judged {
        judge,
        provider: Arc::clone(&provider),
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judged))
        .with_no_client_auth())
}

// === impl Judged ===

impl<J> fmt::Debug for Judged<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged").finish_non_exhaustive()
    }
}

impl<J> ServerCertVerifier for Judged<J>
where
    J: Fn(Shown<'_>) -> Result<ServerCertVerified, rustls::Error> + Send + Sync,
{
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        revocation: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        (self.judge)(Shown {
            leaf,
            others,
            name,
            revocation,
            now,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
