//! Kinds 0x0301 to 0x0304, and 0x0310.

use cluster::{Earlier as _, Request as _, encode};
use domain::change::Entry;
use domain::serving_lease::{FollowerKind, WhenCutOff};

use super::{Frozen, is_no_larger_nearly, text};
use crate::change_feed::message::{
    Heard, Heartbeat, Piece, Pull, PullBefore, Pulled, Snapshot, SnapshotOf, WaitApplied,
};
use crate::change_feed::{Applied, FollowerAt, How, Missing, Positions, Standing};

#[test]
fn pulls_keep_their_bytes() {
    let entry = Entry {
        n: 7,
        uuid: text("u"),
        kind: text("k"),
        tenant: text("t"),
        payload: text("{}"),
        at_ms: -1,
    };
    Frozen::default()
        .request(
            &Pull {
                follower: text("gw1"),
                n: 300,
                uuid: text("u"),
                most: 256,
                wait_ms: 800,
                small: true,
            },
            "030100020000001003677731fb2c010175fb0001fb200301",
        )
        .reply::<Pull>(
            &Pulled::Entries {
                entries: vec![entry],
                head: 70_000,
            },
            "03010002000000120001070175016b0174027b7d01fc70110100",
        )
        .reply::<Pull>(
            &Pulled::Resync { reason: text("r") },
            "0301000200000003010172",
        )
        .reply::<Pull>(&Pulled::Unavailable, "030100020000000102")
        .hold();
}

#[test]
fn pulls_of_the_protocol_before_keep_their_bytes_and_want_whatever_comes_next() {
    let pull = Pull {
        follower: text("gw1"),
        n: 300,
        uuid: text("u"),
        most: 256,
        wait_ms: 800,
        small: true,
    };
    let before = PullBefore::of(&pull);
    let bytes = encode(Pull::KIND, 1, &before).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "030100010000000f03677731fb2c010175fb0001fb2003");
    is_no_larger_nearly::<PullBefore>((Pull::KIND, 1), &bytes);
    let now: Pull = before.into_now();
    assert_eq!(
        now,
        Pull {
            small: false,
            ..pull
        }
    );
}

#[test]
fn snapshots_keep_their_bytes() {
    Frozen::default()
        .request(
            &Snapshot {
                cursor: text("c"),
                of: SnapshotOf::Policies,
            },
            "0302000200000003016301",
        )
        .reply::<Snapshot>(
            &Piece::Part {
                changes: vec![(text("t"), text("{}"))],
                cursor: Some(text("d")),
                n: 5_000_000_000,
                uuid: text("u"),
            },
            "030200020000001500010174027b7d010164fd00f2052a010000000175",
        )
        .reply::<Snapshot>(&Piece::Unavailable, "030200020000000101")
        .hold();
}

#[test]
fn acknowledgements_keep_their_bytes() {
    Frozen::default()
        .request(
            &Heartbeat {
                follower: text("gw1"),
                incarnation: 300,
                kind: FollowerKind::Calls(WhenCutOff::Refuse),
                n: 9,
                uuid: text("u"),
                leaves: false,
            },
            "030300030000000d03677731fb2c01010109017500",
        )
        .reply::<Heartbeat>(&Heard::Head(251), "030300030000000400fbfb00")
        .reply::<Heartbeat>(&Heard::Unavailable, "030300030000000102")
        .request(
            &WaitApplied {
                n: 9,
                within_ms: 1_000,
            },
            "030400020000000409fbe803",
        )
        .reply::<WaitApplied>(
            &Applied {
                done: 1,
                all: 2,
                missing: vec![Missing {
                    name: text("gw2"),
                    how: How::Fenced,
                }],
            },
            "03040002000000080102010367773201",
        )
        .hold();
}

#[test]
fn positions_keep_their_bytes() {
    Frozen::default()
        .request(&Positions, "0310000100000000")
        .reply::<Positions>(
            &Standing::At {
                head: 251,
                followers: vec![FollowerAt {
                    name: text("gw1"),
                    kind: FollowerKind::Calls(WhenCutOff::Refuse),
                    applied: Some(250),
                    silent_ms: None,
                    fenced: true,
                }],
            },
            "031000010000000f00fbfb000103677731010101fa0001",
        )
        .reply::<Positions>(&Standing::Unavailable, "031000010000000101")
        .hold();
}
