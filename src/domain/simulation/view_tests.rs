//! Members, voters and gateways under faults: seeds against invariants, planted bugs against seeds.

use super::Planted;
use super::kernel::Digest;
use super::ledger_truth::Truth;
use super::ledger_world::{Plan, World};
use super::seeds::{holds, seeds, told};
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

const SEEDS: u64 = 12;
/// A planted bug shows within so many seeds.
const WITHIN: u64 = 60;

fn run(plan: &Plan, seed: u64) -> Truth {
    World::new(plan.clone(), seed).run()
}

#[test]
fn never_over_the_limit_whoever_dies_hangs_or_is_cut_off() {
    let seeds = seeds(SEEDS);
    let mut all = Digest::default();
    for seed in seeds.clone() {
        for plan in [Plan::shared(), Plan::shared().at_its_worst(seed)] {
            let truth = run(&plan, seed);
            holds("view", seed, &truth.broken);
            all.add(0, &truth.digest());
        }
    }
    told("view", &seeds, all);
}

#[test]
fn a_seed_of_several_members_replays_bit_for_bit() {
    let digest = |seed| run(&Plan::shared(), seed).digest();
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

#[test]
fn in_a_calm_several_members_give_out_what_one_would() {
    for seed in 0..3 {
        let truth = run(&Plan::calm_and_shared(), seed);
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

/// Some seed shows the bug, and the same plan without it shows nothing.
fn notices(planted: Planted, change: impl Fn(&mut Plan)) {
    let mut plan = Plan::shared();
    change(&mut plan);
    let with_bug = Plan {
        planted: Some(planted),
        ..plan.clone()
    };
    let found = (0..WITHIN).find(|seed| !run(&with_bug, *seed).broken.is_empty());
    let seed = found.unwrap_or_else(|| panic!("{planted:?} goes unnoticed"));
    println!("{planted:?}: seed {seed}");
    assert_eq!(
        run(&plan, seed).broken,
        Vec::<String>::new(),
        "{planted:?} was not the cause"
    );
}

#[test]
fn planted_who_seals_nothing_is_noticed() {
    notices(Planted::SealsNothing, Plan::worse);
}

#[test]
fn planted_a_grant_before_the_standby_has_it_is_noticed() {
    notices(Planted::GrantBeforeStandby, |_| {});
}

#[test]
fn planted_a_grant_without_a_fence_is_noticed() {
    notices(Planted::SkipFence, |plan| {
        plan.voters = 5;
        plan.splits = 400;
    });
}

#[test]
fn planted_serving_in_sync_is_noticed() {
    notices(Planted::ServeInSync, Plan::worse);
}

#[test]
fn planted_a_view_without_copies_is_noticed() {
    notices(Planted::ActiveWithoutCopies, |_| {});
}

#[test]
fn planted_the_fence_of_one_voter_is_noticed() {
    notices(Planted::FenceOfOneVoter, |plan| {
        plan.worse();
        plan.voters = 5;
    });
}

#[test]
fn planted_a_lost_shard_that_begins_empty_is_noticed() {
    notices(Planted::LostBeginsEmpty, |_| {});
}

#[test]
fn planted_a_disk_that_begins_empty_is_noticed() {
    notices(Planted::DiskBeginsEmpty, |_| {});
}

#[test]
fn planted_an_acknowledgement_before_the_mark_is_noticed() {
    notices(Planted::AcknowledgeBeforeMark, |plan| {
        plan.worse();
        plan.disk_ms = 1_500;
    });
}

#[test]
fn planted_a_voter_that_forgets_is_noticed() {
    notices(Planted::VoterForgets, |plan| {
        plan.keys = vec![(50, WindowSpec::new(TimeUnit::Sec, 10))];
        (plan.voters, plan.blackouts) = (5, 100);
        (plan.node_crashes, plan.node_pauses) = (0, 0);
    });
}

#[test]
fn planted_a_reused_incarnation_is_noticed() {
    notices(Planted::ReuseIncarnation, Plan::worse);
}

#[test]
fn planted_a_standby_filled_twice_is_noticed() {
    notices(Planted::FillTwice, |_| {});
}

#[test]
fn planted_an_older_cell_that_replaces_a_newer_is_noticed() {
    notices(Planted::OlderReplacesNewer, |_| {});
}
