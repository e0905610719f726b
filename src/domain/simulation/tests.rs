//! Seeds against invariants, and planted bugs against seeds.

use super::Planted;
use super::ledger_truth::Truth;
use super::ledger_world::{Plan, TENANT, WORLD_EPOCH_MS, World, policy};
use super::seeds::{Ran, Simulated, holds, notices, replays};
use crate::ledger::{Policies, Quota};
use crate::policy::{TimeUnit, WindowKind};
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

/// Windows that slide, and buckets, of short and long ones.
fn paned(plan: Plan) -> Plan {
    let windows = [
        (1, TimeUnit::Sec, 10, WindowKind::Sliding),
        (7, TimeUnit::Sec, 2, WindowKind::Bucket),
        (400, TimeUnit::Sec, 10, WindowKind::Sliding),
        (300, TimeUnit::Hour, 1, WindowKind::Bucket),
        (90, TimeUnit::Hour, 1, WindowKind::Sliding),
    ];
    let keys = windows.map(|(limit, unit, count, kind)| {
        let window = WindowSpec::new(unit, count);
        (limit, window.counted(kind))
    });
    Plan {
        keys: keys.to_vec(),
        ..plan
    }
}

#[test]
fn never_over_the_limit_where_windows_slide_or_are_buckets_whatever_goes_wrong() {
    let mut admitted = [0; 5];
    for seed in 0..6 {
        let worst = Plan::shared().at_its_worst(seed);
        for plan in [Plan::stormy(), Plan::shared(), worst, lifted()] {
            let truth = World::new(paned(plan), seed).run();
            assert_eq!(truth.broken, Vec::<String>::new(), "seed {seed}");
            for (key, admitted) in admitted.iter_mut().enumerate() {
                *admitted += truth.windows(key).iter().sum::<u64>();
            }
        }
    }
    // Of the limit of one 132 at most, but a crash takes its unit until the window ends, and nobody is granted any while T
    // stands still (a disk that takes half a second): 47.
    assert!(
        admitted.iter().all(|admitted| *admitted > 40),
        "{admitted:?}"
    );
}

#[test]
fn a_reset_makes_up_for_what_was_used_before_it_and_for_nothing_else() {
    let spec = WindowSpec::new(TimeUnit::Sec, 10).counted(WindowKind::Sliding);
    let mut policies = Policies::new(1);
    let limit = 1;
    let window = spec;
    policies.set(TENANT, &policy(0), Quota { limit, window });
    // When units are taken, each used at once but for the last, and whether that is too many.
    for (taken_ms, used_ms, is_over) in [
        (&[0, 5_000][..], 5_000, true),
        (&[0, 21_000], 21_000, false),
        (&[15_000, 21_000], 21_000, false),
        (&[21_000, 25_000], 25_000, true),
        // It was taken before, and nobody knew.
        (&[22_000, 19_900], 25_000, false),
    ] {
        let mut truth = Truth::new(&policies);
        truth.reset(0, spec.at(WORLD_EPOCH_MS).id, 20_000);
        for (place, at_ms) in taken_ms.iter().enumerate() {
            let is_last = place + 1 == taken_ms.len();
            let real_ms = if is_last { used_ms } else { *at_ms };
            truth.used_at(0, spec, *at_ms, real_ms);
        }
        assert_eq!(!truth.broken.is_empty(), is_over, "{taken_ms:?}");
    }
}

/// Members whose clocks are apart, and one that takes over from another now and then: T is lifted each time.
fn lifted() -> Plan {
    Plan {
        length_ms: 40_000,
        pace_ms: 10,
        clock_steps_back: 300,
        node_crashes: 60,
        node_pauses: 30,
        limit_changes: 0,
        ..Plan::shared()
    }
}

#[test]
fn planted_a_time_that_is_lifted_and_counts_as_passed_is_noticed() {
    let shows = |seed| {
        let planted = Some(Planted::JumpsCount);
        let plan = Plan {
            planted,
            ..paned(lifted())
        };
        !World::new(plan, seed).run().broken.is_empty()
    };
    assert!((0..20).any(shows));
}

#[test]
fn hardly_under_the_limit_where_windows_slide_or_are_buckets_when_demand_is_high() {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        // A unit of a small limit that comes free waits for whoever asks next, and a window that slides never makes
        // up for it: that is told apart by asking more often.
        for (limit, times) in [(10, 20), (1_000, 2)] {
            let window = WindowSpec::new(TimeUnit::Min, 1).counted(kind);
            let mut plan = Plan::calm(limit, window, 1);
            let spans = 6;
            plan.pace_ms = (window.span_ms() / i64::try_from(limit * times).unwrap()).max(1);
            plan.length_ms = window.span_ms() * spans;
            let truth = World::new(plan, 0).run();
            let all: u64 = truth.windows(0).iter().sum();
            let most = limit * 6;
            assert_eq!(truth.broken, Vec::<String>::new());
            assert!(all * 100 >= most * 96, "{kind:?} {limit}: {all} of {most}");
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
    notices::<Ledger>(Planted::ReleaseBeforeMark, |plan| {
        plan.owner_restarts = 600;
        plan.keys = vec![(100, WindowSpec::new(TimeUnit::Day, 1)); 3];
    });
}
