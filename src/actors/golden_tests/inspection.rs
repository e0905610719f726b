//! Kinds 0x0204 to 0x0206.

use cluster::{Earlier as _, Request as _, decode, encode};
use domain::policy::{PolicyLevel, TimeUnit};
use domain::view::Epoch;

use super::agreed_view::life;
use super::{Frozen, is_no_larger_nearly, text};
use crate::traffic_manager::member::message::{
    AskKey, AskShards, ChangeKey, CountSeen, KeyChange, KeyChanged, KeyChangedBefore, KeySeen,
    LeaseSeen, RoleSeen, SeatSeen, ShardSeen, ShardsSeen,
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
        .request(&asked(None, 0), "02040001000000020000")
        .request(&asked(Some(255), 200), "020400010000000501fbff00c8")
        .reply::<AskShards>(&ShardsSeen { life, shards }, "02040001000000710161fc00000100040100fd05000000300000000101010162fc70110100070111010174020170fb2c0101730201fd05000000300000000100010161fc701101000700000302fd0500000030000000010000fc70110100070000fbff0003fd0500000030000000010000fc70110100070000")
        .hold();
}

fn count() -> CountSeen {
    let lease = LeaseSeen {
        gateway: text("gw1"),
        incarnation: 7,
        lease: 8,
        granted: 300,
        returned: 2,
    };
    CountSeen {
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
    }
}

fn done(unheard: Vec<String>) -> KeyChanged {
    KeyChanged::Changed {
        count: count(),
        unheard,
    }
}

#[test]
fn what_operators_ask_of_a_key_keeps_its_bytes() {
    let told = |count| KeySeen {
        life: life("a"),
        seat: seat(RoleSeen::Owner, None),
        count,
    };
    let changed = |change| ChangeKey { key: key(), change };
    Frozen::default()
        .request(
            &changed(KeyChange::Reset),
            "020600020000000b0174020170fb2c01017300",
        )
        .request(
            &changed(KeyChange::Refund { units: 300 }),
            "020600020000000e0174020170fb2c01017301fb2c01",
        )
        .reply::<ChangeKey>(
            &done(vec![text("gw1"), text("gw2")]),
            "020600020000002800050211fce0220200fb8813fb2a01fb5e12010401036777310708fb2c0102020367773103677732",
        )
        .reply::<ChangeKey>(&KeyChanged::NotCounted, "020600020000000101")
        .reply::<ChangeKey>(&KeyChanged::Lost, "020600020000000102")
        .reply::<ChangeKey>(&KeyChanged::NotOwner, "020600020000000103")
        .hold();
    Frozen::default()
        .request(&AskKey { key: key() }, "020500010000000a0174020170fb2c010173")
        .reply::<AskKey>(&told(Some(count())), "02050001000000330161fc0000010000fd050000003000000001010001050211fce0220200fb8813fb2a01fb5e12010401036777310708fb2c0102")
        .reply::<AskKey>(&told(None), "02050001000000150161fc0000010000fd050000003000000001010000")
        .hold();
}

#[test]
fn what_came_of_a_change_keeps_its_bytes_of_the_protocol_before() {
    // Who speaks the protocol before is told nothing of gateways that were not heard.
    for (told, hex) in [
        (
            done(vec![text("gw1")]),
            "020600010000001f00050211fce0220200fb8813fb2a01fb5e12010401036777310708fb2c0102",
        ),
        (KeyChanged::NotCounted, "020600010000000101"),
        (KeyChanged::Lost, "020600010000000102"),
        (KeyChanged::NotOwner, "020600010000000103"),
    ] {
        let before = KeyChangedBefore::of(&told);
        let bytes = encode(ChangeKey::KIND, 1, &before).unwrap();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, hex);
        is_no_larger_nearly::<KeyChangedBefore>((ChangeKey::KIND, 1), &bytes);
        let read: KeyChangedBefore = decode(ChangeKey::KIND, 1, &bytes).unwrap();
        let now = read.into_now();
        assert_eq!(now, KeyChangedBefore::of(&told).into_now());
        let is_changed = matches!(now, KeyChanged::Changed { unheard, .. } if unheard.is_empty());
        assert_eq!(is_changed, matches!(told, KeyChanged::Changed { .. }));
    }
}
