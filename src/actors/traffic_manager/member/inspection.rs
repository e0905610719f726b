//! Answers what others ask to see of this member's shards and of one key. Reads only, and beside the actors that serve
//! gateways.

use std::sync::Arc;

use cluster::{Actor, Address, Asked, BoxError, Child, Door, System, child};
use domain::ledger::{ANY_LIFE, Count};
use domain::view::{Role, Seat};

use super::message::{
    AskKey, AskShards, CountSeen, KeySeen, LeaseSeen, NAMED_KEYS, RoleSeen, SeatSeen, ShardSeen,
    ShardsSeen,
};
use super::slots::Slots;
use super::ways::Ways;
use crate::traffic_manager::message::ThrottleKey;
use crate::traffic_manager::shard::shard_of;

/// What it is started with.
#[derive(Clone)]
pub(super) struct InspectionArguments {
    slots: Arc<Slots>,
}

/// What it is told.
pub(super) enum InspectionMessage {
    Shards(Asked<AskShards>),
    Key(Asked<AskKey>),
}

/// The actor.
pub(super) struct Inspection(InspectionArguments);

/// The doors through which a member is looked at.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    pub(super) shards: Door<AskShards>,
    pub(super) key: Door<AskKey>,
}

/// The actor of this node's member, reached by these ways.
pub(super) fn component(system: &System, slots: &Arc<Slots>, ways: &Ways, node: &str) -> Child {
    let arguments = InspectionArguments {
        slots: Arc::clone(slots),
    };
    let (address, child) = child::<Inspection>(system, "traffic-manager/inspection", arguments);
    let shards = Door::local(
        system,
        address.clone(),
        InspectionMessage::Shards,
        |message| match message {
            InspectionMessage::Shards(asked) => Some(asked),
            InspectionMessage::Key(_) => None,
        },
    );
    let key = Door::local(
        system,
        address,
        InspectionMessage::Key,
        |message| match message {
            InspectionMessage::Key(asked) => Some(asked),
            InspectionMessage::Shards(_) => None,
        },
    );
    ways.admit_looks(node, Windows { shards, key });
    child
}

// === impl Actor ===

impl Actor for Inspection {
    type Message = InspectionMessage;
    type Arguments = InspectionArguments;
    const KIND: &'static str = "traffic_manager.inspection";

    async fn start(
        arguments: InspectionArguments,
        _me: Address<InspectionMessage>,
    ) -> Result<Self, BoxError> {
        Ok(Self(arguments))
    }

    async fn handle(&mut self, message: InspectionMessage) -> Result<(), BoxError> {
        let slots = &self.0.slots;
        match message {
            InspectionMessage::Shards(Asked { request, reply }) => {
                reply.send(slots.seen(request));
            }
            InspectionMessage::Key(Asked { request, reply }) => {
                reply.send(slots.seen_key(&request.key));
            }
        }
        Ok(())
    }
}

// === impl Slots ===

impl Slots {
    fn seen(&self, asked: AskShards) -> ShardsSeen {
        let most = usize::from(asked.keys.min(NAMED_KEYS));
        let all = 0..self.count();
        let shards = all.filter(|shard| asked.shard.is_none_or(|only| only == *shard));
        let seen = |shard| {
            self.with(shard, |slot| {
                let (seat, ledger) = (seat_of(slot.seat()), slot.ledger());
                let named = ledger.some_keys(most);
                let keys = number(ledger.keys());
                let has_nothing = seat.role == RoleSeen::None && keys == 0;
                (!has_nothing).then(|| ShardSeen {
                    shard,
                    seat,
                    keys,
                    waiting: number(ledger.waiting()),
                    full_until_ms: ledger.full_until_ms(),
                    named: named.iter().filter_map(ThrottleKey::of).collect(),
                })
            })
        };
        ShardsSeen {
            life: self.site.life(),
            shards: shards.filter_map(|shard| seen(shard).flatten()).collect(),
        }
    }

    fn seen_key(&self, key: &ThrottleKey) -> KeySeen {
        let seen = self.with(shard_of(key), |slot| {
            let count = slot.ledger().counted(&key.cell());
            (seat_of(slot.seat()), count.map(CountSeen::of))
        });
        let (seat, count) = seen.unwrap_or_default();
        let life = self.site.life();
        KeySeen { life, seat, count }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn seat_of(seat: &Seat) -> SeatSeen {
    let place = seat.place();
    let is_source = || place.sources.iter().any(|one| one.life == *seat.me());
    let (role, other) = match &place.role {
        Role::Owner { standby } => (RoleSeen::Owner, standby.as_ref()),
        Role::Standby { owner } => (RoleSeen::Standby, Some(owner)),
        Role::Apart if !place.active && is_source() => (RoleSeen::Source, None),
        Role::Apart => (RoleSeen::None, None),
    };
    SeatSeen {
        role,
        epoch: place.epoch,
        active: place.active,
        grants: seat.grants(),
        other: other.map(|life| life.node.clone()),
    }
}

// === impl SeatSeen ===

impl Default for SeatSeen {
    /// Of a shard that is not in the node's life of now.
    fn default() -> Self {
        Self {
            role: RoleSeen::None,
            epoch: domain::view::Epoch::default(),
            active: false,
            grants: false,
            other: None,
        }
    }
}

// === impl CountSeen ===

impl CountSeen {
    pub(super) fn of(counted: domain::ledger::Counted) -> Self {
        let domain::ledger::Counted { image, used, left } = counted;
        // Of whoever stands for leases that nobody has told of there is nothing to show.
        let known = |(_, count): &(String, Count)| count.incarnation != ANY_LIFE;
        let leases = image.holders.into_iter().filter(known);
        let leases = leases.map(|(gateway, count)| LeaseSeen {
            gateway,
            incarnation: count.incarnation,
            lease: count.lease,
            granted: count.granted,
            returned: count.returned,
        });
        Self {
            unit: image.window.id.spec.unit,
            unit_time: image.window.id.spec.count,
            start_ms: image.window.start_ms,
            end_ms: image.window.end_ms,
            limit: image.quota.limit,
            granted: used,
            left,
            lost: image.lost,
            spent: image.spent,
            leases: leases.collect(),
        }
    }
}
