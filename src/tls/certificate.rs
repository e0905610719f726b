//! The server certificate in force: taken from the data directory, and taken anew when its files
//! are replaced, so that a renewal needs no restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Gives each handshake the certificate in force.
#[derive(Debug)]
pub(crate) struct ServerCertificate {
    chain: PathBuf,
    key: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    in_force: Arc<CertifiedKey>,
    validity: Validity,
    /// The files as they were when they were last looked at.
    seen: Stamp,
    /// Files that were told about because their time has not begun.
    early: Option<Stamp>,
    /// Why the files that were seen are not in force.
    refused: Option<String>,
}

/// What a look at the files came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// They are those in force.
    Same,
    /// They are in force from now on.
    Taken,
    /// They are good, but not yet.
    Early,
    /// They cannot be used, for this reason; those in force stay.
    Refused(String),
}

/// When a certificate is good, in seconds since the epoch, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Validity {
    from: i64,
    until: i64,
}

/// Tells a replaced file from the one before.
type Stamp = [Option<(SystemTime, u64)>; 2];

// === impl ServerCertificate ===

impl ServerCertificate {
    /// Takes the certificate in `chain` with its `key`, both PEM.
    pub(super) fn load(chain: PathBuf, key: PathBuf) -> anyhow::Result<Arc<Self>> {
        let seen = stamp(&chain, &key);
        let (in_force, validity) = read(&chain, &key).context(
            "the server's certificate cannot be used, replace it and its key, or remove both and others are made",
        )?;
        let state = Mutex::new(State {
            in_force,
            validity,
            seen,
            early: None,
            refused: None,
        });
        Ok(Arc::new(Self { chain, key, state }))
    }

    /// Takes the files anew when they were replaced by others that are good at this moment. Those
    /// that are not are told about once, and the certificate in force stays.
    pub(crate) fn renew(&self, now_ms: i64) -> Renewed {
        let seen = stamp(&self.chain, &self.key);
        let mut state = self.state();
        if state.seen == seen {
            return state
                .refused
                .clone()
                .map_or(Renewed::Same, Renewed::Refused);
        }
        let read = read(&self.chain, &self.key);
        if let Ok((_, validity)) = &read
            && validity.begins_later(now_ms)
        {
            // It will be good without being replaced again: told about once, looked at each time.
            if state.early != Some(seen) {
                state.early = Some(seen);
                tracing::warn!(
                    problem = validity.problem(now_ms),
                    "the server's new certificate is taken when its time begins"
                );
            }
            return Renewed::Early;
        }
        state.seen = seen;
        let found = read.and_then(|(key, validity)| {
            let problem = validity.problem(now_ms);
            ensure!(problem.is_none(), problem.unwrap_or_default());
            Ok((key, validity))
        });
        match found {
            Ok((in_force, validity)) => {
                tracing::info!("the server's certificate was replaced");
                (state.in_force, state.validity, state.refused) = (in_force, validity, None);
                Renewed::Taken
            }
            // Two files are never replaced at one moment: the next look may find both.
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "the server's new certificate cannot be used, the old one stays"
                );
                state.refused = Some(error.clone());
                Renewed::Refused(error)
            }
        }
    }

    /// Why clients refuse the certificate in force at this moment, if they do.
    pub(crate) fn problem(&self, now_ms: i64) -> Option<String> {
        self.state().validity.problem(now_ms)
    }

    /// When the certificate in force ends, seconds since the epoch.
    pub(crate) fn ends(&self) -> i64 {
        self.state().validity.until
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state().in_force))
    }
}

// === impl Validity ===

impl Validity {
    fn of(certificate: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)?;
        let validity = parsed.validity();
        Ok(Self {
            from: validity.not_before.timestamp(),
            until: validity.not_after.timestamp(),
        })
    }

    const fn begins_later(self, now_ms: i64) -> bool {
        self.from > now_ms.div_euclid(1_000)
    }

    fn problem(self, now_ms: i64) -> Option<String> {
        let now = now_ms.div_euclid(1_000);
        let ahead = self.from.saturating_sub(now);
        if ahead > 0 {
            return Some(format!(
                "the certificate in tls/server.pem is not valid for another {ahead} s: is the \
                 clock right?"
            ));
        }
        let ago = now.saturating_sub(self.until);
        (ago > 0).then(|| {
            format!("the certificate in tls/server.pem expired {ago} s ago: replace it and its key")
        })
    }
}

fn read(chain: &Path, key: &Path) -> anyhow::Result<(Arc<CertifiedKey>, Validity)> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .context("tls/server.pem is no certificate")?;
    let leaf = chain.first().context("tls/server.pem is empty")?;
    let validity = Validity::of(leaf).context("tls/server.pem is no certificate")?;
    let key = PrivateKeyDer::from_pem_file(key).context("tls/server-key.pem is no private key")?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider)
        .context("tls/server.pem and tls/server-key.pem do not fit together")?;
    Ok((Arc::new(certified), validity))
}

fn stamp(chain: &Path, key: &Path) -> Stamp {
    [chain, key].map(|path| {
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_refused_before_and_after_its_time() {
        let validity = Validity {
            from: 100,
            until: 200,
        };
        assert_eq!(validity.problem(100_000), None);
        assert_eq!(validity.problem(200_999), None);
        assert!(validity.problem(99_999).unwrap().contains("another 1 s"));
        assert!(validity.problem(201_000).unwrap().contains("expired 1 s"));
    }

    #[test]
    fn a_replaced_certificate_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = (dir.path().join("chain"), dir.path().join("key"));
        let write = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            fs::write(&chain, made.cert.pem()).unwrap();
            made.cert.der().clone()
        };
        write("first");
        let certificate = ServerCertificate::load(chain.clone(), key.clone()).unwrap();
        let in_force = || certificate.state().in_force.cert.first().cloned().unwrap();
        let now_ms = 1_800_000_000_000;
        let second = write("the second one");
        assert_eq!(certificate.renew(now_ms), Renewed::Taken);
        assert_eq!(in_force(), second);
        assert_eq!(certificate.renew(now_ms), Renewed::Same);
        fs::write(&chain, "no certificate").unwrap();
        // Told each time that it is asked for.
        for _ in 0..2 {
            assert!(matches!(certificate.renew(now_ms), Renewed::Refused(_)));
        }
        assert_eq!(in_force(), second);
        let third = write("third");
        assert_eq!(certificate.renew(now_ms), Renewed::Taken);
        assert_eq!(in_force(), third);
    }

    #[test]
    fn a_certificate_that_comes_before_its_time_is_taken_when_its_time_begins() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = (dir.path().join("chain"), dir.path().join("key"));
        let write = |from: i32| {
            let mut params = rcgen::CertificateParams::new(["own".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            let pair = rcgen::KeyPair::generate().unwrap();
            let made = params.self_signed(&pair).unwrap();
            fs::write(&key, pair.serialize_pem()).unwrap();
            fs::write(&chain, made.pem()).unwrap();
            made.der().clone()
        };
        write(2020);
        let certificate = ServerCertificate::load(chain.clone(), key.clone()).unwrap();
        let in_force = || certificate.state().in_force.cert.first().cloned().unwrap();
        let first = in_force();
        let second = write(2030);
        let begins_ms = Validity::of(&second).unwrap().from * 1_000;
        certificate.renew(begins_ms - 5_000);
        assert_eq!(in_force(), first);
        certificate.renew(begins_ms);
        assert_eq!(in_force(), second);
    }
}
