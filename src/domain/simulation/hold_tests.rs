//! The world of the register's hold: seeds against W3, and planted bugs against seeds.

use super::Planted;
use super::hold_world::{Plan, World};
use super::seeds::{Ran, Simulated, holds, notices, replays};

struct Held;

// === impl Held ===

impl Simulated for Held {
    type Plan = Plan;
    const NAME: &'static str = "hold";
    const SEEDS: u64 = 100;
    const NOTICED_WITHIN: u64 = 20;

    fn storm() -> Plan {
        Plan::stormy()
    }

    fn storms(seed: u64) -> Vec<Plan> {
        let lifts = if seed.is_multiple_of(2) { 0 } else { 20 };
        vec![Plan {
            lifts,
            ..Plan::stormy()
        }]
    }

    fn plant(plan: &mut Plan, planted: Planted) {
        plan.planted = Some(planted);
    }

    fn run(plan: &Plan, seed: u64) -> Ran {
        World::new(plan.clone(), seed).run()
    }
}

#[test]
fn no_two_of_one_name_count_at_one_time_and_somebody_counts_again_within_the_hold() {
    holds::<Held>(&[
        ("said", 1_000),
        ("granted", 1_000),
        ("granted after another founded", 10),
        ("founded", 50),
        ("let go", 20),
        ("given up", 10),
        ("refused", 20),
        ("crashed", 50),
        ("lifted", 50),
    ]);
}

#[test]
fn a_seed_of_the_hold_replays_bit_for_bit() {
    replays::<Held>();
}

#[test]
fn planted_founding_in_the_place_of_whoever_is_there_is_noticed() {
    notices::<Held>(Planted::FoundsUnwatched, |_| {});
}

#[test]
fn planted_letting_go_below_what_earlier_lives_used_is_noticed() {
    notices::<Held>(Planted::LetsGoOfThisLifeAlone, |plan| {
        // Many lives, most of which nobody calls.
        (plan.calls, plan.crashes, plan.stops) = (20, 20, 40);
    });
}

#[test]
fn planted_a_word_that_is_taken_unwatched_is_noticed() {
    notices::<Held>(Planted::WordIsTakenUnwatched, |_| {});
}

#[test]
fn planted_a_founder_that_is_given_up_to_when_it_said_last_is_noticed() {
    notices::<Held>(Planted::GivenUpGrantedNothingSince, |_| {});
}

#[test]
fn planted_a_t_that_was_lifted_and_is_used_before_that_is_said_is_noticed() {
    notices::<Held>(Planted::LiftsGoUntold, |plan| {
        // Lives that grant at once, and end soon after.
        (plan.calls, plan.lifts) = (1_000, 100);
        (plan.crashes, plan.lost_disks, plan.words) = (20, 700, 200);
    });
}

#[test]
fn planted_a_disk_that_is_trusted_beyond_what_it_was_told_is_noticed() {
    notices::<Held>(Planted::KeptIsTrusted, |_| {});
}
