//! What was lost, found again by hand; and big copies, part by part.

use super::tests::{DAY, MINUTE, T, ask, epoch, granted, life, owner, seat, talk};
use super::*;
use crate::ledger::{CellImage, CellKey, Cursor, Quota, ShardImage, Source};
use crate::view::placement::{Holding, Missing};
use crate::window::WindowSpec;

/// An owner in memory, in the view after which the shard was lost with `a` and `b`; `back` is there again.
fn place(active: bool, role: Role, back: Option<Life>, is_lost: bool) -> Event {
    let missing = Missing {
        epoch: epoch(1),
        held: Epoch::default(),
        t0_ms: T,
        holders: back.into_iter().collect(),
        names: vec!["a".to_owned(), "b".to_owned()],
    };
    Event::Place(Place {
        epoch: epoch(3),
        active,
        role,
        settled: Some((epoch(2), Some(T))),
        sources: vec![Holding {
            life: life("c"),
            in_memory: true,
        }],
        lost_ms: is_lost.then_some(T),
        missing: is_lost.then_some(missing).into_iter().collect(),
        is_known: true,
        ..Place::default()
    })
}

/// A life that its disk tells of this much.
fn back(window: WindowSpec, used: u64) -> (Life, Seat) {
    let quota = Quota { limit: 5, window };
    let mark = crate::ledger::Mark {
        cell: CellKey::new("t", "p", "k"),
        window: quota.window.at(T).id,
        end_ms: quota.window.at(T).end_ms,
        used,
        stamp: Stamp { epoch: 7, seq: 1 },
        forgiven: 0,
    };
    let mut seat = seat("a", window);
    seat.ledger.take(ShardImage {
        past: crate::ledger::PastImage {
            source: Source::Disk,
            marks: vec![mark],
            ..Default::default()
        },
        ..ShardImage::default()
    });
    (life("a"), seat)
}

/// What one after another is granted of five units.
fn all_granted(owner: &mut Seat) -> u64 {
    let mut most = 0;
    owner.step(
        Event::Fenced {
            epoch: epoch(3),
            t_ms: T,
        },
        T,
    );
    for _ in 0..6 {
        let Event::Ledger(ledger::Input::Ask(mut asking)) = ask(1) else {
            return most;
        };
        asking.window = Some(
            owner
                .ledger()
                .images()
                .first()
                .map_or(DAY.at(T).id, |cell| cell.window.id),
        );
        asking.have = most;
        let deeds = owner.step(Event::Ledger(ledger::Input::Ask(asking)), T);
        let marks = deeds.iter().filter_map(|deed| match deed {
            Deed::Ledger(Effect::Persist { stamp, .. }) => Some(*stamp),
            _ => None,
        });
        let written: Vec<Stamp> = marks.collect();
        let mut told: Vec<Deed> = deeds;
        for stamp in written {
            told.extend(owner.step(Event::Ledger(ledger::Input::Marked { stamp }), T));
        }
        let told: Vec<(String, Deed)> =
            told.into_iter().map(|deed| (String::new(), deed)).collect();
        most = granted(&told).into_iter().fold(most, u64::max);
    }
    most
}

fn complete(told: &[(String, Deed)]) -> Option<Vec<Epoch>> {
    told.iter().find_map(|(_, deed)| match deed {
        Deed::Complete { found, .. } => Some(found.clone()),
        _ => None,
    })
}

/// The marks that are to be written, as written.
fn write(seat: &mut Seat, told: &[(String, Deed)]) -> Vec<Deed> {
    let marks = told.iter().filter_map(|(_, deed)| match deed {
        Deed::Ledger(Effect::Persist { stamp, .. }) => Some(*stamp),
        _ => None,
    });
    let stamp = marks.max().unwrap();
    seat.step(Event::Ledger(ledger::Input::Marked { stamp }), T)
}

#[test]
fn what_was_lost_is_counted_on_when_the_disk_of_a_holder_is_there_again() {
    let (name, mut a) = back(DAY, 3);
    let mut c = seat("c", DAY);
    let begun = c.step(place(false, owner(None), Some(name), true), T);
    let told = talk(&mut [("a", &mut a), ("c", &mut c)], "c", begun);
    assert_eq!(complete(&told), None, "its own disk has no mark yet");
    let told = write(&mut c, &told);
    let told: Vec<_> = told
        .into_iter()
        .map(|deed| ("c".to_owned(), deed))
        .collect();
    assert_eq!(complete(&told), Some(vec![epoch(1)]));
    c.step(place(true, owner(None), None, false), T);
    assert_eq!(all_granted(&mut c), 2, "three of five were granted before");
}

#[test]
fn what_is_over_by_the_clock_of_a_holder_is_over_for_who_finds_nothing_of_it_there() {
    let (name, mut a) = back(DAY, 3);
    let ahead_ms = T + 2 * 86_400_000;
    a.step(Event::Tick, ahead_ms);
    assert!(a.ledger().shard_image().past.marks.is_empty());
    let mut c = seat("c", DAY);
    let begun = c.step(place(false, owner(None), Some(name), true), T);
    talk(&mut [("a", &mut a), ("c", &mut c)], "c", begun);
    c.step(Event::Noted { t_ms: ahead_ms }, T);
    c.step(place(true, owner(None), None, false), T);
    all_granted(&mut c);
    assert_eq!(c.ledger().t_ms(), ahead_ms);
    let windows = c.ledger().images().into_iter().map(|cell| cell.window.id);
    let of_then: Vec<_> = windows.filter(|window| *window == DAY.at(T).id).collect();
    assert_eq!(
        of_then,
        [],
        "nobody knows of the three that were granted of it"
    );
}

#[test]
fn short_windows_stay_full_when_what_was_lost_is_found() {
    let (name, mut a) = back(MINUTE, 3);
    let mut c = seat("c", MINUTE);
    let begun = c.step(place(false, owner(None), Some(name), true), T);
    let told = talk(&mut [("a", &mut a), ("c", &mut c)], "c", begun);
    assert_eq!(complete(&told), Some(vec![epoch(1)]));
    c.step(place(true, owner(None), None, false), T);
    assert_eq!(all_granted(&mut c), 0);
}

#[test]
fn a_holder_that_does_not_answer_holds_up_nobody_unless_it_is_the_standby() {
    let absent = |role: Role| {
        let mut c = seat("c", DAY);
        let mut told = c.step(place(false, role, Some(life("a")), true), T);
        for passed in [100, 499, 500, 5_000] {
            told.extend(c.step(Event::Tick, T + passed));
        }
        let asked = told.iter().filter(|deed| {
            matches!(
                deed,
                Deed::Say {
                    words: Words::Copy { .. },
                    ..
                }
            )
        });
        assert!(asked.count() >= 3);
        let told: Vec<_> = told
            .into_iter()
            .map(|deed| ("c".to_owned(), deed))
            .collect();
        complete(&told)
    };
    assert_eq!(absent(owner(None)), Some(Vec::new()), "the loss stays");
    assert_eq!(
        absent(owner(Some("a"))),
        None,
        "its copy is about to be replaced"
    );
}

#[test]
fn who_is_there_again_keeps_what_its_disk_has_until_it_was_asked_for() {
    let (_, mut a) = back(DAY, 3);
    // A view that does not know of this life may be older than the disk.
    let stale = Place {
        epoch: epoch(1),
        active: true,
        ..Place::default()
    };
    a.step(Event::Place(stale), T);
    a.step(place(true, Role::Apart, Some(life("a")), true), T);
    assert_eq!(a.ledger().shard_image().past.marks.len(), 1);
    // Nothing is missing any more.
    let mut a = back(DAY, 3).1;
    a.step(place(true, Role::Apart, None, false), T);
    assert_eq!(a.ledger().shard_image().past.marks.len(), 0);
}

/// A seat with this many keys.
fn crowded(me: &str, keys: usize) -> Seat {
    let mut seat = seat(me, DAY);
    let quota = Quota {
        limit: 5,
        window: DAY,
    };
    let cells = (0..keys).map(|key| CellImage {
        stamp: Stamp { epoch: 1, seq: 1 },
        spent: 1,
        ..CellImage::new(
            CellKey::new("t", "p", format!("{key:0100}")),
            DAY.at(T),
            quota,
        )
    });
    let image = ShardImage {
        t_ms: T,
        cells: cells.collect(),
        ..ShardImage::default()
    };
    seat.ledger.take(image);
    seat
}

/// Says this to `to`; gives what it says to `from`.
fn say(to: &mut Seat, from: &str, words: Words, now_ms: i64) -> Vec<Words> {
    let from = life(from);
    let deeds = to.step(Event::Heard { from, words }, now_ms);
    let said = deeds.into_iter().filter_map(|deed| match deed {
        Deed::Say { words, .. } => Some(words),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_big_copy_travels_in_parts_each_once_and_one_of_another_copy_is_refused() {
    const KEYS: usize = 20_000;
    let mut a = crowded("a", KEYS);
    let mut b = seat("b", DAY);
    let standby = Role::Standby { owner: life("a") };
    b.step(super::tests::place(1, false, standby), T);
    let begun = a.step(super::tests::place(1, false, owner(Some("b"))), T);
    let [Deed::Say { words, .. }] = &begun[..] else {
        panic!("one part at a time");
    };
    let stale = Words::Fill {
        epoch: epoch(1),
        after: Cursor::Cell(CellKey::new("t", "p", "5")),
        image: Box::default(),
        next: None,
    };
    let (mut next, mut parts, mut now_ms) = (vec![words.clone()], 0, T);
    while let Some(part @ Words::Fill { .. }) = next.pop() {
        assert!(next.is_empty(), "one part at a time");
        if let Words::Fill { image, .. } = &part {
            assert!(image.weight() < 600 * 1_024);
        }
        parts += 1;
        if parts == 3 {
            // This one gets lost.
            assert_eq!(
                a.step(Event::Tick, now_ms + 100),
                [],
                "it may be on its way"
            );
            now_ms += 1_000;
            let again = a.step(Event::Tick, now_ms);
            let is_same = |deed: &Deed| match (deed, &part) {
                (
                    Deed::Say {
                        words: Words::Fill { after: one, .. },
                        ..
                    },
                    Words::Fill { after, .. },
                ) => one == after,
                _ => false,
            };
            assert!(again.iter().any(is_same), "said again");
        }
        say(&mut b, "a", stale.clone(), T);
        for answer in say(&mut b, "a", part, T) {
            next.extend(say(&mut a, "b", answer, now_ms));
        }
    }
    assert!((6..12).contains(&parts), "{parts} parts");
    assert_eq!(b.ledger().images(), a.ledger().images());
    assert_eq!(b.ledger().images().len(), KEYS);
}

#[test]
fn a_big_copy_is_pulled_in_parts() {
    const KEYS: usize = 20_000;
    let mut a = crowded("a", KEYS);
    let mut c = seat("c", DAY);
    let begun = c.step(
        Event::Place(Place {
            epoch: epoch(3),
            role: owner(None),
            settled: Some((epoch(1), Some(T))),
            sources: vec![Holding {
                life: life("a"),
                in_memory: true,
            }],
            ..Place::default()
        }),
        T,
    );
    talk(&mut [("a", &mut a), ("c", &mut c)], "c", begun);
    assert_eq!(c.ledger().images(), a.ledger().images());
}
