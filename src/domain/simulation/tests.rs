//! Seeds against invariants, and planted bugs against seeds.

use super::Planted;
use super::ledger_world::{Plan, World};
use super::seeds::{Ran, Simulated, holds, notices, replays};
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

struct Ledger;

// === impl Ledger ===

impl Simulated for Ledger {
    type Plan = Plan;
    const NAME: &'static str = "ledger";
    const SEEDS: u64 = 12;
    const NOTICED_WITHIN: u64 = 60;

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
fn never_over_the_limit_whatever_goes_wrong() {
    holds::<Ledger>(&[]);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    replays::<Ledger>();
}

#[test]
fn hardly_under_the_limit_when_demand_is_twice_as_high() {
    for (limit, count, floor) in [
        (1, 10, 1),
        (10, 10, 10),
        (150, 5, 150),
        (1_000, 10, 990),
        (2_000, 10, 1_980),
    ] {
        let window = WindowSpec::new(TimeUnit::Sec, count);
        for seed in 0..3 {
            let truth = World::new(Plan::calm(limit, window, 4), seed).run();
            let windows = truth.windows(0);
            let whole = &windows[1..windows.len() - 1];
            assert!(!whole.is_empty());
            assert!(
                whole
                    .iter()
                    .all(|admitted| (floor..=limit).contains(admitted)),
                "limit {limit}: {windows:?}"
            );
        }
    }
}

#[test]
fn planted_an_old_limit_that_stays_is_noticed() {
    notices::<Ledger>(Planted::OldLimitStays, |_| {});
}

#[test]
fn planted_replies_that_are_increments_are_noticed() {
    notices::<Ledger>(Planted::ReplyIsIncrement, |_| {});
}

#[test]
fn planted_refunds_of_dead_gateways_are_noticed() {
    notices::<Ledger>(Planted::RefundDeadGateway, |_| {});
}

#[test]
fn planted_a_clock_read_before_taking_is_noticed() {
    notices::<Ledger>(Planted::ClockBeforeTake, |_| {});
}

#[test]
fn planted_an_owner_that_forgets_at_restart_is_noticed() {
    notices::<Ledger>(Planted::RestartForgets, |_| {});
}

#[test]
fn planted_a_release_before_the_mark_is_noticed() {
    notices::<Ledger>(Planted::ReleaseBeforeMark, |plan| plan.owner_restarts = 300);
}
