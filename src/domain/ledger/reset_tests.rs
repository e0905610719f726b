//! Resets (L9): what was used counts no more once nothing of it may be used.

use super::tests::{MINUTE, RETRY, T, ask, goes_on_anew, key, ledger, recalls, replies, step};
use super::*;

#[test]
fn a_reset_forgives_what_leases_had_that_are_over_since() {
    let mut ledger = ledger(2, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    step(&mut ledger, ask("g1", 1, 1));
    assert_eq!(
        replies(&step(&mut ledger, ask("g1", 2, 1))),
        [("g1", 2, Outcome::Final)]
    );
    let reset = ledger.step_alone(Input::Reset { cell: key("a") }, T);
    assert_eq!(recalls(&reset), [("g1", 2)]);
    let emptied = Ask {
        emptied: true,
        ..ask("g1", 2, 0)
    };
    step(&mut ledger, emptied);
    let used = |ledger: &Ledger| ledger.counted(&key("a")).map(|key| key.used);
    assert_eq!(used(&ledger), Some(2), "a call may put one back");
    step(&mut ledger, goes_on_anew("g1"));
    assert_eq!(used(&ledger), Some(0));
    let granted = step(
        &mut ledger,
        Ask {
            want: 2,
            due: 2,
            ..goes_on_anew("g1")
        },
    );
    assert_eq!(replies(&granted), [("g1", 2, Outcome::Granted)]);
}

#[test]
fn whoever_is_recalled_for_a_reset_is_granted_nothing_before_it_goes_on_by_another_lease() {
    for goes_on in [true, false] {
        let mut ledger = ledger(3, MINUTE);
        step(&mut ledger, ask("g1", 0, 1));
        ledger.step_alone(Input::Reset { cell: key("a") }, T);
        let said = step(&mut ledger, ask("g1", 1, 1));
        assert_eq!(
            replies(&said),
            [("g1", 1, RETRY)],
            "that lease is about to be void"
        );
        let others = step(&mut ledger, ask("g2", 0, 1));
        assert_eq!(replies(&others), [("g2", 1, Outcome::Granted)]);
        let said = match goes_on {
            true => step(&mut ledger, goes_on_anew("g1")),
            false => ledger.step_alone(Input::Tick, T + 700),
        };
        let counted = ledger.counted(&key("a")).map(|key| key.used);
        let (granted, used) = match goes_on {
            // What waited was asked for by the lease before.
            true => (vec![], 1),
            false => (vec![("g1", 2, Outcome::Granted)], 3),
        };
        assert_eq!((replies(&said), counted), (granted, Some(used)));
        assert!(ledger.is_settled(&key("a"), ledger.stamp()));
    }
}

#[test]
fn a_reset_recalls_also_what_was_given_back_to_the_key_and_may_be_used_yet() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    let (cell, units) = (key("a"), 1);
    ledger.step_alone(Input::Refund { cell, units }, T);
    let reset = ledger.step_alone(Input::Reset { cell: key("a") }, T);
    assert_eq!(recalls(&reset), [("g1", 1)]);
}

#[test]
fn nobody_is_refused_for_good_while_a_reset_waits_whatever_the_recalled_lease_says() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    ledger.step_alone(Input::Reset { cell: key("a") }, T);
    // It crossed the recall: nothing is at hand by the lease that is about to be void.
    let emptied = Ask {
        emptied: true,
        ..ask("g1", 1, 0)
    };
    step(&mut ledger, emptied);
    let asked = step(&mut ledger, ask("g2", 0, 1));
    assert_eq!(replies(&asked), [("g2", 0, RETRY)]);
    let answered = step(&mut ledger, goes_on_anew("g1"));
    assert_eq!(replies(&answered), [("g2", 1, Outcome::Granted)]);
}
