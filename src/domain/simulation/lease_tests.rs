//! The world of the serving lease: seeds against S3, and planted bugs against seeds.

use super::Planted;
use super::lease_world::{Plan, World};
use super::seeds::{Ran, Simulated, holds, notices, notices_by, replays};

struct Lease;

// === impl Lease ===

impl Simulated for Lease {
    type Plan = Plan;
    const NAME: &'static str = "lease";
    const SEEDS: u64 = 100;
    const NOTICED_WITHIN: u64 = 20;

    fn storm() -> Plan {
        Plan::stormy()
    }

    fn plant(plan: &mut Plan, planted: Planted) {
        plan.planted = Some(planted);
    }

    fn run(plan: &Plan, seed: u64) -> Ran {
        World::new(plan.clone(), seed).run()
    }
}

#[test]
fn what_a_change_ended_is_not_served_once_its_answer_left() {
    holds::<Lease>(&[("served", 1_000), ("served before a change", 1_000)]);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    replays::<Lease>();
}

#[test]
fn planted_a_head_that_is_read_before_it_is_asked_for_is_noticed() {
    notices::<Lease>(Planted::HeadBeforeAsked, |_| {});
}

#[test]
fn planted_a_lease_from_when_its_answer_came_is_noticed() {
    notices::<Lease>(Planted::LeaseFromAnswer, |_| {});
}

#[test]
fn planted_a_lease_that_needs_nothing_applied_is_noticed() {
    notices::<Lease>(Planted::LeaseNeedsNothing, |_| {});
}

#[test]
fn planted_waiting_as_long_as_a_lease_is_noticed_by_the_pace_of_clocks() {
    notices_by::<Lease>(|plan| plan.drift = 0, Planted::WaitsAsLongAsALease, |_| {});
}
