//! The traffic manager: sharded counters that hand out leases (PROTOCOLS L).
//!
//! `member` is what a node that owns shards does, by the agreed view; `handle` are the ways to it, `detour` the one by others; `news` takes to
//! gateways what they did not ask for; `policies` follows the change log. `shard`, `translate` and `view` are pure.

#[cfg(test)]
mod crash_tests;
mod detour;
mod handle;
pub mod member;
pub mod message;
mod news;
mod policies;
mod shard;
#[cfg(test)]
mod test_node;
#[cfg(test)]
mod tests;
pub mod told_before;
mod translate;
mod view;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwapOption;

use shard::SHARDS;
use view::PolicyView;

#[cfg(test)]
pub(crate) use handle::LONGEST_QUESTION;
pub use handle::{GatewayLeases, TrafficManagerHandle};
pub use member::message::{
    AskShards, CountSeen, KeyChange, KeyChanged, KeySeen, LeaseSeen, NAMED_KEYS, RoleSeen,
    SeatSeen, ShardSeen,
};
pub use member::{LAYOUT, Member, Overview, SeenKey, SeenShards, Unchanged, Ways, component};
pub use shard::shard_of;
#[cfg(test)]
pub(crate) use test_node::{DEADLINE, Node, key, lone};
pub(crate) use translate::Tidings;

/// Actors that share the shards.
const ACTORS: u16 = 16;

/// The policies in force; none before they were read for the first time.
type Published = Arc<ArcSwapOption<PolicyView>>;

/// Whether this node is about to stop, and hands its shards over (M3).
type Leaving = Arc<AtomicBool>;

/// What of the ledger may be set.
#[derive(Debug, Clone, Copy)]
pub struct LedgerSettings {
    /// Keys of the node that are counted apart at most (L12), the same part of them in each shard.
    pub keys: usize,
}

// === impl LedgerSettings ===

impl LedgerSettings {
    /// So many keys of the node.
    #[must_use]
    pub const fn keys(keys: usize) -> Self {
        Self { keys }
    }

    fn keys_of_a_shard(self) -> usize {
        self.keys.div_ceil(usize::from(SHARDS)).max(1)
    }
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self { keys: 1_000_000 }
    }
}
