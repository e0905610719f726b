//! The authority of a cluster: whoever holds its key can admit nodes. Names in what it signs are its
//! own choice; of a request only the public key counts.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};

use crate::certificate::{CredentialError, Named, fingerprint, is_about, pem};

/// The name that every node's certificate bears beside its own, so that it can be dialed anywhere.
pub(crate) const EVERY_NODE: &str = "node.headgate.internal";
/// The name that besides stands in certificates of nodes that hold the authority: a newcomer shows its
/// secret to no other.
pub(crate) const ADMITS: &str = "admits.headgate.internal";
/// How long a node's certificate is good.
const LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How far the clock of another node may be behind that of the one that signs.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// An authority with its key.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    cluster: String,
}

// === impl Authority ===

impl Authority {
    /// A new one, for a cluster that has none. It is good for ever: no clock can end it.
    ///
    /// # Errors
    /// [`CredentialError::Made`].
    pub fn make(cluster: &str) -> Result<Self, CredentialError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let name = Named::uri(cluster, "");
        params.subject_alt_names = vec![SanType::URI(name.as_str().try_into()?)];
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Headgate cluster {cluster}"));
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.der().clone();
        Self::new(certificate, key)
    }

    fn new(certificate: CertificateDer<'static>, key: KeyPair) -> Result<Self, CredentialError> {
        let named = Named::of(&certificate).filter(|named| named.node.is_empty());
        let named = named.ok_or(CredentialError::Unusable("is no authority of a cluster"))?;
        if !is_about(&certificate, &key.subject_public_key_info()) {
            return Err(CredentialError::Unusable("its key is another's"));
        }
        Ok(Self {
            certificate,
            key,
            cluster: named.cluster,
        })
    }

    /// From what [`Authority::to_pem`] gave.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_pem(text: &str) -> Result<Self, CredentialError> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|_| CredentialError::Unusable("has no certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| CredentialError::Unusable("has no private key"))?;
        Self::new(certificate, KeyPair::try_from(&key)?)
    }

    /// From what a member gave.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_der(certificate: &[u8], key: &[u8]) -> Result<Self, CredentialError> {
        let certificate = CertificateDer::from(certificate.to_vec());
        Self::new(certificate, KeyPair::try_from(key)?)
    }

    /// Key and certificate, to be kept where nobody else can read.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let key = pem("PRIVATE KEY", self.key.serialized_der());
        format!("{key}{}", pem("CERTIFICATE", &self.certificate))
    }

    /// The cluster that it is of.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its key, for another node that is to admit nodes.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.key.serialized_der()
    }

    /// What tells it from all others.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.certificate)
    }

    /// Signs the public key of a request for this node, for a year from `now_ms`. Who `admits` others,
    /// because it holds this authority's key, is known by that.
    ///
    /// # Errors
    /// [`CredentialError::Made`] when the request is none.
    pub fn sign(
        &self,
        request: &[u8],
        (node, admits): (&str, bool),
        now_ms: i64,
    ) -> Result<CertificateDer<'static>, CredentialError> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let request = CertificateSigningRequestParams::from_der(&request)?;
        let now = Duration::from_millis(now_ms.unsigned_abs());
        let moment = |since: Duration| rcgen::date_time_ymd(1970, 1, 1) + since;
        let mut names = vec![EVERY_NODE.to_owned()];
        names.extend(admits.then(|| ADMITS.to_owned()));
        let mut params = CertificateParams::new(names)?;
        let name = Named::uri(&self.cluster, node);
        params
            .subject_alt_names
            .push(SanType::URI(name.as_str().try_into()?));
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Headgate node {node}"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = moment(now.saturating_sub(SKEW));
        params.not_after = moment(now + LIFE);
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        let certificate = params.signed_by(&request.public_key, &issuer)?;
        Ok(certificate.der().clone())
    }
}
