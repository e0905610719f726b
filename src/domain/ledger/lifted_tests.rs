//! Resets and lowered limits of windows that slide, and of buckets, while leases last of panes that T was lifted over (L9,
//! L10).

use super::tests::{MINUTE, RETRY, T, ask, goes_on_anew, key, ledger, policies, replies, reset_of};
use super::*;
use crate::policy::{TimeUnit, WindowKind};
use crate::window::WindowSpec;

const KINDS: [WindowKind; 2] = [WindowKind::Sliding, WindowKind::Bucket];

fn minute(kind: WindowKind) -> WindowSpec {
    WindowSpec::new(TimeUnit::Min, 1).counted(kind)
}

fn wish(window: WindowSpec, node: &str, (have, want): (u64, u64), at_ms: i64) -> Ask {
    Ask {
        window: Some(window.at(at_ms).id),
        ..ask(node, have, want)
    }
}

/// It holds nothing of the pane that is current then.
fn holds_nothing(window: WindowSpec, node: &str, have: u64, at_ms: i64) -> Ask {
    Ask {
        emptied: true,
        ..wish(window, node, (have, 0), at_ms)
    }
}

fn reset() -> Input {
    reset_of(key("a"))
}

fn used(ledger: &Ledger) -> Option<u64> {
    ledger.counted(&key("a")).map(|key| key.used)
}

/// Of three units one is used and two are out at g1 when T is lifted over the end of their pane, and then the key is reset.
fn reset_after_a_lift(window: WindowSpec) -> (Ledger, Vec<Effect>) {
    let end_ms = window.at(T).end_ms;
    let mut ledger = ledger(3, window);
    ledger.passes(T, T, T);
    for ask in [
        wish(window, "g1", (0, 1), T),
        wish(window, "g1", (1, 1), T),
        wish(window, "g2", (0, 1), T),
        holds_nothing(window, "g2", 1, T),
    ] {
        ledger.step_alone(Input::Ask(ask), T);
    }
    ledger.passes(end_ms, T, end_ms);
    let said = ledger.step_alone(reset(), end_ms);
    // Of g2 a call might have held something.
    assert_eq!(used(&ledger), Some(3));
    let left = holds_nothing(window, "g2", 0, end_ms);
    ledger.step_alone(Input::Ask(left), end_ms);
    (ledger, said)
}

#[test]
fn a_reset_forgives_what_leases_hold_of_a_pane_that_t_was_lifted_over_when_they_are_over_and_not_before()
 {
    for kind in KINDS {
        let window = minute(kind);
        let (mut ledger, _) = reset_after_a_lift(window);
        let (stamp, end_ms) = (ledger.stamp(), window.at(T).end_ms);
        assert_eq!(used(&ledger), Some(2), "{kind:?}: g1 may use what it has");
        let granted = ledger.step_alone(Input::Ask(wish(window, "g3", (0, 1), end_ms)), end_ms);
        assert_eq!(replies(&granted), [("g3", 1, Outcome::Granted)]);
        let refused = ledger.step_alone(Input::Ask(wish(window, "g3", (1, 1), end_ms)), end_ms);
        assert_eq!(replies(&refused), [("g3", 1, Outcome::Final)]);
        assert!(!ledger.is_settled(&key("a"), stamp), "{kind:?}");
        let later_ms = end_ms + (end_ms - T);
        assert_eq!(ledger.next_wake_ms(), Some(later_ms));
        ledger.passes(later_ms, end_ms, later_ms);
        let said = ledger.step_alone(Input::Tick, later_ms);
        let is_told =
            |effect: &Effect| matches!(effect, Effect::Reopen(to) if to.holder.node == "g3");
        assert!(said.iter().any(is_told), "{kind:?}: {said:?}");
        assert!(ledger.is_settled(&key("a"), stamp), "{kind:?}");
        assert_eq!(used(&ledger), Some(1), "{kind:?}: that of g3");
    }
}

#[test]
fn a_reset_is_done_as_soon_as_who_holds_something_of_a_pane_before_has_left_it() {
    for kind in KINDS {
        let window = minute(kind);
        let end_ms = window.at(T).end_ms;
        let of_next_lease = Ask {
            holder: Holder::new("g1", 1, 2),
            window: None,
            ..ask("g1", 0, 0)
        };
        let gives_back = Ask {
            returned: 1,
            ..holds_nothing(window, "g1", 2, T)
        };
        // Calls may hold something of it, and put that back.
        let (mut ledger, _) = reset_after_a_lift(window);
        let stamp = ledger.stamp();
        ledger.step_alone(Input::Ask(gives_back), end_ms);
        assert_eq!(used(&ledger), Some(1), "{kind:?}");
        assert!(!ledger.is_settled(&key("a"), stamp), "{kind:?}");
        ledger.step_alone(Input::Ask(of_next_lease.clone()), end_ms);
        assert_eq!(used(&ledger), Some(0), "{kind:?}");
        assert!(ledger.is_settled(&key("a"), stamp), "{kind:?}");
        for answer in [holds_nothing(window, "g1", 0, end_ms), of_next_lease] {
            let (mut ledger, said) = reset_after_a_lift(window);
            let stamp = ledger.stamp();
            let recalled = said.iter().filter_map(|effect| match effect {
                Effect::Recall(recall) => Some((recall.holder.node.as_str(), recall.window)),
                _ => None,
            });
            let recalled: Vec<_> = recalled.collect();
            let now = window.at(end_ms).id;
            assert_eq!(recalled, [("g1", now), ("g2", now)], "{kind:?}");
            ledger.step_alone(Input::Ask(answer.clone()), end_ms);
            assert!(ledger.is_settled(&key("a"), stamp), "{kind:?}: {answer:?}");
            assert_eq!(used(&ledger), Some(0), "{kind:?}: {answer:?}");
        }
    }
}

#[test]
fn a_reset_that_is_said_again_after_a_lift_forgives_nothing_that_may_be_used_yet() {
    for kind in KINDS {
        let window = minute(kind);
        let end_ms = window.at(T).end_ms;
        let mut ledger = ledger(3, window);
        ledger.passes(T, T, T);
        ledger.step_alone(Input::Ask(wish(window, "g1", (0, 1), T)), T);
        ledger.step_alone(reset(), T);
        ledger.passes(end_ms, T, end_ms);
        ledger.step_alone(Input::Tick, end_ms);
        for _ in 0..2 {
            ledger.step_alone(reset(), end_ms);
            assert_eq!(used(&ledger), Some(1), "{kind:?}");
            assert!(!ledger.is_settled(&key("a"), ledger.stamp()), "{kind:?}");
        }
        let left = holds_nothing(window, "g1", 0, end_ms);
        ledger.step_alone(Input::Ask(left), end_ms);
        assert_eq!(used(&ledger), Some(0), "{kind:?}");
        assert!(ledger.is_settled(&key("a"), ledger.stamp()), "{kind:?}");
    }
}

#[test]
fn who_holds_something_unused_is_called_back_while_a_reset_waits_for_a_pane_before() {
    for kind in KINDS {
        let window = minute(kind);
        let (mut ledger, _) = reset_after_a_lift(window);
        let (stamp, end_ms) = (ledger.stamp(), window.at(T).end_ms);
        ledger.step_alone(Input::Ask(wish(window, "g2", (0, 1), end_ms)), end_ms);
        let said = ledger.step_alone(Input::Ask(wish(window, "g3", (0, 1), end_ms)), end_ms);
        assert_eq!(replies(&said), [("g3", 0, RETRY)]);
        let is_recalled =
            |effect: &Effect| matches!(effect, Effect::Recall(to) if to.holder.node == "g2");
        assert!(said.iter().any(is_recalled), "{kind:?}: {said:?}");
        let gives_back = Ask {
            returned: 1,
            ..holds_nothing(window, "g2", 1, end_ms)
        };
        let said = ledger.step_alone(Input::Ask(gives_back), end_ms);
        assert_eq!(replies(&said), [("g3", 1, Outcome::Granted)]);
        assert!(!ledger.is_settled(&key("a"), stamp), "{kind:?}");
        let left = holds_nothing(window, "g1", 0, end_ms);
        ledger.step_alone(Input::Ask(left), end_ms);
        assert_eq!(used(&ledger), Some(1), "{kind:?}");
        assert!(ledger.is_settled(&key("a"), stamp), "{kind:?}");
    }
}

#[test]
fn a_reset_forgives_of_several_panes_what_each_held_whoever_leaves_first() {
    for (kind, first) in [(KINDS[0], "g1"), (KINDS[1], "g1"), (KINDS[1], "g2")] {
        let window = minute(kind);
        let next_ms = window.at(T).end_ms;
        let last_ms = window.at(next_ms).end_ms;
        let mut ledger = ledger(6, window);
        for (at_ms, node) in [(T, "g1"), (next_ms, "g2"), (last_ms, "g3")] {
            ledger.passes(at_ms, T, at_ms);
            for have in [0, 1] {
                let asked = wish(window, node, (have, 1), at_ms);
                ledger.step_alone(Input::Ask(asked), at_ms);
            }
        }
        assert_eq!(used(&ledger), Some(6), "{kind:?}");
        ledger.step_alone(reset(), last_ms);
        let stamp = ledger.stamp();
        let mut left = 6;
        let second = if first == "g1" { "g2" } else { "g1" };
        for node in [first, second, "g3"] {
            assert!(!ledger.is_settled(&key("a"), stamp), "{kind:?}");
            let answer = match node {
                "g3" => goes_on_anew(node),
                _ => holds_nothing(window, node, 0, last_ms),
            };
            ledger.step_alone(Input::Ask(answer), last_ms);
            left -= 2;
            assert_eq!(used(&ledger), Some(left), "{kind:?}: {node}");
        }
        assert!(ledger.is_settled(&key("a"), stamp), "{kind:?}");
    }
}

#[test]
fn what_a_lowered_limit_cuts_off_a_bucket_counts_again_until_it_had_run_out_after_the_last_lease() {
    let window = WindowSpec::new(TimeUnit::Hour, 1).counted(WindowKind::Bucket);
    let (start_ms, end_ms) = (window.at(T).start_ms, window.at(T).end_ms);
    let mut ledger = ledger(1_000, window);
    ledger.passes(start_ms, start_ms, start_ms);
    let all = Ask {
        due: 1_000,
        ..wish(window, "g1", (0, 1_000), start_ms)
    };
    ledger.step_alone(Input::Ask(all), start_ms);
    // By as long as its lease lasts.
    ledger.passes(end_ms, start_ms, end_ms);
    ledger.step_alone(Input::Policies(policies(2, 1, window)), end_ms);
    let passed_ms = window.span_ms() + 1;
    let later_ms = end_ms + passed_ms;
    ledger.passes(later_ms, start_ms + passed_ms, later_ms);
    ledger.step_alone(Input::Policies(policies(3, 1_000, window)), later_ms);
    let left = ledger.counted(&key("a")).map(|key| key.left);
    assert!(
        left <= Some(1),
        "what it used last may have been used since: {left:?}"
    );
}

#[test]
fn a_reset_of_a_fixed_window_is_done_when_that_is_over_however_far_t_was_lifted() {
    let end_ms = MINUTE.at(T).end_ms;
    let mut ledger = ledger(1, MINUTE);
    ledger.passes(T, T, T);
    ledger.step_alone(Input::Ask(wish(MINUTE, "g1", (0, 1), T)), T);
    ledger.step_alone(reset(), T);
    let stamp = ledger.stamp();
    ledger.passes(end_ms, T, end_ms);
    let said = ledger.step_alone(Input::Ask(wish(MINUTE, "g2", (0, 1), end_ms)), end_ms);
    assert_eq!(replies(&said), [("g2", 1, Outcome::Granted)]);
    assert!(ledger.is_settled(&key("a"), stamp));
    let said = ledger.step_alone(Input::Ask(wish(MINUTE, "g3", (0, 1), end_ms)), end_ms);
    let is_recalled =
        |effect: &Effect| matches!(effect, Effect::Recall(to) if to.holder.node == "g2");
    assert!(said.iter().any(is_recalled), "{said:?}");
}
