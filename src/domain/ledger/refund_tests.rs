//! What an administrator gives back of what a key has used (L9).

use super::tests::{MINUTE, RETRY, T, ask, key, ledger, policies, reopened, replies, step};
use super::*;
use crate::policy::WindowKind;
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
