//! What an administrator gives back of what a key has used (L9).

use super::tests::{MINUTE, RETRY, T, ask, key, ledger, reopened, replies, step};
use super::*;
use crate::policy::WindowKind;

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
