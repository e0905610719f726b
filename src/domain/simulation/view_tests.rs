//! Members, voters and gateways under faults: seeds against invariants, planted bugs against seeds.

use std::ops::RangeInclusive;

use super::Planted;
use super::ledger_world::{Plan, World};
use super::seeds::{Ran, Simulated, holds, notices, replays};
use super::view_plans::Fault;
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

/// Everything goes wrong within a minute.
struct View;

/// Hours, in which something goes wrong now and then.
struct Hours;

/// So many a seed.
const HOURS: i64 = 10;

// === impl View ===

impl Simulated for View {
    type Plan = Plan;
    const NAME: &'static str = "view";
    const SEEDS: u64 = 6;
    const NOTICED_WITHIN: u64 = 60;

    fn storm() -> Plan {
        Plan::shared()
    }

    fn storms(seed: u64) -> Vec<Plan> {
        let worst = Plan::shared().at_its_worst(seed);
        let (changing, losing) = (Plan::shared().changing(), Plan::shared().losing());
        let sliding = match seed % 2 {
            0 => Plan::shared().sliding(),
            _ => Plan::shared().sliding().on_time(),
        };
        vec![Plan::shared(), worst, changing, losing, sliding]
    }

    fn innocent(seed: u64) -> RangeInclusive<u64> {
        // Seeds of this world take their time.
        seed..=seed
    }

    fn plant(plan: &mut Plan, planted: Planted) {
        plan.planted = Some(planted);
    }

    fn run(plan: &Plan, seed: u64) -> Ran {
        World::new(plan.clone(), seed).run().into()
    }
}

// === impl Hours ===

impl Simulated for Hours {
    type Plan = Plan;
    const NAME: &'static str = "view-hours";
    const SEEDS: u64 = 12;
    const NOTICED_WITHIN: u64 = 0;

    fn storm() -> Plan {
        Plan::sparse(HOURS)
    }

    fn storms(seed: u64) -> Vec<Plan> {
        // What slides takes longer to judge.
        vec![match seed % 4 {
            3 => Plan::sliding_sparse(HOURS),
            _ => Plan::sparse(HOURS),
        }]
    }

    fn plant(plan: &mut Plan, planted: Planted) {
        plan.planted = Some(planted);
    }

    fn run(plan: &Plan, seed: u64) -> Ran {
        World::new(plan.clone(), seed).run().into()
    }
}

#[test]
fn never_over_the_limit_whoever_dies_hangs_or_is_cut_off() {
    holds::<View>(&[]);
}

#[test]
fn never_over_the_limit_in_hours_of_rare_faults() {
    holds::<Hours>(&[]);
}

#[test]
fn a_seed_of_several_members_replays_bit_for_bit() {
    replays::<View>();
    replays::<Hours>();
}

#[test]
fn in_a_calm_several_members_give_out_what_one_would() {
    for seed in 0..3 {
        let truth = World::new(Plan::calm_and_shared(), seed).run();
        assert_eq!(truth.broken, Vec::<String>::new());
        let windows = truth.windows(0);
        let whole = &windows[1..windows.len() - 1];
        assert!(
            whole
                .iter()
                .all(|admitted| (990..=1_000).contains(admitted)),
            "{windows:?}"
        );
    }
}

#[test]
fn one_fault_costs_time_and_no_unit_and_nobody_waits_in_vain() {
    let mut broken = Vec::new();
    for fault in Fault::ALL {
        for seed in 0..12 {
            let truth = World::new(Plan::one(fault), seed).run();
            broken.extend(truth.broken.into_iter().map(|what| (seed, what)));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_two_have_that_leave_is_not_given_up_while_the_disk_of_who_takes_it_hangs() {
    for seed in 0..12 {
        let truth = World::new(Plan::one(Fault::TwoLeftAndDiskHung), seed).run();
        let given_up = |what: &&String| what.starts_with("L6") || what.starts_with("no fault");
        let given_up: Vec<&String> = truth.broken.iter().filter(given_up).collect();
        assert!(given_up.is_empty(), "seed {seed}: {given_up:?}");
    }
}

#[test]
fn a_source_that_gives_one_part_after_the_other_over_a_slow_link_is_not_given_up() {
    for seed in 0..12 {
        let truth = World::new(Plan::one(Fault::OneKilledAndLinkSlow), seed).run();
        let given_up = |what: &&String| what.starts_with("L6") || what.starts_with("no fault");
        let given_up: Vec<&String> = truth.broken.iter().filter(given_up).collect();
        assert!(given_up.is_empty(), "seed {seed}: {given_up:?}");
    }
}

#[test]
fn planted_who_seals_nothing_is_noticed() {
    // Somebody goes on with its standby apart from all others.
    notices::<View>(Planted::SealsNothing, |plan| plan.splits = 400);
}

#[test]
fn planted_a_grant_before_the_standby_has_it_is_noticed() {
    notices::<View>(Planted::GrantBeforeStandby, |_| {});
}

#[test]
fn planted_a_grant_without_a_fence_is_noticed() {
    notices::<View>(Planted::SkipFence, |plan| {
        // Windows that begin soon after the last fence that the others know.
        let seconds = |units, count| (units, WindowSpec::new(TimeUnit::Sec, count));
        plan.keys = vec![seconds(9, 2), seconds(40, 3)];
        plan.voters = 5;
        plan.splits = 400;
    });
}

#[test]
fn planted_serving_in_sync_is_noticed() {
    notices::<View>(Planted::ServeInSync, Plan::worse);
}

#[test]
fn planted_a_view_without_copies_is_noticed() {
    notices::<View>(Planted::ActiveWithoutCopies, |_| {});
}

#[test]
fn planted_the_fence_of_one_voter_is_noticed() {
    notices::<View>(Planted::FenceOfOneVoter, |plan| {
        plan.worse();
        plan.voters = 5;
    });
}

#[test]
fn planted_a_lost_shard_that_begins_empty_is_noticed() {
    notices::<View>(Planted::LostBeginsEmpty, |_| {});
}

#[test]
fn planted_a_disk_that_begins_empty_is_noticed() {
    notices::<View>(Planted::DiskBeginsEmpty, |_| {});
}

#[test]
fn planted_an_acknowledgement_before_the_mark_is_noticed() {
    notices::<View>(Planted::AcknowledgeBeforeMark, |plan| {
        // Used up late in the run.
        plan.keys = vec![(700, WindowSpec::new(TimeUnit::Hour, 1))];
        (plan.blackouts, plan.cluster.hung_disks) = (150, 300);
        (plan.node_crashes, plan.node_pauses, plan.cuts) = (0, 0, 0);
        plan.limit_changes = 0;
    });
}

#[test]
fn planted_a_voter_that_forgets_is_noticed() {
    notices::<View>(Planted::VoterForgets, |plan| {
        plan.keys = vec![(50, WindowSpec::new(TimeUnit::Sec, 10))];
        (plan.voters, plan.blackouts) = (5, 200);
        (plan.node_crashes, plan.node_pauses) = (0, 0);
    });
}

#[test]
fn planted_a_reused_incarnation_is_noticed() {
    notices::<View>(Planted::ReuseIncarnation, Plan::worse);
}

#[test]
fn planted_a_standby_filled_twice_is_noticed() {
    notices::<View>(Planted::FillTwice, |plan| {
        // What was said once comes again, and late, and whoever has it is the only one soon.
        plan.worse();
        (plan.network.repeated, plan.network.slow) = (300, 100);
    });
}

#[test]
fn planted_an_older_cell_that_replaces_a_newer_is_noticed() {
    notices::<View>(Planted::OlderReplacesNewer, |_| {});
}

#[test]
fn planted_what_was_lost_found_at_anybody_is_noticed() {
    notices::<View>(Planted::FoundAtAnybody, |plan| {
        *plan = plan.clone().losing();
    });
}

#[test]
fn planted_short_windows_found_again_are_noticed() {
    notices::<View>(Planted::FoundWithoutShortWindows, |plan| {
        *plan = plan.clone().losing();
    });
}

#[test]
fn planted_a_disk_begun_anew_that_passes_for_the_lost_one_is_noticed() {
    notices::<View>(Planted::LostDiskIsASource, |plan| {
        *plan = plan.clone().losing();
        (plan.members, plan.voters) = (3, 3);
        (plan.blackouts, plan.cluster.lost_disks) = (100, 300);
    });
}

#[test]
fn planted_trust_in_gossip_is_noticed() {
    notices::<View>(Planted::TrustGossip, |_| {});
}

#[test]
fn planted_a_stop_before_the_hand_over_is_noticed() {
    notices::<View>(Planted::StopsBeforeHandOver, |plan| {
        plan.cluster.leaves = 200;
        (plan.members, plan.voters) = (1, 1);
    });
}

#[test]
fn planted_a_refund_of_a_dead_gateway_is_noticed() {
    notices::<View>(Planted::RefundDeadGateway, |plan| plan.gateway_crashes = 60);
}

#[test]
fn planted_leases_of_fixed_windows_that_last_while_t_stands_still_are_noticed() {
    notices::<View>(Planted::LeasesStandStill, |plan| {
        *plan = plan.clone().sliding().on_time();
        plan.keys = vec![(150, WindowSpec::new(TimeUnit::Sec, 10))];
    });
}

#[test]
fn planted_a_clock_read_before_taking_is_noticed() {
    notices::<View>(Planted::ClockBeforeTake, |plan| {
        *plan = Plan::calm_and_shared();
        // Units are left when a window ends.
        plan.keys = vec![(50, WindowSpec::new(TimeUnit::Sec, 2))];
        (plan.pace_ms, plan.pauses) = (400, 100);
        plan.cluster.is_on_time = true;
    });
}

#[test]
fn planted_a_reset_that_ends_with_its_pane_is_noticed() {
    notices::<View>(Planted::ResetEndsWithItsPane, |plan| {
        *plan = plan.clone().sliding();
        plan.cluster.resets = 300;
    });
}

#[test]
fn planted_a_reset_that_lets_leases_go_on_is_noticed() {
    notices::<View>(Planted::ResetKeepsItsLease, |plan| {
        *plan = plan.clone().sliding();
        plan.clock_steps_back = 1_000;
        (plan.cluster.resets, plan.put_backs) = (1_000, 500);
    });
}

#[test]
fn planted_a_reset_that_forgets_who_was_silent_is_noticed() {
    notices::<View>(Planted::ResetForgetsTheSilent, |plan| {
        *plan = plan.clone().sliding();
        plan.cluster.resets = 1_000;
    });
}
