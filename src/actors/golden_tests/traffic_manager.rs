//! Kind 0x0201.

use domain::policy::PolicyLevel;

use super::{Frozen, text};
use crate::traffic_manager::message::{
    LeaseAnswer, LeaseAsk, LeaseMany, Leased, Outlook, ThrottleKey,
};

fn ask(level: PolicyLevel) -> LeaseAsk {
    LeaseAsk {
        key: ThrottleKey {
            tenant: text("t"),
            level,
            policy: text("p"),
            limit: 1,
            subject: text("s"),
        },
        window: 3,
        have: 250,
        returned: 251,
        want: 65_536,
    }
}

fn answer(outlook: Outlook) -> LeaseAnswer {
    LeaseAnswer {
        window: 3,
        granted: 300,
        remaining_ms: 60_000,
        limit: 5_000,
        left: 0,
        outlook,
    }
}

#[test]
fn leases_keep_their_bytes() {
    let levels = [
        PolicyLevel::Subscription,
        PolicyLevel::Application,
        PolicyLevel::Api,
    ];
    let outlooks = [Outlook::Open, Outlook::Retry(200), Outlook::Exhausted];
    Frozen::default()
        .request(
            &LeaseMany {
                shard: 255,
                gateway: text("gw1.7"),
                applied: 12,
                asks: levels.map(ask).to_vec(),
            },
            "0201000100000041fbff00056777312e370c03017400017001017303fafbfb00fc00000100017401017001017303fafbfb00fc00000100017402017001017303fafbfb00fc00000100",
        )
        .reply::<LeaseMany>(&Leased::Leases(outlooks.map(answer).to_vec()), "0201000100000027000303fb2c01fb60eafb8813000003fb2c01fb60eafb88130001c803fb2c01fb60eafb88130002")
        .reply::<LeaseMany>(&Leased::Behind { at: 11 }, "0201000100000002010b")
        .reply::<LeaseMany>(&Leased::NotOwner, "020100010000000102")
        .hold();
}
