//! What requests read: snapshots that the gateway's actors publish. No request waits for a writer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use cluster::Clock;
use domain::artifact::DEFAULT_VHOST;
use domain::change_log::Position;
use domain::known_consumers::KnownConsumers;
use domain::route_table::{SHARDS, Shard, Vhosts};
use tokio::sync::watch;

use super::consumers;
use super::ended::Ended;
use super::lease_cache::LeaseCache;
use super::route::ApiRoute;
use super::rules::Rules;
use super::standing::{CutOff, Stand};
use super::token_cache::TokenCache;
use super::unowned::Unowned;
use crate::key_manager::PublicKeys;

/// The snapshots.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) shards: Vec<ArcSwap<Shard<ApiRoute>>>,
    pub(super) vhosts: ArcSwap<Vhosts>,
    pub(super) rules: ArcSwap<Rules>,
    pub(super) tokens: TokenCache,
    pub(super) leases: LeaseCache,
    /// What calls go by while nobody grants leases.
    pub(super) unowned: Unowned,
    /// The keys that tokens are verified by, where no key manager answers.
    pub(super) keys: ArcSwap<PublicKeys>,
    /// What ended before its time.
    pub(super) ended: ArcSwap<Mutex<Ended>>,
    /// Whom key managers have told of.
    pub(super) consumers: Mutex<KnownConsumers>,
    pub(super) applied: AtomicU64,
    /// How often the follower went back to what Carbon has.
    pub(super) resumed: AtomicU64,
    /// What Carbon holds; none until it was read.
    pub(super) stored: ArcSwapOption<Position>,
    /// Whether calls may be answered by all this.
    pub(super) stand: Stand,
    /// When the change log was last known to be applied to its head, on the steady clock; before
    /// the first time the lowest there is.
    pub(super) current_at_ms: AtomicI64,
    /// Told whenever requests see more, or something else.
    pub(super) changes: watch::Sender<()>,
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
            unowned: Unowned::default(),
            keys: ArcSwap::default(),
            ended: ArcSwap::default(),
            consumers: Mutex::new(KnownConsumers::new(consumers::MOST)),
            applied: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            stored: ArcSwapOption::empty(),
            stand: Stand::new(CutOff::default()),
            current_at_ms: AtomicI64::new(i64::MIN),
            changes: watch::Sender::new(()),
        }
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// How often the follower went back to what Carbon has: whoever reads the same number before and
    /// after has seen nothing older than what was applied when it began.
    pub(super) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Acquire)
    }

    /// The follower goes back to what Carbon has, before it shows any of that.
    pub(super) fn resumes_at(&self, n: u64) {
        self.has_applied(n);
        self.resumed.fetch_add(1, Ordering::AcqRel);
    }

    /// Everything up to `n` is visible to requests from now on.
    pub(super) fn has_applied(&self, n: u64) {
        self.applied.store(n, Ordering::Release);
        self.stand.step(|lease| lease.applied(n));
        self.changes.send_replace(());
    }
}
