//! The validation world: seeds against invariants, and planted bugs against seeds.

use super::Planted;
use super::kernel::Digest;
use super::seeds::{self, holds, told};
use super::validation_truth::{Seen, Truth};
use super::validation_world::{Plan, World};

const SEEDS: u64 = 20;
/// A planted bug shows within so many seeds.
const NOTICED_WITHIN: u64 = 20;

fn run(plan: &Plan, seed: u64) -> Truth {
    World::new(plan.clone(), seed).run()
}

/// In the order of the fields.
fn counts(seen: &Seen) -> [u64; 9] {
    [
        seen.hits,
        seen.answered,
        seen.refused,
        seen.overtaken,
        seen.negative,
        seen.installed,
        seen.restarts,
        seen.restores,
        seen.forgotten,
    ]
}

#[test]
fn no_request_is_judged_by_an_answer_older_than_what_was_acknowledged_before_it() {
    let mut all = [0; 9];
    let seeds = seeds::seeds(SEEDS);
    let (count, mut digest) = (seeds.end - seeds.start, Digest::default());
    for seed in seeds.clone() {
        let truth = run(&Plan::stormy(), seed);
        holds("validation", seed, &truth.broken);
        digest.add(0, &truth.digest());
        for (sum, count) in all.iter_mut().zip(counts(&truth.seen)) {
            *sum += count;
        }
    }
    told("validation", &seeds, digest);
    if count < SEEDS {
        return;
    }
    let enough = Seen {
        hits: 100 * count,
        answered: 100 * count,
        refused: count,
        overtaken: 5 * count,
        negative: 50 * count,
        installed: 2 * count,
        restarts: count,
        restores: count,
        forgotten: count,
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
fn planted_a_head_read_after_the_data_is_noticed() {
    notices(Planted::HeadAfterData, |_| {});
}

#[test]
fn planted_comparing_before_inserting_is_noticed() {
    notices(Planted::CompareBeforeInsert, |_| {});
}

#[test]
fn planted_hits_without_comparison_are_noticed() {
    notices(Planted::HitsAreNotCompared, |_| {});
}

#[test]
fn planted_touches_that_are_not_counted_are_noticed() {
    notices(Planted::TouchesAreNotCounted, |_| {});
}

#[test]
fn planted_forgetting_without_a_floor_is_noticed() {
    notices(Planted::ForgetWithoutFloor, |_| {});
}

#[test]
fn planted_negative_answers_that_no_change_touches_are_noticed() {
    notices(Planted::NegativesAreExempt, |_| {});
}

#[test]
fn planted_answers_that_outlive_a_snapshot_are_noticed() {
    notices(Planted::AnswersOutliveSnapshots, |plan| {
        plan.network.slow = 300
    });
}

#[test]
fn planted_answers_that_count_in_full_are_noticed() {
    // Gateways so far behind that they have not seen what a restore undoes.
    notices(Planted::AnswersCountInFull, |plan| {
        plan.follow_pace_ms = 1_500;
        plan.most = 30;
        plan.backups = 500;
        plan.restores = 300;
    });
}
