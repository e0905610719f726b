//! Disks that were begun anew, and who needs ticks.

use super::tests::{DAY, MINUTE, T, ask, begun_in, epoch, life, owner, place, seat, talk};
use super::*;
use crate::view::placement::{Holding, Missing};

/// In Sync after the view of epoch 2, which these have on disk at most.
fn after_all_stopped(role: Role, sources: &[&str]) -> Event {
    let from_disk = |node: &&str| Holding {
        life: life(node),
        in_memory: false,
    };
    Event::Place(Place {
        epoch: epoch(5),
        role,
        settled: Some((epoch(2), Some(T))),
        sources: sources.iter().map(from_disk).collect(),
        is_known: true,
        ..Place::default()
    })
}

fn origin(told: &[(String, Deed)]) -> Option<Origin> {
    told.iter().find_map(|(_, deed)| match deed {
        Deed::Complete { origin, .. } => Some(*origin),
        _ => None,
    })
}

/// Where `c` goes on from, when `a` and `b` come back with disks that took part in these views first.
fn goes_on_from(a: Option<u64>, b: Option<u64>) -> Option<Origin> {
    let disk = |node: &str, begun: Option<u64>| begun_in(node, MINUTE, begun.map(epoch));
    let (mut a, mut b, mut c) = (disk("a", a), disk("b", b), seat("c", MINUTE));
    let asks = c.step(after_all_stopped(owner(None), &["a", "b"]), T);
    let mut all = [("a", &mut a), ("b", &mut b), ("c", &mut c)];
    origin(&talk(&mut all, "c", asks))
}

#[test]
fn a_disk_that_was_begun_anew_is_no_source_of_what_the_lost_one_had() {
    assert_eq!(goes_on_from(Some(1), None), Some(Origin::Disk));
    assert_eq!(goes_on_from(None, Some(2)), Some(Origin::Disk));
    assert_eq!(goes_on_from(None, None), Some(Origin::Lost));
    // Begun in a view that never became active, or after all of them.
    assert_eq!(goes_on_from(Some(3), Some(4)), Some(Origin::Lost));
}

#[test]
fn who_lost_its_own_disk_asks_the_other_one_and_alone_has_nothing() {
    let sources = ["a", "b"];
    let mut a = begun_in("a", MINUTE, Some(epoch(4)));
    let mut b = begun_in("b", MINUTE, Some(epoch(1)));
    let asks = a.step(after_all_stopped(owner(None), &sources), T);
    let told = talk(&mut [("a", &mut a), ("b", &mut b)], "a", asks);
    assert_eq!(origin(&told), Some(Origin::Disk));
    let mut a = begun_in("a", MINUTE, Some(epoch(4)));
    let alone = a.step(after_all_stopped(owner(None), &["a"]), T);
    assert_eq!(origin(&talk(&mut [], "a", alone)), Some(Origin::Lost));
    let mut a = begun_in("a", MINUTE, Some(epoch(2)));
    let alone = a.step(after_all_stopped(owner(None), &["a"]), T);
    assert_eq!(origin(&talk(&mut [], "a", alone)), Some(Origin::Disk));
}

#[test]
fn what_was_lost_is_not_found_on_a_disk_that_was_begun_anew_and_nobody_waits_for_it() {
    let found = |begun: Option<u64>, role: Role| {
        let missing = Missing {
            epoch: epoch(4),
            held: epoch(2),
            t0_ms: T,
            holders: vec![life("a")],
            names: vec!["a".to_owned()],
        };
        let in_sync = Event::Place(Place {
            epoch: epoch(5),
            role,
            settled: Some((epoch(4), Some(T))),
            sources: vec![Holding {
                life: life("c"),
                in_memory: true,
            }],
            lost_ms: Some(T),
            missing: vec![missing],
            is_known: true,
            ..Place::default()
        });
        let (mut a, mut c) = (begun_in("a", DAY, begun.map(epoch)), seat("c", DAY));
        let standby = Role::Standby { owner: life("c") };
        a.step(place(5, false, standby), T);
        a.step(
            Event::Begun {
                epoch: epoch(begun.unwrap_or(5)),
            },
            T,
        );
        let asks = c.step(in_sync, T);
        let told = talk(&mut [("a", &mut a), ("c", &mut c)], "c", asks);
        told.into_iter().find_map(|(_, deed)| match deed {
            Deed::Complete { found, .. } => Some(found),
            _ => None,
        })
    };
    for role in [owner(None), owner(Some("a"))] {
        assert_eq!(found(Some(2), role.clone()), Some(vec![epoch(4)]));
        // Of the view before the last one that it was granted from, and of a view between that and the loss.
        assert_eq!(found(Some(1), role.clone()), Some(vec![epoch(4)]));
        assert_eq!(found(Some(3), role.clone()), Some(Vec::new()));
        assert_eq!(found(None, role), Some(Vec::new()));
    }
}

#[test]
fn nobody_relies_on_a_disk_before_it_knows_its_first_view() {
    let begin = |index| Deed::Begin {
        epoch: epoch(index),
    };
    let begun = |index| Event::Begun {
        epoch: epoch(index),
    };
    let mut a = begun_in("a", MINUTE, None);
    assert_eq!(a.step(place(1, false, owner(None)), T), [begin(1)]);
    assert_eq!(a.step(Event::Tick, T + 50), [begin(1)], "until it does");
    let complete = Deed::Complete {
        epoch: epoch(1),
        origin: Origin::First,
        found: Vec::new(),
    };
    assert_eq!(a.step(begun(1), T + 60), [complete]);
    let (mut a, mut b) = (seat("a", MINUTE), begun_in("b", MINUTE, None));
    let standby = Role::Standby { owner: life("a") };
    assert_eq!(b.step(place(1, false, standby), T), [begin(1)]);
    let fills = a.step(place(1, false, owner(Some("b"))), T);
    let told = talk(&mut [("a", &mut a), ("b", &mut b)], "a", fills);
    assert_eq!(origin(&told), None);
    let filled = b.step(begun(1), T);
    let told = talk(&mut [("a", &mut a), ("b", &mut b)], "b", filled);
    assert_eq!(origin(&told), Some(Origin::First));
    // Who is nothing to the shard has nothing to say.
    let mut c = begun_in("c", MINUTE, None);
    assert_eq!(c.step(place(1, false, Role::Apart), T), []);
}

#[test]
fn a_seat_for_which_nothing_runs_needs_no_ticks() {
    let at_once = Some(i64::MIN);
    let mut a = seat("a", MINUTE);
    assert_eq!(a.due_ms(), None);
    a.step(place(1, false, owner(Some("b"))), T);
    assert_eq!(a.due_ms(), at_once, "its standby may not have heard");
    let filled = Words::Filled {
        epoch: epoch(1),
        next: None,
    };
    let heard = |words| Event::Heard {
        from: life("b"),
        words,
    };
    a.step(heard(filled), T);
    a.step(place(1, true, owner(Some("b"))), T);
    assert_eq!(a.due_ms(), None, "idle");
    let deeds = a.step(ask(1), T);
    assert_eq!(a.due_ms(), at_once, "neither copied nor fenced");
    let stamp = deeds.iter().find_map(|deed| match deed {
        Deed::Say {
            words: Words::Change { stamp, .. },
            ..
        } => Some(*stamp),
        _ => None,
    });
    let changed = Words::Changed {
        epoch: epoch(1),
        stamp: stamp.unwrap(),
    };
    a.step(heard(changed), T);
    assert_eq!(a.due_ms(), at_once, "not fenced");
    let fenced = Event::Fenced {
        epoch: epoch(1),
        t_ms: T + 1_000,
    };
    a.step(fenced, T);
    assert_eq!(
        a.due_ms(),
        Some(MINUTE.at(T).end_ms),
        "to forget the window"
    );
    a.step(heard(Words::Sealed { at: epoch(2) }), T);
    assert_eq!(a.due_ms(), at_once, "the coordinator may not have heard");
}
