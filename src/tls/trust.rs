//! What a certificate of the data directory rests on: which key it is about, and who has signed it.

use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};

/// The common name of what a node makes for itself.
pub(super) const NODE: &str = "Headgate node";

/// Whether a certificate is about this key: another authority may have been put in ours' place.
pub(super) fn fits(pem: &str, pair: &KeyPair) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else {
        return false;
    };
    x509_parser::parse_x509_certificate(&der)
        .is_ok_and(|(_, parsed)| parsed.public_key().raw == pair.subject_public_key_info())
}

/// Whether who trusts `authority` takes `certificate`, whatever names it is for.
pub(super) fn is_under(authority: &str, certificate: &str) -> bool {
    let verified = || -> anyhow::Result<bool> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let leaf = CertificateDer::from_pem_slice(certificate.as_bytes())?;
        let name = ServerName::try_from("localhost")?;
        // Names are compared last: whoever comes so far has been verified.
        Ok(
            match verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()) {
                Ok(_) => true,
                Err(Error::InvalidCertificate(refused)) => matches!(
                    refused,
                    CertificateError::NotValidForName
                        | CertificateError::NotValidForNameContext { .. }
                ),
                Err(_) => false,
            },
        )
    };
    verified().unwrap_or(false)
}

/// Whether a certificate bears the name that a node gives to what it makes for itself.
pub(super) fn is_a_nodes(certificate: &str) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(certificate.as_bytes()) else {
        return false;
    };
    x509_parser::parse_x509_certificate(&der).is_ok_and(|(_, parsed)| {
        let mut names = parsed.subject().iter_common_name();
        names.any(|name| name.as_str().is_ok_and(|name| name == NODE))
    })
}
