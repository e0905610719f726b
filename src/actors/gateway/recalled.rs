//! Keys without an account whose leases were recalled whatever they were (PROTOCOLS L9). Such a recall names no lease, and may
//! be told again: without this it would end a lease that was opened after its answer. Pure.

use std::collections::HashMap;

use domain::ledger::{SHARED_KEY, Stamp};
use foldhash::fast::FixedState;

use super::accounts::Account;
use crate::traffic_manager::message::ThrottleKey;
use crate::traffic_manager::shard_of;

/// A recall may come again for so long: it is told again for half of it.
pub(super) const TOLD_AGAIN_MS: i64 = 60_000;
/// Of so many keys at most; of others a lease that a recall told again ends gives back what it has.
pub(super) const TOLD_KEYS: usize = 4_096;
/// Bytes of tenant, policy and subject together that no real key exceeds: the longest subject is an operation, of a context of
/// 232 characters, a template of 2,048 bytes and a verb.
const LONGEST: usize = 4_096;

/// As of when by its owner each was recalled, and when that was heard, by shard and key: of the key that keys share beyond a
/// shard's bound each shard has its own.
#[derive(Debug, Default)]
pub(super) struct Recalled(HashMap<(u16, ThrottleKey), (Stamp, i64), FixedState>);

/// Whether a key is one that this shard's owner may speak of: what is invented is neither kept nor answered.
pub(super) fn is_of_shard(shard: u16, key: &ThrottleKey) -> bool {
    let names = [&key.tenant, &key.policy, &key.subject];
    let length: usize = names.map(String::len).iter().sum();
    length <= LONGEST && (key.subject == SHARED_KEY || shard_of(key) == shard)
}

// === impl Recalled ===

impl Recalled {
    /// The latest recall of a key that may be told again.
    pub(super) fn get(&self, shard: u16, key: &ThrottleKey) -> Option<(Stamp, i64)> {
        self.0.get(&(shard, key.clone())).copied()
    }

    /// Keeps a recall; of several of a key the latest, in whatever order they come.
    pub(super) fn keep(&mut self, shard: u16, key: &ThrottleKey, heard: (Stamp, i64)) {
        let key = (shard, key.clone());
        if self.0.len() >= TOLD_KEYS && !self.0.contains_key(&key) {
            return;
        }
        let kept = self.0.entry(key).or_insert(heard);
        *kept = (kept.0.max(heard.0), kept.1.max(heard.1));
    }

    /// Keeps what an account answered that is about to go.
    pub(super) fn keep_of(&mut self, shard: u16, account: &Account, now_ms: i64) {
        let heard = account.recalled;
        if let Some(heard) = heard.filter(|heard| may_come_again(heard, now_ms)) {
            self.keep(shard, &account.slot.key, heard);
        }
    }

    /// Forgets what is not told again any more.
    pub(super) fn forget(&mut self, now_ms: i64) {
        self.0.retain(|_, heard| may_come_again(heard, now_ms));
    }

    /// Of how many keys there are any.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn may_come_again((_, heard_ms): &(Stamp, i64), now_ms: i64) -> bool {
    now_ms.saturating_sub(*heard_ms) < TOLD_AGAIN_MS
}
