//! The rules of L2, L5 to L7, L9 and L12, one by one; `simulation` drives them all together.

use std::sync::Arc;

use super::*;
use crate::policy::TimeUnit;
use crate::window::{WindowId, WindowSpec};

pub(super) const T: i64 = 1_700_000_000_000;
pub(super) const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);
const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);

pub(super) fn key(name: &str) -> CellKey {
    CellKey::new("carbon.super", "subscription:Gold", name)
}

pub(super) fn policies(applied: u64, limit: u64, window: WindowSpec) -> Arc<Policies> {
    let mut policies = Policies::new(applied);
    policies.set("carbon.super", "subscription:Gold", Quota { limit, window });
    Arc::new(policies)
}

pub(super) fn ledger(limit: u64, window: WindowSpec) -> Ledger {
    Ledger::new(3, Recovery::founding(1), policies(1, limit, window))
}

pub(super) fn ask(node: &str, have: u64, want: u64) -> Ask {
    Ask {
        holder: Holder::new(node, 1, 1),
        cell: key("a"),
        policies: 1,
        epoch: 1,
        asked_at_ms: 7,
        window: Some(MINUTE.at(T).id),
        have,
        returned: 0,
        want,
        emptied: have == 0,
        due: 0,
    }
}

/// How a gateway answers a reset: it goes on by another lease.
pub(super) fn goes_on_anew(node: &str) -> Ask {
    Ask {
        holder: Holder::new(node, 1, 2),
        window: None,
        ..ask(node, 0, 0)
    }
}

/// A reset while no gateway can be told anything that the owner does not know of.
pub(super) fn reset_of(cell: CellKey) -> Input {
    let gateways = std::collections::BTreeSet::new();
    Input::Reset { cell, gateways }
}

pub(super) fn step(ledger: &mut Ledger, ask: Ask) -> Vec<Effect> {
    ledger.step_alone(Input::Ask(ask), T)
}

pub(super) fn replies(effects: &[Effect]) -> Vec<(&str, u64, Outcome)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply(reply) => {
                Some((reply.holder.node.as_str(), reply.granted, reply.outcome))
            }
            _ => None,
        })
        .collect()
}

pub(super) fn recalls(effects: &[Effect]) -> Vec<(&str, u64)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Recall(recall) => Some((recall.holder.node.as_str(), recall.granted)),
            _ => None,
        })
        .collect()
}

pub(super) fn reopened(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reopen(reopen) => Some(reopen.holder.node.as_str()),
            _ => None,
        })
        .collect()
}

pub(super) const RETRY: Outcome = Outcome::Retry { after_ms: 200 };

#[test]
fn a_repeated_ask_is_granted_once() {
    let mut ledger = ledger(10, MINUTE);
    assert_eq!(
        replies(&step(&mut ledger, ask("g1", 0, 1))),
        [("g1", 1, Outcome::Granted)]
    );
    assert_eq!(
        replies(&step(&mut ledger, ask("g1", 0, 1))),
        [("g1", 1, Outcome::Granted)]
    );
    assert_eq!(
        replies(&step(&mut ledger, ask("g1", 1, 1))),
        [("g1", 2, Outcome::Granted)]
    );
}

#[test]
fn a_lease_is_a_two_hundredth_and_twice_that_only_for_who_comes_back_early() {
    let mut ledger = ledger(10_000, MINUTE);
    let young = MINUTE.at(T).start_ms;
    let first = ledger.step_alone(Input::Ask(ask("g1", 0, 900)), young);
    assert_eq!(replies(&first), [("g1", 50, Outcome::Granted)]);
    let second = ledger.step_alone(Input::Ask(ask("g1", 50, 900)), young);
    assert_eq!(replies(&second), [("g1", 150, Outcome::Granted)]);
    let late = ledger.step_alone(Input::Ask(ask("g1", 150, 900)), young + 30_000);
    assert_eq!(replies(&late), [("g1", 200, Outcome::Granted)]);
}

#[test]
fn a_reply_waits_for_replication() {
    let mut ledger = ledger(10, MINUTE);
    let effects = ledger.step(Input::Ask(ask("g1", 0, 1)), T);
    let [
        Effect::Replicate {
            stamp, fence_ms, ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}")
    };
    assert_eq!(*fence_ms, T);
    assert!(ledger.step(Input::Tick, T).is_empty());
    let released = ledger.step(Input::Replicated { stamp: *stamp }, T);
    assert_eq!(replies(&released), [("g1", 1, Outcome::Granted)]);
}

#[test]
fn no_is_final_only_after_a_recall_round() {
    let mut ledger = ledger(2, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    step(&mut ledger, ask("g2", 0, 1));
    let asked = step(&mut ledger, ask("g3", 0, 1));
    assert_eq!(replies(&asked), [("g3", 0, RETRY)]);
    assert_eq!(recalls(&asked), [("g1", 1), ("g2", 1)]);
    let emptied = |node, returned| Ask {
        returned,
        emptied: true,
        due: 0,
        ..ask(node, 1, 0)
    };
    assert!(step(&mut ledger, emptied("g1", 0)).is_empty());
    assert_eq!(
        replies(&step(&mut ledger, emptied("g2", 1))),
        [("g3", 1, Outcome::Granted)],
        "g2's unit"
    );
    let last = step(&mut ledger, ask("g1", 1, 1));
    assert_eq!(
        (replies(&last), recalls(&last)),
        (vec![("g1", 1, RETRY)], vec![("g3", 1)])
    );
    assert_eq!(
        replies(&step(&mut ledger, emptied("g3", 0))),
        [("g1", 1, Outcome::Final)]
    );
    assert_eq!(
        replies(&step(&mut ledger, ask("g2", 1, 1))),
        [("g2", 1, Outcome::Final)],
        "nobody to recall from"
    );
}

#[test]
fn a_gateway_that_does_not_answer_a_recall_has_spent_what_it_had() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    step(&mut ledger, ask("g2", 0, 1));
    assert_eq!(ledger.next_wake_ms(), Some(T + 700));
    assert!(replies(&ledger.step_alone(Input::Tick, T + 699)).is_empty());
    assert_eq!(
        replies(&ledger.step_alone(Input::Tick, T + 700)),
        [("g2", 0, Outcome::Final)]
    );
    let back = ledger.step_alone(
        Input::Ask(Ask {
            returned: 1,
            emptied: true,
            due: 0,
            ..ask("g1", 1, 0)
        }),
        T + 1_100,
    );
    assert_eq!(reopened(&back), ["g2"], "a refund reopens");
}

#[test]
fn a_new_lease_or_incarnation_does_not_refund_the_old_one() {
    let mut ledger = ledger(2, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    let reborn = |incarnation, lease| Ask {
        holder: Holder::new("g1", incarnation, lease),
        ..ask("g1", 0, 1)
    };
    assert_eq!(
        replies(&step(&mut ledger, reborn(2, 1))),
        [("g1", 1, Outcome::Granted)]
    );
    assert_eq!(
        replies(&step(&mut ledger, reborn(2, 2))),
        [("g1", 0, Outcome::Final)]
    );
    assert!(
        step(
            &mut ledger,
            Ask {
                returned: 1,
                want: 0,
                ..reborn(2, 1)
            }
        )
        .is_empty(),
        "the old lease is over"
    );
}

#[test]
fn a_lowered_limit_recalls_and_a_raised_one_reopens() {
    let mut ledger = ledger(4, MINUTE);
    for have in 0..3 {
        step(&mut ledger, ask("g1", have, 1));
    }
    let lowered = ledger.step_alone(Input::Policies(policies(2, 1, MINUTE)), T);
    assert_eq!(recalls(&lowered), [("g1", 3)]);
    let returned = step(
        &mut ledger,
        Ask {
            returned: 1,
            emptied: true,
            due: 0,
            ..ask("g1", 3, 0)
        },
    );
    assert!(returned.is_empty(), "still above the limit");
    assert_eq!(
        replies(&step(
            &mut ledger,
            Ask {
                returned: 1,
                ..ask("g1", 3, 1)
            }
        )),
        [("g1", 3, Outcome::Final)]
    );
    let raised = ledger.step_alone(Input::Policies(policies(3, 5, MINUTE)), T);
    assert_eq!(reopened(&raised), ["g1"]);
}

#[test]
fn a_long_window_is_marked_before_release_and_survives_a_restart() {
    let mut ledger = ledger(400, DAY);
    let asked = Ask {
        window: None,
        ..ask("g1", 0, 2)
    };
    let effects = ledger.step_alone(Input::Ask(asked), T);
    let [Effect::Persist { stamp, marks }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(marks[0].used, 2, "in steps of two");
    let rows = marks.clone();
    assert_eq!(
        replies(&ledger.step_alone(Input::Marked { stamp: *stamp }, T)),
        [("g1", 2, Outcome::Granted)]
    );

    let recovery = Recovery {
        epoch: 2,
        t0_ms: Some(T),
        lost_ms: None,
        source: Source::Disk,
        marks: rows,
    };
    let mut restarted = Ledger::new(3, recovery, policies(1, 400, DAY));
    let other = Ask {
        window: None,
        cell: key("b"),
        ..ask("g1", 0, 1)
    };
    let effects = restarted.step_alone(Input::Ask(other), T);
    assert!(
        matches!(effects.as_slice(), [Effect::Persist { .. }]),
        "no mark means that nothing was granted"
    );
    let day = Some(DAY.at(T).id);
    restarted.step_alone(
        Input::Ask(Ask {
            window: day,
            ..ask("g1", 2, 0)
        }),
        T,
    );
    let image = restarted.image(&key("a")).unwrap();
    assert_eq!(
        (image.spent, image.holders[0].1.net()),
        (2, 0),
        "the mark found its holder"
    );
}

#[test]
fn a_short_window_from_before_a_restart_is_full_until_it_ends_or_is_forgotten() {
    let recovery = Recovery {
        epoch: 2,
        t0_ms: Some(T),
        lost_ms: None,
        source: Source::Disk,
        marks: vec![],
    };
    let mut ledger = Ledger::new(3, recovery, policies(1, 10, MINUTE));
    assert_eq!(
        replies(&step(&mut ledger, ask("g1", 0, 1))),
        [("g1", 0, Outcome::Final)]
    );
    assert_eq!(reopened(&ledger.step_alone(Input::ForgetLost, T)), ["g1"]);
    assert_eq!(
        replies(&step(&mut ledger, ask("g1", 0, 1))),
        [("g1", 1, Outcome::Granted)]
    );

    let recovery = Recovery {
        epoch: 2,
        t0_ms: Some(T),
        lost_ms: None,
        source: Source::Disk,
        marks: vec![],
    };
    let mut ledger = Ledger::new(3, recovery, policies(1, 10, MINUTE));
    let next = MINUTE.at(T).end_ms;
    assert_eq!(
        replies(&ledger.step_alone(Input::Ask(ask("g1", 0, 1)), next)),
        [("g1", 1, Outcome::Granted)]
    );
}

#[test]
fn a_clean_stop_loses_nothing() {
    let mut before = ledger(3, MINUTE);
    step(&mut before, ask("g1", 0, 1));
    let recovery = Recovery {
        epoch: 2,
        t0_ms: Some(T),
        lost_ms: None,
        source: Source::CleanStop,
        marks: before.final_marks(),
    };
    let mut after = Ledger::new(3, recovery, policies(1, 3, MINUTE));
    assert_eq!(
        replies(&step(&mut after, ask("g2", 0, 1))),
        [("g2", 1, Outcome::Granted)]
    );
    assert_eq!(
        replies(&step(&mut after, ask("g2", 1, 1))),
        [("g2", 2, Outcome::Granted)]
    );
    assert_eq!(
        replies(&step(&mut after, ask("g2", 2, 1))),
        [("g2", 2, Outcome::Final)]
    );
}

#[test]
fn time_that_goes_back_does_not_bring_an_old_window_back() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    let next = MINUTE.at(T).end_ms;
    ledger.step_alone(Input::Tick, next);
    let effects = ledger.step_alone(
        Input::Ask(Ask {
            window: None,
            ..ask("g1", 0, 1)
        }),
        T,
    );
    let [Effect::Reply(reply)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(reply.window.unwrap(), MINUTE.at(next));
    let ahead = WindowId {
        spec: MINUTE,
        number: MINUTE.at(next).id.number + 1,
    };
    assert_eq!(
        replies(&step(
            &mut ledger,
            Ask {
                window: Some(ahead),
                ..ask("g1", 0, 1)
            }
        )),
        [("g1", 0, RETRY)]
    );
}

#[test]
fn keys_beyond_the_bound_share_one_bucket_until_their_window_ends() {
    let mut ledger = ledger(1, MINUTE);
    for name in ["a", "b", "c"] {
        step(
            &mut ledger,
            Ask {
                cell: key(name),
                ..ask("g1", 0, 1)
            },
        );
    }
    let fourth = step(
        &mut ledger,
        Ask {
            cell: key("d"),
            ..ask("g1", 0, 1)
        },
    );
    assert_eq!(replies(&fourth), [("g1", 0, Outcome::Shared)]);
    assert!(matches!(fourth[0], Effect::Shared { .. }));
    let shared = Ask {
        cell: key("d").shared(),
        ..ask("g1", 0, 1)
    };
    assert_eq!(
        replies(&step(&mut ledger, shared)),
        [("g1", 1, Outcome::Granted)]
    );
    let end = MINUTE.at(T).end_ms;
    ledger.step_alone(Input::Tick, end);
    assert!(ledger.images().is_empty());
    let own = ledger.step_alone(
        Input::Ask(Ask {
            cell: key("d"),
            ..ask("g1", 0, 1)
        }),
        end,
    );
    assert_eq!(replies(&own), [("g1", 1, Outcome::Granted)]);
}

#[test]
fn an_owner_with_older_policies_says_so() {
    let mut ledger = ledger(1, MINUTE);
    let newer = step(
        &mut ledger,
        Ask {
            policies: 2,
            ..ask("g1", 0, 1)
        },
    );
    assert_eq!(replies(&newer), [("g1", 0, Outcome::Behind { applied: 1 })]);
    let unknown = CellKey::new("carbon.super", "subscription:Tin", "a");
    assert_eq!(
        replies(&step(
            &mut ledger,
            Ask {
                cell: unknown,
                ..ask("g1", 0, 1)
            }
        )),
        [("g1", 0, Outcome::UnknownPolicy)]
    );
}
