//! A unit taken from a lease on the request path, clock included. Below 100 ns.

mod measure;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use cluster::Clock;
use domain::lease::{Applied, Book, Lease};
use domain::ledger::{CellKey, Holder, Outcome, Reply, Stamp};
use domain::policy::TimeUnit;
use domain::window::WindowSpec;

const UNITS: u64 = 2_000_000;
const LIMIT_NS: f64 = 100.0;

fn main() -> anyhow::Result<ExitCode> {
    // As gateways read it: three clocks for one that nobody sets.
    let clock = Clock::system();
    let now_ms = || i64::try_from(clock.steady_at_least().as_millis()).unwrap_or(i64::MAX);
    let holder = Holder::new("bench", 1, 1);
    let cell = CellKey::new("carbon.super", "application:Bench", "a:b");
    let mut book = Book::open(holder.clone(), cell.clone());
    // One run after the other takes from one window: grant for all of them.
    let granted = UNITS * 8;
    let reply = Reply {
        holder,
        cell,
        stamp: Stamp { epoch: 1, seq: 1 },
        asked_at_ms: now_ms(),
        window: Some(WindowSpec::new(TimeUnit::Min, 60).numbered(1)),
        remaining_ms: 3_600_000,
        granted,
        limit: granted,
        left: granted,
        outcome: Outcome::Granted,
    };
    anyhow::ensure!(
        book.apply(&reply) == Applied::Units,
        "the grant was not applied"
    );
    let lease: Arc<Lease> = Arc::clone(book.lease());
    let mut refused = 0_u64;
    let mut work = || {
        for _ in 0..UNITS {
            match black_box(&lease).take(1, now_ms) {
                Ok(receipt) => {
                    let _ = black_box(receipt);
                }
                Err(_) => refused += 1,
            }
        }
        UNITS
    };
    let measured = measure::nanoseconds(&mut [&mut work]);
    anyhow::ensure!(refused == 0, "{refused} units were refused");
    let measured = measured.first().copied().context("nothing was measured")?;
    Ok(measure::verdict(
        "a unit from a lease",
        measured,
        LIMIT_NS,
        "ns",
    ))
}
