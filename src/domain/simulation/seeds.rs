//! The form that the tests of all worlds have: seeds against promises, planted bugs against seeds.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Planted;
use super::kernel::Digest;

/// A world as its tests see it.
pub(super) trait Simulated {
    type Plan: Clone;
    /// As `cargo xtask sim` calls it.
    const NAME: &'static str;
    /// Seeds of a usual run.
    const SEEDS: u64;
    /// A planted bug shows within so many seeds.
    const NOTICED_WITHIN: u64;

    /// Everything goes wrong, not too often.
    fn storm() -> Self::Plan;
    /// What a seed is run with.
    fn storms(_seed: u64) -> Vec<Self::Plan> {
        vec![Self::storm()]
    }
    /// Which seeds must show nothing without a bug that this one shows.
    fn innocent(seed: u64) -> RangeInclusive<u64> {
        0..=seed
    }
    fn plant(plan: &mut Self::Plan, planted: Planted);
    fn run(plan: &Self::Plan, seed: u64) -> Ran;
}

/// What a run comes to.
pub(super) struct Ran {
    pub(super) broken: Vec<String>,
    pub(super) digest: Digest,
    pub(super) seen: Seen,
}

/// How often things happened.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

// === impl Seen ===

impl Seen {
    pub(super) fn once(&mut self, what: &'static str) {
        self.times(what, 1);
    }

    pub(super) fn times(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.times(what, *times);
        }
    }
}

// === what worlds are tested for ===

/// No seed shows anything, and as much happens as ten seeds have to see.
pub(super) fn holds<W: Simulated>(in_ten: &[(&'static str, u64)]) {
    let seeds = asked_for(W::SEEDS);
    let (mut all, mut digest) = (Seen::default(), Digest::default());
    for ran in run_all::<W>(&seeds) {
        digest.add(0, &ran.digest);
        all.add(&ran.seen);
    }
    // The same seeds say the same.
    println!("{}: seeds {seeds:?} hold, {digest}", W::NAME);
    let count = seeds.end - seeds.start;
    let is_enough =
        |(what, in_ten): &(&str, u64)| all.0.get(what).copied().unwrap_or(0) * 10 >= in_ten * count;
    assert!(
        count < W::SEEDS || in_ten.iter().all(is_enough),
        "too little happens: {all:?} in {count} seeds"
    );
}

/// What the seeds come to, in their order, whichever core ran which: a run shares nothing with another.
fn run_all<W: Simulated>(seeds: &Range<u64>) -> Vec<Ran> {
    let all: Vec<u64> = seeds.clone().collect();
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        while let Some(seed) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ran = W::storms(*seed)
                .into_iter()
                .map(|plan| run_one::<W>(&plan, *seed));
            done.push((*seed, ran.collect::<Vec<Ran>>()));
        }
        done
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut done = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(some)).collect();
        let done = threads.into_iter().map(|thread| thread.join());
        // What a thread panicked with says which seed it was.
        let done = done.map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|(seed, _)| *seed);
    done.into_iter().flat_map(|(_, ran)| ran).collect()
}

fn run_one<W: Simulated>(plan: &W::Plan, seed: u64) -> Ran {
    let ran = W::run(plan, seed);
    let again = format!(
        "cargo xtask sim --world {} --from {seed} --seeds 1",
        W::NAME
    );
    assert!(
        ran.broken.is_empty(),
        "{}, seed {seed}: {}; again with: {again}",
        W::NAME,
        ran.broken.join("; ")
    );
    ran
}

/// A run is a function of its seed.
pub(super) fn replays<W: Simulated>() {
    let digest = |seed| W::run(&W::storm(), seed).digest;
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

/// One of the first seeds shows the bug, and without it none of them up to it shows anything.
pub(super) fn notices<W: Simulated>(planted: Planted, change: impl Fn(&mut W::Plan)) {
    let mut plan = W::storm();
    change(&mut plan);
    let seed = first_to_show::<W>(planted, &plan);
    let seed = seed.unwrap_or_else(|| panic!("{planted:?} goes unnoticed"));
    for seed in W::innocent(seed) {
        let without = W::run(&plan, seed).broken;
        assert!(
            without.is_empty(),
            "{planted:?} was not the cause: {without:?}"
        );
    }
}

/// The same, and it takes the fault that `spare` takes away.
pub(super) fn notices_by<W: Simulated>(
    spare: impl Fn(&mut W::Plan),
    planted: Planted,
    change: impl Fn(&mut W::Plan),
) {
    notices::<W>(planted, &change);
    let mut plan = W::storm();
    change(&mut plan);
    spare(&mut plan);
    let seed = first_to_show::<W>(planted, &plan);
    assert_eq!(seed, None, "{planted:?} shows without the fault");
}

fn first_to_show<W: Simulated>(planted: Planted, plan: &W::Plan) -> Option<u64> {
    let mut plan = plan.clone();
    W::plant(&mut plan, planted);
    (0..W::NOTICED_WITHIN).find(|seed| !W::run(&plan, *seed).broken.is_empty())
}

/// The seeds of this run: so many as usual from 0, or what `cargo xtask sim` asks for.
fn asked_for(usual: u64) -> Range<u64> {
    let asked = |name: &str| std::env::var(name).ok()?.parse().ok();
    let from = asked("HEADGATE_SIM_FROM").unwrap_or(0);
    from..from.saturating_add(asked("HEADGATE_SIM_SEEDS").unwrap_or(usual).max(1))
}
