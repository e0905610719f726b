//! Signing and verification keys: made once in the node's key directory, held in memory after.
//!
//! A token's `kid` is only ever looked up in the map built here; nothing in a token leads to a
//! file or the network (threats 3, 4), and to the database once a second at most (`key_looks`).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Value, json};

use super::key_looks::KeyLooks;
use super::public_keys::{PublicKeys, is_strong, name};

/// With which algorithm new tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSA 2048, WSO2's default.
    Rs256,
    /// P-256, smaller and cheaper.
    Es256,
}

/// The keys of the resident key manager.
pub struct Keys {
    signing: Pair,
    own: PublicKeys,
    /// Those by which other nodes sign.
    others: ArcSwap<Others>,
    looks: KeyLooks,
}

/// The keys of other nodes.
#[derive(Clone, Default)]
struct Others {
    keys: PublicKeys,
    /// What they were read from, so that they are read once.
    texts: Vec<String>,
    /// The number of the last change when they were.
    at: u64,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("signing key {file}: {reason}")]
pub struct KeyError {
    file: String,
    reason: String,
}

struct Pair {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

// === impl Keys ===

impl Keys {
    /// Reads the keys in `directory`, makes those that are missing (files of mode 0600).
    ///
    /// # Errors
    /// [`KeyError`] naming the file that cannot be read, written or used.
    pub fn load(directory: &Path, algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        // Fails when one is installed already, which is then the same one.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let rsa = pem(&directory.join("rs256.pem"), rsa_pkcs8)?;
        let ec = pem(&directory.join("es256.pem"), ec_pkcs8)?;
        let rsa = (
            EncodingKey::from_rsa_pem(&rsa),
            Algorithm::RS256,
            "rs256.pem",
        );
        let ec = (EncodingKey::from_ec_pem(&ec), Algorithm::ES256, "es256.pem");
        let (mut own, mut pairs) = (PublicKeys::default(), Vec::new());
        for (private, algorithm, file) in [rsa, ec] {
            let failed = |error: jsonwebtoken::errors::Error| KeyError {
                file: file.to_owned(),
                reason: error.to_string(),
            };
            let private = private.map_err(failed)?;
            let jwk = Jwk::from_encoding_key(&private, algorithm).map_err(failed)?;
            if !is_strong(&jwk) {
                return Err(KeyError {
                    file: file.to_owned(),
                    reason: "is too weak or of another kind, use RSA of 2048 bits or P-256"
                        .to_owned(),
                });
            }
            let id = jwk.thumbprint(ThumbprintHash::SHA256).map_err(failed)?;
            let public = DecodingKey::from_jwk(&jwk).map_err(failed)?;
            let told = published(&jwk, &id, algorithm, file)?;
            own.add(id.clone(), algorithm, public, told);
            pairs.push(Pair {
                id,
                algorithm,
                private,
            });
        }
        let wanted = match algorithm {
            SigningAlgorithm::Rs256 => Algorithm::RS256,
            SigningAlgorithm::Es256 => Algorithm::ES256,
        };
        let signing = pairs.into_iter().find(|pair| pair.algorithm == wanted);
        Ok(Self {
            signing: signing.ok_or_else(|| KeyError {
                file: directory.display().to_string(),
                reason: "no key for the configured algorithm".to_owned(),
            })?,
            own,
            others: ArcSwap::default(),
            looks: KeyLooks::default(),
        })
    }

    /// The published key set (RFC 7517) as JSON text: this node's keys and those of the others.
    #[must_use]
    pub fn jwks(&self) -> String {
        let others = self.others.load();
        let all = self.own.told().iter().chain(others.keys.told());
        let all: Vec<&Value> = all.map(|(_, key)| key).collect();
        json!({ "keys": all }).to_string()
    }

    /// This node's public keys, each with its id, as JSON texts.
    pub(super) fn own_public(&self) -> impl Iterator<Item = (&str, String)> {
        let own = self.own.told().iter();
        own.map(|(id, key)| (id.as_str(), key.to_string()))
    }

    /// Whether a key is this node's or known of another.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.own.knows(id) || self.others.load().keys.knows(id)
    }

    /// Whether the others' may be read because a token names none that is known, `now` by the monotonic clock.
    pub(super) fn may_look(&self, now: Duration) -> bool {
        self.looks.may_look(now)
    }

    /// Whether something was changed, up to the number `head`, since the others' were read.
    pub(super) fn are_older_than(&self, head: u64) -> bool {
        self.others.load().at < head
    }

    /// The others' keys as of a change: from now on they count too, as far as they may sign, each
    /// by the id that its own bytes give. What was read before that is known already changes nothing.
    pub(super) fn learn(&self, head: u64, keys: Vec<String>) {
        let known = self.others.load();
        let others = if known.texts == keys {
            Others {
                at: head,
                ..Others::clone(&known)
            }
        } else {
            self.read(head, keys)
        };
        let others = Arc::new(others);
        self.others.rcu(|known| {
            let newer = if known.at > head { known } else { &others };
            Arc::clone(newer)
        });
    }

    fn read(&self, head: u64, texts: Vec<String>) -> Others {
        let mut keys = PublicKeys::default();
        for text in &texts {
            if !serde_json::from_str(text).is_ok_and(|told| keys.add_told(told)) {
                tracing::warn!("a verification key of another node cannot be used");
            }
        }
        Others {
            keys: keys.without(&self.own),
            texts,
            at: head,
        }
    }

    /// Names of the algorithms that tokens may be signed with.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        name(self.signing.algorithm)
    }

    /// Signs claims as a token of this type. Takes about a millisecond with RSA.
    ///
    /// # Errors
    /// When the key cannot sign, which a loaded one can.
    pub fn sign(&self, kind: &str, claims: &Value) -> Result<String, KeyError> {
        let header = json!({
            "alg": name(self.signing.algorithm), "typ": kind, "kid": self.signing.id,
        });
        self.sign_texts(&header.to_string(), &claims.to_string())
    }

    /// Signs a header and claims as they are.
    pub(super) fn sign_texts(&self, header: &str, claims: &str) -> Result<String, KeyError> {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(
            signed.as_bytes(),
            &self.signing.private,
            self.signing.algorithm,
        );
        let signature = signature.map_err(|error| KeyError {
            file: self.signing.id.clone(),
            reason: error.to_string(),
        })?;
        Ok(format!("{signed}.{signature}"))
    }

    /// Whether a signature is that of the key `id` over `signed`, and `algorithm` is that key's
    /// own (threats 1, 2): what a token says of its algorithm chooses nothing.
    #[must_use]
    pub fn verify(&self, id: &str, algorithm: &str, signed: &str, signature: &str) -> bool {
        self.own.verify(id, algorithm, signed, signature)
            || self
                .others
                .load()
                .keys
                .verify(id, algorithm, signed, signature)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("signing", &self.signing.id)
            .finish_non_exhaustive()
    }
}

fn published(jwk: &Jwk, id: &str, algorithm: Algorithm, file: &str) -> Result<Value, KeyError> {
    let mut value = serde_json::to_value(jwk).map_err(|error| KeyError {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    if let Some(members) = value.as_object_mut() {
        members.insert("kid".to_owned(), id.into());
        members.insert("use".to_owned(), "sig".into());
        members.insert("alg".to_owned(), name(algorithm).into());
    }
    Ok(value)
}

/// Reads a PKCS#8 key in PEM, or makes one.
fn pem(path: &Path, make: fn() -> Option<Vec<u8>>) -> Result<Vec<u8>, KeyError> {
    let failed = |reason: String| KeyError {
        file: path.display().to_string(),
        reason,
    };
    match fs::read(path) {
        Ok(bytes) => {
            let mode = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
            if mode.permissions().mode() & 0o077 != 0 {
                let reason = "may be read by others, chmod 600 it or remove it";
                return Err(failed(reason.to_owned()));
            }
            return Ok(bytes);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error.to_string())),
    }
    let der = make().ok_or_else(|| failed("could not be generated".to_owned()))?;
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let _ = fs::remove_file(&beside);
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|error| failed(error.to_string()))?;
    Ok(pem.into_bytes())
}

fn rsa_pkcs8() -> Option<Vec<u8>> {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).ok()?;
    Some(pair.as_der().ok()?.as_ref().to_vec())
}

fn ec_pkcs8() -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).ok()?;
    Some(document.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_node_has_signed_counts_once_its_key_is_known_and_by_no_other_name() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mine = Keys::load(here.path(), SigningAlgorithm::Rs256).unwrap();
        let theirs = Keys::load(there.path(), SigningAlgorithm::Es256).unwrap();
        let token = theirs.sign("at+jwt", &json!({})).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let id = theirs.signing.id.clone();
        assert!(!mine.knows(&id) && !mine.verify(&id, "ES256", signed, signature));
        let told: Vec<String> = theirs.own_public().map(|(_, key)| key).collect();
        mine.learn(2, told.clone());
        assert!(mine.knows(&id) && mine.verify(&id, "ES256", signed, signature));
        assert!(!mine.verify(&id, "RS256", signed, signature));
        assert!(mine.jwks().contains(&id));
        // What a row says of its id, or one too weak, makes no key.
        let renamed = told.iter().map(|key| key.replace(&id, &mine.signing.id));
        let renamed = renamed.chain(["{}".to_owned()]).collect();
        mine.learn(1, Vec::new());
        assert!(mine.knows(&id), "an older view is none");
        mine.learn(3, renamed);
        let own = mine.sign("at+jwt", &json!({})).unwrap();
        let (signed, signature) = own.rsplit_once('.').unwrap();
        assert!(mine.verify(&mine.signing.id, "RS256", signed, signature));
    }

    #[test]
    fn keys_are_made_once_and_refused_when_others_may_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let made = Keys::load(dir.path(), SigningAlgorithm::Rs256).unwrap();
        let again = Keys::load(dir.path(), SigningAlgorithm::Es256).unwrap();
        assert_eq!(made.jwks(), again.jwks());
        let path = dir.path().join("es256.pem");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Keys::load(dir.path(), SigningAlgorithm::Rs256).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(Keys::load(dir.path(), SigningAlgorithm::Rs256).is_err());
    }
    #[test]
    fn a_key_file_of_another_curve_is_refused_and_named() {
        let p384 = || {
            let signing = &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(signing, &SystemRandom::new()).ok()?;
            Some(document.as_ref().to_vec())
        };
        let dir = tempfile::tempdir().unwrap();
        pem(&dir.path().join("es256.pem"), p384).unwrap();
        let error = Keys::load(dir.path(), SigningAlgorithm::Rs256).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("es256.pem"), "{said}");
    }
}
