//! Two that cannot both be members, and come at the same time: by one member or by two that do not see each other.

use super::world::{World, member};
use super::{Effect, Table, Timing};
use crate::hello::Refusal;
use crate::member::{Fact, Member};
use crate::protocol::PROTOCOL;

const SEEDS: u64 = 45;

/// What two of them have in common, or not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rivals {
    OfOneName,
    OfTwoDatabases,
}

/// Their ids are behind those of the others, or before them: whose is the greater dials.
pub(super) fn rival(rivals: Rivals, seed: u64, index: usize) -> Member {
    let mut rival = member(10 + index, 1, 500 + index as u64);
    if seed % 4 > 1 {
        rival.id = format!("a{index}");
    }
    match rivals {
        Rivals::OfOneName => rival.name = "rival".to_owned(),
        Rivals::OfTwoDatabases => rival.facts.push(Fact {
            key: "apim database".to_owned(),
            value: format!("database {index}"),
            alone: false,
        }),
    }
    rival
}

/// Four nodes that know each other; whoever is refused for good ends.
pub(super) fn meshed(seed: u64) -> World {
    let mut world = World::new(4, seed);
    world.run(8_000);
    assert!(world.is_full_mesh(), "seed {seed}");
    world.ends_refused = true;
    world
}

fn running(world: &World, of: [usize; 2]) -> usize {
    of.into_iter().filter(|at| world.works(*at)).count()
}

/// One of them is left, and all others have it.
fn assert_one_stays(world: &World, of: [usize; 2], what: &str) {
    let refused = of.map(|at| world.nodes[at].refused.clone());
    assert_eq!(running(world, of), 1, "{what}: {refused:?}");
    assert!(world.is_full_mesh(), "{what}: {:?}", world.turns);
}

#[test]
fn of_two_rivals_that_come_at_once_one_stays_whoever_lets_them_in() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        for seed in 0..SEEDS {
            let mut world = meshed(seed);
            // Members whose news does not cross for a while.
            if seed % 3 == 0 {
                world.cuts.extend([(1, 2), (2, 1)]);
            }
            let first = world.add(rival(rivals, seed, 0), "", &["host1:1".to_owned()]);
            if seed % 5 == 0 {
                world.nodes[1].paused = true;
            }
            let pause = world.roll() % 2_000;
            world.run(pause);
            let seed_of_other = if seed % 2 == 0 { "host1:1" } else { "host2:1" };
            let other = world.add(rival(rivals, seed, 1), "", &[seed_of_other.to_owned()]);
            let pause = world.roll() % 2_000;
            world.run(pause);
            world.nodes[1].paused = false;
            world.cuts.clear();
            world.run(25_000);
            assert_one_stays(&world, [first, other], &format!("{rivals:?}, seed {seed}"));
        }
    }
}

#[test]
fn whoever_comes_seconds_later_is_the_one_that_is_refused() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        for seed in 0..12 {
            let mut world = meshed(seed);
            // The later one has the smaller id.
            let first = world.add(rival(rivals, seed, 1), "", &["host1:1".to_owned()]);
            world.run(4_000);
            let later = world.add(rival(rivals, seed, 0), "", &["host2:1".to_owned()]);
            world.run(12_000);
            let what = format!("{rivals:?}, seed {seed}");
            assert!(world.works(first) && !world.works(later), "{what}");
            assert!(world.is_full_mesh(), "{what}");
        }
    }
}

/// Each may hear that a member refuses it before another one has finished letting it in.
#[test]
fn of_two_rivals_that_ask_the_same_members_at_once_one_stays() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        for seed in 0..4 * SEEDS {
            let mut world = meshed(seed);
            let seeds: Vec<String> = [1, 2, 10, 11].map(|at| format!("host{at}:1")).into();
            let cluster = if seed % 2 == 0 { "" } else { "c" };
            let of = [0, 1].map(|index| world.add(rival(rivals, seed, index), cluster, &seeds));
            world.run(25_000);
            assert_one_stays(&world, of, &format!("{rivals:?}, seed {seed}"));
        }
    }
}

/// The one whose place is taken is refused, and not ended: it may be the right one.
#[test]
fn whoever_stood_still_until_a_rival_had_its_place_is_refused_by_all_who_have_that() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        for seed in 0..12 {
            let mut world = meshed(seed);
            let first = world.add(rival(rivals, seed, 0), "", &["host1:1".to_owned()]);
            world.run(20_000);
            world.nodes[first].paused = true;
            world.run(8_000);
            let all: Vec<String> = [1, 2, 3, 10].map(|at| format!("host{at}:1")).into();
            let other = world.add(rival(rivals, seed, 1), "", &all);
            world.run(15_000);
            world.nodes[first].paused = false;
            // Until it has noticed that nobody has it any more.
            world.run(3_000);
            let refusals = |world: &World, at: usize| world.nodes[at].refused.len();
            let (before, before_other) = (refusals(&world, first), refusals(&world, other));
            world.run(20_000);
            let what = format!("{rivals:?}, seed {seed}");
            assert!(world.works(first) && world.works(other), "{what}");
            let refused = &world.nodes[first].refused[before..];
            assert!(refused.iter().any(Refusal::is_final), "{what}: {refused:?}");
            assert!(world.up(first).is_empty(), "{what}: nobody has it");
            // Whom others have it says nothing to, also when that one is started again.
            let mut refused = world.nodes[other].refused[before_other..].iter();
            assert!(!refused.any(Refusal::is_final), "{what}");
            world.kill(other);
            let mut again = rival(rivals, seed, 1);
            (again.incarnation, again.life) = (2, 777);
            let again = world.add(again, "c", &all);
            world.run(15_000);
            assert!(
                world.works(again),
                "{what}: {:?}",
                world.nodes[again].refused
            );
            // An operator ends one of them.
            world.kill(first);
            world.run(10_000);
            assert!(world.is_full_mesh(), "{what}");
        }
    }
}

/// They were members before, and are each other's seeds.
#[test]
fn of_two_rivals_that_start_again_at_once_one_stays_also_where_they_meet_each_other_first() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        for (seed, with_others) in (0..SEEDS).map(|seed| (seed, seed % 2 == 0)) {
            let mut world = meshed(seed);
            if !with_others {
                (0..4).for_each(|at| world.kill(at));
            }
            let seeds: Vec<String> = [10, 11, 1].map(|at| format!("host{at}:1")).into();
            let first = world.add(rival(rivals, seed, 0), "c", &seeds);
            let pause = world.roll() % 300;
            world.run(pause);
            let other = world.add(rival(rivals, seed, 1), "c", &seeds);
            world.run(25_000);
            let what = format!("{rivals:?}, seed {seed}");
            assert_one_stays(&world, [first, other], &what);
        }
    }
}

/// Whatever happens to its connections: who serves is not ended by a node that was set up wrongly, comes again and again and
/// has the smaller id.
#[test]
fn whoever_has_had_its_place_is_ended_by_no_rival_that_comes_later_again_and_again() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        for seed in 0..12 {
            let mut world = meshed(seed);
            let all: Vec<String> = [0, 1, 2, 3, 10, 11].map(|at| format!("host{at}:1")).into();
            let serves = world.add(rival(rivals, seed, 1), "", &all);
            world.run(15_000);
            let what = format!("{rivals:?}, seed {seed}");
            for round in 0..8 {
                let mut comes = rival(rivals, seed, 0);
                (comes.incarnation, comes.life) = (round + 1, 900 + round);
                let cluster = if round % 2 == 0 { "c" } else { "" };
                match world.roll() % 4 {
                    // All whom it is connected with are started again.
                    0 => (0..4).for_each(|at| world.kill(at)),
                    1 => world.nodes[serves].paused = true,
                    _ => {}
                }
                let comes = world.add(comes, cluster, &all);
                if seed % 2 == 0 {
                    // Neither hears what the other one says to it.
                    world.cuts.extend([(serves, comes), (comes, serves)]);
                }
                let ms = world.roll() % 4_000;
                world.run(ms);
                world.nodes[serves].paused = false;
                for at in 0..4 {
                    if !(0..world.nodes.len()).any(|node| {
                        world.works(node) && world.nodes[node].table.me.name == format!("n{at}")
                    }) {
                        let life = 2_000 + 10 * round + at;
                        let again = member(usize::try_from(at).unwrap(), round + 2, life);
                        world.add(again, "c", &all);
                    }
                }
                world.run(6_000);
                assert!(world.works(serves), "{what}, round {round}");
                world.kill(comes);
                world.cuts.clear();
                world.run(10_000);
            }
            assert!(world.is_full_mesh(), "{what}: {:?}", world.turns);
        }
    }
}

#[test]
fn of_two_that_are_welcomed_before_either_is_ready_the_second_is_let_go_and_refused_when_it_asks_again()
 {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        let (mut table, seed) = (meshed(2).nodes.remove(1).table, 2);
        let hello = |index| {
            let table = Table::new(
                rival(rivals, seed, index),
                PROTOCOL,
                "",
                &[],
                Timing::default(),
            );
            table.hello(1)
        };
        let now = 60_000;
        assert!(table.offered(now, 1_000, &hello(1)).is_ok());
        assert!(table.offered(now, 1_001, &hello(0)).is_ok());
        assert!(!table.ready(now, 1_000).contains(&Effect::Kill(1_000)));
        assert_eq!(table.ready(now, 1_001), [Effect::Kill(1_001)], "{rivals:?}");
        table.lost(now, 1_001, 0);
        let next = table.offered(now + 200, 1_002, &hello(0)).unwrap_err();
        assert!(next.is_final(), "{rivals:?}: {next:?}");
    }
}

/// Before anybody but themselves has said who they are.
#[test]
fn strangers_hold_no_name_and_take_no_place() {
    let mut world = meshed(1);
    let table = &mut world.nodes[1].table;
    let mut stranger = member(0, 9, 9);
    (stranger.id, stranger.name) = ("0".to_owned(), "n2".to_owned());
    let hello = Table::new(stranger, PROTOCOL, "", &[], Timing::default()).hello(1);
    assert!(table.offered(30_000, 1_000, &hello).unwrap_err().is_final());
    let named = |name: &str, id: &str| {
        let mut named = member(9, 1, 70);
        (named.id, named.name) = (id.to_owned(), name.to_owned());
        Table::new(named, PROTOCOL, "", &[], Timing::default()).hello(1)
    };
    assert!(table.offered(30_000, 1_001, &named("gw", "id80")).is_ok());
    let beside = table.offered(30_000, 1_002, &named("gw", "id81"));
    assert!(beside.is_ok(), "a stranger's name is nobody's yet");
}
