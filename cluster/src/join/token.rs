//! What an operator carries from a member to a newcomer: where to dial, whom to believe there, and a
//! secret that is good once.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::certificate::sha256;

/// What a token begins with.
const PREFIX: &str = "hgjoin_";
/// Bytes of the fingerprint and of the secret.
const HASH: usize = 32;
/// Bytes of the id.
const ID: usize = 16;
/// Bytes at the end that tell a token which was cut or mistyped.
const CHECK: usize = 4;
/// The most characters.
const LIMIT: usize = 1024;

/// A token to join with. Its text is a secret, and not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The member to dial, `host:port`.
    pub address: String,
    /// The fingerprint of the cluster's authority.
    pub fingerprint: [u8; HASH],
    /// What the token is found by.
    pub id: String,
    /// What it is believed by.
    pub secret: [u8; HASH],
}

/// It is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no join token, or not all of it: copy what headgate cluster token prints")]
pub struct TokenError;

// === impl JoinToken ===

impl JoinToken {
    /// A new one, from the system's randomness; none when that fails.
    #[must_use]
    pub fn generate(address: &str, fingerprint: [u8; HASH]) -> Option<Self> {
        let (mut id, mut secret) = ([0; ID], [0; HASH]);
        aws_lc_rs::rand::fill(&mut id).ok()?;
        aws_lc_rs::rand::fill(&mut secret).ok()?;
        Some(Self {
            address: address.to_owned(),
            fingerprint,
            id: hex(&id),
            secret,
        })
    }

    /// What is kept of its secret.
    #[must_use]
    pub fn hash(secret: &[u8]) -> String {
        hex(&sha256(secret))
    }

    /// The text that an operator carries.
    #[must_use]
    pub fn to_text(&self) -> String {
        let id = u128::from_str_radix(&self.id, 16).unwrap_or_default();
        let mut bytes = self.fingerprint.to_vec();
        bytes.extend(id.to_be_bytes());
        bytes.extend(self.secret);
        bytes.extend(self.address.as_bytes());
        let check = sha256(&bytes);
        bytes.extend(check.iter().take(CHECK));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.strip_prefix(PREFIX).ok_or(TokenError)?;
        if text.len() > LIMIT {
            return Err(TokenError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError)?;
        let end = bytes.len().checked_sub(CHECK).ok_or(TokenError)?;
        let (bytes, check) = bytes.split_at_checked(end).ok_or(TokenError)?;
        if sha256(bytes).get(..CHECK) != Some(check) {
            return Err(TokenError);
        }
        let (fingerprint, bytes) = bytes.split_first_chunk::<HASH>().ok_or(TokenError)?;
        let (id, bytes) = bytes.split_first_chunk::<ID>().ok_or(TokenError)?;
        let (secret, address) = bytes.split_first_chunk::<HASH>().ok_or(TokenError)?;
        let address = std::str::from_utf8(address).map_err(|_| TokenError)?;
        Ok(Self {
            address: address.to_owned(),
            fingerprint: *fingerprint,
            id: hex(id),
            secret: *secret,
        })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_whole_and_no_other_text_is_one() {
        let token = JoinToken::generate("cp1.example:4370", [7; 32]).unwrap();
        let text = token.to_text();
        assert_eq!(text.parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains(&hex(&token.secret)));
        let shifted = text.replace(PREFIX, "hgjoin");
        for bad in ["", "hgjoin_", "hgjoin_!", &shifted, &"x".repeat(5_000)] {
            assert_eq!(bad.parse::<JoinToken>(), Err(TokenError));
        }
        for end in 0..text.len() {
            assert_eq!(text[..end].parse::<JoinToken>(), Err(TokenError), "{end}");
        }
        for at in PREFIX.len()..text.len() {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            let mangled = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(mangled.parse::<JoinToken>(), Err(TokenError), "{at}");
        }
    }
}
