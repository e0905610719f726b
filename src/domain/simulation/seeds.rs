//! Which seeds a world runs, and what it says of them.

use std::ops::Range;

use super::kernel::Digest;

/// The seeds of this run: so many as usual from 0, or what `cargo xtask sim` asks for.
pub(super) fn seeds(usual: u64) -> Range<u64> {
    let from = asked("HEADGATE_SIM_FROM").unwrap_or(0);
    from..from.saturating_add(asked("HEADGATE_SIM_SEEDS").unwrap_or(usual).max(1))
}

/// Fails with the seed, and how to see it again.
pub(super) fn holds(world: &str, seed: u64, broken: &[String]) {
    let again = format!("cargo xtask sim --world {world} --from {seed} --seeds 1");
    assert!(
        broken.is_empty(),
        "{world}, seed {seed}: {}; again with: {again}",
        broken.join("; ")
    );
}

/// Says what all that happened comes to: the same seeds say the same.
pub(super) fn told(world: &str, seeds: &Range<u64>, digest: Digest) {
    println!("{world}: seeds {seeds:?} hold, {digest}");
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
