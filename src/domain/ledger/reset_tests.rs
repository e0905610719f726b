//! Resets (L9): what was used counts no more once nothing of it may be used.

use super::tests::{
    MINUTE, RETRY, T, ask, goes_on_anew, key, ledger, policies, recalls, reopened, replies,
    reset_of, step,
};
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
    let reset = ledger.step_alone(reset_of(key("a")), T);
    assert_eq!(recalls(&reset), [("g1", 2)]);
    let emptied = Ask {
        emptied: true,
        ..ask("g1", 2, 0)
    };
    step(&mut ledger, emptied);
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
        ledger.step_alone(reset_of(key("a")), T);
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
    let reset = ledger.step_alone(reset_of(key("a")), T);
    assert_eq!(recalls(&reset), [("g1", 1)]);
}

#[test]
fn nobody_is_refused_for_good_while_a_reset_waits_whatever_the_recalled_lease_says() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    ledger.step_alone(reset_of(key("a")), T);
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

/// A gateway was granted two units of so many, and its key is reset and told as done: it was silent.
fn reset_in_silence(limit: u64) -> Ledger {
    let mut ledger = ledger(limit, MINUTE);
    step(&mut ledger, of_two("g1", 0, 2));
    let reset = ledger.step_alone(reset_of(key("a")), T);
    assert_eq!(recalls(&reset), [("g1", 2)]);
    let stamp = ledger.stamp();
    assert!(!ledger.is_settled(&key("a"), stamp));
    ledger.step_alone(Input::Tick, T + 700);
    assert!(ledger.is_settled(&key("a"), stamp), "nobody waits for it");
    assert_eq!(ledger.unheard(&key("a")), ["g1"]);
    ledger
}

fn of_two(node: &str, have: u64, want: u64) -> Ask {
    Ask {
        due: want,
        ..ask(node, have, want)
    }
}

fn used(ledger: &Ledger) -> Option<u64> {
    ledger.counted(&key("a")).map(|key| key.used)
}

#[test]
fn what_a_gateway_had_that_was_silent_when_its_key_was_reset_is_forgiven_when_its_next_lease_speaks()
 {
    for asks_on in [false, true] {
        let mut ledger = reset_in_silence(2);
        if asks_on {
            // Its recall was lost: it asks by the lease of before.
            step(&mut ledger, ask("g1", 2, 0));
        }
        let asked = step(&mut ledger, ask("g2", 0, 1));
        let no = if asks_on { RETRY } else { Outcome::Final };
        assert_eq!(replies(&asked), [("g2", 0, no)]);
        assert_eq!(used(&ledger), Some(2), "it may use what it has");
        let said = step(&mut ledger, goes_on_anew("g1"));
        assert!(ledger.unheard(&key("a")).is_empty());
        if asks_on {
            assert_eq!(replies(&said), [("g2", 1, Outcome::Granted)]);
        } else {
            assert_eq!(reopened(&said), ["g2"], "who was told no hears of it");
        }
        let granted = step(&mut ledger, of_two("g2", 0, 2));
        assert_eq!(replies(&granted), [("g2", 2, Outcome::Granted)]);
        // Once.
        let again = Ask {
            holder: Holder::new("g1", 1, 3),
            ..goes_on_anew("g1")
        };
        step(&mut ledger, again);
        assert_eq!(used(&ledger), Some(2));
    }
}

#[test]
fn what_a_silent_gateway_was_granted_after_a_reset_counts_when_it_goes_on_but_for_what_it_gave_back()
 {
    for (returned, counts) in [(0, 3), (2, 1), (4, 0)] {
        let mut ledger = reset_in_silence(9);
        step(&mut ledger, of_two("g1", 2, 3));
        assert_eq!(used(&ledger), Some(5));
        let gives_back = Ask {
            returned,
            ..ask("g1", 5, 0)
        };
        step(&mut ledger, gives_back);
        step(&mut ledger, goes_on_anew("g1"));
        assert_eq!(used(&ledger), Some(counts), "{returned} came back");
    }
}

#[test]
fn a_gateway_that_two_resets_did_not_hear_is_forgiven_once_and_none_of_a_window_that_is_over() {
    let mut ledger = reset_in_silence(4);
    step(&mut ledger, of_two("g1", 2, 1));
    let again = ledger.step_alone(reset_of(key("a")), T + 701);
    assert_eq!(recalls(&again), [("g1", 3)]);
    ledger.step_alone(Input::Tick, T + 1_500);
    step(&mut ledger, goes_on_anew("g1"));
    assert_eq!(used(&ledger), Some(0));

    let mut ledger = reset_in_silence(4);
    let next = T + 60_000;
    ledger.step_alone(Input::Tick, next);
    assert!(ledger.unheard(&key("a")).is_empty());
    ledger.step_alone(Input::Ask(goes_on_anew("g1")), next);
    ledger.step_alone(Input::Ask(ask("g2", 0, 1)), next);
    assert_eq!(used(&ledger), Some(1));
}

/// Everybody who may own the key after the reset, and whether it knows who was silent then.
fn owners_after(before: &Ledger) -> [(Ledger, bool); 3] {
    let mut copy = Ledger::new(3, Recovery::founding(1), policies(1, 2, MINUTE));
    copy.take(before.shard_image());
    // Everything was stopped in order, and starts again.
    let from_disk = Ledger::new(
        3,
        Recovery {
            marks: before.final_marks(),
            ..Recovery::founding(2)
        },
        policies(1, 2, MINUTE),
    );
    let mut itself = reset_in_silence(2);
    itself.stand_by(2);
    itself.activate(2, false);
    [(copy, false), (from_disk, false), (itself, true)]
}

#[test]
fn another_owner_forgives_nothing_that_this_one_waits_for_after_a_reset_was_done_before_another_one()
 {
    for again in [false, true] {
        for (mut next, knows) in owners_after(&reset_in_silence(2)) {
            let unheard: &[&str] = if knows { &["g1"] } else { &[] };
            assert_eq!(next.unheard(&key("a")), unheard);
            if again {
                let cell = key("a");
                let gateways = ["g1".to_owned()].into();
                let said = next.step_alone(Input::Reset { cell, gateways }, T);
                let recalled: Vec<_> = recalls(&said).iter().map(|(node, _)| *node).collect();
                assert_eq!(recalled, ["g1"]);
            }
            let epoch = next.stamp().epoch;
            step(
                &mut next,
                Ask {
                    epoch,
                    ..goes_on_anew("g1")
                },
            );
            let left = if knows || again { 0 } else { 2 };
            let counts = next.counted(&key("a")).map_or(2, |key| key.used);
            assert_eq!(counts, left, "spent until the window ends: {again}");
            assert_eq!(next.unheard(&key("a")), [""; 0]);
        }
    }
}

#[test]
fn a_limit_that_is_lowered_while_a_reset_waits_recalls_after_it_and_is_granted_once_more_at_most() {
    let mut ledger = ledger(6, MINUTE);
    step(&mut ledger, of_two("g1", 0, 4));
    ledger.step_alone(reset_of(key("a")), T);
    step(&mut ledger, of_two("g2", 0, 2));
    ledger.step_alone(Input::Policies(policies(2, 1, MINUTE)), T);
    let answered = step(&mut ledger, goes_on_anew("g1"));
    assert_eq!(recalls(&answered), [("g2", 2)], "more is out than may be");
    assert_eq!(used(&ledger), Some(2));
    let emptied = Ask {
        returned: 2,
        emptied: true,
        ..ask("g2", 2, 0)
    };
    step(&mut ledger, emptied);
    let said = step(&mut ledger, of_two("g3", 0, 2));
    assert_eq!(replies(&said), [("g3", 1, Outcome::Granted)]);
    assert_eq!(used(&ledger), Some(1));
}

#[test]
fn an_ask_that_was_overtaken_by_the_lease_that_followed_it_is_answered_if_it_has_a_wish() {
    let mut ledger = ledger(2, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    ledger.step_alone(reset_of(key("a")), T);
    step(&mut ledger, goes_on_anew("g1"));
    // It was under way when its gateway heard the recall.
    let said = step(&mut ledger, ask("g1", 1, 1));
    let Some(Effect::Reply(reply)) = said.last() else {
        panic!("{said:?}");
    };
    assert_eq!((reply.window, reply.outcome), (None, RETRY));
    assert_eq!(replies(&step(&mut ledger, ask("g1", 1, 0))), []);
    assert_eq!(used(&ledger), Some(0));
}
