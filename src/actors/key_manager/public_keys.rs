//! Public keys that tokens are verified by: those of a key set (RFC 7517), as far as they may sign,
//! each by the id that its own bytes give (threats 3 to 5).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
    ThumbprintHash,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// The least size of an RSA modulus.
const RSA_BITS: usize = 2_048;

/// Public keys, and how they are told of.
#[derive(Clone, Default)]
pub(crate) struct PublicKeys {
    known: HashMap<String, (Algorithm, DecodingKey)>,
    list: Vec<(String, Value)>,
}

// === impl PublicKeys ===

impl PublicKeys {
    /// The keys of a key set; those that could not sign here either are left out.
    pub(crate) fn of_set(jwks: &str) -> Self {
        // Fails when one is installed already, which is then the same one.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let mut keys = Self::default();
        let set: Value = serde_json::from_str(jwks).unwrap_or_default();
        let told = set.get("keys").and_then(Value::as_array);
        for told in told.into_iter().flatten() {
            if !keys.add_told(told.clone()) {
                tracing::warn!("a verification key cannot be used");
            }
        }
        keys
    }

    /// Adds a key as it is told of; whether it can be used.
    pub(super) fn add_told(&mut self, told: Value) -> bool {
        let Some((id, algorithm, public)) = read(&told) else {
            return false;
        };
        self.add(id, algorithm, public, told);
        true
    }

    /// Adds a key.
    pub(super) fn add(&mut self, id: String, algorithm: Algorithm, key: DecodingKey, told: Value) {
        if self.known.insert(id.clone(), (algorithm, key)).is_none() {
            self.list.push((id, told));
        }
    }

    /// Without those that others have.
    pub(super) fn without(mut self, others: &Self) -> Self {
        self.known.retain(|id, _| !others.knows(id));
        self.list.retain(|(id, _)| !others.knows(id));
        self
    }

    /// The keys as they are told of, each with its id.
    pub(super) fn told(&self) -> &[(String, Value)] {
        &self.list
    }

    /// Whether there is one of this id.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// Whether a signature is that of the key `id` over `signed`, and `algorithm` is that key's
    /// own (threats 1, 2): what a token says of its algorithm chooses nothing.
    pub(crate) fn verify(&self, id: &str, algorithm: &str, signed: &str, signature: &str) -> bool {
        self.known.get(id).is_some_and(|(pinned, key)| {
            name(*pinned) == algorithm
                && jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, *pinned)
                    .unwrap_or(false)
        })
    }
}

impl std::fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.list.iter().map(|(id, _)| id))
            .finish()
    }
}

/// The name of an algorithm that tokens may be signed with.
pub(super) const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        _ => "RS256",
    }
}

/// Whether a key may sign at all (threat 5).
pub(super) fn is_strong(jwk: &Jwk) -> bool {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).unwrap_or_default();
            let bytes = modulus.iter().skip_while(|byte| **byte == 0);
            let spare = bytes
                .clone()
                .next()
                .map_or(0, |first| first.leading_zeros());
            bytes.count() * 8 >= RSA_BITS + usize::try_from(spare).unwrap_or(0)
        }
        AlgorithmParameters::EllipticCurve(ec) => ec.curve == EllipticCurve::P256,
        _ => false,
    }
}

/// Whether a key is told of as one that verifies signatures of `algorithm` (threat 5); what it does
/// not say of itself is no reason against it.
fn verifies(jwk: &Jwk, algorithm: Algorithm) -> bool {
    let common = &jwk.common;
    let own = match algorithm {
        Algorithm::ES256 => KeyAlgorithm::ES256,
        _ => KeyAlgorithm::RS256,
    };
    let to_sign = PublicKeyUse::Signature;
    common
        .public_key_use
        .as_ref()
        .is_none_or(|used| *used == to_sign)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|all| all.contains(&KeyOperations::Verify))
        && common.key_algorithm.is_none_or(|named| named == own)
}

/// Reads a key that is told of; none for one that could not sign here either.
fn read(told: &Value) -> Option<(String, Algorithm, DecodingKey)> {
    let jwk: Jwk = serde_json::from_value(told.clone()).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
        _ => return None,
    };
    let id = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
    let public = DecodingKey::from_jwk(&jwk).ok()?;
    // By a name of its own it could pass for another one to who reads our key set (threat 5).
    let is_named = (jwk.common.key_id.as_ref()).is_none_or(|named| *named == id);
    let is_good = is_named && is_strong(&jwk) && verifies(&jwk, algorithm);
    is_good.then_some((id, algorithm, public))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa_modulus(bytes: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xff; bytes])
    }

    fn rsa(bytes: usize, first: u8) -> Jwk {
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        let n = URL_SAFE_NO_PAD.encode(modulus);
        serde_json::from_value(json!({ "kty": "RSA", "n": n, "e": "AQAB" })).unwrap()
    }

    #[test]
    fn keys_under_2048_bits_or_of_another_curve_do_not_sign() {
        assert!(is_strong(&rsa(256, 0x80)));
        assert!(!is_strong(&rsa(256, 0x7f)), "2047 bits");
        assert!(!is_strong(&rsa(256, 0)), "zeros in front are no bits");
        assert!(!is_strong(&rsa(128, 0xff)));
        let curve = |name: &str| -> Jwk {
            serde_json::from_value(json!({ "kty": "EC", "crv": name, "x": "AA", "y": "AA" }))
                .unwrap()
        };
        assert!(is_strong(&curve("P-256")));
        assert!(!is_strong(&curve("P-384")));
    }

    #[test]
    fn a_key_that_is_told_of_for_anything_but_our_signatures_is_left_out() {
        let taken = |more: Value| {
            let mut key = serde_json::to_value(rsa(256, 0x80)).unwrap();
            let members = more.as_object().cloned().unwrap();
            key.as_object_mut().unwrap().extend(members);
            let set = json!({ "keys": [key] }).to_string();
            PublicKeys::of_set(&set).told().len()
        };
        for good in [
            json!({}),
            json!({"use": "sig", "alg": "RS256"}),
            json!({"key_ops": ["verify"]}),
            json!({"key_ops": ["sign", "verify"], "use": "sig"}),
            json!({"kid": rsa(256, 0x80).thumbprint(ThumbprintHash::SHA256).unwrap()}),
        ] {
            assert_eq!(taken(good.clone()), 1, "{good}");
        }
        for bad in [
            json!({"kid": "of another key"}),
            json!({"n": rsa_modulus(128)}),
            json!({"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"}),
            json!({"use": "enc"}),
            json!({"use": ""}),
            json!({"use": 5}),
            json!({"key_ops": ["encrypt"]}),
            json!({"key_ops": ["sign"]}),
            json!({"key_ops": []}),
            json!({"alg": "RS512"}),
            json!({"alg": "HS256"}),
            json!({"alg": "ES256"}),
            json!({"alg": "none"}),
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        ] {
            assert_eq!(taken(bad.clone()), 0, "{bad}");
        }
    }

    #[test]
    fn a_text_that_is_no_key_set_has_no_keys() {
        for text in ["", "[]", "{}", r#"{"keys":[{}, 1]}"#] {
            assert!(PublicKeys::of_set(text).told().is_empty(), "{text}");
        }
    }
}
