//! The streams world: seeds against promises, and planted bugs against seeds.

use super::Planted;
use super::kernel::Digest;
use super::seeds::{self, holds, seeds, told};
use super::stream_truth::{Seen, Truth};
use super::stream_world::{Plan, World};

const SEEDS: u64 = 20;
/// A planted bug shows within so many seeds.
const NOTICED_WITHIN: u64 = 20;

fn run(plan: &Plan, seed: u64) -> Truth {
    World::new(plan.clone(), seed).run()
}

/// In the order of the fields.
fn counts(seen: &Seen) -> [u64; 8] {
    [
        seen.opened,
        seen.ended,
        seen.unsure,
        seen.stood,
        seen.all_cut,
        seen.judged_here,
        seen.not_acknowledged,
        seen.read_back,
    ]
}

#[test]
fn no_stream_outlives_an_ending_and_nobody_is_judged_by_what_was_forgotten() {
    let mut all = [0; 8];
    let seeds = seeds(SEEDS);
    let (count, mut digest) = (seeds.end - seeds.start, Digest::default());
    for seed in seeds.clone() {
        let truth = run(&Plan::stormy(), seed);
        holds("streams", seed, &truth.broken);
        digest.add(0, &truth.digest());
        for (sum, count) in all.iter_mut().zip(counts(&truth.seen)) {
            *sum += count;
        }
    }
    told("streams", &seeds, digest);
    if count < SEEDS {
        return;
    }
    let enough = Seen {
        opened: 100 * count,
        ended: 50 * count,
        unsure: count,
        stood: 50 * count,
        all_cut: count,
        judged_here: 10 * count,
        not_acknowledged: count,
        read_back: count,
    };
    let reached = all.iter().zip(counts(&enough));
    assert!(
        reached.into_iter().all(|(all, enough)| *all >= enough),
        "too little happens: {all:?} of {enough:?}"
    );
}

#[test]
fn a_seed_replays_bit_for_bit() {
    let digest = |seed| run(&Plan::stormy(), seed).digest();
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

fn notices(planted: Planted, change: impl Fn(&mut Plan)) {
    let mut plan = Plan::stormy();
    change(&mut plan);
    seeds::notices(planted, NOTICED_WITHIN, |planted, seed| {
        let plan = Plan {
            planted,
            ..plan.clone()
        };
        run(&plan, seed).broken
    });
}

#[test]
fn planted_consumers_that_no_change_forgets_are_noticed() {
    notices(Planted::ConsumersAreNotForgotten, |_| {});
}

#[test]
fn planted_a_disk_that_keeps_forgotten_consumers_is_noticed() {
    notices(Planted::DiskKeepsTheForgotten, |_| {});
}

#[test]
fn planted_streams_that_go_on_unsure_while_cut_off_are_noticed() {
    // What only key managers know, and then nobody is there for long.
    notices(Planted::UnsureGoesOnCutOff, |plan| {
        plan.said = 0;
        plan.cuts = 150;
        plan.silences = 120;
        plan.crashes = 0;
        plan.change_pace_ms = 800;
    });
}

#[test]
fn planted_asking_about_what_is_certainly_over_is_noticed() {
    notices(Planted::CertainEndsAreAsked, |_| {});
}

#[test]
fn planted_streams_that_go_on_where_nobody_is_served_are_noticed() {
    notices(Planted::FencedStreamsGoOn, |_| {});
}

#[test]
fn planted_calls_that_are_entered_late_and_not_looked_at_are_noticed() {
    // Many calls begin just when something changes, and then nothing does for a while.
    notices(Planted::LateCallsAreNotLookedAt, |plan| {
        plan.open_pace_ms = 8;
        plan.entering_ms = 200;
        plan.change_pace_ms = 800;
        plan.pauses = 300;
    });
}
