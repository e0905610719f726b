//! Seeds against invariants, and planted bugs against seeds.

use super::Planted;
use super::kernel::Digest;
use super::ledger_truth::Truth;
use super::ledger_world::{Plan, World};
use super::seeds::{self, holds, told};
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

const SEEDS: u64 = 12;
/// A planted bug shows within so many seeds.
const NOTICED_WITHIN: u64 = 60;

fn run(plan: &Plan, seed: u64) -> Truth {
    World::new(plan.clone(), seed).run()
}

#[test]
fn never_over_the_limit_whatever_goes_wrong() {
    let seeds = seeds::seeds(SEEDS);
    let mut all = Digest::default();
    for seed in seeds.clone() {
        let truth = run(&Plan::stormy(), seed);
        holds("ledger", seed, &truth.broken);
        all.add(0, &truth.digest());
    }
    told("ledger", &seeds, all);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    let digest = |seed| World::new(Plan::stormy(), seed).run().digest();
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
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
fn planted_an_old_limit_that_stays_is_noticed() {
    notices(Planted::OldLimitStays, |_| {});
}

#[test]
fn planted_replies_that_are_increments_are_noticed() {
    notices(Planted::ReplyIsIncrement, |_| {});
}

#[test]
fn planted_refunds_of_dead_gateways_are_noticed() {
    notices(Planted::RefundDeadGateway, |_| {});
}

#[test]
fn planted_a_clock_read_before_taking_is_noticed() {
    notices(Planted::ClockBeforeTake, |_| {});
}

#[test]
fn planted_an_owner_that_forgets_at_restart_is_noticed() {
    notices(Planted::RestartForgets, |_| {});
}

#[test]
fn planted_a_release_before_the_mark_is_noticed() {
    notices(Planted::ReleaseBeforeMark, |plan| plan.owner_restarts = 300);
}
