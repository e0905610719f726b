//! Resets of keys of which gateways may have leases that their owner does not know (L5, L6, L9): nothing that the answer does
//! not name is of use after it.

use std::collections::BTreeSet;

use super::refund_tests::after_a_crash;
use super::tests::{MINUTE, RETRY, T, ask, key, ledger, policies, replies, reset_of};
use super::*;
use crate::policy::{TimeUnit, WindowKind};
use crate::window::WindowSpec;

const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);
/// That of [`after_a_crash`].
const EPOCH: u64 = 9;

fn reset(nodes: &[&str]) -> Input {
    let gateways = nodes.iter().map(|node| (*node).to_owned()).collect();
    let cell = key("a");
    Input::Reset { cell, gateways }
}

/// A run that knows of the day's hundred no more than that so much of it is used, and that so much was given back.
fn from_a_mark(used: u64, forgiven: u64) -> Ledger {
    let mark = Mark {
        cell: key("a"),
        window: DAY.at(T).id,
        end_ms: DAY.at(T).end_ms,
        used,
        stamp: Stamp { epoch: 1, seq: 9 },
        forgiven,
    };
    after_a_crash(mark)
}

/// Whose leases are recalled for good.
fn recalled(effects: &[Effect]) -> Vec<(&str, u64)> {
    let anew = effects.iter().filter_map(|effect| match effect {
        Effect::Recall(recall) if recall.anew => {
            Some((recall.holder.node.as_str(), recall.holder.lease))
        }
        _ => None,
    });
    anew.collect()
}

/// One step, whose marks are on disk at once.
fn step(ledger: &mut Ledger, input: Input, at_ms: i64) -> Vec<Effect> {
    let mut said = ledger.step_alone(input, at_ms);
    let stamps = said.iter().filter_map(|effect| match effect {
        Effect::Persist { stamp, .. } => Some(*stamp),
        _ => None,
    });
    if let Some(stamp) = stamps.max() {
        said.extend(ledger.step_alone(Input::Marked { stamp }, at_ms));
    }
    said
}

/// A gateway goes on by another lease, as whoever heard an owner of this epoch recall what it had.
fn goes_on(node: &str, epoch: u64) -> Input {
    Input::Ask(Ask {
        holder: Holder::new(node, 1, 2),
        window: None,
        epoch,
        ..ask(node, 0, 0)
    })
}

/// It tells of what it was granted before this owner, of which it has not heard yet.
fn tells(node: &str, have: u64, want: u64) -> Input {
    Input::Ask(Ask {
        window: Some(DAY.at(T).id),
        ..ask(node, have, want)
    })
}

fn used(ledger: &Ledger) -> Option<u64> {
    ledger.counted(&key("a")).map(|key| key.used)
}

#[test]
fn a_reset_after_a_start_from_disks_recalls_from_every_gateway_and_names_who_does_not_answer() {
    for (marked, forgiven) in [(90, 0), (0, 90)] {
        let mut ledger = from_a_mark(marked, forgiven);
        let said = step(&mut ledger, reset(&["g1", "g2", "g3"]), T);
        assert_eq!(recalled(&said), [("g1", 0), ("g2", 0), ("g3", 0)]);
        let stamp = ledger.stamp();
        step(&mut ledger, goes_on("g1", EPOCH), T);
        assert!(
            !ledger.is_settled(&key("a"), stamp),
            "others have not answered"
        );
        // It was on its way: by the lease that is about to be void.
        let said = step(&mut ledger, tells("g2", 40, 1), T);
        assert_eq!(replies(&said), [("g2", 40, RETRY)]);
        assert!(!ledger.is_settled(&key("a"), stamp), "that is no answer");
        step(&mut ledger, Input::Tick, T + 700);
        assert!(ledger.is_settled(&key("a"), stamp));
        assert_eq!(ledger.unheard(&key("a")), ["g2", "g3"]);
        for (node, left) in [("g2", &["g3"][..]), ("g3", &[])] {
            step(&mut ledger, goes_on(node, EPOCH), T + 800);
            assert_eq!(ledger.unheard(&key("a")), left);
        }
        let others_got = 1;
        assert_eq!(used(&ledger), Some(others_got), "what g2 was granted since");
    }
}

#[test]
fn a_reset_of_a_lost_window_recalls_from_every_gateway_also_when_it_is_said_again() {
    let mut ledger = Ledger::new(3, Recovery::founding(1), policies(1, 5, MINUTE));
    ledger.take(ShardImage::default());
    ledger.gone(Some(T), 2);
    ledger.activate(2, false);
    let said = step(&mut ledger, reset(&["g1"]), T);
    assert_eq!(recalled(&said), [("g1", 0)]);
    step(&mut ledger, Input::Tick, T + 700);
    assert_eq!(ledger.unheard(&key("a")), ["g1"]);
    // Also by another owner, which has a copy, and where it can be told nothing.
    let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 5, MINUTE));
    heir.take(ledger.shard_image());
    heir.activate(3, false);
    for ledger in [&mut ledger, &mut heir] {
        let said = step(ledger, reset_of(key("a")), T + 701);
        assert_eq!(recalled(&said), [("g1", 0)]);
        let epoch = ledger.stamp().epoch;
        step(ledger, goes_on("g1", epoch), T + 701);
        assert_eq!(ledger.unheard(&key("a")), [""; 0]);
        assert!(ledger.is_settled(&key("a"), ledger.stamp()));
    }
}

/// A run without anything of the shard, of a limit of a hundred.
fn lost() -> Ledger {
    let mut ledger = Ledger::new(3, Recovery::founding(1), policies(1, 100, DAY));
    ledger.take(ShardImage::default());
    ledger.gone(Some(T), EPOCH);
    ledger.activate(EPOCH, false);
    ledger
}

/// The first one knew of g1 alone.
#[test]
fn a_second_reset_of_a_lost_window_recalls_from_whoever_was_not_known_at_the_first() {
    let mut ledger = lost();
    let said = step(&mut ledger, reset(&["g1"]), T);
    assert_eq!(recalled(&said), [("g1", 0)]);
    step(&mut ledger, goes_on("g1", EPOCH), T);
    assert!(ledger.is_settled(&key("a"), ledger.stamp()));
    let said = step(&mut ledger, reset(&["g1", "g2"]), T + 10);
    let asked: BTreeSet<&str> = recalled(&said).into_iter().map(|(node, _)| node).collect();
    assert_eq!(asked, BTreeSet::from(["g1", "g2"]));
    assert!(!ledger.is_settled(&key("a"), ledger.stamp()));
}

/// What a lease that ends gives back before the next one speaks.
fn gives_back(node: &str, have: u64, returned: u64) -> Input {
    Input::Ask(Ask {
        window: Some(DAY.at(T).id),
        returned,
        emptied: true,
        ..ask(node, have, 0)
    })
}

#[test]
fn what_was_used_of_a_lost_window_is_forgiven_though_its_gateway_tells_of_it_only_when_it_is_recalled()
 {
    for is_late in [false, true] {
        let mut ledger = lost();
        step(&mut ledger, reset(&["g1"]), T);
        if is_late {
            step(&mut ledger, Input::Tick, T + 700);
            assert_eq!(ledger.unheard(&key("a")), ["g1"]);
        }
        step(&mut ledger, gives_back("g1", 42, 2), T + 800);
        assert_eq!(used(&ledger), Some(40), "it has not gone on yet");
        step(&mut ledger, goes_on("g1", EPOCH), T + 800);
        assert_eq!(used(&ledger), Some(0), "late: {is_late}");
        assert_eq!(ledger.unheard(&key("a")), [""; 0]);
        assert!(ledger.is_settled(&key("a"), ledger.stamp()));
    }
}

#[test]
fn what_a_silent_gateway_is_granted_after_a_reset_counts_beside_what_it_tells_of_before() {
    let mut ledger = lost();
    step(&mut ledger, reset(&["g1", "g2"]), T);
    step(&mut ledger, Input::Tick, T + 700);
    let window = Some(DAY.at(T).id);
    let wish = Ask {
        window,
        due: 5,
        ..ask("g1", 40, 5)
    };
    let said = step(&mut ledger, Input::Ask(wish), T + 701);
    assert_eq!(replies(&said), [("g1", 45, Outcome::Granted)]);
    // It has got that, and gives one of all back.
    step(&mut ledger, gives_back("g1", 45, 1), T + 702);
    step(&mut ledger, goes_on("g1", EPOCH), T + 702);
    assert_eq!(used(&ledger), Some(4));
    // The same of a lease that the owner meets only by then.
    let next = |lease, have, returned| {
        Input::Ask(Ask {
            holder: Holder::new("g2", 1, lease),
            window,
            returned,
            ..ask("g2", have, 0)
        })
    };
    assert_eq!(ledger.unheard(&key("a")), ["g2"]);
    step(&mut ledger, next(1, 7, 0), T + 1_501);
    step(&mut ledger, next(2, 30, 1), T + 1_502);
    let answer = Ask {
        holder: Holder::new("g2", 1, 3),
        window: None,
        epoch: EPOCH,
        ..ask("g2", 0, 0)
    };
    step(&mut ledger, Input::Ask(answer), T + 1_503);
    assert_eq!(used(&ledger), Some(4), "all of it was of before");
}

#[test]
fn whoever_has_nothing_by_its_own_word_is_recalled_too_while_more_may_be_on_its_way_to_it() {
    let mut ledger = from_a_mark(90, 0);
    step(&mut ledger, tells("g1", 0, 0), T);
    let said = step(&mut ledger, reset(&[]), T);
    // Whatever it has: what its word was about may be an earlier lease than that.
    assert_eq!(recalled(&said), [("g1", 0)]);
    step(&mut ledger, goes_on("g1", EPOCH), T);
    assert!(ledger.is_settled(&key("a"), ledger.stamp()));
    assert_eq!(used(&ledger), Some(0));
}

#[test]
fn whoever_is_met_first_while_a_reset_waits_for_strangers_is_recalled_and_waited_for_too() {
    let mut ledger = from_a_mark(90, 0);
    step(&mut ledger, reset(&["g1"]), T);
    // The node did not see it, and it may have units of before.
    let said = step(&mut ledger, tells("g2", 40, 1), T + 1);
    assert_eq!(recalled(&said), [("g2", 0)]);
    assert_eq!(replies(&said), [("g2", 40, RETRY)]);
    // Whoever is recalled already, or answers by what it says first, is not recalled again.
    let said = step(&mut ledger, tells("g2", 40, 1), T + 1);
    assert_eq!(recalled(&said), []);
    let said = step(&mut ledger, goes_on("g3", EPOCH), T + 1);
    assert_eq!(recalled(&said), []);
    step(&mut ledger, goes_on("g1", EPOCH), T + 1);
    assert!(!ledger.is_settled(&key("a"), ledger.stamp()));
    step(&mut ledger, Input::Tick, T + 700);
    assert!(ledger.is_settled(&key("a"), ledger.stamp()));
    assert_eq!(ledger.unheard(&key("a")), ["g2"]);
    step(&mut ledger, goes_on("g2", EPOCH), T + 800);
    assert_eq!(ledger.unheard(&key("a")), [""; 0]);
}

/// An owner that knows of a first lease of g2, of which g1 has answered a reset and g2 has not in time; the mark of that is
/// not on disk yet. Gives its stamp.
fn late_on_disk(ledger: &mut Ledger) -> Stamp {
    step(ledger, tells("g2", 5, 0), T);
    step(ledger, reset(&["g1"]), T);
    let said = ledger.step_alone(goes_on("g1", EPOCH), T + 1);
    let stamps = said.iter().filter_map(|effect| match effect {
        Effect::Persist { stamp, .. } => Some(*stamp),
        _ => None,
    });
    let mark = stamps.max().unwrap();
    ledger.step_alone(Input::Tick, T + 800);
    mark
}

#[test]
fn whoever_is_silent_is_named_also_where_it_speaks_by_a_lease_that_is_no_answer_before_the_reset_is_told()
 {
    let mut ledger = from_a_mark(90, 0);
    let stamp = late_on_disk(&mut ledger);
    let of_before = Ask {
        holder: Holder::new("g2", 1, 2),
        window: Some(DAY.at(T).id),
        ..ask("g2", 3, 0)
    };
    ledger.step_alone(Input::Ask(of_before), T + 801);
    ledger.step_alone(Input::Marked { stamp }, T + 900);
    assert_eq!(ledger.unheard(&key("a")), ["g2"]);
    let answer = Ask {
        holder: Holder::new("g2", 1, 3),
        window: None,
        epoch: EPOCH,
        ..ask("g2", 0, 0)
    };
    step(&mut ledger, Input::Ask(answer), T + 901);
    assert_eq!(ledger.unheard(&key("a")), [""; 0]);
}

#[test]
fn whoever_is_silent_is_named_also_where_its_pane_ends_before_the_reset_is_told() {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let window = DAY.counted(kind);
        let end_ms = window.at(T).end_ms;
        let at_ms = end_ms - 900;
        let mut ledger = sewn_at(at_ms, window);
        let wish = Ask {
            window: None,
            ..ask("g1", 0, 1)
        };
        step(&mut ledger, Input::Ask(wish), at_ms);
        step(&mut ledger, reset(&["g2"]), at_ms);
        step(&mut ledger, goes_on("g1", EPOCH), at_ms + 1);
        step(&mut ledger, Input::Tick, at_ms + 800);
        assert_eq!(ledger.unheard(&key("a")), ["g2"], "{kind:?}");
        ledger.passes(end_ms, end_ms, end_ms);
        let next = Ask {
            holder: Holder::new("g1", 1, 2),
            window: Some(window.at(end_ms).id),
            ..ask("g1", 0, 1)
        };
        step(&mut ledger, Input::Ask(next.clone()), end_ms);
        assert_eq!(ledger.unheard(&key("a")), ["g2"], "{kind:?}");
        // Nothing of before can be used any more.
        let over_ms = end_ms + 3 * window.at(T).length_ms();
        ledger.passes(over_ms, over_ms, over_ms);
        let window = Some(window.at(over_ms).id);
        step(&mut ledger, Input::Ask(Ask { window, ..next }), over_ms);
        assert_eq!(ledger.unheard(&key("a")), [""; 0], "{kind:?}");
    }
}

#[test]
fn a_reset_where_all_is_known_recalls_what_is_known_and_waits_for_nobody_else() {
    let mut ledger = ledger(3, MINUTE);
    step(&mut ledger, Input::Ask(ask("g1", 0, 1)), T);
    let said = step(&mut ledger, reset(&["g1", "g2"]), T);
    assert_eq!(recalled(&said), [("g1", 1)]);
    step(&mut ledger, goes_on("g1", 1), T);
    assert!(ledger.is_settled(&key("a"), ledger.stamp()));
}

/// A run in which the shard went on from disks at T, with nothing of the key.
fn sewn_at(t_ms: i64, window: WindowSpec) -> Ledger {
    let recovery = Recovery {
        t0_ms: Some(t_ms),
        source: Source::Disk,
        ..Recovery::founding(EPOCH)
    };
    let mut ledger = Ledger::new(3, recovery, policies(1, 5, window));
    ledger.passes(t_ms, t_ms, t_ms);
    ledger.goes_on_from_disk(EPOCH, EPOCH);
    ledger.fence(EPOCH, Some(t_ms));
    ledger
}

#[test]
fn strangers_are_asked_as_long_as_leases_from_before_a_start_from_disks_may_last_and_no_longer() {
    let kinds = [WindowKind::Fixed, WindowKind::Sliding, WindowKind::Bucket];
    for window in kinds.map(|kind| DAY.counted(kind)) {
        let pane = window.at(T);
        let mut ledger = sewn_at(T, window);
        let over_ms = pane.end_ms + 2 * pane.length_ms() + 2_000;
        for (at_ms, are_asked) in [(T + 5_000, true), (pane.end_ms - 1, true), (over_ms, false)] {
            ledger.passes(at_ms, at_ms, at_ms);
            // Somebody counts in it.
            let wish = Ask {
                holder: Holder::new("g1", 1, 1),
                window: None,
                ..ask("g1", 0, 1)
            };
            step(&mut ledger, Input::Ask(wish), at_ms);
            let said = step(&mut ledger, reset(&["g2"]), at_ms);
            let asked = recalled(&said).contains(&("g2", 0));
            assert_eq!(asked, are_asked, "{:?} at {}", window.kind, at_ms - T);
            step(&mut ledger, Input::Tick, at_ms + 700);
        }
    }
}

#[test]
fn what_was_given_back_to_a_key_while_it_was_held_is_recalled_also_of_a_pane_that_t_was_lifted_over()
 {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let window = MINUTE.counted(kind);
        let end_ms = window.at(T).end_ms;
        let mut ledger = ledger(3, window);
        ledger.passes(T, T, T);
        let wish = Ask {
            window: Some(window.at(T).id),
            ..ask("g1", 0, 1)
        };
        step(&mut ledger, Input::Ask(wish), T);
        let (cell, units) = (key("a"), 1);
        step(&mut ledger, Input::Refund { cell, units }, T);
        ledger.passes(end_ms, T, end_ms);
        // Others go on in the next pane.
        let other = Ask {
            window: Some(window.at(end_ms).id),
            ..ask("g2", 0, 1)
        };
        step(&mut ledger, Input::Ask(other), end_ms);
        assert_eq!(used(&ledger), Some(1), "{kind:?}: it counts no more");
        let said = step(&mut ledger, reset(&[]), end_ms);
        let of: BTreeSet<_> = recalled(&said).into_iter().collect();
        assert_eq!(of, BTreeSet::from([("g1", 1), ("g2", 1)]), "{kind:?}");
        let stamp = ledger.stamp();
        step(&mut ledger, goes_on("g2", 1), end_ms);
        assert!(!ledger.is_settled(&key("a"), stamp), "{kind:?}");
        step(&mut ledger, goes_on("g1", 1), end_ms);
        assert!(ledger.is_settled(&key("a"), stamp), "{kind:?}");
        assert_eq!(used(&ledger), Some(0), "{kind:?}");
    }
}
