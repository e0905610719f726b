//! The change log's world: seeds against invariants, and planted bugs against seeds.

use super::Planted;
use super::change_log_world::{Plan, World};
use super::seeds::{Ran, Simulated, holds, notices, replays};

struct ChangeLog;

// === impl ChangeLog ===

impl Simulated for ChangeLog {
    type Plan = Plan;
    const NAME: &'static str = "change-log";
    const SEEDS: u64 = 30;
    const NOTICED_WITHIN: u64 = 40;

    fn storm() -> Plan {
        Plan::stormy()
    }

    fn plant(plan: &mut Plan, planted: Planted) {
        plan.planted = Some(planted);
    }

    fn run(plan: &Plan, seed: u64) -> Ran {
        World::new(plan.clone(), seed).run().into()
    }
}

#[test]
fn followers_are_prefixes_of_their_history_and_reach_its_head_in_a_calm() {
    holds::<ChangeLog>(&[
        ("commits", 1_000),
        ("applied", 1_000),
        ("acknowledged", 500),
        ("installed", 10),
        ("restarts", 10),
        ("restores", 5),
    ]);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    replays::<ChangeLog>();
}

#[test]
fn planted_numbers_taken_before_the_commit_are_noticed() {
    notices::<ChangeLog>(Planted::NumberBeforeCommit, |_| {});
}

#[test]
fn planted_skipped_entries_are_noticed() {
    // Answers to what a follower was before its crash.
    notices::<ChangeLog>(Planted::SkipEntries, |plan| {
        plan.crashes = 300;
        plan.disk_ms = 1_000;
        plan.network.slow = 300;
    });
}

#[test]
fn planted_entries_applied_twice_are_noticed() {
    notices::<ChangeLog>(Planted::ApplyTwice, |_| {});
}

#[test]
fn planted_acknowledgements_before_the_disk_are_noticed() {
    notices::<ChangeLog>(Planted::AcknowledgeBeforePersisted, |_| {});
}

#[test]
fn planted_resuming_from_what_was_not_persisted_is_noticed() {
    notices::<ChangeLog>(Planted::ResumeUnpersisted, |_| {});
}

#[test]
fn planted_ignorance_of_the_uuid_is_noticed() {
    notices::<ChangeLog>(Planted::IgnoreUuid, |_| {});
}

#[test]
fn planted_chunks_in_any_order_are_noticed() {
    notices::<ChangeLog>(Planted::ChunksInAnyOrder, |_| {});
}

#[test]
fn planted_transfers_that_start_anew_are_noticed() {
    notices::<ChangeLog>(Planted::TransfersStartAnew, |plan| {
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
    notices::<ChangeLog>(Planted::PiecesOfTwoHistories, |plan| {
        plan.prunes = 500;
        plan.restores = 200;
    });
}

#[test]
fn planted_a_snapshot_with_the_position_of_its_first_piece_is_noticed() {
    notices::<ChangeLog>(Planted::PositionOfFirstPiece, |_| {});
}
