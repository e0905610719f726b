//! What an administrator gives back of what a key has used (L9).

use super::tests::{
    MINUTE, RETRY, T, ask, goes_on_anew, key, ledger, policies, reopened, replies, reset_of, step,
};
use super::*;
use crate::policy::{TimeUnit, WindowKind};
use crate::window::WindowSpec;

#[test]
fn refunded_units_are_given_out_again_and_no_more_than_were_used() {
    let mut ledger = ledger(3, MINUTE);
    for have in 0..3 {
        step(&mut ledger, ask("g1", have, 1));
    }
    let spent = |want| Ask {
        emptied: true,
        ..ask("g1", 3, want)
    };
    let refused = step(&mut ledger, spent(1));
    assert_eq!(replies(&refused), [("g1", 3, Outcome::Final)]);
    let refund = |units| Input::Refund {
        cell: key("a"),
        units,
    };
    let refunded = ledger.step_alone(refund(2), T);
    assert_eq!(reopened(&refunded), ["g1"]);
    for have in [3, 4] {
        let granted = step(&mut ledger, ask("g1", have, 1));
        assert_eq!(replies(&granted), [("g1", have + 1, Outcome::Granted)]);
    }
    let refused = step(&mut ledger, ask("g2", 0, 1));
    assert_eq!(replies(&refused), [("g2", 0, RETRY)]);
    // More than was used leaves nothing used, and no more than the limit to give.
    ledger.step_alone(refund(1_000), T);
    let image = ledger.image(&key("a")).expect("a cell");
    let left: u64 = image.holders.iter().map(|(_, count)| count.net()).sum();
    // Who waited was served at once.
    assert_eq!((left, image.spent), (1, 0));
}

#[test]
fn units_of_panes_that_are_over_are_refunded_too() {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let window = MINUTE.counted(kind);
        let mut ledger = ledger(2, window);
        let wish = |at_ms, have| Ask {
            window: Some(window.at(at_ms).id),
            ..ask("g1", have, 1)
        };
        for have in 0..2 {
            step(&mut ledger, wish(T, have));
        }
        let later = window.at(T).end_ms;
        let refused = ledger.step_alone(Input::Ask(wish(later, 0)), later);
        assert_eq!(replies(&refused), [("g1", 0, Outcome::Final)]);
        let (cell, units) = (key("a"), 1);
        ledger.step_alone(Input::Refund { cell, units }, later);
        let granted = ledger.step_alone(Input::Ask(wish(later, 0)), later);
        assert_eq!(replies(&granted), [("g1", 1, Outcome::Granted)]);
        let refused = ledger.step_alone(Input::Ask(wish(later, 1)), later);
        assert_eq!(replies(&refused), [("g1", 1, Outcome::Final)]);
    }
}

/// All that a gateway gets then.
fn all(ledger: &mut Ledger, window: WindowSpec, at_ms: i64) -> u64 {
    let wish = |have| Ask {
        window: Some(window.at(at_ms).id),
        ..ask("g1", have, 100)
    };
    let (mut have, mut last) = (0, None);
    while last != Some(have) {
        last = Some(have);
        let said = ledger.step_alone(Input::Ask(wish(have)), at_ms);
        have = replies(&said).last().map_or(have, |(_, have, _)| *have);
    }
    have
}

#[test]
fn a_bucket_whose_limit_is_lowered_is_at_most_empty_and_fills_by_the_new_one_from_there() {
    let window = MINUTE.counted(WindowKind::Bucket);
    let next = window.at(T).end_ms;
    // In the pane in which all was used, and after it.
    for lowered_ms in [T, next] {
        let mut ledger = ledger(100, window);
        let limit = |limit, applied| Input::Policies(policies(applied, limit, window));
        assert_eq!(all(&mut ledger, window, T), 100);
        ledger.step_alone(limit(6, 2), lowered_ms);
        // Once in ten seconds.
        assert_eq!(all(&mut ledger, window, next + 9_000), 0);
        assert_eq!(all(&mut ledger, window, next + 11_000), 1);
        // What was cut off counts where the limit is raised again before it would have run out.
        ledger.step_alone(limit(100, 3), next + 12_000);
        assert!(all(&mut ledger, window, next + 12_600) <= 8);
        // And not for longer.
        assert!(all(&mut ledger, window, next + 70_000) >= 90);
    }
}

const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);

/// What is to be on disk of the key, of these effects.
fn marked(effects: &[Effect]) -> Option<Mark> {
    let mut marks = effects.iter().filter_map(|effect| match effect {
        Effect::Persist { marks, .. } => marks.last().cloned(),
        _ => None,
    });
    marks.next_back()
}

fn of_day(have: u64, want: u64) -> Ask {
    Ask {
        window: Some(DAY.at(T).id),
        ..ask("g1", have, want)
    }
}

/// All of the day's hundred is used, by one gateway.
fn all_used() -> Ledger {
    let mut ledger = ledger(100, DAY);
    for have in 0..100 {
        let said = ledger.step_alone(Input::Ask(of_day(have, 1)), T);
        if let Some(mark) = marked(&said) {
            let stamp = mark.stamp;
            ledger.step_alone(Input::Marked { stamp }, T);
        }
    }
    ledger
}

/// Another run, with what is on disk.
pub(super) fn after_a_crash(mark: Mark) -> Ledger {
    let recovery = Recovery {
        t0_ms: Some(T),
        source: Source::Disk,
        marks: vec![mark],
        ..Recovery::founding(9)
    };
    Ledger::new(3, recovery, policies(1, 100, DAY))
}

fn used(ledger: &Ledger) -> u64 {
    ledger.counted(&key("a")).expect("it is counted").used
}

#[test]
fn a_reset_is_on_both_disks_before_it_is_spoken_of() {
    let mut ledger = all_used();
    let mut standby = Ledger::new(3, Recovery::founding(1), policies(1, 100, DAY));
    standby.adopt(ledger.images());
    let cell = key("a");
    ledger.step_alone(reset_of(cell), T);
    let said = ledger.step_alone(Input::Ask(goes_on_anew("g1")), T);
    let mark = marked(&said).expect("the disk has to say less");
    assert_eq!(mark.used, 0);
    let stamp = ledger.stamp();
    assert!(!ledger.is_settled(&key("a"), stamp), "it is not on disk");
    ledger.step_alone(Input::Marked { stamp: mark.stamp }, T);
    assert!(ledger.is_settled(&key("a"), stamp));
    let of_standby = standby.adopt(ledger.images());
    assert_eq!(of_standby.last().map(|mark| mark.used), Some(0));
    let mut again = after_a_crash(mark);
    assert_eq!(all(&mut again, DAY, T), 0, "no mark is on disk yet");
    assert_eq!(used(&again), 1);
}

#[test]
fn a_refund_is_on_disk_too() {
    let mut ledger = all_used();
    let (cell, units) = (key("a"), 30);
    let said = ledger.step_alone(Input::Refund { cell, units }, T);
    assert_eq!(marked(&said).map(|mark| mark.used), Some(70));
}

#[test]
fn the_disk_says_that_a_key_was_reset_whose_lease_begins_anew_before_it_answers() {
    let mut ledger = all_used();
    let cell = key("a");
    let said = ledger.step_alone(reset_of(cell), T);
    if let Some(mark) = marked(&said) {
        let stamp = mark.stamp;
        ledger.step_alone(Input::Marked { stamp }, T);
    }
    let anew = Ask {
        holder: Holder::new("g1", 1, 2),
        ..of_day(0, 0)
    };
    let said = ledger.step_alone(Input::Ask(anew), T);
    assert_eq!(used(&ledger), 0);
    let mark = marked(&said).expect("the disk has to say less");
    let mut again = after_a_crash(mark);
    again.step_alone(Input::Ask(of_day(0, 1)), T);
    assert!(used(&again) < 100);
}

#[test]
fn after_a_start_from_disks_gateways_that_go_on_tell_of_nothing_that_was_given_back() {
    let cell = key("a");
    let refund = Input::Refund {
        cell: cell.clone(),
        units: 30,
    };
    let emptied = Ask {
        emptied: true,
        ..of_day(100, 0)
    };
    for (input, had, left) in [
        (reset_of(cell), goes_on_anew("g1"), 100),
        (refund, emptied, 30),
    ] {
        let mut ledger = all_used();
        let mut said = ledger.step_alone(input, T);
        said.extend(ledger.step_alone(Input::Ask(had.clone()), T));
        let mut mark = marked(&said).expect("the disk has to say less");
        // Also when it is said once more.
        for _ in 0..2 {
            let mut again = after_a_crash(mark);
            again.step_alone(Input::Ask(had.clone()), T);
            assert_eq!(used(&again), 100 - left);
            mark = again.final_marks().pop().expect("a mark");
        }
    }
}

#[test]
fn a_standby_has_a_refund_on_disk_of_a_lease_that_was_over_before_it_heard() {
    let mut ledger = all_used();
    let mut standby = Ledger::new(3, Recovery::founding(1), policies(1, 100, DAY));
    standby.adopt(ledger.images());
    let (cell, units) = (key("a"), 30);
    ledger.step_alone(Input::Refund { cell, units }, T);
    let anew = Ask {
        holder: Holder::new("g1", 1, 2),
        ..of_day(0, 0)
    };
    ledger.step_alone(Input::Ask(anew), T);
    let of_standby = standby.adopt(ledger.images());
    assert_eq!(of_standby.last().map(|mark| mark.used), Some(70));
}

/// Marks are all that is left of the day: nobody has asked since.
fn from_marks() -> Ledger {
    let used = all_used().final_marks().pop().expect("a mark");
    after_a_crash(used)
}

#[test]
fn a_key_that_nobody_asked_for_since_a_start_from_marks_is_reset_and_refunded_whole() {
    let (cell, units) = (key("a"), 40);
    for (input, left) in [
        (reset_of(cell.clone()), 100),
        (Input::Refund { cell, units }, 40),
    ] {
        let mut ledger = from_marks();
        assert_eq!(ledger.counted(&key("a")), None);
        ledger.step_alone(input, T);
        assert_eq!(used(&ledger), 100 - left);
        // The gateway tells of what it had before: that is forgiven, or within the mark.
        let had = Ask {
            emptied: true,
            ..of_day(100, 0)
        };
        ledger.step_alone(Input::Ask(had), T);
        assert_eq!(used(&ledger), 100 - left);
    }
}

#[test]
fn a_key_of_which_nothing_is_known_is_not_counted_by_a_reset() {
    let mut ledger = ledger(100, DAY);
    ledger.step_alone(reset_of(key("a")), T);
    assert_eq!(ledger.counted(&key("a")), None);
    // A minute of which a crash left nothing is full; only a reset opens it.
    let recovery = Recovery {
        t0_ms: Some(T),
        source: Source::Disk,
        ..Recovery::founding(2)
    };
    let mut ledger = Ledger::new(3, recovery, policies(1, 100, MINUTE));
    let (cell, units) = (key("a"), 1);
    ledger.step_alone(Input::Refund { cell, units }, T);
    assert_eq!(ledger.counted(&key("a")), None);
    assert!(ledger.would_be_lost(&key("a")));
    ledger.step_alone(reset_of(key("a")), T);
    assert_eq!(ledger.counted(&key("a")).map(|key| key.left), Some(100));
}
