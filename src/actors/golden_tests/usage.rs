//! Kinds 0x0401 and 0x0402.

use domain::usage::{Histogram, UsageCount};

use super::{Frozen, text};
use crate::usage::message::{DeliverUnknown, DeliverUsage, Delivered};

#[test]
fn deliveries_keep_their_bytes() {
    let mut latency = Histogram::default();
    latency.record(150);
    let count = UsageCount {
        minute_ms: 60_000,
        tenant: text("t"),
        api_id: text("a"),
        application_id: text("b"),
        status: 429,
        calls: 1,
        forwarded: 2,
        bytes_in: 3,
        bytes_out: 4,
        latency,
    };
    Frozen::default()
        .request(
            &DeliverUsage {
                node: text("gw1"),
                incarnation: 7,
                first: 1,
                last: 1_000,
                counts: vec![count],
            },
            "0401000100000047036777310701fbe80301fcc0d40100017401610162fbad01010203042a000001000000000000000000000000000000000000000000000000000000000000000000000000000000",
        )
        .reply::<DeliverUsage>(&Delivered::Taken, "040100010000000100")
        .reply::<DeliverUsage>(&Delivered::Unavailable, "040100010000000101")
        .reply::<DeliverUsage>(&Delivered::Before(5), "04010001000000020205")
        .request(
            &DeliverUnknown {
                node: text("gw1"),
                incarnation: 7,
                unknown: 5,
            },
            "0402000100000006036777310705",
        )
        .reply::<DeliverUnknown>(&Delivered::Taken, "040200010000000100")
        .hold();
}
