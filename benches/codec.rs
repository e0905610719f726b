//! The codec of messages beside JSON: an ask for units written and read again. It takes less
//! than half of JSON's time and bytes.

mod measure;

use std::hint::black_box;
use std::process::ExitCode;

use domain::ledger::{Ask, CellKey, Holder};

const MESSAGES: u64 = 100_000;
const KIND: u16 = 1;
const VERSION: u16 = 1;
/// Time and bytes in relation to JSON.
const LIMIT: f64 = 0.5;

fn main() -> anyhow::Result<ExitCode> {
    let ask = Ask {
        holder: Holder::new("gateway-1", 42, 7),
        cell: CellKey::new(
            "carbon.super",
            "subscription:Gold",
            "6b1f6f0e-2f0d-4b7e-9d0c-3a1e5b0a9f11:c0ffee00-2f0d-4b7e-9d0c-3a1e5b0a9f11",
        ),
        policies: 123_456,
        epoch: 3,
        asked_at_ms: 1_795_000_000_000,
        window: None,
        have: 100,
        returned: 4,
        want: 250,
        emptied: false,
        due: 0,
    };
    let binary = cluster::codec::encode(KIND, VERSION, &ask)?;
    anyhow::ensure!(
        cluster::codec::decode::<Ask>(KIND, VERSION, &binary)? == ask,
        "not the same"
    );
    let text = serde_json::to_vec(&ask)?;
    let decode = |bytes: Vec<u8>| cluster::codec::decode::<Ask>(KIND, VERSION, &bytes);
    let mut ours = || {
        for _ in 0..MESSAGES {
            let bytes = cluster::codec::encode(KIND, VERSION, black_box(&ask));
            let _ = black_box(bytes.and_then(decode));
        }
        MESSAGES
    };
    let mut json = || {
        for _ in 0..MESSAGES {
            let bytes = serde_json::to_vec(black_box(&ask));
            let _ = black_box(bytes.and_then(|bytes| serde_json::from_slice::<Ask>(&bytes)));
        }
        MESSAGES
    };
    let measured = measure::nanoseconds(&mut [&mut ours, &mut json]);
    let [ours, json] = *measured.as_slice() else {
        anyhow::bail!("not everything was measured");
    };
    println!("message: {} bytes, JSON {} bytes", binary.len(), text.len());
    let time = measure::verdict("codec beside JSON, time", ours / json, LIMIT, "times");
    let bytes = binary.len() as f64 / text.len() as f64;
    let bytes = measure::verdict("codec beside JSON, bytes", bytes, LIMIT, "times");
    let failed = ExitCode::FAILURE;
    Ok(if time == failed || bytes == failed {
        failed
    } else {
        ExitCode::SUCCESS
    })
}
