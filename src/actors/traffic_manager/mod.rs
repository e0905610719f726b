//! The traffic manager: sharded counters that hand out leases (PROTOCOLS L).
//!
//! `shards` are the actors that answer gateways, each for every sixteenth shard; `slot` holds the
//! ledgers they drive; `keeper` begins and ends the ledger's life on disk; `policies` follows the
//! change log. `shard` and `view` are pure.

mod handle;
mod keeper;
pub mod message;
mod policies;
mod shard;
mod shards;
mod slot;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cluster::{Child, Door, System, branch, child};
use storage::Database;

use crate::change_feed::ChangeFeedHandle;
use keeper::{Keeper, KeeperArguments};
use policies::{PoliciesArguments, PolicyFollower};
use shard::SHARDS;
use shards::{Shards, ShardsArguments, ShardsMessage};
use slot::Slots;
use view::PolicyView;

pub use handle::TrafficManagerHandle;
pub use shard::shard_of;

/// A gateway that gets nothing now asks again after so long, milliseconds (L9).
const RETRY_MS: u32 = 200;
/// Actors that share the shards.
const ACTORS: u16 = 16;

/// The policies in force; none before they were read for the first time.
type Published = Arc<ArcSwapOption<PolicyView>>;

/// The traffic manager of node `node` in its `incarnation` (W1), with its marks in `broker`.
#[must_use]
pub fn component(
    system: &System,
    broker: &Database,
    feed: &ChangeFeedHandle,
    node: &str,
    incarnation: u64,
) -> (TrafficManagerHandle, Child) {
    let slots = Arc::new(Slots::new(SHARDS));
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
    let (_, follower) = child::<PolicyFollower>(
        system,
        "traffic-manager/policies",
        PoliciesArguments {
            feed: feed.clone(),
            published: Arc::clone(&published),
            follower: format!("traffic-manager@{node}"),
        },
    );
    let mut children = vec![keeper, follower];
    let mut doors = Vec::new();
    for first in 0..ACTORS {
        let arguments = ShardsArguments {
            clock: system.clock.clone(),
            broker: broker.clone(),
            slots: Arc::clone(&slots),
            policies: Arc::clone(&published),
            incarnation,
            first,
            step: ACTORS,
        };
        let name = format!("traffic-manager/shards/{first}");
        let (address, shards) = child::<Shards>(system, &name, arguments);
        children.push(shards);
        let unwrap = |message| match message {
            ShardsMessage::Lease(asked) => Some(asked),
            ShardsMessage::Tick => None,
        };
        doors.push(Door::local(system, address, ShardsMessage::Lease, unwrap));
    }
    let door = Door::balanced(doors, |request, actors| usize::from(request.shard) % actors);
    let handle = TrafficManagerHandle::new(door);
    (handle, branch(system, "traffic-manager", children))
}
