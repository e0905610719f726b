//! Properties of windows that slide and of buckets (L10): whenever units are used, wherever the owner moves and
//! whatever restarts, no time of the window's length sees more than the limit, and no time at all more than a bucket
//! held and was filled with.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::tests::{T, key};
use super::*;
use crate::policy::{TimeUnit, WindowKind};
use crate::simulation::Planted;
use crate::window::WindowSpec;

use super::paned_world::{Event, NODES, World};

fn event() -> impl Strategy<Value = Event> {
    let which = 0..64_usize;
    let gateway = 0..NODES.len();
    prop_oneof![
        8 => (gateway.clone(), 1..9_u64).prop_map(|(at, units)| Event::Use(at, units)),
        8 => (gateway.clone(), 1..9_u64).prop_map(|(at, want)| Event::Ask(at, want)),
        6 => (gateway.clone(), 1..9_u64).prop_map(|(at, want)| Event::Gets(at, want)),
        2 => gateway.clone().prop_map(Event::Back),
        2 => (gateway.clone(), 1..9_u64).prop_map(|(at, units)| Event::Hold(at, units)),
        2 => gateway.prop_map(Event::PutBack),
        10 => (which.clone(), any::<bool>()).prop_map(|(which, again)| Event::Asked(which, again)),
        10 => (which, any::<bool>()).prop_map(|(which, again)| Event::Said(which, again)),
        4 => Just(Event::Marked),
        1 => (1..12_u64).prop_map(Event::Limit),
        1 => Just(Event::Reset),
        4 => (1..700_i64).prop_map(Event::Pass),
        2 => (700..65_000_i64).prop_map(Event::Pass),
        1 => (65_000..4_000_000_i64).prop_map(Event::Pass),
        1 => (1..1_500_i64).prop_map(Event::Stand),
        2 => (1..1_500_i64).prop_map(Event::Lift),
        1 => (-3_000..3_000_i64, 0..3_000_i64).prop_map(|(ahead, after)| Event::TakeOver(ahead, after)),
        1 => prop_oneof![3 => 0..1_000_i64, 1 => 1_000..1_000_000_i64].prop_map(Event::Restart),
        1 => (-3_000..3_000_i64, any::<bool>(), any::<bool>())
            .prop_map(|(ahead, is_lost, stands)| Event::Apart(ahead, is_lost, stands)),
        4 => (0..64_usize, any::<bool>()).prop_map(|(which, again)| Event::AskedBefore(which, again)),
    ]
}

fn window() -> impl Strategy<Value = WindowSpec> {
    let lengths = [(TimeUnit::Sec, 1), (TimeUnit::Min, 1), (TimeUnit::Hour, 1)];
    let kinds = [WindowKind::Sliding, WindowKind::Bucket];
    let of = |(unit, count)| kinds.map(|kind| WindowSpec::new(unit, count).counted(kind));
    proptest::sample::select(lengths.map(of).concat())
}

/// The first limit, the window, and what happens.
type History = (u64, WindowSpec, Vec<Event>);

fn history() -> impl Strategy<Value = History> {
    let events = proptest::collection::vec(event(), 1..200);
    (1..12_u64, window(), events)
}

/// A gateway holds units when T is lifted, and soon after that the key is reset.
fn reset_soon_after_a_lift() -> impl Strategy<Value = History> {
    let some = proptest::collection::vec(event(), 0..4);
    let events = proptest::collection::vec(event(), 1..60);
    let lift_ms = prop_oneof![1..1_500_i64, 1_500..40_000_i64];
    (1..12_u64, window(), some, lift_ms, events).prop_map(
        |(limit, window, some, lift_ms, events)| {
            let mut all = vec![
                Event::Ask(0, limit),
                Event::Asked(0, false),
                Event::Marked,
                Event::Said(0, false),
                Event::Lift(lift_ms),
            ];
            all.extend(some);
            all.extend([Event::Reset, Event::Marked]);
            all.extend(events);
            (limit, window, all)
        },
    )
}

/// Calls hold units when the key is reset, and are refused elsewhere after the recall was heard.
fn reset_while_calls_hold_units() -> impl Strategy<Value = History> {
    let some = proptest::collection::vec(event(), 0..4);
    let events = proptest::collection::vec(event(), 1..60);
    (2..12_u64, window(), some, events).prop_map(|(limit, window, some, events)| {
        let mut all = vec![Event::Gets(1, 1), Event::Ask(0, limit)];
        all.extend([Event::Asked(0, false), Event::Marked, Event::Said(0, false)]);
        all.extend([Event::Hold(0, limit), Event::Reset, Event::Marked]);
        all.extend([Event::Said(0, false), Event::Said(0, false)]);
        all.extend(some);
        all.extend([Event::Asked(0, false), Event::Marked, Event::PutBack(0)]);
        all.extend(events);
        (limit, window, all)
    })
}

/// What is done wrong.
#[derive(PartialEq)]
enum Wrong {
    Nothing,
    /// A unit is lost whenever time passes.
    Forgets,
    /// One of the machine's own mistakes.
    Planted(Planted),
}

/// Whether no time sees too much.
fn keeps((limit, window, events): &History, wrong: &Wrong) -> Result<(), String> {
    let planted = match wrong {
        Wrong::Planted(bug) => Some(*bug),
        _ => None,
    };
    let mut world = World::new(*limit, *window, planted);
    for event in events {
        world.event(event)?;
        if *wrong == Wrong::Forgets && matches!(event, Event::Pass(_)) {
            let (cell, units) = (key("a"), 1);
            world.step(Input::Refund { cell, units });
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_real_time_sees_more_than_a_window_that_slides_or_a_bucket_allows_whose_t_ever_is_lifted(history in history()) {
        prop_assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
    }

    #[test]
    fn no_reset_soon_after_a_lift_gives_more_than_it_forgives(history in reset_soon_after_a_lift()) {
        prop_assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
    }

    #[test]
    fn no_unit_that_a_call_holds_when_its_key_is_reset_is_used_after_it(history in reset_while_calls_hold_units()) {
        prop_assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
    }
}

#[test]
fn a_time_that_is_lifted_and_counts_as_passed_breaks_the_property_of_each_kind() {
    breaks(&Wrong::Planted(Planted::JumpsCount));
}

#[test]
fn a_unit_that_is_forgotten_too_early_breaks_the_property_of_each_kind() {
    breaks(&Wrong::Forgets);
}

fn breaks(wrong: &Wrong) {
    breaks_in(&history(), wrong);
}

fn breaks_in(histories: &impl Strategy<Value = History>, wrong: &Wrong) {
    let mut runner = TestRunner::deterministic();
    let histories = (0..1_000).map(|_| histories.new_tree(&mut runner).unwrap().current());
    let broken: Vec<WindowKind> = histories
        .filter(|history| keeps(history, wrong).is_err())
        .map(|(_, window, _)| window.kind)
        .collect();
    assert!(broken.contains(&WindowKind::Sliding));
    assert!(broken.contains(&WindowKind::Bucket));
}

fn sliding(unit: TimeUnit) -> WindowSpec {
    WindowSpec::new(unit, 1).counted(WindowKind::Sliding)
}

/// A gateway has the only unit.
fn holds_it() -> Vec<Event> {
    vec![
        Event::Ask(0, 1),
        Event::Asked(0, false),
        Event::Marked,
        Event::Said(0, false),
    ]
}

/// An owner that is cut off with its disk hanging goes on in the T of its last note.
fn in_a_time_that_stands_still(is_lost: bool) -> Vec<Event> {
    let mut events = if is_lost { Vec::new() } else { holds_it() };
    events.extend([
        Event::Apart(0, is_lost, true),
        Event::Pass(65_000),
        Event::Ask(0, 1),
        Event::AskedBefore(0, false),
        Event::Said(0, false),
        Event::Use(0, 1),
        Event::Gets(1, 1),
    ]);
    events
}

#[test]
fn a_pair_that_is_cut_off_while_its_disk_hangs_gives_out_nothing_beside_the_next_view() {
    for is_lost in [false, true] {
        let history = (
            1,
            sliding(TimeUnit::Min),
            in_a_time_that_stands_still(is_lost),
        );
        assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
        let stands_still = Wrong::Planted(Planted::LeasesStandStill);
        assert!(keeps(&history, &stands_still).is_err(), "{is_lost}");
    }
}

/// Milliseconds from the worlds' beginning to the end of the pane after the first one of an hour.
fn to_the_next_panes_end() -> (i64, i64) {
    let first = sliding(TimeUnit::Hour).at(T);
    (first.end_ms - T, first.length_ms())
}

#[test]
fn a_unit_of_a_lease_from_before_a_start_from_disks_counts_from_when_it_may_be_used_last() {
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    // T is lifted within the pane, and beyond many.
    for lift_ms in [900, 600_000] {
        let mut events = vec![Event::Pass(begins_ms)];
        events.extend(holds_it());
        events.extend([
            Event::Restart(lift_ms),
            Event::Pass(pane_ms - 2),
            Event::Use(0, 1),
            Event::Pass(3_599_500),
            Event::Gets(1, 1),
        ]);
        let history = (1, sliding(TimeUnit::Hour), events);
        assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()), "{lift_ms}");
    }
}

#[test]
fn a_lease_that_an_owner_prolongs_whose_t_is_slow_counts_as_long_at_the_one_that_took_over() {
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    let mut events = vec![Event::Pass(begins_ms)];
    events.extend(holds_it());
    events.extend([
        Event::Apart(0, false, false),
        Event::Pass(pane_ms - 10),
        Event::Ask(0, 1),
        Event::AskedBefore(0, false),
        Event::Said(0, false),
        Event::Pass(30),
        Event::Use(0, 1),
        Event::Pass(3_599_990),
        Event::Gets(1, 1),
    ]);
    let history = (1, sliding(TimeUnit::Hour), events);
    assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
}

#[test]
fn a_copy_that_goes_on_as_what_a_disk_had_keeps_the_pace_of_the_copy() {
    let mut world = World::new(1, sliding(TimeUnit::Hour), None);
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    world
        .event(&Event::Pass(begins_ms + pane_ms - 5_000))
        .unwrap();
    world.event(&Event::Gets(0, 1)).unwrap();
    // A note was late, and the other one is all that is left.
    for event in [Event::Lift(10_000), Event::TakeOver(10_000, 0)] {
        world.event(&event).unwrap();
    }
    world.ledger.goes_on_from_disk(world.epoch, world.epoch);
    let t0_ms = Some(world.t_ms());
    world.ledger.fence(world.epoch, t0_ms);
    world.event(&Event::Pass(3_595_000)).unwrap();
    assert_eq!(world.event(&Event::Gets(1, 1)), Ok(()));
}

#[test]
fn a_reset_that_ends_with_its_pane_breaks_the_property_of_each_kind() {
    breaks(&Wrong::Planted(Planted::ResetEndsWithItsPane));
}

#[test]
fn a_reset_that_takes_what_calls_hold_for_used_breaks_the_property_of_each_kind() {
    let wrong = Wrong::Planted(Planted::ResetKeepsItsLease);
    breaks_in(&reset_while_calls_hold_units(), &wrong);
}

/// A gateway is silent when the key is reset, is granted something after it, and goes on by another lease then.
fn reset_in_silence() -> impl Strategy<Value = History> {
    let some = proptest::collection::vec(event(), 0..3);
    let events = proptest::collection::vec(event(), 1..60);
    (4..12_u64, window(), some, events).prop_map(|(limit, window, some, events)| {
        let mut all = vec![Event::Ask(0, limit), Event::Asked(0, false), Event::Marked];
        all.extend([Event::Said(0, false), Event::Reset, Event::Marked]);
        // The recall is on its way until its round is over.
        all.extend(std::iter::repeat_n(Event::Pass(120), 6));
        all.extend([
            Event::Ask(0, limit / 2),
            Event::Asked(0, false),
            Event::Marked,
        ]);
        all.extend([Event::Said(1, false), Event::Use(0, limit)]);
        all.extend(some);
        all.extend([Event::Said(0, false), Event::Asked(0, false), Event::Marked]);
        all.extend([Event::Gets(1, limit), Event::Gets(2, limit)]);
        all.extend(events);
        (limit, window, all)
    })
}

proptest! {
    #[test]
    fn whoever_was_silent_at_a_reset_is_forgiven_what_it_had_before_and_nothing_else(history in reset_in_silence()) {
        prop_assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
    }
}

#[test]
fn a_reset_that_forgets_who_was_silent_breaks_the_property_of_each_kind() {
    let wrong = Wrong::Planted(Planted::ResetForgetsTheSilent);
    breaks_in(&reset_in_silence(), &wrong);
}

#[test]
fn a_reset_that_forgives_what_the_silent_were_granted_since_breaks_the_property_of_each_kind() {
    let wrong = Wrong::Planted(Planted::ForgivesSinceTheReset);
    breaks_in(&reset_in_silence(), &wrong);
}

/// A gateway has the only unit when the key is reset, and the pane is over by T before it has answered.
fn reset_while_held(kind: WindowKind) -> History {
    let window = sliding(TimeUnit::Hour).counted(kind);
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    let mut events = vec![Event::Pass(begins_ms)];
    events.extend(holds_it());
    events.extend([
        Event::Reset,
        Event::Marked,
        Event::Lift(pane_ms),
        // The recall is on its way while somebody else asks.
        Event::Ask(1, 1),
        Event::Asked(0, false),
        Event::Marked,
        Event::Said(1, false),
        Event::Use(1, 1),
        Event::Use(0, 1),
    ]);
    (1, window, events)
}

#[test]
fn a_reset_that_takes_a_lease_for_over_by_a_lifted_t_breaks_the_property_of_each_kind() {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let history = reset_while_held(kind);
        assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()), "{kind:?}");
        let wrong = Wrong::Planted(Planted::ForgivesWithThePane);
        assert!(keeps(&history, &wrong).is_err(), "{kind:?}");
    }
}

/// A gateway has the only unit in a pane that T was lifted over when the key is reset.
fn reset_after_a_lift(kind: WindowKind) -> History {
    let window = sliding(TimeUnit::Hour).counted(kind);
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    let mut events = vec![Event::Pass(begins_ms)];
    events.extend(holds_it());
    events.extend([
        Event::Lift(pane_ms),
        Event::Reset,
        Event::Marked,
        Event::Ask(1, 1),
        Event::Asked(0, false),
        Event::Marked,
        Event::Said(1, false),
        Event::Use(1, 1),
        Event::Use(0, 1),
    ]);
    (1, window, events)
}

#[test]
fn a_reset_that_forgives_what_leases_hold_that_last_breaks_the_property_of_each_kind() {
    let wrong = Wrong::Planted(Planted::ForgivesWhatLasts);
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let history = reset_after_a_lift(kind);
        assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()), "{kind:?}");
        assert!(keeps(&history, &wrong).is_err(), "{kind:?}");
    }
    breaks_in(&reset_soon_after_a_lift(), &wrong);
}

/// A call holds the only unit, and its gateway says that nothing is left, when T is lifted over the pane and the key is reset.
fn reset_after_a_lift_of_what_a_call_holds(kind: WindowKind) -> History {
    let window = sliding(TimeUnit::Hour).counted(kind);
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    let mut events = vec![Event::Pass(begins_ms)];
    events.extend(holds_it());
    events.extend([
        Event::Hold(0, 1),
        Event::Ask(0, 1),
        Event::Asked(0, false),
        Event::Lift(pane_ms),
        Event::Reset,
        Event::Marked,
        Event::PutBack(0),
        Event::Ask(1, 1),
        Event::Asked(0, false),
        Event::Marked,
        Event::Said(0, false),
        Event::Said(0, false),
        Event::Said(0, false),
        Event::Use(1, 1),
        Event::Use(0, 1),
    ]);
    (1, window, events)
}

#[test]
fn a_reset_leaves_what_a_call_may_hold_of_a_pane_that_t_was_lifted_over() {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let history = reset_after_a_lift_of_what_a_call_holds(kind);
        assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()), "{kind:?}");
    }
}
