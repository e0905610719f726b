//! A node's certificate is signed anew for the same key, as often as it is asked for. Whoever asks shows the one that it has and
//! that the key is its own, so whose words bring it says nothing; what it gets is of use to that key alone.

use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use serde::{Deserialize, Serialize};

use crate::authority::{ADMITS, Authority};
use crate::certificate::{CredentialError, Named, bears, ends_under, is_about};
use crate::cluster::Cluster;
use crate::door::{Door, Request};

/// Asks one that holds the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewCertificate {
    /// The certificate that is to be renewed.
    pub certificate: Vec<u8>,
    /// A request that its key has signed (PKCS #10).
    pub request: Vec<u8>,
}

/// The new certificate, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedCertificate(pub Result<Vec<u8>, String>);

impl Request for RenewCertificate {
    type Reply = RenewedCertificate;
    const KIND: u16 = 65_017;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
}

// === impl RenewCertificate ===

impl RenewCertificate {
    /// The node that the certificate names, as it says itself.
    #[must_use]
    pub fn node(&self) -> Option<String> {
        let named = Named::of(&CertificateDer::from(self.certificate.as_slice()));
        named.map(|named| named.node)
    }
}

// === impl Cluster ===

impl Cluster {
    /// Has certificates of others renewed here from now on.
    pub fn renew_certificates<F>(
        &self,
        renew: impl Fn(RenewCertificate) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<Vec<u8>, String>> + Send + 'static,
    {
        self.serve(Door::<RenewCertificate>::answering_later(move |asked| {
            let renewed = renew(asked);
            async { RenewedCertificate(renewed.await) }
        }));
    }
}

// === impl Authority ===

impl Authority {
    /// Signs what it signed before once more, for a year from `now_ms`, for the same key and node. `may_admit` says of a node whether
    /// it may admit others; nothing where it is not to have a certificate any more.
    ///
    /// # Errors
    /// [`CredentialError::Unusable`] when the certificate is not one of this authority's, or has ended, or the request is not of
    /// its key, or `may_admit` says nothing.
    pub fn renew(
        &self,
        asked: &RenewCertificate,
        may_admit: impl FnOnce(&str) -> Option<bool>,
        now_ms: i64,
    ) -> Result<CertificateDer<'static>, CredentialError> {
        let certificate = CertificateDer::from(asked.certificate.as_slice());
        let ends = ends_under(&certificate, self.certificate());
        let ends = ends.ok_or(CredentialError::Unusable("is not under this authority"))?;
        if ends <= now_ms.div_euclid(1_000) {
            return Err(CredentialError::Unusable("has ended"));
        }
        let request = CertificateSigningRequestDer::from(asked.request.as_slice());
        // This compares the request's signature with its key as well.
        let request = CertificateSigningRequestParams::from_der(&request)?;
        let key = request.public_key.subject_public_key_info();
        let named = Named::of(&certificate).filter(|named| !named.node.is_empty());
        match named {
            Some(named) if is_about(&certificate, &key) => {
                let may_admit = may_admit(&named.node);
                let may_admit = may_admit.ok_or(CredentialError::Unusable("is of no member"))?;
                // Who never had the authority gets no name that says so.
                let admits = may_admit && bears(&certificate, ADMITS);
                self.sign(&asked.request, (&named.node, admits), now_ms)
            }
            Some(_) => Err(CredentialError::Unusable("is of another key")),
            None => Err(CredentialError::Unusable("names no node of a cluster")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{Credentials, NewKey};
    use crate::golden_tests::written;

    const NOW_MS: i64 = 1_700_000_000_000;
    const YEAR: i64 = 365 * 24 * 60 * 60;

    fn admitted(authority: &Authority, node: &str, admits: bool) -> Credentials {
        let key = NewKey::generate().unwrap();
        let request = key.request().unwrap();
        let signed = authority.sign(&request, (node, admits), NOW_MS).unwrap();
        key.with(&signed, authority.certificate()).unwrap()
    }

    #[test]
    fn a_certificate_is_renewed_for_its_key_with_its_names_and_for_a_year() {
        let authority = Authority::make("c1").unwrap();
        for admits in [false, true] {
            let before = admitted(&authority, "n1", admits);
            let later_ms = NOW_MS + 300 * 24 * 60 * 60 * 1_000;
            let asked = before.asks_for_renewal().unwrap();
            let signed = authority.renew(&asked, |_| Some(true), later_ms).unwrap();
            let after = before.renewed(&signed).unwrap();
            assert_eq!((after.node(), after.cluster()), ("n1", "c1"));
            assert_eq!(after.admits(), admits);
            assert_eq!(after.ends(), later_ms / 1_000 + YEAR);
            assert!(after.begins() <= later_ms / 1_000);
            // Whose role was taken away is no more known by that name.
            let signed = authority.renew(&asked, |_| Some(false), later_ms);
            assert!(!before.renewed(&signed.unwrap()).unwrap().admits());
            let nobody = authority.renew(&asked, |_| None, later_ms).unwrap_err();
            assert_eq!(nobody.to_string(), "is of no member");
        }
    }

    #[test]
    fn nobody_gets_a_certificate_in_the_name_of_another_or_by_one_that_has_ended() {
        let authority = Authority::make("c1").unwrap();
        let (one, other) = (
            admitted(&authority, "n1", true),
            admitted(&authority, "n2", false),
        );
        let mut mixed = other.asks_for_renewal().unwrap();
        let good = mixed.clone();
        mixed.certificate = one.asks_for_renewal().unwrap().certificate;
        let why = |asked: &RenewCertificate, now_ms: i64| {
            let renewed = authority.renew(asked, |_| Some(true), now_ms);
            renewed.unwrap_err().to_string()
        };
        assert_eq!(why(&mixed, NOW_MS), "is of another key");
        let ended_ms = NOW_MS + (YEAR + 1) * 1_000;
        assert_eq!(why(&good, ended_ms), "has ended");
        let elsewhere = admitted(&Authority::make("c1").unwrap(), "n1", true);
        let elsewhere = elsewhere.asks_for_renewal().unwrap();
        assert_eq!(why(&elsewhere, NOW_MS), "is not under this authority");
        // Words that were cut or changed on their way.
        let is_refused = |asked: &RenewCertificate| {
            let renewed = authority.renew(asked, |_| Some(true), NOW_MS);
            renewed.is_err()
        };
        let signed = signed(&good.request);
        for at in 0..good.request.len() {
            let mut asked = good.clone();
            asked.request.truncate(at);
            assert!(is_refused(&asked), "cut at {at}");
            // Of how a signature is written some changes say nothing; of what it is for each one does.
            asked.request.clone_from(&good.request);
            asked.request[at] ^= 1;
            assert!(
                !signed.contains(&at) || is_refused(&asked),
                "changed at {at}"
            );
            asked.request.clone_from(&good.request);
            asked.certificate.truncate(at);
            assert!(is_refused(&asked), "certificate cut at {at}");
        }
    }

    /// Where in a request that stands what is signed (RFC 2986 §4).
    fn signed(request: &[u8]) -> std::ops::Range<usize> {
        let head = |at: usize| match request[at + 1] {
            0x81 => (3, usize::from(request[at + 2])),
            length => (2, usize::from(length)),
        };
        let (begins, _) = head(0);
        let (head, length) = head(begins);
        begins..begins + head + length
    }

    #[test]
    fn its_bytes_are_those_that_other_builds_read() {
        let asked = RenewCertificate {
            certificate: vec![1, 2],
            request: vec![3],
        };
        let good = RenewedCertificate(Ok(vec![4]));
        let bad = RenewedCertificate(Err("e".to_owned()));
        let bytes = [
            written(65_017, 1, &asked),
            written(65_017, 1, &good),
            written(65_017, 1, &bad),
        ];
        assert_eq!(bytes, GOLDEN);
    }

    const GOLDEN: [&str; 3] = [
        "fdf90001000000050201020103",
        "fdf9000100000003000104",
        "fdf9000100000003010165",
    ];
}
