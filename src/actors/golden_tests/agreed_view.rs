//! Kinds 0x0501 to 0x0509.

use std::collections::BTreeSet;

use cluster::{Earlier as _, Request as _, decode, encode};
use domain::view::{
    Before, Entry, Epoch, Founding, GivesUp, Life, Loss, NotGivenUp, Origin, Others, Report,
    Sealed, View,
};

use super::{Frozen, is_no_larger_nearly, text};
use crate::agreed_view::message::{
    Agreed, AskView, AskVoter, Claim, Claimed, GiveUp, GivenUp, GivenUpBefore, HeldOn, HoldOn,
    Order, OrderView, Ordered, Promise, Promised, RegisterSeen, Retire, Retired, Seen, Share,
    Shared, TellView, TellVoter,
};

fn at(index: u64) -> Epoch {
    Epoch::new(3, index).unwrap()
}

pub(super) fn life(node: &str) -> Life {
    Life::new(node, 65_536)
}

/// A view that was active once, has lost a shard, and is followed by another.
fn view() -> View {
    let sync = |members: &[&str]| Entry::Sync {
        members: members.iter().map(|node| life(node)).collect(),
        sources: vec![life("c")],
        voters: vec![text("a"), text("b"), text("c")],
    };
    let loss = Loss {
        shard: 7,
        holders: vec![text("a"), text("b")],
        t0_ms: 300,
        epoch: at(1),
        held: at(0),
        is_mixed: false,
    };
    let mut view = View::default();
    view.apply(at(1), sync(&["a", "b"]));
    let active = Entry::Active {
        of: at(1),
        t0_ms: Some(400),
        lost: vec![loss],
        found: Vec::new(),
    };
    view.apply(at(2), active);
    view.apply(at(5), sync(&["b"]));
    view
}

#[test]
fn what_voters_promise_keeps_its_bytes() {
    let asked = |promise| AskVoter {
        epoch: at(5),
        promise,
    };
    let sealed = |fenced_ms| {
        Promised::Sealed(Sealed {
            at: at(5),
            fenced_ms,
        })
    };
    Frozen::default()
        .request(
            &asked(Promise::Seal),
            "050100010000000afd050000003000000000",
        )
        .request(
            &asked(Promise::Fence { t_ms: 70_000 }),
            "050100010000000ffd050000003000000001fce0220200",
        )
        .reply::<AskVoter>(&sealed(None), "050100010000000b00fd050000003000000000")
        .reply::<AskVoter>(
            &sealed(Some(70_000)),
            "050100010000001000fd050000003000000001fce0220200",
        )
        .reply::<AskVoter>(&Promised::Fenced, "050100010000000101")
        .reply::<AskVoter>(
            &Promised::Refused { at: at(6) },
            "050100010000000a02fd0600000030000000",
        )
        .reply::<AskVoter>(&Promised::Failed, "050100010000000103")
        .hold();
}

#[test]
fn what_members_tell_and_are_told_of_the_view_keeps_its_bytes() {
    let told = TellVoter {
        report: Report {
            life: life("a"),
            hears: BTreeSet::from([text("b"), text("c")]),
            leaving: true,
        },
        epoch: at(5),
        entries: 3,
        complete: vec![
            (1, Origin::First, Vec::new()),
            (2, Origin::Memory, vec![at(1)]),
            (3, Origin::Disk, Vec::new()),
            (255, Origin::Lost, Vec::new()),
        ],
        refused: Some(at(6)),
        stalled: BTreeSet::from([text("b")]),
        parts: 300,
    };
    let agreed = Agreed {
        view: Some(Box::new(view())),
        voters: vec![text("a")],
        clock_ms: Some(70_000),
        voters_at: Some(at(6)),
        right_ms: -5,
    };
    let nothing_new = Agreed {
        view: None,
        voters: Vec::new(),
        clock_ms: None,
        voters_at: None,
        right_ms: 0,
    };
    let tell = TellView {
        view: Box::new(view()),
        voters: vec![text("a")],
        voters_at: Some(at(6)),
    };
    Frozen::default()
        .request(&told, "050200010000003f0161fc00000100020162016301fd05000000300000000304010000020101fd0100000030000000030200fbff00030001fd0600000030000000010162fb2c01")
        .reply::<TellVoter>(&agreed, "050200010000007c01fd050000003000000000010162fc00000100010163fc000001000301610162016301fd0100000030000000020161fc000001000162fc000001000301610162016301fb200301fb200301070201610162fb5802fd0100000030000000fd0000000030000000000301016101fce022020001fd060000003000000009")
        .request(&AskView { entries: 300 }, "0503000100000003fb2c01")
        .reply::<AskView>(&nothing_new, "05030001000000050000000000")
        .request(&tell, "0504000100000074fd050000003000000000010162fc00000100010163fc000001000301610162016301fd0100000030000000020161fc000001000162fc000001000301610162016301fb200301fb200301070201610162fb5802fd0100000030000000fd0000000030000000000301016101fd0600000030000000")
        .reply::<TellView>(&Seen { entries: 3 }, "050400010000000103")
        .hold();
}

#[test]
fn what_is_said_of_who_founds_the_register_keeps_its_bytes() {
    let claim = Claim {
        node: text("a"),
        name: text("tm1"),
        life: 300,
        counted_in: 2,
        known: 3,
        hold_ms: 86_400_000,
        watched: Some(300),
    };
    let yours = |generation, before| Claimed::Yours {
        founding: Founding { generation, before },
        now_ms: 70_000,
    };
    let anothers = |others| Claimed::Others {
        name: text("tm1"),
        others,
        generation: 9,
    };
    let held = Claimed::Held {
        node: text("b"),
        renewals: 300,
        hold_ms: 70_000,
        generation: 9,
    };
    let share = |others| Share {
        node: text("a"),
        others,
    };
    Frozen::default()
        .request(
            &claim,
            "0505000100000014016103746d31fb2c010203fc00b84c0a01fb2c01",
        )
        .reply::<Claim>(
            &yours(1, Before::Nothing),
            "0505000100000008000100fce0220200",
        )
        .reply::<Claim>(
            &yours(2, Before::Node(text("b"))),
            "050500010000000a0002010162fce0220200",
        )
        .reply::<Claim>(
            &yours(300, Before::Scattered),
            "050500010000000a00fb2c0102fce0220200",
        )
        .reply::<Claim>(&anothers(Others::None), "05050001000000070103746d310009")
        .reply::<Claim>(&anothers(Others::Own), "05050001000000070103746d310109")
        .reply::<Claim>(&anothers(Others::Vote), "05050001000000070103746d310209")
        .reply::<Claim>(&Claimed::Unavailable, "050500010000000102")
        .reply::<Claim>(&held, "050500010000000c030162fb2c01fce022020009")
        .request(&share(Others::Own), "0506000100000003016101")
        .request(&share(Others::Vote), "0506000100000003016102")
        .reply::<Share>(&Shared::Yes, "050600010000000100")
        .reply::<Share>(&Shared::No, "050600010000000101")
        .reply::<Share>(&Shared::Unavailable, "050600010000000102")
        .hold();
}

#[test]
fn what_is_said_of_who_holds_the_register_keeps_its_bytes() {
    let holder = HoldOn {
        node: text("a"),
        name: text("tm1"),
        life: 300,
        generation: 2,
        others: Others::None,
        reach_ms: 70_000,
        hold_ms: 86_400_000,
        leaves_from_ms: Some(9),
    };
    let give_up = |watched| GiveUp {
        node: text("a"),
        watched,
    };
    let founder = || text("a");
    let watch = GivenUp::Watch {
        renewals: 300,
        for_ms: 17_000,
        founder: founder(),
    };
    let yes = GivenUp::Yes { founder: founder() };
    let name = text("tm1");
    Frozen::default()
        .request(
            &holder,
            "0508000100000017016103746d31fb2c010200fce0220200fc00b84c0a0112",
        )
        .reply::<HoldOn>(&HeldOn::Free, "050800010000000100")
        .reply::<HoldOn>(
            &HeldOn::Until { reach_ms: 70_000 },
            "050800010000000601fce0220200",
        )
        .reply::<HoldOn>(&HeldOn::Lost { name }, "05080001000000050203746d31")
        .reply::<HoldOn>(&HeldOn::Unavailable, "050800010000000103")
        .request(&give_up(None), "0509000200000003016100")
        .request(&give_up(Some(9)), "050900020000000401610109")
        .reply::<GiveUp>(&yes, "0509000200000003000161")
        .reply::<GiveUp>(&GivenUp::No, "050900020000000101")
        .reply::<GiveUp>(&GivenUp::Unavailable, "050900020000000102")
        .reply::<GiveUp>(&watch, "050900020000000903fb2c01fbd0840161")
        .reply::<GiveUp>(&GivenUp::There, "050900020000000104")
        .hold();
}

#[test]
fn what_is_said_of_a_node_that_is_forgotten_keeps_its_bytes() {
    let retire = |admissions| Retire {
        node: text("a"),
        admissions,
    };
    let no = Retired::No { admissions: 300 };
    Frozen::default()
        .request(&retire(None), "050a000100000003016100")
        .request(&retire(Some(9)), "050a00010000000401610109")
        .reply::<Retire>(&Retired::Yes, "050a00010000000100")
        .reply::<Retire>(&no, "050a00010000000401fb2c01")
        .reply::<Retire>(&Retired::NoNode, "050a00010000000102")
        .reply::<Retire>(&Retired::IsThere, "050a00010000000103")
        .reply::<Retire>(&Retired::TooMany, "050a00010000000104")
        .reply::<Retire>(&Retired::Unavailable, "050a00010000000105")
        .hold();
}

#[test]
fn what_is_answered_of_a_founder_in_the_protocol_before_keeps_its_bytes_and_does_not_say_its_id() {
    let of = |founder: &str| {
        let (renewals, for_ms) = (300, 17_000);
        let watch = GivenUp::Watch {
            renewals,
            for_ms,
            founder: text(founder),
        };
        let yes = GivenUp::Yes {
            founder: text(founder),
        };
        [
            yes,
            GivenUp::No,
            GivenUp::Unavailable,
            watch,
            GivenUp::There,
        ]
    };
    let bytes = [
        "050900010000000100",
        "050900010000000101",
        "050900010000000102",
        "050900010000000703fb2c01fbd084",
        "050900010000000104",
    ];
    for ((told, heard), hex) in of("a").into_iter().zip(of("")).zip(bytes) {
        let before = GivenUpBefore::of(&told);
        let written = encode(GiveUp::KIND, 1, &before).unwrap();
        let text: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, hex);
        is_no_larger_nearly::<GivenUpBefore>((GiveUp::KIND, 1), &written);
        let read: GivenUpBefore = decode(GiveUp::KIND, 1, &written).unwrap();
        let now: GivenUp = read.into_now();
        assert_eq!(now, heard);
    }
}

#[test]
fn what_an_operator_orders_keeps_its_bytes() {
    let ordered = |order| OrderView { order };
    let seen = RegisterSeen {
        voters: vec![text("a")],
        next: vec![text("b"), text("c")],
        chosen: vec![text("d")],
        leader: Some(text("a")),
    };
    let gives_up = GivesUp {
        shards: BTreeSet::from([3, 255]),
        others: BTreeSet::from([text("b")]),
    };
    Frozen::default()
        .request(&ordered(Order::Look), "050700010000000100")
        .request(
            &ordered(Order::Voters(vec![text("a"), text("b")])),
            "0507000100000006010201610162",
        )
        .request(&ordered(Order::Forget(text("a"))), "0507000100000003020161")
        .reply::<OrderView>(
            &Ordered::Seen(seen),
            "050700010000000f000101610201620163010164010161",
        )
        .reply::<OrderView>(&Ordered::Agreed, "050700010000000101")
        .reply::<OrderView>(&Ordered::Refused(text("no")), "050700010000000402026e6f")
        .request(&ordered(Order::LookAt(text("a"))), "0507000100000003030161")
        .reply::<OrderView>(&Ordered::Elsewhere, "050700010000000103")
        .reply::<OrderView>(
            &Ordered::GivesUp(gives_up),
            "0507000100000009040203fbff00010162",
        )
        .reply::<OrderView>(
            &Ordered::NotGivenUp(NotGivenUp::MayBeThere),
            "05070001000000020500",
        )
        .reply::<OrderView>(
            &Ordered::NotGivenUp(NotGivenUp::NothingLost),
            "05070001000000020501",
        )
        .hold();
}
