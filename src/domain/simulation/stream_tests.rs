//! The streams world: seeds against promises, and planted bugs against seeds.

use super::Planted;
use super::seeds::{Ran, Simulated, holds, notices, notices_by, replays};
use super::stream_world::{Plan, World};

struct Streams;

// === impl Streams ===

impl Simulated for Streams {
    type Plan = Plan;
    const NAME: &'static str = "streams";
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
fn no_stream_outlives_an_ending_and_nobody_is_judged_by_what_was_forgotten() {
    holds::<Streams>(&[
        ("opened", 1_000),
        ("ended", 500),
        ("unsure", 10),
        ("stood", 500),
        ("all_cut", 10),
        ("judged_here", 100),
        ("not_acknowledged", 10),
        ("read_back", 10),
        ("stops", 10),
        ("one_way_cuts", 10),
    ]);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    replays::<Streams>();
}

#[test]
fn planted_consumers_that_no_change_forgets_are_noticed() {
    notices::<Streams>(Planted::ConsumersAreNotForgotten, |_| {});
}

#[test]
fn planted_a_disk_that_keeps_forgotten_consumers_is_noticed() {
    notices::<Streams>(Planted::DiskKeepsTheForgotten, |_| {});
}

#[test]
fn planted_streams_that_go_on_unsure_while_cut_off_are_noticed() {
    // What only key managers know, and then nobody is there for long.
    notices::<Streams>(Planted::UnsureGoesOnCutOff, |plan| {
        plan.said = 0;
        plan.cuts = 150;
        plan.silences = 120;
        plan.crashes = 0;
        plan.change_pace_ms = 800;
    });
}

#[test]
fn planted_asking_about_what_is_certainly_over_is_noticed() {
    notices::<Streams>(Planted::CertainEndsAreAsked, |_| {});
}

#[test]
fn planted_streams_that_go_on_where_nobody_is_served_are_noticed() {
    notices::<Streams>(Planted::FencedStreamsGoOn, |_| {});
}

#[test]
fn planted_calls_that_are_entered_late_and_not_looked_at_are_noticed() {
    // Many calls begin just when something changes, and then nothing does for a while.
    notices::<Streams>(Planted::LateCallsAreNotLookedAt, |plan| {
        plan.open_pace_ms = 8;
        plan.entering_ms = 200;
        plan.change_pace_ms = 800;
        plan.pauses = 300;
    });
}

#[test]
fn planted_a_clock_that_stands_still_with_its_gateway_is_noticed_by_stops() {
    notices_by::<Streams>(|plan| plan.stops = 0, Planted::ClockStandsStill, |_| {});
}

#[test]
fn planted_looks_that_are_made_up_for_are_noticed_by_stops() {
    notices_by::<Streams>(|plan| plan.stops = 0, Planted::MissedLooksAreMadeUp, |_| {});
}

#[test]
fn planted_that_whoever_is_heard_was_told_is_noticed_by_one_way_cuts() {
    // A word of whoever stopped meanwhile is heard as well.
    notices_by::<Streams>(
        |plan| plan.one_way_cuts = 0,
        Planted::HeardIsTold,
        |plan| plan.stops = 0,
    );
}

#[test]
fn planted_waiting_as_long_as_a_lease_is_noticed_by_the_pace_of_clocks() {
    notices_by::<Streams>(
        |plan| plan.drift = 0,
        Planted::WaitsAsLongAsALease,
        |plan| (plan.cuts, plan.change_pace_ms) = (150, 150),
    );
}
