//! The traffic manager as one of several members of the agreed view (PROTOCOLS W, L).
//!
//! `shards` are the actors that answer gateways and other members, each for every sixteenth shard; `slots` holds the
//! seats they drive, `site` what all seats of the node share, `pending` the questions whose answers wait, `under_way` what others were asked, `air` how much of that at a time; `reporter` is
//! in touch with the voters, `keeper` with the disk; `changes` is what administrators do to keys; `ways` and `message` are how members speak; `inspection` answers what
//! operators ask of this member, `overview` asks all of them.

mod agenda;
mod air;
mod changes;
mod counted;
mod inspection;
mod keeper;
pub mod message;
mod overview;
mod pending;
mod reporter;
mod shards;
mod site;
mod slots;
#[cfg(test)]
pub(super) mod tests;
mod under_way;
mod ways;

use std::sync::Arc;

use cluster::{Address, Child, Door, System, branch, child};
use domain::view::Patience;
use storage::Database;

use super::handle::{GatewayLeases, Here, TrafficManagerHandle};
use super::message::LeaseMany;
use super::policies::{GoBy, PoliciesArguments, PolicyFollower};
use super::shard::{SHARDS, shard_of};
use super::{ACTORS, Leaving, LedgerSettings, Published};
use crate::agreed_view::{AgreedView, Layout, Nodes};
use crate::change_feed::ChangeFeedHandle;
use keeper::{Keeper, KeeperArguments};
use message::{ChangeKey, TellShard};
use reporter::{Reporter, ReporterArguments};
use shards::{Shards, ShardsArguments, ShardsMessage};
pub(super) use site::Site;
use slots::Slots;

#[cfg(test)]
pub(super) use keeper::sweep;
pub use overview::{Overview, SeenKey, SeenShards, Unchanged};
pub use ways::Ways;

/// How shards lie, the same on every node of a cluster.
pub const LAYOUT: Layout = Layout {
    shards: SHARDS,
    rank: cluster::rank,
    patience: Patience {
        fresh_ms: 1_500,
        join_ms: 5_000,
        gather_ms: 1_000,
        stuck_ms: 2_000,
    },
};

/// What a member is made of.
#[derive(Debug)]
pub struct Member<'a> {
    /// Where its marks lie.
    pub broker: &'a Database,
    /// Where policies come from.
    pub feed: &'a ChangeFeedHandle,
    /// Who is told what was not asked for.
    pub gateways: &'a GatewayLeases,
    /// The ways to voters.
    pub nodes: &'a Nodes,
    /// The ways to other members.
    pub members: &'a Ways,
    /// What is agreed on.
    pub agreed: &'a AgreedView,
    /// This node's incarnation (W1).
    pub incarnation: u64,
    /// What of the ledger may be set.
    pub settings: LedgerSettings,
}

/// The actors of all shards.
struct AllShards {
    addresses: Vec<Address<ShardsMessage>>,
    children: Vec<Child>,
    lease: Door<LeaseMany>,
    told: Door<TellShard>,
    changes: Door<ChangeKey>,
}

impl AllShards {
    fn describe(system: &System, arguments: &ShardsArguments) -> Self {
        let (mut addresses, mut children) = (Vec::new(), Vec::new());
        let (mut leases, mut told, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for first in 0..ACTORS {
            let arguments = ShardsArguments {
                first,
                ..arguments.clone()
            };
            let name = format!("traffic-manager/shards/{first}");
            let (address, actor) = child::<Shards>(system, &name, arguments);
            children.push(actor);
            addresses.push(address.clone());
            let unwrap = |message| match message {
                ShardsMessage::Lease(asked) => Some(asked),
                _ => None,
            };
            leases.push(Door::local(
                system,
                address.clone(),
                ShardsMessage::Lease,
                unwrap,
            ));
            let unwrap = |message| match message {
                ShardsMessage::Words(asked) => Some(asked),
                _ => None,
            };
            told.push(Door::local(
                system,
                address.clone(),
                ShardsMessage::Words,
                unwrap,
            ));
            let unwrap = |message| match message {
                ShardsMessage::Change(asked) => Some(asked),
                _ => None,
            };
            let change = ShardsMessage::Change;
            changes.push(Door::local(system, address, change, unwrap));
        }
        Self {
            addresses,
            children,
            lease: Door::balanced(leases, |asked, actors| usize::from(asked.shard) % actors),
            told: Door::balanced(told, |told, actors| usize::from(told.shard) % actors),
            changes: Door::balanced(changes, |asked, actors| {
                usize::from(shard_of(&asked.key)) % actors
            }),
        }
    }
}

/// The member of node `nodes.me()`. Its children stop in an order that lets the keeper write what all others left.
#[must_use]
pub fn component(system: &System, member: &Member<'_>) -> (TrafficManagerHandle, Child) {
    let Member {
        broker,
        agreed,
        incarnation,
        ..
    } = *member;
    let node = member.nodes.me().node.clone();
    let clock = || system.clock.clone();
    let site = Arc::new(Site::new(&node, incarnation, clock()));
    let keys = member.settings.keys_of_a_shard();
    let slots = Arc::new(Slots::new(Arc::clone(&site), SHARDS, keys, LAYOUT.rank));
    let (policies, leaving) = (Published::default(), Leaving::default());
    let of_shards = ShardsArguments {
        clock: clock(),
        broker: broker.clone(),
        slots: Arc::clone(&slots),
        agreed: agreed.clone(),
        policies: Arc::clone(&policies),
        gateways: member.gateways.clone(),
        members: member.members.clone(),
        first: 0,
        step: ACTORS,
    };
    let all = AllShards::describe(system, &of_shards);
    member.members.admit(&node, all.told);
    member.members.admit_changes(&node, all.changes);
    let inspection = inspection::component(system, &slots, member.members, &node);
    let of_keeper = KeeperArguments {
        broker: broker.clone(),
        slots: Arc::clone(&slots),
        agreed: agreed.clone(),
        shards: all.addresses.clone(),
    };
    let (_, keeper) = child::<Keeper>(system, "traffic-manager/keeper", of_keeper);
    let of_reporter = ReporterArguments {
        clock: clock(),
        slots,
        agreed: agreed.clone(),
        nodes: member.nodes.clone(),
        shards: all.addresses.clone(),
        leaving: Arc::clone(&leaving),
    };
    let (_, reporter) = child::<Reporter>(system, "traffic-manager/reporter", of_reporter);
    let follower = follower(system, member, &policies, &all.addresses);
    let mut children = vec![keeper];
    children.extend(all.children);
    children.extend([reporter, follower, inspection]);
    let here = Here {
        node,
        site,
        lease: all.lease,
        policies,
        leaving,
    };
    let handle = TrafficManagerHandle::new(here, agreed, member.nodes.cluster());
    (handle, branch(system, "traffic-manager", children))
}

/// What follows the policies for all shards.
fn follower(
    system: &System,
    member: &Member<'_>,
    policies: &Published,
    shards: &[Address<ShardsMessage>],
) -> Child {
    let follow = |address: &Address<ShardsMessage>| GoBy::of(address, ShardsMessage::Follow);
    let arguments = PoliciesArguments {
        feed: member.feed.clone(),
        published: Arc::clone(policies),
        shards: shards.iter().map(follow).collect(),
        follower: format!("traffic-manager@{}", member.nodes.me().node),
        incarnation: member.incarnation,
        clock: system.clock.clone(),
        lives: Arc::default(),
    };
    child::<PolicyFollower>(system, "traffic-manager/policies", arguments).1
}
