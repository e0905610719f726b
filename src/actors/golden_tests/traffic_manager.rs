//! Kinds 0x0201, 0x0202 and 0xfdfa. The first version of 0x0201 knew neither leases nor epochs; it was
//! replaced before any node was released that speaks it.

use cluster::{Earlier as _, Request as _, decode, encode};
use domain::ledger::{Outcome, Stamp};
use domain::policy::{PolicyLevel, TimeUnit};
use domain::window::{WindowId, WindowSpec};

use super::{Frozen, is_no_larger_nearly, text};
use crate::traffic_manager::message::{
    LeaseAnswer, LeaseAsk, LeaseMany, LeaseNews, Leased, LimitName, News, PassOn, PassedOn,
    TellLeases, Told,
};
use crate::traffic_manager::told_before::TellLeasesBefore;

const STAMP: Stamp = Stamp {
    epoch: 65_536,
    seq: 9,
};

fn limit(level: PolicyLevel) -> LimitName {
    LimitName {
        tenant: text("t"),
        level,
        policy: text("p"),
        limit: 1,
    }
}

fn limits() -> Vec<LimitName> {
    let levels = [
        PolicyLevel::Subscription,
        PolicyLevel::Application,
        PolicyLevel::Api,
    ];
    levels.map(limit).to_vec()
}

fn window(unit: TimeUnit) -> WindowId {
    let spec = WindowSpec::new(unit, 2);
    WindowId { spec, number: 3 }
}

fn ask(limit: u16, window: Option<WindowId>) -> LeaseAsk {
    LeaseAsk {
        limit,
        subject: text("s"),
        lease: 8,
        epoch: 65_536,
        window,
        have: 250,
        returned: 251,
        want: 65_536,
        emptied: limit > 0,
        due: 0,
    }
}

fn asked(asks: Vec<LeaseAsk>) -> LeaseMany {
    LeaseMany {
        shard: 255,
        node: text("gw1"),
        incarnation: 7,
        applied: 12,
        asked_at_ms: 5,
        limits: limits(),
        asks,
    }
}

fn answer(outcome: Outcome, window: Option<WindowId>) -> LeaseAnswer {
    LeaseAnswer {
        stamp: STAMP,
        window,
        remaining_ms: 60_000,
        granted: 300,
        limit: 5_000,
        left: 0,
        outcome,
    }
}

#[test]
fn leases_keep_their_bytes() {
    let units = [
        TimeUnit::Sec,
        TimeUnit::Min,
        TimeUnit::Hour,
        TimeUnit::Day,
        TimeUnit::Week,
        TimeUnit::Month,
        TimeUnit::Year,
    ];
    let asks = units.map(|unit| ask(1, Some(window(unit))));
    let outcomes = [
        Outcome::Granted,
        Outcome::Retry { after_ms: 200 },
        Outcome::Final,
        Outcome::Behind { applied: 11 },
        Outcome::UnknownPolicy,
        Outcome::Shared,
    ];
    let answers = outcomes.map(|outcome| Some(answer(outcome, None)));
    let of_window = answer(Outcome::Granted, Some(window(TimeUnit::Min)));
    let answers = answers.into_iter().chain([Some(of_window), None]);
    Frozen::default()
        .request(
            &asked([ask(0, None)].into_iter().chain(asks).collect()),
            "02010002000000dbfbff0003677731070c0a030174000170010174010170010174020170010800017308fc0000010000fafbfb00fc00000100000001017308fc0000010001000206fafbfb00fc00000100010001017308fc0000010001010206fafbfb00fc00000100010001017308fc0000010001020206fafbfb00fc00000100010001017308fc0000010001030206fafbfb00fc00000100010001017308fc0000010001040206fafbfb00fc00000100010001017308fc0000010001050206fafbfb00fc00000100010001017308fc0000010001060206fafbfb00fc000001000100",
        )
        .request(
            &asked(vec![LeaseAsk {
                    due: 300,
                    ..ask(0, None)
                }]),
            "0201000200000035fbff0003677731070c0a030174000170010174010170010174020170010100017308fc0000010000fafbfb00fc0000010000fb2c01",
        )
        .reply::<LeaseMany>(&Leased::Leases(answers.collect()), "020100020000009b000801fc000001000900fcc0d40100fb2c01fb8813000001fc000001000900fcc0d40100fb2c01fb88130001c801fc000001000900fcc0d40100fb2c01fb8813000201fc000001000900fcc0d40100fb2c01fb881300030b01fc000001000900fcc0d40100fb2c01fb8813000401fc000001000900fcc0d40100fb2c01fb8813000501fc000001000901010206fcc0d40100fb2c01fb8813000000")
        .reply::<LeaseMany>(&Leased::Behind { at: 11 }, "0201000200000002010b")
        .reply::<LeaseMany>(&Leased::NotOwner, "020100020000000102")
        .hold();
}

#[test]
fn what_is_passed_on_keeps_its_bytes() {
    let asked = asked(vec![ask(0, None)]);
    Frozen::default()
        .request(
            &PassOn { asked },
            "fdfa000100000033fbff0003677731070c0a030174000170010174010170010174020170010100017308fc0000010000fafbfb00fc000001000000",
        )
        .reply::<PassOn>(&PassedOn::Answered(Leased::Behind { at: 11 }), "fdfa00010000000300010b")
        .reply::<PassOn>(&PassedOn::NotReached, "fdfa00010000000101")
        .hold();
}

fn news_of_leases() -> TellLeases {
    let news = [
        News::Answer {
            asked_at_ms: 5,
            answer: answer(Outcome::Final, Some(window(TimeUnit::Day))),
        },
        News::Recall {
            stamp: STAMP,
            window: window(TimeUnit::Month),
            granted: 300,
        },
        News::Reopen { stamp: STAMP },
        News::RecallAnew {
            stamp: STAMP,
            window: window(TimeUnit::Month),
            granted: 300,
        },
    ];
    let told = |news| LeaseNews {
        limit: 2,
        subject: text("s"),
        lease: 8,
        news,
    };
    TellLeases {
        shard: 255,
        node: text("gw1"),
        incarnation: 7,
        limits: limits(),
        news: news.map(told).to_vec(),
    }
}

#[test]
fn news_of_leases_keeps_its_bytes() {
    Frozen::default()
        .request(
            &news_of_leases(),
            "0202000200000066fbff000367773107030174000170010174010170010174020170010402017308000afc000001000901030206fcc0d40100fb2c01fb881300020201730801fc0000010009050206fb2c010201730802fc00000100090201730803fc0000010009050206fb2c01",
        )
        .reply::<TellLeases>(&Told::Taken, "020200020000000100")
        .reply::<TellLeases>(&Told::Elsewhere, "020200020000000101")
        .hold();
}

#[test]
fn news_of_leases_keeps_its_bytes_of_the_protocol_before_which_knows_no_other_word() {
    let before = TellLeasesBefore::of(&news_of_leases());
    let bytes = encode(TellLeases::KIND, 1, &before).unwrap();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // A reset is any other recall there.
    assert_eq!(
        text,
        "0202000100000066fbff000367773107030174000170010174010170010174020170010402017308000afc000001000901030206fcc0d40100fb2c01fb881300020201730801fc0000010009050206fb2c010201730802fc00000100090201730801fc0000010009050206fb2c01"
    );
    is_no_larger_nearly::<TellLeasesBefore>((TellLeases::KIND, 1), &bytes);
    let read: TellLeasesBefore = decode(TellLeases::KIND, 1, &bytes).unwrap();
    assert_eq!(read, before);
    let mut heard = news_of_leases();
    heard.news[3].news = heard.news[1].news.clone();
    assert_eq!(read.into_now(), heard);
    // What a later version says is none of it, whatever that has become.
    let later = encode(TellLeases::KIND, 1, &news_of_leases()).unwrap();
    assert!(decode::<TellLeasesBefore>(TellLeases::KIND, 1, &later).is_err());
}
