//! A change of view (L3, L4): nothing granted in Sync, nothing of an older view released.

use super::tests::{MINUTE, RETRY, T, ask, ledger, policies, replies};
use super::*;
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

#[test]
fn nothing_is_granted_while_a_view_is_in_sync_and_what_was_held_back_is_dropped() {
    let mut ledger = ledger(5, MINUTE);
    ledger.step(Input::Ask(ask("g1", 0, 1)), T);
    ledger.stand_by(2);
    assert_eq!(
        replies(&ledger.step(Input::Ask(ask("g1", 0, 1)), T)),
        [("g1", 0, RETRY)]
    );
    let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 5, MINUTE));
    heir.stand_by(2);
    assert_eq!(
        heir.take(ledger.shard_image()),
        [],
        "a short window has no mark"
    );
    heir.activate(2, true);
    assert_eq!(
        replies(&heir.step(Input::Ask(ask("g1", 0, 1)), T)),
        [("g1", 1, Outcome::Granted)],
        "granted before"
    );
}

#[test]
fn a_shard_that_nobody_has_is_full_until_its_windows_end_or_an_operator_gives_it_up() {
    let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 5, MINUTE));
    heir.take(ShardImage::default());
    heir.gone(Some(T));
    heir.activate(2, false);
    let full = [("g1", 0, Outcome::Final)];
    assert_eq!(
        replies(&heir.step_alone(Input::Ask(ask("g1", 0, 1)), T)),
        full
    );
    heir.gone(None);
    let granted = [("g1", 1, Outcome::Granted)];
    assert_eq!(
        replies(&heir.step_alone(Input::Ask(ask("g1", 0, 1)), T)),
        granted
    );
}

#[test]
fn whoever_takes_over_a_long_window_says_again_what_was_granted_without_another_mark() {
    let day = WindowSpec::new(TimeUnit::Day, 1);
    let mut owner = ledger(5, day);
    for want in [0, 0, 0, 0, 0, 1] {
        owner.step_alone(Input::Ask(ask("g1", 0, want)), T);
    }
    let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 5, day));
    heir.stand_by(1);
    assert_ne!(heir.take(owner.shard_image()), [], "marks");
    // The standby asked for its marks by a stamp of its own, which is lower than the owner's.
    let stamp = heir.next_stamp();
    heir.step(Input::Marked { stamp }, T);
    heir.stand_by(2);
    heir.activate(2, false);
    let again = heir.step_alone(Input::Ask(ask("g1", 0, 1)), T);
    assert_eq!(replies(&again), [("g1", 1, Outcome::Granted)]);
}
