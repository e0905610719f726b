//! What a node shows to the others of its cluster: a key that never leaves it, its certificate, and
//! the authority under which it takes the others'.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::authority::{ADMITS, EVERY_NODE};
use crate::certificate::{CredentialError, Named, bears, begins, ends_under, is_about, pem};
use crate::join::Admission;
use crate::own_certificate::{OwnCertificate, Pair};
use crate::renewal::RenewCertificate;
use crate::security::Mutual;

/// A key without a certificate yet.
#[derive(Debug)]
pub struct NewKey(KeyPair);

/// Key, certificate and authority, which fit together.
#[derive(Debug)]
pub struct Credentials {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    named: Named,
    ends: i64,
}

// === impl NewKey ===

impl NewKey {
    /// From the system's randomness.
    ///
    /// # Errors
    /// [`CredentialError::Made`].
    pub fn generate() -> Result<Self, CredentialError> {
        Ok(Self(KeyPair::generate()?))
    }

    /// Asks for a certificate.
    ///
    /// # Errors
    /// [`CredentialError::Made`].
    pub fn request(&self) -> Result<Vec<u8>, CredentialError> {
        let request = CertificateParams::default().serialize_request(&self.0)?;
        Ok(request.der().to_vec())
    }

    /// With the certificate that was given for it.
    ///
    /// # Errors
    /// [`CredentialError::Unusable`] when they do not fit together.
    pub fn with(
        self,
        certificate: &[u8],
        authority: &[u8],
    ) -> Result<Credentials, CredentialError> {
        let certificate = CertificateDer::from(certificate.to_vec());
        let authority = CertificateDer::from(authority.to_vec());
        Credentials::new(self.0, certificate, authority)
    }
}

// === impl Credentials ===

impl Credentials {
    fn new(
        key: KeyPair,
        certificate: CertificateDer<'static>,
        authority: CertificateDer<'static>,
    ) -> Result<Self, CredentialError> {
        let named = Named::of(&certificate).filter(|named| !named.node.is_empty());
        let named = named.ok_or(CredentialError::Unusable("names no node of a cluster"))?;
        if !is_about(&certificate, &key.subject_public_key_info()) {
            return Err(CredentialError::Unusable("its key is another's"));
        }
        let ends = ends_under(&certificate, &authority);
        let ends = ends.ok_or(CredentialError::Unusable("is not under its authority"))?;
        Ok(Self {
            key,
            certificate,
            authority,
            named,
            ends,
        })
    }

    /// From what [`Credentials::to_pem`] gave.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_pem(text: &str) -> Result<Self, CredentialError> {
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| CredentialError::Unusable("has no private key"))?;
        let mut certificates = CertificateDer::pem_slice_iter(text.as_bytes());
        let mut next = || certificates.next().and_then(Result::ok);
        match (next(), next()) {
            (Some(own), Some(authority)) => Self::new(KeyPair::try_from(&key)?, own, authority),
            _ => Err(CredentialError::Unusable("has not two certificates")),
        }
    }

    /// All of it, to be kept where nobody else can read.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let key = pem("PRIVATE KEY", self.key.serialized_der());
        let [own, authority] =
            [&self.certificate, &self.authority].map(|der| pem("CERTIFICATE", der));
        format!("{key}{own}{authority}")
    }

    /// The node that they are of.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.named.node
    }

    /// The cluster that they are of.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.named.cluster
    }

    /// From when on they are good, seconds since the epoch.
    #[must_use]
    pub fn begins(&self) -> i64 {
        // It was read before.
        begins(&self.certificate).unwrap_or(i64::MAX)
    }

    /// When they end, seconds since the epoch.
    #[must_use]
    pub const fn ends(&self) -> i64 {
        self.ends
    }

    /// Whether they say that the node admits others.
    #[must_use]
    pub fn admits(&self) -> bool {
        bears(&self.certificate, ADMITS)
    }

    /// Whether they are under this authority.
    #[must_use]
    pub fn is_under(&self, authority: &CertificateDer<'_>) -> bool {
        self.authority == *authority
    }

    /// Asks whoever holds the authority for a certificate that ends later.
    ///
    /// # Errors
    /// [`CredentialError::Made`].
    pub fn asks_for_renewal(&self) -> Result<RenewCertificate, CredentialError> {
        let request = CertificateParams::default().serialize_request(&self.key)?;
        Ok(RenewCertificate {
            certificate: self.certificate.to_vec(),
            request: request.der().to_vec(),
        })
    }

    /// The same with the certificate that was given for that.
    ///
    /// # Errors
    /// [`CredentialError::Unusable`] when it is not one for this key and node.
    pub fn renewed(&self, certificate: &[u8]) -> Result<Self, CredentialError> {
        let key = KeyPair::try_from(&self.key_der())?;
        let certificate = CertificateDer::from(certificate.to_vec());
        let renewed = Self::new(key, certificate, self.authority.clone())?;
        if renewed.named != self.named {
            return Err(CredentialError::Unusable("is another node's"));
        }
        Ok(renewed)
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialized_der().to_vec()).into()
    }

    /// As it is shown to others.
    pub(crate) fn pair(&self) -> Result<Pair, CredentialError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = |chain| CertifiedKey::from_der(chain, self.key_der(), &provider);
        let own = vec![self.certificate.clone()];
        let with_authority = vec![self.certificate.clone(), self.authority.clone()];
        Ok(Pair {
            to_dialers: Arc::new(certified(with_authority)?),
            to_dialed: Arc::new(certified(own)?),
            ends: self.ends,
        })
    }

    /// Mutual TLS by them. Whoever shows no certificate may only ask `admission` for one; without it
    /// nobody comes so far.
    ///
    /// # Errors
    /// [`CredentialError::Tls`].
    pub fn mutual(&self, admission: Option<Arc<dyn Admission>>) -> Result<Mutual, CredentialError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = &[&rustls::version::TLS13];
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone())?;
        let roots = Arc::new(roots);
        let own = Arc::new(OwnCertificate::new(self.pair()?));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider.clone());
        let verifier = match admission {
            Some(_) => verifier.allow_unauthenticated(),
            None => verifier,
        };
        let verifier = verifier
            .build()
            .map_err(|_| CredentialError::Unusable("its authority cannot be trusted"))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(own.clone());
        // A certificate that has ended is not resumed: each connection shows it anew.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(roots)
            .with_client_cert_resolver(own.clone());
        client.resumption = Resumption::disabled();
        let name = ServerName::try_from(EVERY_NODE)
            .map_err(|_| CredentialError::Unusable("no name to dial"))?;
        Ok(Mutual {
            server: Arc::new(server),
            client: Arc::new(client),
            own,
            name,
            admission,
        })
    }
}
