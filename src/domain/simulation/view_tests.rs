//! Members, voters and gateways under faults: seeds against invariants, planted bugs against seeds.

use std::ops::RangeInclusive;

use super::Planted;
use super::ledger_world::{Plan, World};
use super::seeds::{Ran, Simulated, holds, notices, replays};
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

struct View;

// === impl View ===

impl Simulated for View {
    type Plan = Plan;
    const NAME: &'static str = "view";
    const SEEDS: u64 = 12;
    const NOTICED_WITHIN: u64 = 60;

    fn storm() -> Plan {
        Plan::shared()
    }

    fn storms(seed: u64) -> Vec<Plan> {
        vec![Plan::shared(), Plan::shared().at_its_worst(seed)]
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

#[test]
fn never_over_the_limit_whoever_dies_hangs_or_is_cut_off() {
    holds::<View>(&[]);
}

#[test]
fn a_seed_of_several_members_replays_bit_for_bit() {
    replays::<View>();
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
fn planted_who_seals_nothing_is_noticed() {
    notices::<View>(Planted::SealsNothing, Plan::worse);
}

#[test]
fn planted_a_grant_before_the_standby_has_it_is_noticed() {
    notices::<View>(Planted::GrantBeforeStandby, |_| {});
}

#[test]
fn planted_a_grant_without_a_fence_is_noticed() {
    notices::<View>(Planted::SkipFence, |plan| {
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
        plan.worse();
        plan.disk_ms = 1_500;
    });
}

#[test]
fn planted_a_voter_that_forgets_is_noticed() {
    notices::<View>(Planted::VoterForgets, |plan| {
        plan.keys = vec![(50, WindowSpec::new(TimeUnit::Sec, 10))];
        (plan.voters, plan.blackouts) = (5, 100);
        (plan.node_crashes, plan.node_pauses) = (0, 0);
    });
}

#[test]
fn planted_a_reused_incarnation_is_noticed() {
    notices::<View>(Planted::ReuseIncarnation, Plan::worse);
}

#[test]
fn planted_a_standby_filled_twice_is_noticed() {
    notices::<View>(Planted::FillTwice, |_| {});
}

#[test]
fn planted_an_older_cell_that_replaces_a_newer_is_noticed() {
    notices::<View>(Planted::OlderReplacesNewer, |_| {});
}
