//! What was validated before, found by the SHA-256 of the credential; whether it still holds is said
//! by the entry alone (V2, V3). Written by the validator, read by every request.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use domain::validation_cache::{Entry, Hit};
use foldhash::fast::FixedState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::caller::Caller;

/// Credentials kept at most, and those of them that were refused.
const TOKENS: usize = 50_000;
const REFUSED: usize = 4_096;

/// Finds an entry; never decides anything (V3).
pub type TokenKey = [u8; 32];

type Tokens = Cache<TokenKey, Arc<Entry<Caller>>, UnitWeighter, FixedState>;

/// Validated credentials; refusals have a bounded place of their own, so that a flood of bad
/// tokens neither grows the cache nor drives good ones out.
#[derive(Debug)]
pub struct TokenCache {
    granted: Tokens,
    refused: Tokens,
}

// === impl TokenCache ===

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        let cache = |capacity| {
            Cache::with(
                capacity,
                capacity as u64,
                UnitWeighter,
                FixedState::default(),
                DefaultLifecycle::default(),
            )
        };
        Self {
            granted: cache(TOKENS),
            refused: cache(REFUSED),
        }
    }

    /// The entry, if it holds now (V2).
    #[must_use]
    pub fn current(&self, key: &TokenKey, now_ms: i64) -> Option<Arc<Entry<Caller>>> {
        let entry = self.granted.get(key).or_else(|| self.refused.get(key))?;
        let holds = matches!(entry.hit(now_ms), Hit::Current(_));
        holds.then_some(entry)
    }

    /// Keeps an answer, in the place of what was known before.
    pub fn insert(&self, key: TokenKey, entry: Arc<Entry<Caller>>) {
        match entry.hit(i64::MIN) {
            Hit::Current(Caller::Granted(_)) => {
                self.refused.remove(&key);
                self.granted.insert(key, entry);
            }
            _ => {
                self.granted.remove(&key);
                self.refused.insert(key, entry);
            }
        }
    }

    pub(super) fn remove(&self, key: &TokenKey) {
        self.granted.remove(key);
        self.refused.remove(key);
    }

    pub(super) fn clear(&self) {
        self.granted.clear();
        self.refused.clear();
    }
}

/// The key of a credential: neither kinds nor tenants meet (threats 8). The identifier of the key that signed it is in
/// the text.
#[must_use]
pub fn token_key(kind: u8, tenant: &str, text: &str) -> TokenKey {
    let mut context = Context::new(&SHA256);
    context.update(&[kind]);
    context.update(tenant.as_bytes());
    // In no tenant's name, so that where it ends is part of the key.
    context.update(&[0]);
    context.update(text.as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
