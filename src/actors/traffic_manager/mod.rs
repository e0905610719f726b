//! The traffic manager: sharded counters that hand out leases (PROTOCOLS L).
//!
//! `shards` are the actors that answer gateways, each for every sixteenth shard; `news` takes to
//! gateways what they did not ask for; `slot` holds the ledgers they drive; `keeper` begins and ends
//! the ledger's life on disk; `time` is T; `policies` follows the change log. `shard`, `translate` and `view` are
//! pure.

#[cfg(test)]
mod crash_tests;
mod handle;
mod keeper;
pub mod member;
pub mod message;
mod news;
mod policies;
mod shard;
mod shards;
mod slot;
#[cfg(test)]
mod test_node;
#[cfg(test)]
mod tests;
mod time;
mod translate;
mod view;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cluster::{Child, Door, System, branch, child};
use storage::Database;

use crate::change_feed::ChangeFeedHandle;
use keeper::{Keeper, KeeperArguments};
use policies::{GoBy, PoliciesArguments, PolicyFollower};
use shard::SHARDS;
use shards::{Shards, ShardsArguments, ShardsMessage};
use slot::Slots;
use view::PolicyView;

pub use handle::{GatewayLeases, TrafficManagerHandle};
pub use member::LAYOUT;
pub use shard::shard_of;
#[cfg(test)]
pub(crate) use test_node::{DEADLINE, Node, key};
pub(crate) use translate::Tidings;

/// Actors that share the shards.
const ACTORS: u16 = 16;

/// The policies in force; none before they were read for the first time.
type Published = Arc<ArcSwapOption<PolicyView>>;

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

/// The traffic manager of node `node` in its `incarnation` (W1), with its marks in `broker`. Tells
/// `gateways` what they did not ask for.
#[must_use]
pub fn component(
    system: &System,
    broker: &Database,
    feed: &ChangeFeedHandle,
    gateways: &GatewayLeases,
    (node, incarnation): (&str, u64),
    settings: LedgerSettings,
) -> (TrafficManagerHandle, Child) {
    let slots = Arc::new(Slots::new(SHARDS, settings.keys_of_a_shard()));
    let published = Published::default();
    let (_, keeper) = child::<Keeper>(
        system,
        "traffic-manager/keeper",
        KeeperArguments {
            clock: system.clock.clone(),
            broker: broker.clone(),
            slots: Arc::clone(&slots),
        },
    );
    let mut children = vec![keeper];
    let (mut doors, mut shards) = (Vec::new(), Vec::new());
    for first in 0..ACTORS {
        let arguments = ShardsArguments {
            clock: system.clock.clone(),
            broker: broker.clone(),
            slots: Arc::clone(&slots),
            policies: Arc::clone(&published),
            gateways: gateways.clone(),
            incarnation,
            first,
            step: ACTORS,
        };
        let name = format!("traffic-manager/shards/{first}");
        let (address, actor) = child::<Shards>(system, &name, arguments);
        children.push(actor);
        shards.push(address.clone());
        let unwrap = |message| match message {
            ShardsMessage::Lease(asked) => Some(asked),
            ShardsMessage::Follow(_) | ShardsMessage::Tick => None,
        };
        doors.push(Door::local(system, address, ShardsMessage::Lease, unwrap));
    }
    let (_, follower) = child::<PolicyFollower>(
        system,
        "traffic-manager/policies",
        PoliciesArguments {
            feed: feed.clone(),
            published: Arc::clone(&published),
            shards: shards
                .iter()
                .map(|address| GoBy::of(address, ShardsMessage::Follow))
                .collect(),
            follower: format!("traffic-manager@{node}"),
            incarnation,
        },
    );
    children.push(follower);
    let door = Door::balanced(doors, |request, actors| usize::from(request.shard) % actors);
    let handle = TrafficManagerHandle::new(door, published);
    (handle, branch(system, "traffic-manager", children))
}
