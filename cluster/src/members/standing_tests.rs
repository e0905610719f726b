//! Who decides between two that cannot both be members, and who ends: nobody by the word of one whom others do not have.

use super::rivals_tests::{Rivals, meshed, rival};
use super::standing::Standing;
use super::world::{World, member};
use super::{Health, Table, Timing};
use crate::hello::{Hello, Refusal};
use crate::protocol::PROTOCOL;

const BOTH: [Rivals; 2] = [Rivals::OfOneName, Rivals::OfTwoDatabases];

/// Where nodes can be dialed.
fn hosts(of: &[usize]) -> Vec<String> {
    of.iter().map(|at| format!("host{at}:1")).collect()
}

/// Nothing goes between this node and those, either way.
fn cut(world: &mut World, node: usize, from: &[usize]) {
    let both = |at: &usize| [(node, *at), (*at, node)];
    world.cuts.extend(from.iter().flat_map(both));
}

#[test]
fn a_rival_that_nobody_ever_had_ends_no_member_that_is_started_again() {
    for rivals in BOTH {
        for seed in 0..24 {
            let mut world = meshed(seed);
            let seeds = hosts(&[1, 10, 11]);
            let mine = rival(rivals, seed, usize::from(seed % 2 == 0));
            let serves = world.add(mine.clone(), "", &seeds);
            world.run(12_000);
            // It reaches nobody: its network is put right when the member is started again.
            let other = rival(rivals, seed, usize::from(seed % 2 != 0));
            let other = world.add(other, "c", &seeds);
            cut(&mut world, other, &[0, 1, 2, 3, serves]);
            let up = 4_000 + world.roll() % 12_000;
            world.run(up);
            world.kill(serves);
            let again = (mine.incarnation + 1, 700);
            let mut mine = mine;
            (mine.incarnation, mine.life) = again;
            let pause = world.roll() % 3_000;
            world.run(pause);
            let again = world.add(mine, "c", &seeds);
            if seed % 3 == 0 {
                world.cuts.clear();
            } else {
                world.cuts.retain(|(from, to)| *from < 4 || *to < 4);
            }
            world.run(30_000);
            let refused = &world.nodes[again].refused;
            assert!(
                world.works(again),
                "{rivals:?}, seed {seed}, {up} ms: {refused:?}"
            );
            world.cuts.clear();
            world.run(20_000);
            world.kill(other);
            world.run(10_000);
            assert!(world.is_full_mesh(), "{rivals:?}, seed {seed}");
        }
    }
}

/// They have places since they began, and met nobody for most of the time that makes them settled.
#[test]
fn of_two_rivals_that_are_let_in_by_two_members_seconds_after_their_start_one_stays() {
    for rivals in BOTH {
        for seed in 0..16 {
            let mut world = meshed(seed);
            let first = world.add(rival(rivals, seed, 0), "c", &hosts(&[1]));
            let other = world.add(rival(rivals, seed, 1), "c", &hosts(&[2]));
            cut(&mut world, first, &[0, 1, 2, 3, other]);
            cut(&mut world, other, &[0, 1, 2, 3]);
            // Some dial again only five seconds later.
            world.run(4_000 + seed * 50);
            world.cuts.clear();
            world.run(40_000);
            let left = [first, other].map(|at| world.works(at));
            let refused = [first, other].map(|at| world.nodes[at].refused.clone());
            let what = format!("{rivals:?}, seed {seed}: {left:?}, {refused:?}");
            assert!(left[0] != left[1], "{what}");
            assert!(world.is_full_mesh(), "{what}");
        }
    }
}

#[test]
fn a_copy_that_nobody_has_let_in_ends_not_the_node_that_runs() {
    for seed in 0..24 {
        for incarnation in [1, 3] {
            let mut world = meshed(seed);
            let mut mine = member(10, 2, 500);
            let runs = world.add(mine.clone(), "", &hosts(&[1, 11]));
            world.run(12_000);
            mine.address = "host11:1".to_owned();
            (mine.incarnation, mine.life) = (incarnation, 600);
            // The one that runs dials it before any member has told it that it is a copy.
            let copy = world.add(mine, "c", &hosts(&[1, 10]));
            cut(&mut world, copy, &[0, 1, 2, 3]);
            let pause = world.roll() % 3_500;
            world.run(pause);
            world.cuts.clear();
            world.run(20_000);
            let refused = &world.nodes[runs].refused;
            assert!(world.works(runs), "seed {seed}: {refused:?}");
            assert!(!world.works(copy), "seed {seed}");
        }
    }
}

#[test]
fn a_node_whose_table_begins_anew_is_as_settled_as_before() {
    let refusal = Refusal::NameTaken("n1".to_owned());
    let mut table = meshed(1).nodes.remove(1).table;
    assert!(!table.is_ended_by(&refusal, 60_000));
    let new = || {
        Table::new(
            member(1, 1, 1),
            PROTOCOL,
            "",
            &hosts(&[0]),
            Timing::default(),
        )
    };
    let mut anew = new().going_on(&table.kept());
    assert!(anew.has_cluster(), "it joined in this life");
    let refused = |table: &mut Table| {
        table.tick(60_100, || 0);
        table.not_dialed(60_200, "host0:1", 0);
        table.is_ended_by(&refusal, 64_000)
    };
    assert!(!refused(&mut anew));
    assert!(refused(&mut new()), "a newcomer ends");
}

fn hello(member: crate::member::Member, known: Vec<crate::member::Member>) -> Hello {
    let table = Table::new(member, PROTOCOL, "c", &[], Timing::default());
    Hello {
        known,
        ..table.hello(1)
    }
}

/// A member that has met another one, and that moment.
fn met(settled: bool) -> (Table, u64) {
    let mut table = Table::new(
        rival(Rivals::OfOneName, 0, 1),
        PROTOCOL,
        "c",
        &[],
        Timing::default(),
    );
    table.tick(1_000, || 0);
    let other = hello(member(20, 1, 20), vec![]);
    table.offered(1_100, 1, &other).unwrap();
    table.ready(1_200, 1);
    (table, if settled { 11_200 } else { 5_000 })
}

#[test]
fn whom_others_have_refuses_for_good_whom_nobody_has_and_of_two_that_others_have_the_greater_waits()
{
    let known = vec![member(21, 1, 21)];
    let rival = || rival(Rivals::OfOneName, 0, 0);
    let (mut young, now) = met(false);
    let nobodys = young.offered(now, 9, &hello(rival(), vec![])).unwrap_err();
    assert!(nobodys.is_final(), "{nobodys:?}");
    let of_others = hello(rival(), known.clone());
    let waits = young.offered(now, 9, &of_others).unwrap_err();
    assert_eq!(waits, Refusal::Challenged);
    let (mut settled, now) = met(true);
    let refusal = settled.offered(now, 9, &of_others).unwrap_err();
    assert!(refusal.is_final(), "{refusal:?}");
    // Whom a member has refused decides nothing, nor who is about to end.
    let ends = settled.is_ended_by(&Refusal::NameTaken("rival".to_owned()), now);
    assert!(!ends, "it is settled");
    let doubts = settled.offered(now + 1, 9, &of_others).unwrap_err();
    assert_eq!(doubts, Refusal::Challenged);
    let later = settled.offered(now + 15_000, 9, &of_others).unwrap_err();
    assert!(later.is_final(), "{later:?}");
    let (mut going, now) = met(true);
    assert!(going.is_ended_by(&Refusal::Running, now));
    let silent = going.offered(now + 20_000, 9, &of_others).unwrap_err();
    assert_eq!(silent, Refusal::Challenged);
}

#[test]
fn a_place_of_one_that_was_there_for_long_is_kept_for_moments_and_not_given_to_a_smaller_id() {
    let (mut table, _) = met(true);
    let holds = |index| {
        hello(
            rival(Rivals::OfTwoDatabases, 0, index),
            vec![member(21, 1, 21)],
        )
    };
    table.offered(2_000, 2, &holds(2)).unwrap();
    table.ready(2_000, 2);
    let place = |table: &mut Table, now| table.offered(now, 3, &holds(0));
    let young = place(&mut table, 11_000);
    assert!(young.is_ok(), "it came just now, with a smaller id");
    table.lost(11_000, 3, 0);
    let settled = place(&mut table, 12_100).unwrap_err();
    assert!(settled.is_final(), "{settled:?}");
    table.lost(20_000, 2, 0);
    assert_eq!(place(&mut table, 24_000), Err(Refusal::Challenged));
    assert!(place(&mut table, 25_100).is_ok(), "it is given up");
    let gone = table.states();
    let gone = gone.iter().filter(|state| state.health == Health::Down);
    assert_eq!(gone.count(), 1);
}

#[test]
fn who_met_somebody_late_is_settled_later_and_who_met_nobody_ten_seconds_after_its_start() {
    let mut standing = Standing::default();
    assert!(!standing.is_settled(60_000) && standing.is_heard(60_000));
    standing.is_placed(1_000);
    assert!(!standing.is_settled(10_999) && standing.is_settled(11_000));
    assert!(!standing.is_heard(3_999) && standing.is_heard(4_000));
    standing.meets(9_000);
    assert!(!standing.is_settled(18_999) && standing.is_settled(19_000));
    assert!(!standing.is_heard(11_999) && standing.is_heard(12_000));
    let mut late = Standing::default();
    late.is_placed(1_000);
    late.meets(11_000);
    assert!(late.is_settled(11_000), "it had its place before");
}
