//! A change of view (L3, L4): nothing granted in Sync, nothing of an older view released.

use super::refund_tests::after_a_crash;
use super::tests::{MINUTE, RETRY, T, ask, key, ledger, policies, replies, reset_of};
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
fn a_reset_that_waits_for_gateways_is_not_done_because_another_view_begins() {
    let mut ledger = ledger(2, MINUTE);
    ledger.step_alone(Input::Ask(ask("g1", 0, 1)), T);
    ledger.step_alone(reset_of(key("a")), T);
    let stamp = ledger.stamp();
    assert!(!ledger.is_settled(&key("a"), stamp));
    ledger.stand_by(2);
    ledger.activate(2, false);
    assert_eq!(used(&ledger), 1);
    assert!(!ledger.is_settled(&key("a"), stamp));
}

#[test]
fn a_shard_that_nobody_has_is_full_until_its_windows_end_or_an_operator_gives_it_up() {
    let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 5, MINUTE));
    heir.take(ShardImage::default());
    heir.gone(Some(T), 2);
    heir.activate(2, false);
    let full = [("g1", 0, Outcome::Final)];
    assert_eq!(
        replies(&heir.step_alone(Input::Ask(ask("g1", 0, 1)), T)),
        full
    );
    heir.gone(None, 0);
    let granted = [("g1", 1, Outcome::Granted)];
    assert_eq!(
        replies(&heir.step_alone(Input::Ask(ask("g1", 0, 1)), T)),
        granted
    );
}

#[test]
fn whoever_takes_over_a_long_window_says_again_what_was_granted_without_another_mark() {
    let mut owner = ledger(5, DAY);
    for want in [0, 0, 0, 0, 0, 1] {
        owner.step_alone(Input::Ask(ask("g1", 0, want)), T);
    }
    let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 5, DAY));
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

const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);

/// A run in epoch 9 that only knows of a mark: 90 of the day's 100 are used.
fn from_a_mark() -> Ledger {
    let mark = Mark {
        cell: key("a"),
        window: DAY.at(T).id,
        end_ms: DAY.at(T).end_ms,
        used: 90,
        stamp: Stamp { epoch: 1, seq: 9 },
        forgiven: 0,
    };
    after_a_crash(mark)
}

/// Epoch 10 is of another member, which has a copy.
fn taken_over(before: &Ledger) -> Ledger {
    let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 100, DAY));
    heir.stand_by(10);
    heir.take(before.shard_image());
    heir.activate(10, false);
    heir
}

/// A gateway tells of what it was granted and gave back, before it heard of anybody later than `epoch`.
fn tells(ledger: &mut Ledger, (have, returned): (u64, u64), epoch: u64) {
    let told = Ask {
        window: Some(DAY.at(T).id),
        returned,
        epoch,
        ..ask("g1", have, 0)
    };
    ledger.step_alone(Input::Ask(told), T);
}

fn used(ledger: &Ledger) -> u64 {
    ledger.counted(&key("a")).expect("it is counted").used
}

/// What it may have beyond the 90 that it had.
fn gets(ledger: &mut Ledger, returned: u64) -> u64 {
    let mut have = 90;
    for _ in 0..40 {
        let wants = Ask {
            window: Some(DAY.at(T).id),
            returned,
            ..ask("g1", have, 1)
        };
        ledger.step_alone(Input::Ask(wants), T);
        let image = ledger.image(&key("a")).expect("it is counted");
        have = image.holders[0].1.granted;
    }
    have - 90
}

#[test]
fn what_gateways_tell_to_who_took_over_is_within_the_mark_that_was_begun_with() {
    // Nobody asked, somebody else asked, or it said a part.
    for told in [None, Some(0), Some(40)] {
        let mut before = from_a_mark();
        if let Some(have) = told {
            tells(&mut before, (have, 0), 1);
        }
        let mut heir = taken_over(&before);
        tells(&mut heir, (90, 0), 1);
        assert_eq!(used(&heir), 90);
        assert_eq!(gets(&mut heir, 0), 10);
    }
}

#[test]
fn what_was_given_back_before_a_mark_is_no_credit_after_another_view_nor_beside_what_was_granted_more()
 {
    // Of its 90 it gave ten back, which another one has: that one says nothing. What it said before that comes late, and
    // perhaps in parts.
    for (first, is_taken_over) in [(90, true), (85, false), (85, true)] {
        let mut ledger = from_a_mark();
        tells(&mut ledger, (first, 0), 1);
        if is_taken_over {
            ledger = taken_over(&ledger);
        }
        tells(&mut ledger, (90, 10), 1);
        assert_eq!(used(&ledger), 90);
        tells(&mut ledger, (90, 10), 9);
        assert_eq!(gets(&mut ledger, 10), 10);
    }
}

#[test]
fn a_reset_of_a_key_that_only_marks_know_outlives_a_change_of_view() {
    let mut before = from_a_mark();
    before.step_alone(reset_of(key("a")), T);
    let mut heir = taken_over(&before);
    tells(&mut heir, (90, 0), 1);
    assert_eq!(used(&heir), 0);
}

/// Epoch 2 began without what was granted of the day by T.
fn lost_in_epoch_2(mut ledger: Ledger) -> Ledger {
    ledger.gone(Some(T), 2);
    ledger
}

/// Everything was started again in epoch 9, and goes on from this.
fn started_from(mark: Mark) -> Ledger {
    let mut ledger = after_a_crash(mark);
    ledger.goes_on_from_disk(9, 2);
    ledger.fence(9, Some(T));
    ledger
}

fn gets_one(ledger: &mut Ledger) -> bool {
    let wants = Ask {
        window: Some(DAY.at(T).id),
        ..ask("g1", 0, 1)
    };
    ledger.step_alone(Input::Ask(wants), T);
    let counted = ledger.counted(&key("a")).expect("it is counted");
    counted
        .image
        .holders
        .iter()
        .any(|(_, count)| count.granted > 0)
}

#[test]
fn a_lost_window_that_was_reset_stays_open_when_everything_starts_again() {
    let new = || Ledger::new(3, Recovery::founding(1), policies(1, 100, DAY));
    for was_asked_for in [true, false] {
        let mut ledger = lost_in_epoch_2(new());
        ledger.stand_by(2);
        ledger.activate(2, true);
        let mut standby = new();
        if was_asked_for {
            assert!(!gets_one(&mut ledger));
            standby.adopt(ledger.images());
        }
        let said = ledger.step_alone(reset_of(key("a")), T);
        let mut marks = said.iter().filter_map(|effect| match effect {
            Effect::Persist { marks, .. } => marks.last().cloned(),
            _ => None,
        });
        let of_owner = marks
            .next_back()
            .expect("the disk has to say that it is open");
        let of_standby = standby.adopt(ledger.images()).pop();
        let of_standby = of_standby.expect("that of the standby too");
        for mark in [of_owner, of_standby] {
            assert!(gets_one(&mut lost_in_epoch_2(started_from(mark.clone()))));
            // It was lost once more since, with what was granted after the reset.
            let mut again = started_from(mark);
            again.gone(Some(T), 3);
            assert!(!gets_one(&mut again));
        }
    }
}
