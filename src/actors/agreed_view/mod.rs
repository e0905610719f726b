//! The agreed view at work (PROTOCOLS W3, W4, L3, L4): which traffic managers own shards, agreed on by a majority.
//!
//! `register` is what voters agree on, `voter` what each has promised, `coordinator` proposes the next view where its
//! node leads, `follower` is what any node knows of it, `claiming` decides who founds the register, `founding` does, and `holding` stays it;
//! `retiring` writes down who is forgotten, `orders` are an operator's, `reason` is what the log says; `handle` are the ways between nodes, `message` what goes over
//! them. What a member does for its shards is in [`crate::traffic_manager`]; the rules are [`domain::view`].

mod claiming;
mod coordinator;
mod follower;
mod founding;
mod handle;
mod holding;
pub mod message;
mod of_cluster;
mod orders;
mod reason;
mod register;
mod retiring;
#[cfg(test)]
mod test_register;
#[cfg(test)]
mod tests;
mod voter;
mod voters;

use cluster::{Child, Door, System, branch, child};
use domain::view::{Cover, Patience, Rank};
use storage::Database;

use coordinator::{CoordinatorActor, CoordinatorArguments, CoordinatorMessage};
use follower::{FollowerActor, FollowerArguments, FollowerMessage};
use handle::Doors;
use orders::{OrdersActor, OrdersArguments, OrdersMessage};
use voter::{VoterActor, VoterArguments, VoterMessage};

pub use claiming::{ClaimHandle, claims};
pub use follower::{AgreedView, Latest};
pub use founding::{FounderArguments, founder};
pub use handle::Nodes;
pub use holding::holder;
pub use of_cluster::register_of_cluster;
pub use orders::{LookedUp, NotAgreed, Orders};
pub use register::{Known, Register, SharedRegister, Step};
#[cfg(test)]
pub(crate) use test_register::TestRegister;

/// Lives that an incarnation of a node may have: one at its start, another whenever a step failed, because what shards
/// hold in memory is trusted no more then.
pub const LIVES: u64 = 1 << 16;

/// How the shards of the traffic managers lie.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// How many there are.
    pub shards: u16,
    /// Who wants which.
    pub rank: Rank,
    /// What is waited for how long.
    pub patience: Patience,
}

/// The part in the agreed view that every node has: it may vote, as far as `cover` lets it, and may lead those that do. What else belongs to it is
/// given by `more` for what this node will know, and starts after the rest.
#[must_use]
pub fn component(
    system: &System,
    (carbon, cover): (&Database, &Cover),
    nodes: &Nodes,
    register: &SharedRegister,
    layout: Layout,
    more: impl FnOnce(&AgreedView) -> Vec<Child>,
) -> (AgreedView, Child) {
    let agreed = AgreedView::new();
    let of_voter = VoterArguments {
        clock: system.clock.clone(),
        carbon: carbon.clone(),
        cover: cover.clone(),
    };
    let (voter, voter_child) = child::<VoterActor>(system, "agreed-view/voter", of_voter);
    let of_follower = FollowerArguments {
        agreed: agreed.clone(),
        nodes: nodes.clone(),
    };
    let (follower, follower_child) =
        child::<FollowerActor>(system, "agreed-view/follower", of_follower);
    let of_coordinator = CoordinatorArguments {
        clock: system.clock.clone(),
        nodes: nodes.clone(),
        register: register.clone(),
        agreed: agreed.clone(),
        layout,
    };
    let (coordinator, coordinator_child) =
        child::<CoordinatorActor>(system, "agreed-view/coordinator", of_coordinator);
    let of_orders = OrdersArguments {
        nodes: nodes.clone(),
        register: register.clone(),
    };
    let (orders, orders_child) = child::<OrdersActor>(system, "agreed-view/orders", of_orders);
    nodes.admit(Doors {
        orders: Door::local(system, orders, OrdersMessage, |message| Some(message.0)),
        voter: Door::local(system, voter, VoterMessage, |message| Some(message.0)),
        coordinator: Door::local(system, coordinator, CoordinatorMessage::Told, |message| {
            match message {
                CoordinatorMessage::Told(asked) => Some(asked),
                _ => None,
            }
        }),
        asked: Door::local(
            system,
            follower.clone(),
            FollowerMessage::Asked,
            |message| match message {
                FollowerMessage::Asked(asked) => Some(asked),
                _ => None,
            },
        ),
        told: Door::local(
            system,
            follower,
            FollowerMessage::Told,
            |message| match message {
                FollowerMessage::Told(asked) => Some(asked),
                _ => None,
            },
        ),
    });
    let mut children = vec![voter_child, follower_child, coordinator_child, orders_child];
    children.extend(more(&agreed));
    (agreed, branch(system, "agreed-view", children))
}
