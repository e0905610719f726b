//! Leases as requests find them, by the key that is counted: no mailbox, one shared look.

use std::hash::Hash;
use std::sync::Arc;

use domain::lease::Lease;
use domain::ledger::SHARED_KEY;
use domain::policy::PolicyLevel;
use domain::window::WindowSpec;
use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, UnitWeighter};
use tokio::sync::Notify;

use super::line::Line;
use crate::traffic_manager::message::ThrottleKey;

/// Leases that requests find without asking; the refiller keeps the accounts of all.
const LEASES: usize = 65_536;

/// One lease and who waits for it.
#[derive(Debug)]
pub struct Slot {
    /// The shard whose owner counts it; keys beyond a shard's bound share one in their shard.
    pub shard: u16,
    /// What is counted.
    pub key: ThrottleKey,
    /// The window of the limit.
    pub window: WindowSpec,
    /// The units at hand.
    pub lease: Arc<Lease>,
    /// Woken when the owner answered.
    pub changed: Notify,
    /// What calls wait for.
    pub(super) line: Line,
}

/// A key by its parts, so that a look allocates nothing.
#[derive(Debug, Clone, Copy, Hash)]
pub struct KeyParts<'a> {
    /// Tenant domain.
    pub tenant: &'a str,
    /// Level of the policy.
    pub level: PolicyLevel,
    /// Name of the policy.
    pub policy: &'a str,
    /// Which of its limits.
    pub limit: u16,
    /// Who is counted.
    pub subject: &'a str,
}

type Slots = Cache<ThrottleKey, Arc<Slot>, UnitWeighter, RandomState>;

#[derive(Debug)]
pub(super) struct LeaseCache(Slots);

// === impl LeaseCache ===

impl LeaseCache {
    pub(super) fn new() -> Self {
        Self(Cache::with(
            LEASES,
            LEASES as u64,
            UnitWeighter,
            RandomState::default(),
            DefaultLifecycle::default(),
        ))
    }

    pub(super) fn get(&self, parts: &KeyParts<'_>, window: WindowSpec) -> Option<Arc<Slot>> {
        self.0.get(parts).filter(|slot| slot.window == window)
    }

    pub(super) fn insert(&self, slot: &Arc<Slot>) {
        self.insert_under(slot.key.clone(), slot);
    }

    /// A key is counted by another one's lease.
    pub(super) fn insert_under(&self, key: ThrottleKey, slot: &Arc<Slot>) {
        self.0.insert(key, Arc::clone(slot));
    }

    /// Takes out the keys that share a lease whose window is over.
    pub(super) fn part(&self, now_ms: i64) {
        self.0
            .retain(|_, slot| slot.key.subject != SHARED_KEY || !slot.lease.has_ended(now_ms));
    }

    pub(super) fn remove(&self, key: &ThrottleKey) {
        self.0.remove(key);
    }

    /// Its lease is void: keys that share it look for another one.
    pub(super) fn forget(&self, slot: &Arc<Slot>) {
        self.0.retain(|_, known| !Arc::ptr_eq(known, slot));
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}

// === impl KeyParts ===

impl<'a> KeyParts<'a> {
    #[cfg(test)]
    pub(super) fn of(key: &'a ThrottleKey) -> Self {
        Self {
            tenant: &key.tenant,
            level: key.level,
            policy: &key.policy,
            limit: key.limit,
            subject: &key.subject,
        }
    }

    pub(super) fn to_key(self) -> ThrottleKey {
        ThrottleKey {
            tenant: self.tenant.to_owned(),
            level: self.level,
            policy: self.policy.to_owned(),
            limit: self.limit,
            subject: self.subject.to_owned(),
        }
    }
}

// Hashes as `ThrottleKey` does: the same fields in the same order, texts as texts.
impl Equivalent<ThrottleKey> for KeyParts<'_> {
    fn equivalent(&self, key: &ThrottleKey) -> bool {
        self.subject == key.subject
            && self.policy == key.policy
            && self.level == key.level
            && self.limit == key.limit
            && self.tenant == key.tenant
    }
}
