//! The world of followers: seeds against what answers to changes promise, and planted bugs against seeds.

use super::Planted;
use super::followers_plans::Plan;
use super::followers_world::World;
use super::seeds::{Ran, Simulated, holds, notices, notices_by, replays};

struct Followers;

// === impl Followers ===

impl Simulated for Followers {
    type Plan = Plan;
    const NAME: &'static str = "followers";
    const SEEDS: u64 = 100;
    const NOTICED_WITHIN: u64 = 60;

    fn storm() -> Plan {
        Plan::stormy()
    }

    fn storms(seed: u64) -> Vec<Plan> {
        vec![match seed % 5 {
            0 => Plan::cut(),
            1 => Plan::restored(),
            2 => Plan::standing_still(),
            3 => Plan::put_back(),
            _ => Plan::stormy(),
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
fn nobody_serves_what_an_answer_ended_unless_it_is_named_and_in_a_calm_nobody_is() {
    holds::<Followers>(&[
        ("served", 50_000),
        ("served cut off", 500),
        ("answered", 1_000),
        ("answered in the calm", 50),
        ("behind", 100),
        ("fenced", 100),
        ("unreached", 100),
        ("fences", 10),
        ("disputed", 1),
        ("left", 10),
        ("put back", 2),
        ("crashed", 5),
        ("control planes crashed", 3),
        ("restored", 3),
    ]);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    replays::<Followers>();
}

#[test]
fn planted_not_waiting_for_the_fenced_is_noticed_by_cuts() {
    notices::<Followers>(Planted::FencedAreNotWaitedFor, |plan| *plan = Plan::cut());
}

#[test]
fn planted_the_age_of_a_fence_by_its_row_is_noticed() {
    notices::<Followers>(Planted::FenceAgeByRow, |_| {});
}

#[test]
fn planted_not_naming_whoever_goes_on_cut_off_is_noticed() {
    notices::<Followers>(Planted::ServeIsNotNamed, |_| {});
}

#[test]
fn planted_forgetting_whoever_left_is_noticed() {
    notices::<Followers>(Planted::LeftAreForgotten, |_| {});
}

#[test]
fn planted_deafness_to_an_earlier_life_is_noticed_by_nodes_that_are_put_back() {
    notices_by::<Followers>(
        |plan| plan.put_back = 0,
        Planted::DisputeIgnored,
        |plan| *plan = Plan::put_back(),
    );
}

#[test]
fn planted_acknowledgements_that_outlive_their_history_are_noticed_by_restored_backups() {
    notices_by::<Followers>(
        |plan| plan.restores = 0,
        Planted::AcknowledgedOutlivesItsHistory,
        |plan| *plan = Plan::restored(),
    );
}

#[test]
fn planted_pulls_that_acknowledge_are_noticed_by_restored_backups() {
    notices_by::<Followers>(
        |plan| plan.restores = 0,
        Planted::PullsAcknowledge,
        |plan| *plan = Plan::restored(),
    );
}

#[test]
fn planted_going_by_the_head_alone_is_noticed_by_a_backup_that_lacks_one_change() {
    let mut plan = Plan::restored();
    (
        plan.restores,
        plan.control_crashes,
        plan.feeds_anew,
        plan.fails,
    ) = (60, 40, 40, 40);
    let broken = |planted| {
        let plan = Plan {
            planted,
            ..plan.clone()
        };
        World::new(plan, 147).run().broken
    };
    assert!(broken(None).is_empty());
    let shown = broken(Some(Planted::HeadAloneTells));
    assert!(shown.iter().any(|one| one.starts_with("S3")), "{shown:?}");
}

#[test]
fn planted_holding_a_stop_of_its_own_against_followers_is_noticed_by_stops() {
    notices::<Followers>(Planted::ForgivesNothing, |plan| {
        *plan = Plan::standing_still()
    });
}

#[test]
fn planted_silence_of_whoever_was_not_heard_yet_is_noticed() {
    notices::<Followers>(Planted::StrangersAreSilent, |_| {});
}

#[test]
fn planted_a_head_from_before_a_registration_is_noticed() {
    notices::<Followers>(Planted::HeadBeforeRegistered, |plan| {
        *plan = Plan::restored()
    });
}

#[test]
fn planted_waiting_as_long_as_a_lease_is_noticed_by_the_pace_of_clocks() {
    notices_by::<Followers>(|plan| plan.drift = 0, Planted::WaitsAsLongAsALease, |_| {});
}
