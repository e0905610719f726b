//! Trust in one certificate, the one in a node's data directory: its private key is all that a
//! server has to prove, whatever its names, its authority and its times are.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use cluster::judged_by;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier as _};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

/// TLS that trusts the certificate in `server`, and beside it the authority in `ca`: between the
/// files' replacement and the node's look at them they differ from what it shows.
pub(crate) fn config(ca: &Path, server: &Path) -> anyhow::Result<ClientConfig> {
    let leaf = CertificateDer::from_pem_file(server).ok();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)
        .into_iter()
        .flatten()
        .flatten()
    {
        roots.add(certificate)?;
    }
    let authority = if roots.is_empty() {
        let (ca, server) = (ca.display(), server.display());
        leaf.as_ref()
            .with_context(|| format!("neither {server} nor {ca} is a certificate"))?;
        None
    } else {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        Some(verifier.build()?)
    };
    Ok(judged_by(rustls::DEFAULT_VERSIONS, move |shown| {
        if leaf.as_ref() == Some(shown.leaf) {
            return Ok(ServerCertVerified::assertion());
        }
        let authority = authority.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        authority.verify_server_cert(
            shown.leaf,
            shown.others,
            shown.name,
            shown.revocation,
            shown.now,
        )
    })?)
}
