//! Windows that slide and buckets (L10): what is given out where more is wanted, what comes back, what a reset does.

use super::tests::{T, ask, key, ledger, policies, replies, reset_of};
use super::*;
use crate::policy::{TimeUnit, WindowKind};
use crate::window::{Window, WindowSpec};

/// What one gateway that wants all there is gets in `spans` windows' time.
fn all_of(limit: u64, window: WindowSpec, spans: i64) -> u64 {
    let mut ledger = ledger(limit, window);
    let (mut all, mut have, mut pane) = (0, 0, None);
    let pane_ms = window.at(T).length_ms();
    let start_ms = window.at(T).start_ms;
    let mut t_ms = start_ms;
    while t_ms < start_ms + spans * window.span_ms() {
        let current = window.at(t_ms).id;
        if pane != Some(current) {
            (pane, have) = (Some(current), 0);
        }
        let asked = Ask {
            window: pane,
            ..ask("g1", have, limit)
        };
        let said = ledger.step_alone(Input::Ask(asked), t_ms);
        let granted = replies(&said)
            .last()
            .map_or(have, |(_, granted, _)| *granted);
        all += granted - have;
        if granted == have {
            t_ms += pane_ms;
        }
        have = granted;
    }
    all
}

#[test]
fn hardly_less_than_the_limit_is_given_out_where_more_is_wanted() {
    for (kind, spans) in [(WindowKind::Sliding, 20), (WindowKind::Bucket, 19)] {
        for (limit, percent) in [(1_000, 98), (10, 98), (3, 98), (1, 94)] {
            let window = WindowSpec::new(TimeUnit::Min, 1).counted(kind);
            let all = all_of(limit, window, spans);
            // A bucket begins full.
            assert!(all <= limit * 20, "{kind:?} {limit}: {all}");
            assert!(all * 100 >= limit * 20 * percent, "{kind:?} {limit}: {all}");
        }
    }
}

#[test]
fn what_was_not_used_of_a_pane_that_is_over_is_given_to_others_when_it_comes_back() {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let window = WindowSpec::new(TimeUnit::Min, 1).counted(kind);
        let mut ledger = ledger(1, window);
        let (first, next) = (window.at(T), window.at(T).end_ms);
        let of = |node, window: Option<Window>, have, want| Ask {
            window: window.map(|window| window.id),
            ..ask(node, have, want)
        };
        let said = ledger.step_alone(Input::Ask(of("g1", None, 0, 1)), T);
        assert_eq!(replies(&said), [("g1", 1, Outcome::Granted)]);
        let said = ledger.step_alone(Input::Ask(of("g2", None, 0, 1)), next);
        assert_eq!(replies(&said), [("g2", 0, Outcome::Final)]);
        let unused = Ask {
            returned: 1,
            emptied: true,
            ..of("g1", Some(first), 1, 0)
        };
        let told = ledger.step_alone(Input::Ask(unused.clone()), next);
        let reopens =
            |effect: &Effect| matches!(effect, Effect::Reopen(to) if to.holder.node == "g2");
        assert!(told.iter().any(reopens), "{kind:?}: {told:?}");
        let said = ledger.step_alone(Input::Ask(of("g2", None, 0, 1)), next);
        assert_eq!(replies(&said), [("g2", 1, Outcome::Granted)]);
        // Said again, it says nothing more.
        ledger.step_alone(Input::Ask(unused), next);
        let said = ledger.step_alone(Input::Ask(of("g3", None, 0, 1)), next + 60_000 - 600);
        assert_eq!(replies(&said), [("g3", 0, Outcome::Final)]);
    }
}

#[test]
fn a_reset_begins_a_window_that_slides_anew_at_once() {
    let window = WindowSpec::new(TimeUnit::Hour, 1).counted(WindowKind::Sliding);
    let mut ledger = ledger(1, window);
    let later = T + 600_000;
    let wish = |at_ms| Ask {
        window: Some(window.at(at_ms).id),
        ..ask("g1", 0, 1)
    };
    let marks = |ledger: &mut Ledger, effects: Vec<Effect>, at_ms| {
        let stamps = effects.iter().filter_map(|effect| match effect {
            Effect::Persist { stamp, .. } => Some(*stamp),
            _ => None,
        });
        match stamps.max() {
            Some(stamp) => ledger.step_alone(Input::Marked { stamp }, at_ms),
            None => effects,
        }
    };
    let granted = ledger.step_alone(Input::Ask(wish(T)), T);
    let granted = marks(&mut ledger, granted, T);
    assert_eq!(replies(&granted), [("g1", 1, Outcome::Granted)]);
    let refused = ledger.step_alone(Input::Ask(wish(later)), later);
    let refused = marks(&mut ledger, refused, later);
    assert_eq!(replies(&refused), [("g1", 0, Outcome::Final)]);
    ledger.step_alone(reset_of(key("a")), later);
    let granted = ledger.step_alone(Input::Ask(wish(later)), later);
    let granted = marks(&mut ledger, granted, later);
    assert_eq!(replies(&granted), [("g1", 1, Outcome::Granted)]);
}

#[test]
fn a_lease_that_another_owner_gives_of_a_pane_by_an_earlier_t_counts_the_longer() {
    let window = WindowSpec::new(TimeUnit::Hour, 1).counted(WindowKind::Sliding);
    let start_ms = window.at(T).start_ms;
    let asked = |ledger: &mut Ledger, at_ms: i64| {
        let asked = Ask {
            window: Some(window.at(at_ms).id),
            ..ask("g1", 0, 1)
        };
        ledger.step_alone(Input::Ask(asked), at_ms);
        ledger.image(&key("a")).map(|image| image.lag_ms)
    };
    let of = |epoch| Ledger::new(3, Recovery::founding(epoch), policies(1, 5, window));
    let mut before = of(1);
    before.passes(start_ms, 0, start_ms);
    before.passes(start_ms + 5_000, 0, start_ms + 5_000);
    assert_eq!(asked(&mut before, start_ms + 5_000), Some(5_000));
    before.passes(start_ms + 15_000, 10_000, start_ms + 15_000);
    let mut next = of(2);
    next.passes(start_ms + 7_000, 0, start_ms + 7_000);
    next.take(before.shard_image());
    assert_eq!(asked(&mut next, start_ms + 7_000), Some(0));
}

#[test]
fn a_lost_window_that_slides_and_is_reset_stays_open_when_its_pane_is_over() {
    let window = WindowSpec::new(TimeUnit::Hour, 1).counted(WindowKind::Sliding);
    let wish = |at_ms| Ask {
        window: Some(window.at(at_ms).id),
        ..ask("g1", 0, 1)
    };
    // Whoever reset it goes on, or somebody else does.
    for is_taken_over in [false, true] {
        let mut ledger = Ledger::new(3, Recovery::founding(2), policies(1, 10, window));
        ledger.goes_on_from_nothing(2);
        ledger.fence(2, Some(T));
        ledger.gone(Some(T), 2);
        let refused = ledger.step_alone(Input::Ask(wish(T)), T);
        assert_eq!(replies(&refused), [("g1", 0, Outcome::Final)]);
        ledger.step_alone(reset_of(key("a")), T);
        if is_taken_over {
            let mut heir = Ledger::new(3, Recovery::founding(1), policies(1, 10, window));
            heir.stand_by(3);
            heir.take(ledger.shard_image());
            heir.gone(Some(T), 2);
            heir.activate(3, false);
            ledger = heir;
        }
        let next_ms = window.at(T).end_ms;
        let granted = ledger.step_alone(Input::Ask(wish(next_ms)), next_ms);
        let stamp = granted.iter().find_map(|effect| match effect {
            Effect::Persist { stamp, .. } => Some(*stamp),
            _ => None,
        });
        let stamp = stamp.expect("a mark");
        let granted = ledger.step_alone(Input::Marked { stamp }, next_ms);
        assert_eq!(replies(&granted), [("g1", 1, Outcome::Granted)]);
    }
}

/// What is on disk of the key, once it is said to be; with what that releases.
fn on_disk(ledger: &mut Ledger, said: Vec<Effect>, at_ms: i64) -> (Option<Mark>, Vec<Effect>) {
    let mut marks = said.iter().filter_map(|effect| match effect {
        Effect::Persist { marks, .. } => marks.last().cloned(),
        _ => None,
    });
    match marks.next_back() {
        Some(mark) => {
            let stamp = mark.stamp;
            let freed = ledger.step_alone(Input::Marked { stamp }, at_ms);
            (Some(mark), [said, freed].concat())
        }
        None => (None, said),
    }
}

#[test]
fn a_reset_whose_pane_ends_before_gateways_answered_is_done_when_their_leases_are_over_and_not_before()
 {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let window = WindowSpec::new(TimeUnit::Hour, 1).counted(kind);
        let end_ms = window.at(T).end_ms;
        let wish = |node, have, at_ms| Ask {
            window: Some(window.at(at_ms).id),
            ..ask(node, have, 1)
        };
        let mut ledger = ledger(2, window);
        ledger.passes(T, T, T);
        for have in [0, 1] {
            let said = ledger.step_alone(Input::Ask(wish("g1", have, T)), T);
            on_disk(&mut ledger, said, T);
        }
        let said = ledger.step_alone(reset_of(key("a")), T + 1);
        on_disk(&mut ledger, said, T + 1);
        let stamp = ledger.stamp();
        // T is lifted over the end of the pane, by a second.
        ledger.passes(end_ms, end_ms - 1_000, end_ms);
        let said = ledger.step_alone(Input::Tick, end_ms);
        on_disk(&mut ledger, said, end_ms);
        let refused = ledger.step_alone(Input::Ask(wish("g2", 0, end_ms)), end_ms);
        assert_eq!(replies(&refused), [("g2", 0, Outcome::Final)]);
        assert!(
            !ledger.is_settled(&key("a"), stamp),
            "{kind:?}: g1 may use what it has"
        );
        let later_ms = end_ms + 1_000;
        assert_eq!(ledger.next_wake_ms(), Some(later_ms));
        ledger.passes(later_ms, end_ms, later_ms);
        let said = ledger.step_alone(Input::Tick, later_ms);
        assert!(
            !ledger.is_settled(&key("a"), stamp),
            "{kind:?}: it is not on disk"
        );
        let (mark, freed) = on_disk(&mut ledger, said, later_ms);
        assert_eq!(mark.map(|mark| mark.used), Some(0));
        let is_told = |effect: &Effect| matches!(effect, Effect::Reopen(_));
        assert!(freed.iter().any(is_told), "{kind:?}: g2 is told");
        assert!(ledger.is_settled(&key("a"), stamp));
        let granted = ledger.step_alone(Input::Ask(wish("g2", 0, later_ms)), later_ms);
        let (_, granted) = on_disk(&mut ledger, granted, later_ms);
        assert_eq!(replies(&granted), [("g2", 1, Outcome::Granted)]);
    }
}

#[test]
fn a_reset_whose_pane_ends_before_a_gateway_answers_leaves_what_was_granted_since() {
    for kind in [WindowKind::Sliding, WindowKind::Bucket] {
        let window = WindowSpec::new(TimeUnit::Min, 1).counted(kind);
        let end_ms = window.at(T).end_ms;
        let wish = |node, have, at_ms| Ask {
            window: Some(window.at(at_ms).id),
            ..ask(node, have, 1)
        };
        let mut ledger = ledger(3, window);
        for ask in [wish("g1", 0, T), wish("g2", 0, T)] {
            ledger.step_alone(Input::Ask(ask), T);
        }
        ledger.step_alone(reset_of(key("a")), T);
        let said = ledger.step_alone(Input::Ask(wish("g3", 0, T)), T);
        assert_eq!(replies(&said), [("g3", 1, Outcome::Granted)]);
        let stamp = ledger.stamp();
        ledger.step_alone(Input::Ask(wish("g4", 0, end_ms)), end_ms);
        assert!(ledger.is_settled(&key("a"), stamp));
        let counted = ledger.counted(&key("a")).map(|key| (key.used, key.left));
        assert_eq!(counted, Some((2, 1)), "{kind:?}: one since, and that of g4");
    }
}
