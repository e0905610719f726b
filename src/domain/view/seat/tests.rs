//! One pair of members, by hand: what waits for what.

use super::*;
use crate::ledger::{Ask, CellKey, Cursor, Holder, Outcome, Quota, Recovery, ShardImage, Source};
use crate::policy::{TimeUnit, WindowKind};
use crate::view::placement::Holding;
use crate::window::WindowSpec;

pub(super) const T: i64 = 1_700_000_000_000;
pub(super) const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);
pub(super) const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);

pub(super) fn epoch(index: u64) -> Epoch {
    Epoch::new(1, index).unwrap()
}

pub(super) fn life(node: &str) -> Life {
    Life::new(node, 1)
}

/// Its disk was there from the beginning.
pub(super) fn seat(me: &str, window: WindowSpec) -> Seat {
    begun_in(me, window, Some(Epoch::default()))
}

/// Its disk took part in this view first.
pub(super) fn begun_in(me: &str, window: WindowSpec, begun: Option<Epoch>) -> Seat {
    let mut policies = Policies::new(1);
    policies.set("t", "p", Quota { limit: 5, window });
    let policies = Arc::new(policies);
    let ledger = Ledger::new(9, Recovery::founding(0), Arc::clone(&policies));
    let mut seat = Seat::new(life(me), ledger, policies);
    // T is on disk for as long as these take.
    seat.step(Event::Noted { t_ms: T + 60_000 }, T);
    if let Some(epoch) = begun {
        seat.step(Event::Begun { epoch }, T);
    }
    seat
}

pub(super) fn place(index: u64, active: bool, role: Role) -> Event {
    Event::Place(Place {
        epoch: epoch(index),
        active,
        role,
        ..Place::default()
    })
}

pub(super) fn ask(want: u64) -> Event {
    Event::Ledger(ledger::Input::Ask(Ask {
        holder: Holder::new("g", 1, 1),
        cell: CellKey::new("t", "p", "k"),
        policies: 1,
        epoch: 0,
        asked_at_ms: 0,
        window: None,
        have: 0,
        returned: 0,
        want,
        emptied: false,
        due: 0,
    }))
}

pub(super) fn owner(standby: Option<&str>) -> Role {
    Role::Owner {
        standby: standby.map(life),
    }
}

/// Carries what is said between the two until nobody says anything; what is for others is left.
pub(super) fn talk(
    pair: &mut [(&str, &mut Seat)],
    from: &str,
    deeds: Vec<Deed>,
) -> Vec<(String, Deed)> {
    let mut left = Vec::new();
    let mut open: Vec<_> = deeds
        .into_iter()
        .map(|deed| (from.to_owned(), deed))
        .collect();
    while !open.is_empty() {
        let (by, deed) = open.remove(0);
        let heard = match &deed {
            Deed::Say { to, words } => {
                pair.iter_mut()
                    .find(|(name, _)| *name == to.node)
                    .map(|(name, seat)| {
                        let (from, words) = (life(&by), words.clone());
                        (
                            (*name).to_owned(),
                            seat.step(Event::Heard { from, words }, T),
                        )
                    })
            }
            _ => None,
        };
        match heard {
            Some((name, deeds)) => open.extend(deeds.into_iter().map(|deed| (name.clone(), deed))),
            None => left.push((by, deed)),
        }
    }
    left
}

fn fill(image: Box<ShardImage>) -> Words {
    Words::Fill {
        epoch: epoch(1),
        after: Cursor::Begin,
        image,
        next: None,
    }
}

fn filled() -> Words {
    Words::Filled {
        epoch: epoch(1),
        next: None,
    }
}

pub(super) fn granted(deeds: &[(String, Deed)]) -> Vec<u64> {
    let granted = deeds.iter().filter_map(|(_, deed)| match deed {
        Deed::Ledger(Effect::Reply(reply)) => Some(reply.granted),
        _ => None,
    });
    granted.collect()
}

#[test]
fn a_grant_leaves_when_the_standby_has_it_and_voters_have_fenced_its_time() {
    let (mut a, mut b) = (seat("a", MINUTE), seat("b", MINUTE));
    let standby = Role::Standby { owner: life("a") };
    b.step(place(1, false, standby.clone()), T);
    let begun = a.step(place(1, false, owner(Some("b"))), T);
    let told = talk(&mut [("a", &mut a), ("b", &mut b)], "a", begun);
    let complete = Deed::Complete {
        epoch: epoch(1),
        origin: Origin::First,
        found: Vec::new(),
    };
    assert_eq!(told, [("a".to_owned(), complete)]);
    // In Sync nobody grants.
    let early = a.step(ask(1), T);
    assert!(
        matches!(&early[..], [Deed::Ledger(Effect::Reply(reply))] if matches!(reply.outcome, Outcome::Retry { .. }))
    );
    a.step(place(1, true, owner(Some("b"))), T);
    b.step(place(1, true, standby), T);
    let asked = a.step(ask(2), T);
    let told = talk(&mut [("a", &mut a), ("b", &mut b)], "a", asked);
    assert_eq!(granted(&told), [0; 0], "not fenced");
    assert!(
        told.iter()
            .any(|(_, deed)| *deed == Deed::Fence { t_ms: T })
    );
    let fenced = |t_ms| Event::Fenced {
        epoch: epoch(1),
        t_ms,
    };
    assert_eq!(a.step(fenced(T - 1), T).len(), 1, "not far enough");
    let told = a.step(fenced(T), T);
    assert_eq!(
        granted(&[("a".to_owned(), told[1].clone())]),
        [1],
        "a lease of limit / 200"
    );
    assert_eq!(a.ledger().images(), b.ledger().images());

    // The standby knows of a later view: nothing of this one is released any more.
    b.step(place(2, false, Role::Apart), T);
    let asked = a.step(ask(3), T);
    let told = talk(&mut [("a", &mut a), ("b", &mut b)], "a", asked);
    assert_eq!(granted(&told), [0; 0]);
    let refused = Deed::Refused { at: epoch(2) };
    assert!(told.contains(&("a".to_owned(), refused)), "{told:?}");
    assert!(!a.grants());
}

#[test]
fn a_standby_has_the_marks_of_long_windows_on_disk_before_it_says_so() {
    let mut b = seat("b", DAY);
    b.step(place(1, false, Role::Standby { owner: life("a") }), T);
    let mut a = seat("a", DAY);
    a.step(place(1, false, owner(None)), T);
    a.step(place(1, true, owner(None)), T);
    a.step(ask(2), T);
    let image = Box::new(a.ledger().shard_image());
    let fill = fill(image);
    let heard = |words| Event::Heard {
        from: life("a"),
        words,
    };
    let deeds = b.step(heard(fill.clone()), T);
    let [Deed::Ledger(Effect::Persist { stamp, marks })] = &deeds[..] else {
        panic!("{deeds:?}");
    };
    assert_eq!(marks[0].used, 1);
    assert_eq!(b.step(heard(fill), T), [], "said twice, still not on disk");
    let written = ledger::Input::Marked { stamp: *stamp };
    let filled = Deed::say(&life("a"), filled());
    assert_eq!(b.step(Event::Ledger(written), T), [filled]);
}

#[test]
fn an_owner_that_comes_new_copies_from_memory_rather_than_from_a_disk() {
    let mut a = seat("a", MINUTE);
    let holding = |node: &str, in_memory| Holding {
        life: life(node),
        in_memory,
    };
    let deeds = a.step(
        Event::Place(Place {
            epoch: epoch(3),
            role: owner(None),
            settled: Some((epoch(1), Some(T))),
            sources: vec![holding("b", true), holding("a", false)],
            ..Place::default()
        }),
        T,
    );
    let copy = Words::Copy {
        epoch: epoch(3),
        after: Cursor::Begin,
    };
    assert_eq!(deeds, [Deed::say(&life("b"), copy.clone())]);
    assert_eq!(a.step(Event::Tick, T + 99), []);
    assert_eq!(
        a.step(Event::Tick, T + 100),
        [Deed::say(&life("b"), copy)],
        "again"
    );
    let mut image = seat("b", MINUTE).ledger().shard_image();
    image.past.source = Source::Disk;
    let copied = |from: &str, index| Event::Heard {
        from: life(from),
        words: Words::Copied {
            epoch: epoch(index),
            after: Cursor::Begin,
            begun: None,
            image: Box::new(image.clone()),
            next: None,
        },
    };
    assert_eq!(a.step(copied("x", 3), T + 100), [], "nobody asked it");
    let complete = Deed::Complete {
        epoch: epoch(3),
        origin: Origin::Memory,
        found: Vec::new(),
    };
    let moved = Deed::moved(epoch(3), &life("b"));
    assert_eq!(a.step(copied("b", 3), T + 100), [moved, complete]);
}

#[test]
fn a_copy_of_a_later_time_counts_only_once_that_time_is_on_disk() {
    const LATER: i64 = T + 3_600_000;
    let mut a = seat("a", MINUTE);
    a.step(place(1, false, owner(None)), LATER);
    let image = Box::new(a.ledger().shard_image());
    assert!(image.t_ms < LATER, "nothing was done there yet");
    a.step(ask(1), LATER);
    let image = Box::new(a.ledger().shard_image());
    let mut b = seat("b", MINUTE);
    b.step(place(1, false, Role::Standby { owner: life("a") }), T);
    let fill = Event::Heard {
        from: life("a"),
        words: fill(image),
    };
    assert_eq!(b.step(fill, T), [Deed::Time { t_ms: LATER }]);
    let noted = |t_ms| Event::Noted { t_ms };
    let time = Deed::Time { t_ms: LATER };
    assert_eq!(b.step(noted(LATER - 1), T + 1), std::slice::from_ref(&time));
    let filled = Deed::say(&life("a"), filled());
    assert_eq!(b.step(noted(LATER), T + 2), [filled, time]);
}

#[test]
fn a_standby_keeps_the_steady_time_of_its_owner_and_its_seam() {
    let mut b = seat("b", MINUTE);
    let standby = Role::Standby { owner: life("a") };
    b.step(place(1, false, standby), T);
    let heard = |words| Event::Heard {
        from: life("a"),
        words,
    };
    let image = Box::new(seat("a", MINUTE).ledger().shard_image());
    b.step(heard(fill(image)), T);
    let epoch = epoch(1);
    // The owner's stood still meanwhile.
    let change = Words::Change {
        epoch,
        stamp: Stamp {
            epoch: epoch.number(),
            seq: 1,
        },
        t_ms: T,
        steady: (T + 4_000, Some(T + 1_000)),
        cells: Vec::new(),
    };
    b.step(heard(change), T + 10_000);
    let ledger = b.ledger();
    assert_eq!(ledger.steady_ms(), T + 4_000);
    assert_eq!(ledger.seam_ms(), Some(T + 1_000));
    b.step(Event::Tick, T + 10_500);
    assert_eq!(b.ledger().steady_ms(), T + 4_500);
}

#[test]
fn what_an_owner_grants_in_a_time_that_stands_still_is_kept_by_a_standby_that_went_on() {
    let second = WindowSpec::new(TimeUnit::Sec, 1).counted(WindowKind::Sliding);
    let (mut a, mut b) = (seat("a", second), seat("b", second));
    let standby = Role::Standby { owner: life("a") };
    b.step(place(1, false, standby.clone()), T);
    let begun = a.step(place(1, false, owner(Some("b"))), T);
    talk(&mut [("a", &mut a), ("b", &mut b)], "a", begun);
    a.step(place(1, true, owner(Some("b"))), T);
    b.step(place(1, true, standby), T);
    b.step(Event::Tick, T + 3_000);
    let asked = a.step(ask(1), T);
    let said = asked.into_iter().find_map(|deed| match deed {
        Deed::Say { words, .. } => Some(words),
        _ => None,
    });
    let (from, words) = (life("a"), said.unwrap());
    b.step(Event::Heard { from, words }, T + 3_000);
    assert_eq!(a.ledger().images(), b.ledger().images());
    assert_eq!(b.ledger().images().len(), 1);
}

#[test]
fn an_owner_says_whom_it_asks_in_vain_and_no_more_once_it_has_what_it_asked_for() {
    let mut a = seat("a", MINUTE);
    let source = Holding {
        life: life("b"),
        in_memory: true,
    };
    let place = Place {
        epoch: epoch(3),
        role: owner(Some("c")),
        settled: Some((epoch(1), Some(T))),
        sources: vec![source],
        ..Place::default()
    };
    a.step(Event::Place(place), T);
    let stalls = |deeds: Vec<Deed>| {
        deeds.into_iter().find_map(|deed| match deed {
            Deed::Stalled { epoch, by } => Some((epoch, by)),
            _ => None,
        })
    };
    assert_eq!(stalls(a.step(Event::Tick, T + 999)), None);
    let silent = Some((epoch(3), "b".to_owned()));
    assert_eq!(stalls(a.step(Event::Tick, T + 1_000)), silent);
    let copied = Event::Heard {
        from: life("b"),
        words: Words::Copied {
            epoch: epoch(3),
            after: Cursor::Begin,
            begun: None,
            image: Box::new(seat("b", MINUTE).ledger().shard_image()),
            next: None,
        },
    };
    a.step(copied, T + 1_001);
    assert_eq!(stalls(a.step(Event::Tick, T + 9_000)), None, "c has it not");
}
