//! What a certificate of a cluster says: which node of which cluster shows it, under which
//! authority, and until when.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// What all names in certificates begin with.
const PREFIX: &str = "urn:headgate:";
/// Characters of a line of PEM.
const LINE: usize = 64;

/// Why certificates, keys or requests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It cannot be made or signed.
    #[error("{0}")]
    Made(#[from] rcgen::Error),
    /// It cannot be spoken with.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// It is not what it should be.
    #[error("{0}")]
    Unusable(&'static str),
}

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) cluster: String,
    /// Empty for the authority itself.
    pub(crate) node: String,
}

/// The SHA-256 of a certificate.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    sha256(certificate)
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

/// One block of PEM.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at.is_multiple_of(LINE) {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str(&format!("\n-----END {label}-----\n"));
    pem
}

// === impl Named ===

impl Named {
    /// The name of a node, or of an authority when `node` is empty.
    pub(crate) fn uri(cluster: &str, node: &str) -> String {
        match node {
            "" => format!("{PREFIX}{cluster}"),
            node => format!("{PREFIX}{cluster}:{node}"),
        }
    }

    /// Whom this certificate names, if it is one of a cluster's.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        names
            .value
            .general_names
            .iter()
            .find_map(|name| match name {
                GeneralName::URI(uri) => {
                    let name = uri.strip_prefix(PREFIX)?;
                    let (cluster, node) = name.split_once(':').unwrap_or((name, ""));
                    Some(Self {
                        cluster: cluster.to_owned(),
                        node: node.to_owned(),
                    })
                }
                _ => None,
            })
    }
}

/// Whether a certificate bears this name of the DNS.
pub(crate) fn bears(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return false;
    };
    let Ok(Some(names)) = parsed.subject_alternative_name() else {
        return false;
    };
    let mut names = names.value.general_names.iter();
    names.any(|known| matches!(known, GeneralName::DNSName(known) if *known == name))
}

/// When a certificate ends, seconds since the epoch; none when it is not signed by `authority`.
pub(crate) fn ends_under(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
) -> Option<i64> {
    let (_, authority) = x509_parser::parse_x509_certificate(authority).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let signed = parsed.verify_signature(Some(authority.public_key()));
    signed.ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// From when on a certificate is good, seconds since the epoch.
pub(crate) fn begins(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_before.timestamp())
}

/// Whether a certificate is about this public key (its subjectPublicKeyInfo).
pub(crate) fn is_about(certificate: &CertificateDer<'_>, public_key: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(certificate)
        .is_ok_and(|(_, parsed)| parsed.public_key().raw == public_key)
}
