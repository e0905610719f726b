//! Which seeds a world runs, and what it says of them.

use std::ops::Range;

use super::Planted;
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

/// One of the first seeds shows the bug, and none of them up to it shows anything without it. `broken` is
/// what a seed shows, with or without.
pub(super) fn notices(
    planted: Planted,
    within: u64,
    broken: impl Fn(Option<Planted>, u64) -> Vec<String>,
) {
    let found = (0..within).find(|seed| !broken(Some(planted), *seed).is_empty());
    let seed = found.unwrap_or_else(|| panic!("{planted:?} goes unnoticed"));
    for seed in 0..=seed {
        let without = broken(None, seed);
        assert!(
            without.is_empty(),
            "{planted:?} was not the cause: {without:?}"
        );
    }
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
