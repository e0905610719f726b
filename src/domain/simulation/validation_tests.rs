//! The validation world: seeds against invariants, and planted bugs against seeds.

use super::Planted;
use super::seeds::{Ran, Simulated, holds, notices, notices_by, replays};
use super::validation_world::{Plan, World};

struct Validation;

// === impl Validation ===

impl Simulated for Validation {
    type Plan = Plan;
    const NAME: &'static str = "validation";
    const SEEDS: u64 = 20;
    const NOTICED_WITHIN: u64 = 20;

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
fn no_request_is_judged_by_an_answer_older_than_what_was_acknowledged_before_it() {
    holds::<Validation>(&[
        ("hits", 1_000),
        ("answered", 1_000),
        ("refused", 10),
        ("overtaken", 50),
        ("negative", 500),
        ("installed", 20),
        ("restarts", 10),
        ("restores", 10),
        ("forgotten", 10),
        ("pauses", 10),
        ("cuts", 10),
    ]);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    replays::<Validation>();
}

#[test]
fn planted_a_head_read_after_the_data_is_noticed() {
    notices::<Validation>(Planted::HeadAfterData, |_| {});
}

#[test]
fn planted_comparing_before_inserting_is_noticed() {
    notices::<Validation>(Planted::CompareBeforeInsert, |_| {});
}

#[test]
fn planted_hits_without_comparison_are_noticed() {
    notices::<Validation>(Planted::HitsAreNotCompared, |_| {});
}

#[test]
fn planted_touches_that_are_not_counted_are_noticed() {
    notices::<Validation>(Planted::TouchesAreNotCounted, |_| {});
}

#[test]
fn planted_forgetting_without_a_floor_is_noticed() {
    notices::<Validation>(Planted::ForgetWithoutFloor, |_| {});
}

#[test]
fn planted_negative_answers_that_no_change_touches_are_noticed() {
    notices::<Validation>(Planted::NegativesAreExempt, |_| {});
}

#[test]
fn planted_answers_that_outlive_a_snapshot_are_noticed() {
    notices::<Validation>(Planted::AnswersOutliveSnapshots, |plan| {
        plan.network.slow = 300
    });
}

#[test]
fn planted_answers_that_count_in_full_are_noticed_by_gateways_that_learn_of_no_changes() {
    // So far behind that they have not seen what a restore undoes.
    notices_by::<Validation>(
        |plan| plan.untold = 0,
        Planted::AnswersCountInFull,
        |plan| {
            (plan.pauses, plan.cuts) = (0, 0);
            plan.untold = 150;
        },
    );
}

#[test]
fn planted_a_question_that_begins_anew_as_others_join_is_noticed_by_cuts() {
    // Nothing else makes an attempt fail here.
    notices_by::<Validation>(
        |plan| plan.cuts = 0,
        Planted::JoiningBeginsAnew,
        |plan| (plan.network.lost, plan.network.slow) = (0, 0),
    );
}

#[test]
fn planted_a_clock_that_stands_still_with_its_gateway_is_noticed_by_pauses() {
    notices_by::<Validation>(|plan| plan.pauses = 0, Planted::ClockStandsStill, |_| {});
}

#[test]
fn planted_an_end_by_anothers_clock_is_noticed_by_the_pace_of_clocks() {
    notices_by::<Validation>(|plan| plan.drift = 0, Planted::EndsByAnothersClock, |_| {});
}
