//! The change log's world: seeds against invariants, and planted bugs against seeds.

use super::Planted;
use super::change_log_truth::{Seen, Truth};
use super::change_log_world::{Plan, World};
use super::kernel::Digest;
use super::seeds::{self, holds, told};

const SEEDS: u64 = 30;
/// A planted bug shows within so many seeds.
const NOTICED_WITHIN: u64 = 40;

fn run(plan: &Plan, seed: u64) -> Truth {
    World::new(plan.clone(), seed).run()
}

#[test]
fn followers_are_prefixes_of_their_history_and_reach_its_head_in_a_calm() {
    let mut all = Seen::default();
    let seeds = seeds::seeds(SEEDS);
    let (count, mut digest) = (seeds.end - seeds.start, Digest::default());
    for seed in seeds.clone() {
        let truth = run(&Plan::stormy(), seed);
        holds("change-log", seed, &truth.broken);
        digest.add(0, &truth.digest());
        all.commits += truth.seen.commits;
        all.applied += truth.seen.applied;
        all.acknowledged += truth.seen.acknowledged;
        all.installed += truth.seen.installed;
        all.restarts += truth.seen.restarts;
        all.restores += truth.seen.restores;
    }
    told("change-log", &seeds, digest);
    if count < SEEDS {
        return;
    }
    let enough = Seen {
        commits: 100 * count,
        applied: 100 * count,
        acknowledged: 50 * count,
        installed: count,
        restarts: count,
        restores: count / 2,
    };
    let counts = |seen: Seen| {
        [
            seen.commits,
            seen.applied,
            seen.acknowledged,
            seen.installed,
            seen.restarts,
            seen.restores,
        ]
    };
    let reached = counts(all).into_iter().zip(counts(enough));
    assert!(
        reached.into_iter().all(|(all, enough)| all >= enough),
        "too little happens: {all:?}"
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
fn planted_numbers_taken_before_the_commit_are_noticed() {
    notices(Planted::NumberBeforeCommit, |_| {});
}

#[test]
fn planted_skipped_entries_are_noticed() {
    // Answers to what a follower was before its crash.
    notices(Planted::SkipEntries, |plan| {
        plan.crashes = 300;
        plan.disk_ms = 1_000;
        plan.network.slow = 300;
    });
}

#[test]
fn planted_entries_applied_twice_are_noticed() {
    notices(Planted::ApplyTwice, |_| {});
}

#[test]
fn planted_acknowledgements_before_the_disk_are_noticed() {
    notices(Planted::AcknowledgeBeforePersisted, |_| {});
}

#[test]
fn planted_resuming_from_what_was_not_persisted_is_noticed() {
    notices(Planted::ResumeUnpersisted, |_| {});
}

#[test]
fn planted_ignorance_of_the_uuid_is_noticed() {
    notices(Planted::IgnoreUuid, |_| {});
}

#[test]
fn planted_chunks_in_any_order_are_noticed() {
    notices(Planted::ChunksInAnyOrder, |_| {});
}

#[test]
fn planted_transfers_that_start_anew_are_noticed() {
    notices(Planted::TransfersStartAnew, |plan| {
        plan.crashes = 400;
        plan.prunes = 800;
        plan.backups = 300;
        plan.restores = 300;
        plan.network.slow = 200;
        plan.network.usual_ms = 5;
    });
}

#[test]
fn planted_pieces_of_two_histories_are_noticed() {
    notices(Planted::PiecesOfTwoHistories, |plan| {
        plan.prunes = 500;
        plan.restores = 200;
    });
}

#[test]
fn planted_a_snapshot_with_the_position_of_its_first_piece_is_noticed() {
    notices(Planted::PositionOfFirstPiece, |_| {});
}
