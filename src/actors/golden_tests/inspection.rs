//! Kinds 0x0204 and 0x0205.

use domain::policy::{PolicyLevel, TimeUnit};
use domain::view::Epoch;

use super::agreed_view::life;
use super::{Frozen, text};
use crate::traffic_manager::member::message::{
    AskKey, AskShards, CountSeen, KeySeen, LeaseSeen, RoleSeen, SeatSeen, ShardSeen, ShardsSeen,
};
use crate::traffic_manager::message::ThrottleKey;

fn key() -> ThrottleKey {
    ThrottleKey {
        tenant: text("t"),
        level: PolicyLevel::Api,
        policy: text("p"),
        limit: 300,
        subject: text("s"),
    }
}

fn seat(role: RoleSeen, other: Option<&str>) -> SeatSeen {
    SeatSeen {
        role,
        epoch: Epoch::new(3, 5).unwrap(),
        active: true,
        grants: role == RoleSeen::Owner,
        other: other.map(text),
    }
}

#[test]
fn what_operators_ask_of_shards_keeps_its_bytes() {
    let seen = |shard, seat, full_until_ms, named: &[ThrottleKey]| ShardSeen {
        shard,
        seat,
        keys: 70_000,
        waiting: 7,
        full_until_ms,
        named: named.to_vec(),
    };
    let shards = vec![
        seen(1, seat(RoleSeen::Owner, Some("b")), Some(-9), &[key()]),
        seen(2, seat(RoleSeen::Standby, Some("a")), None, &[]),
        seen(3, seat(RoleSeen::Source, None), None, &[]),
        seen(255, seat(RoleSeen::None, None), None, &[]),
    ];
    let life = life("a");
    let asked = |shard, keys| AskShards { shard, keys };
    Frozen::default()
        .request(&asked(None, 0), "")
        .request(&asked(Some(255), 200), "")
        .reply::<AskShards>(&ShardsSeen { life, shards }, "")
        .hold();
}

#[test]
fn what_operators_ask_of_a_key_keeps_its_bytes() {
    let lease = LeaseSeen {
        gateway: text("gw1"),
        incarnation: 7,
        lease: 8,
        granted: 300,
        returned: 2,
    };
    let count = CountSeen {
        unit: TimeUnit::Month,
        unit_time: 2,
        start_ms: -9,
        end_ms: 70_000,
        limit: 5_000,
        granted: 298,
        left: 4_702,
        lost: true,
        spent: 4,
        leases: vec![lease],
    };
    let told = |count| KeySeen {
        life: life("a"),
        seat: seat(RoleSeen::Owner, None),
        count,
    };
    Frozen::default()
        .request(&AskKey { key: key() }, "")
        .reply::<AskKey>(&told(Some(count)), "")
        .reply::<AskKey>(&told(None), "")
        .hold();
}
