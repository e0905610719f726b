//! The certificate that this node shows to others: the one it has now, also after it was renewed. Connections that are open
//! go on by what they were shown.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// What is shown in new handshakes.
#[derive(Debug)]
pub(crate) struct OwnCertificate(ArcSwap<Pair>);

/// One certificate, as either side shows it.
#[derive(Debug)]
pub(crate) struct Pair {
    /// With the authority, whose fingerprint is all that a newcomer knows.
    pub(crate) to_dialers: Arc<CertifiedKey>,
    pub(crate) to_dialed: Arc<CertifiedKey>,
    /// When it ends, seconds since the epoch.
    pub(crate) ends: i64,
}

// === impl OwnCertificate ===

impl OwnCertificate {
    pub(crate) fn new(pair: Pair) -> Self {
        Self(ArcSwap::from_pointee(pair))
    }

    pub(crate) fn replace(&self, pair: Pair) {
        self.0.store(Arc::new(pair));
    }

    pub(crate) fn ends(&self) -> i64 {
        self.0.load().ends
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().to_dialers))
    }
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().to_dialed))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
