//! What requests read: snapshots that the gateway's actors publish. No request waits for a writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use cluster::Clock;
use domain::artifact::DEFAULT_VHOST;
use domain::route_table::{SHARDS, Shard, Vhosts};
use domain::validation_cache::{Entry, Hit};
use foldhash::fast::FixedState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::caller::Caller;
use super::lease_cache::LeaseCache;
use super::route::ApiRoute;
use super::rules::Rules;

/// Credentials kept at most, and those of them that were refused.
const TOKENS: usize = 50_000;
const REFUSED: usize = 4_096;

/// Finds an entry; never decides anything (V3).
pub(super) type TokenKey = [u8; 32];

type Tokens = Cache<TokenKey, Arc<Entry<Caller>>, UnitWeighter, FixedState>;

/// Validated credentials; refusals have a bounded place of their own, so that a flood of bad
/// tokens neither grows the cache nor drives good ones out.
#[derive(Debug)]
pub(super) struct TokenCache {
    granted: Tokens,
    refused: Tokens,
}

/// The snapshots.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) shards: Vec<ArcSwap<Shard<ApiRoute>>>,
    pub(super) vhosts: ArcSwap<Vhosts>,
    pub(super) rules: ArcSwap<Rules>,
    pub(super) tokens: TokenCache,
    pub(super) leases: LeaseCache,
    pub(super) applied: AtomicU64,
    pub(super) caught_up: AtomicBool,
}

// === impl State ===

impl State {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            shards: (0..SHARDS)
                .map(|index| ArcSwap::from_pointee(Shard::empty(index)))
                .collect(),
            vhosts: ArcSwap::from_pointee(Vhosts::new(DEFAULT_VHOST, [DEFAULT_VHOST])),
            rules: ArcSwap::from_pointee(Rules::seeded()),
            tokens: TokenCache::new(),
            leases: LeaseCache::new(),
            applied: AtomicU64::new(0),
            caught_up: AtomicBool::new(false),
        }
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }
}

// === impl TokenCache ===

impl TokenCache {
    fn new() -> Self {
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
    pub(super) fn current(&self, key: &TokenKey, now_ms: i64) -> Option<Arc<Entry<Caller>>> {
        let entry = self.granted.get(key).or_else(|| self.refused.get(key))?;
        let holds = matches!(entry.hit(now_ms), Hit::Current(_));
        holds.then_some(entry)
    }

    pub(super) fn insert(&self, key: TokenKey, entry: Arc<Entry<Caller>>) {
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

/// The key of a credential: kinds do not meet.
pub(super) fn token_key(kind: u8, text: &str) -> TokenKey {
    let mut context = Context::new(&SHA256);
    context.update(&[kind]);
    context.update(text.as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
