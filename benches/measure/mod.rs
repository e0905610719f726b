//! How benchmarks measure: five runs, those of several candidates interleaved, the median counts;
//! a number that is missed makes the process exit 1.

use std::hint::black_box;
use std::process::ExitCode;

use cluster::Clock;

/// Runs of each candidate.
const RUNS: usize = 5;

/// Something to be measured: it does its work once and says how many units that was.
pub(crate) type Work<'w> = &'w mut dyn FnMut() -> u64;

/// Nanoseconds a unit of each candidate: the median of the interleaved runs.
#[must_use]
pub(crate) fn nanoseconds(candidates: &mut [Work<'_>]) -> Vec<f64> {
    let clock = Clock::system();
    let mut runs: Vec<Vec<f64>> = candidates
        .iter()
        .map(|_| Vec::with_capacity(RUNS))
        .collect();
    for candidate in candidates.iter_mut() {
        black_box(candidate());
    }
    for _ in 0..RUNS {
        for (candidate, runs) in candidates.iter_mut().zip(&mut runs) {
            let started = clock.monotonic();
            let units = black_box(candidate());
            let took = clock.monotonic().saturating_sub(started);
            runs.push(took.as_nanos() as f64 / units.max(1) as f64);
        }
    }
    runs.into_iter().map(median).collect()
}

/// The middle of the runs.
#[must_use]
pub(crate) fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs.get(runs.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints a number beside what it must stay below, and says how the process ends.
#[must_use]
pub(crate) fn verdict(what: &str, measured: f64, limit: f64, unit: &str) -> ExitCode {
    let good = measured < limit;
    let word = if good { "ok" } else { "MISSED" };
    println!("{what}: {measured:.2} {unit}, must be below {limit:.2} {unit}: {word}");
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
