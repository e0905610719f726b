//! Kind 0x0203.

use domain::ledger::{
    CellImage, CellKey, Count, Cursor, Mark, PastImage, Quota, ShardImage, Source, Stamp,
};
use domain::policy::TimeUnit;
use domain::view::{Epoch, Words};
use domain::window::WindowSpec;

use super::Frozen;
use super::agreed_view::life;
use crate::traffic_manager::member::message::{ShardHeard, TellShard};

const STAMP: Stamp = Stamp {
    epoch: 65_536,
    seq: 9,
};

fn cell() -> CellImage {
    let window = WindowSpec::new(TimeUnit::Hour, 1);
    let count = Count {
        incarnation: 7,
        lease: 8,
        granted: 250,
        returned: 2,
        forgiven: 1,
        covered: 6,
    };
    CellImage {
        cell: CellKey::new("t", "subscription:p#1", "k"),
        stamp: STAMP,
        window: window.numbered(3),
        quota: Quota {
            limit: 1_000,
            window,
        },
        lost: false,
        spent: 5,
        holders: vec![("gw1".to_owned(), count)],
        earlier: None,
        lag_ms: 0,
        coverage: 7,
    }
}

fn image() -> Box<ShardImage> {
    let window = WindowSpec::new(TimeUnit::Day, 1).numbered(3);
    let mark = Mark {
        cell: CellKey::new("t", "p", "k"),
        window: window.id,
        end_ms: window.end_ms,
        used: 40,
        stamp: STAMP,
        forgiven: 8,
    };
    Box::new(ShardImage {
        t_ms: 70_000,
        steady_ms: 69_000,
        cells: vec![cell()],
        past: PastImage {
            t0_ms: Some(1),
            source: Source::Disk,
            lost_ms: Some(2),
            gone_ms: Some(3),
            unfenced: Some(4),
            stopped: Some(5),
            seam_ms: Some(6),
            marks: vec![mark],
        },
    })
}

#[test]
fn what_members_say_of_a_shard_keeps_its_bytes() {
    let epoch = Epoch::new(3, 5).unwrap();
    let told = |words| TellShard {
        shard: 255,
        from: life("a"),
        to: life("b"),
        words,
    };
    let after = Cursor::Cell(CellKey::new("t", "p", "k"));
    let copy = Words::Copy {
        epoch,
        after: Cursor::Begin,
    };
    let copied = Words::Copied {
        epoch,
        after: after.clone(),
        begun: Some(Epoch::new(3, 1).unwrap()),
        image: image(),
        next: Some(Cursor::Mark(CellKey::new("t", "p", "k"))),
    };
    let fill = Words::Fill {
        epoch,
        after,
        image: image(),
        next: None,
    };
    let filled = Words::Filled { epoch, next: None };
    let change = Words::Change {
        epoch,
        stamp: STAMP,
        t_ms: 70_000,
        steady: (69_000, None),
        cells: vec![cell()],
    };
    let changed = Words::Changed {
        epoch,
        stamp: STAMP,
    };
    let heard = |words| ShardHeard { words };
    Frozen::default()
        .request(&told(copy), "020300030000001cfbff000161fc000001000162fc0000010000fd050000003000000000")
        .request(&told(copied), "02030003000000a0fbff000161fc000001000162fc0000010001fd05000000300000000101740170016b01fd0100000030000000fce0220200fc101b020001017410737562736372697074696f6e3a702331016bfc0000010009020106fc00974901fc0074b701fbe8030201000501036777310708fa0201060000070102000104010601040105010c0101740170016b030106fc00e0322928fc000001000908010201740170016b")
        .request(&told(fill), "020300030000008ffbff000161fc000001000162fc0000010002fd05000000300000000101740170016bfce0220200fc101b020001017410737562736372697074696f6e3a702331016bfc0000010009020106fc00974901fc0074b701fbe8030201000501036777310708fa0201060000070102000104010601040105010c0101740170016b030106fc00e0322928fc00000100090800")
        .request(&told(filled), "020300030000001cfbff000161fc000001000162fc0000010003fd050000003000000000")
        .request(&told(change), "020300030000006afbff000161fc000001000162fc0000010004fd0500000030000000fc0000010009fce0220200fc101b02000001017410737562736372697074696f6e3a702331016bfc0000010009020106fc00974901fc0074b701fbe8030201000501036777310708fa020106000007")
        .request(&told(changed.clone()), "0203000300000021fbff000161fc000001000162fc0000010005fd0500000030000000fc0000010009")
        .reply::<TellShard>(&heard(vec![changed]), "02030003000000110105fd0500000030000000fc0000010009")
        .reply::<TellShard>(&heard(vec![Words::Sealed { at: epoch }]), "020300030000000b0106fd0500000030000000")
        .reply::<TellShard>(&heard(Vec::new()), "020300030000000100")
        .hold();
}
