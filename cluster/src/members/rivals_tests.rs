//! Two that cannot both be members, and come at the same time: by one member or by two that do not see each other.

use super::world::{World, member};
use super::{Table, Timing};
use crate::hello::Refusal;
use crate::member::{Fact, Member};
use crate::protocol::PROTOCOL;

const SEEDS: u64 = 45;

/// What two of them have in common, or not.
#[derive(Debug, Clone, Copy)]
enum Rivals {
    OfOneName,
    OfTwoDatabases,
}

fn rival(rivals: Rivals, index: usize) -> Member {
    let mut rival = member(10 + index, 1, 500 + index as u64);
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
fn meshed(seed: u64) -> World {
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
            let first = world.add(rival(rivals, 0), "", &["host1:1".to_owned()]);
            if seed % 5 == 0 {
                world.nodes[1].paused = true;
            }
            let pause = world.roll() % 2_000;
            world.run(pause);
            let seed_of_other = if seed % 2 == 0 { "host1:1" } else { "host2:1" };
            let other = world.add(rival(rivals, 1), "", &[seed_of_other.to_owned()]);
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
            let first = world.add(rival(rivals, 1), "", &["host1:1".to_owned()]);
            world.run(4_000);
            let later = world.add(rival(rivals, 0), "", &["host2:1".to_owned()]);
            world.run(12_000);
            let what = format!("{rivals:?}, seed {seed}");
            assert!(world.works(first) && !world.works(later), "{what}");
            assert!(world.is_full_mesh(), "{what}");
        }
    }
}

#[test]
fn whoever_stood_still_until_a_rival_had_its_place_ends_when_it_hears_of_it() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        for seed in 0..12 {
            let mut world = meshed(seed);
            let first = world.add(rival(rivals, 0), "", &["host1:1".to_owned()]);
            world.run(20_000);
            world.nodes[first].paused = true;
            world.run(8_000);
            let other = world.add(rival(rivals, 1), "", &["host1:1".to_owned()]);
            world.run(15_000);
            world.nodes[first].paused = false;
            world.run(20_000);
            let what = format!("{rivals:?}, seed {seed}");
            assert_one_stays(&world, [first, other], &what);
            assert!(world.works(other), "{what}");
        }
    }
}

#[test]
fn one_odd_member_that_refuses_ends_no_node_that_others_have() {
    let mut world = meshed(1);
    let refusal = Refusal::NameTaken("n1".to_owned());
    let now = world.clock(1);
    assert!(!world.nodes[1].table.is_ended_by(&refusal, now + 10_000));
    // Nobody has it any more.
    for other in [0, 2, 3] {
        world.kill(other);
    }
    world.run(10_000);
    let now = world.clock(1);
    assert!(world.nodes[1].table.is_ended_by(&refusal, now));
}

#[test]
fn whoever_is_not_ready_yet_holds_its_name_and_the_next_one_asks_again() {
    for rivals in [Rivals::OfOneName, Rivals::OfTwoDatabases] {
        let mut table = meshed(2).nodes.remove(1).table;
        let hello = |index| {
            let table = Table::new(rival(rivals, index), PROTOCOL, "", &[], Timing::default());
            table.hello(1)
        };
        let now = 60_000;
        assert!(table.offered(now, 1_000, &hello(0)).is_ok());
        let next = table.offered(now, 1_001, &hello(1));
        assert_eq!(next, Err(Refusal::Challenged), "{rivals:?}");
        table.ready(now, 1_000);
        let next = table.offered(now + 200, 1_002, &hello(1)).unwrap_err();
        assert!(next.is_final(), "{rivals:?}: {next:?}");
    }
}
