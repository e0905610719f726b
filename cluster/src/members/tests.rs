//! What holds of many nodes whatever crosses, dies or stands still.

use super::world::{World, member};
use super::*;
use crate::hello::Refusal;
use crate::member::Fact;
use crate::protocol::{PROTOCOL, PROTOCOL_BEFORE};

#[test]
fn every_node_meets_every_other_within_seconds_whatever_dials_cross() {
    for seed in 0..40 {
        let mut world = World::new(8, seed);
        world.run(8_000);
        assert!(world.is_full_mesh(), "seed {seed}: {:?}", world.turns);
        world.turns.clear();
        world.run(60_000);
        assert_eq!(world.turns, [], "seed {seed}: a healthy cluster is quiet");
    }
}

#[test]
fn a_killed_node_is_down_at_once_and_back_in_its_next_life() {
    for seed in 0..25 {
        let mut world = World::new(4, seed);
        world.run(8_000);
        world.kill(2);
        world.run(100);
        assert!(
            !world.up(0).contains("id02") && !world.up(3).contains("id02"),
            "seed {seed}"
        );
        world.add(member(2, 2, 77), "c", &["host0:1".to_owned()]);
        world.run(8_000);
        assert!(world.is_full_mesh(), "seed {seed}: {:?}", world.turns);
    }
}

#[test]
fn a_silent_node_is_suspected_in_two_seconds_evicted_in_five_and_comes_back_by_itself() {
    for seed in 0..25 {
        let mut world = World::new(4, seed);
        world.run(8_000);
        world.nodes[1].paused = true;
        world.run(2_800);
        let health = |world: &World| {
            let states = world.nodes[0].table.states();
            states
                .into_iter()
                .find(|state| state.member.id == "id01")
                .unwrap()
                .health
        };
        assert_eq!(health(&world), Health::Suspect, "seed {seed}");
        world.run(3_000);
        assert_eq!(health(&world), Health::Down, "seed {seed}");
        world.run(30_000);
        world.nodes[1].paused = false;
        world.run(12_000);
        assert!(world.is_full_mesh(), "seed {seed}: {:?}", world.turns);
    }
}

#[test]
fn a_member_that_is_about_to_leave_is_told_of_once() {
    let mut world = World::new(2, 1);
    world.run(8_000);
    let link = world.nodes[0].table.link_of("id01").unwrap();
    let mut gossip = world.nodes[1].table.gossip();
    gossip.leaving = true;
    let now = world.clock(0);
    let mut told = || {
        let effects = world.nodes[0].table.heard(now, link, &gossip);
        effects.contains(&Effect::Leaves("n1".to_owned()))
    };
    assert_eq!([told(), told()], [true, false]);
}

#[test]
fn a_link_cut_one_way_is_noticed_at_both_ends_and_mended() {
    for seed in 0..25 {
        let mut world = World::new(3, seed);
        world.run(8_000);
        world.cuts.insert((1, 2));
        world.run(7_000);
        assert!(
            !world.up(1).contains("id02") && !world.up(2).contains("id01"),
            "seed {seed}"
        );
        assert!(world.up(0).len() == 2, "others go on");
        world.cuts.clear();
        world.run(12_000);
        assert!(world.is_full_mesh(), "seed {seed}: {:?}", world.turns);
    }
}

#[test]
fn whoever_stood_still_does_not_blame_the_others() {
    let mut world = World::new(3, 1);
    world.run(8_000);
    world.turns.clear();
    world.nodes[0].paused = true;
    world.run(1_900);
    world.nodes[0].paused = false;
    world.run(3_000);
    assert!(
        !world.turns.iter().any(|(at, _)| *at == 0),
        "{:?}",
        world.turns
    );
}

#[test]
fn of_two_nodes_of_one_name_the_second_is_refused_and_told() {
    let mut world = World::new(2, 3);
    world.run(5_000);
    let mut twin = member(9, 1, 99);
    twin.name = "n1".to_owned();
    let twin = world.add(twin, "", &["host0:1".to_owned()]);
    world.run(5_000);
    assert_eq!(
        world.nodes[twin].refused[0],
        Refusal::NameTaken("n1".to_owned())
    );
    assert!(world.nodes[twin].refused[0].is_final());
    assert!(
        !world.up(0).contains("id09"),
        "nor by whoever knows the first"
    );
    // The name is free once its bearer is gone.
    world.kill(1);
    world.run(12_000);
    assert!(world.up(0).contains("id09"), "{:?}", world.turns);
}

#[test]
fn a_copy_of_a_living_node_is_refused_and_one_of_a_dead_node_takes_its_place() {
    let mut world = World::new(3, 4);
    world.run(8_000);
    let copy = world.add(member(1, 2, 99), "c", &["host0:1".to_owned()]);
    world.nodes[copy].table.me.address = "elsewhere:1".to_owned();
    world.run(6_000);
    assert!(
        world.nodes[copy].refused.contains(&Refusal::Running),
        "{:?}",
        world.nodes[copy].refused
    );
    world.nodes[1].paused = true;
    world.run(12_000);
    let states = world.nodes[0].table.states();
    let now = states
        .iter()
        .find(|state| state.member.id == "id01")
        .unwrap();
    assert_eq!((now.member.life, now.health), (99, Health::Up));
}

#[test]
fn facts_that_do_not_agree_keep_a_node_out() {
    let fact = |value: &str, alone| Fact {
        key: "apim database".to_owned(),
        value: value.to_owned(),
        alone,
    };
    for (mine, theirs, good) in [
        (fact("a", false), fact("a", false), true),
        (fact("a", false), fact("b", false), false),
        (fact("a", true), fact("a", true), false),
        (fact("a", true), fact("b", true), false),
    ] {
        let for_one_node = mine.alone;
        let mut world = World::new(1, 5);
        world.nodes[0].table.me.facts.push(mine);
        let mut other = member(1, 1, 8);
        other.facts.push(theirs);
        let other = world.add(other, "", &["host0:1".to_owned()]);
        world.run(5_000);
        assert_eq!(world.is_full_mesh(), good);
        let refused = world.nodes[other].refused.first();
        assert_eq!(refused.is_none(), good, "{refused:?}");
        if let Some(refused) = refused {
            let words = refused.to_string();
            let same = words.contains("give both the same one");
            assert_eq!(same, !for_one_node, "{words}");
            assert_eq!(words.contains("PostgreSQL"), for_one_node, "{words}");
        }
    }
}

#[test]
fn a_stranger_without_a_cluster_names_nobody_and_no_hello_names_members_without_end() {
    let mut world = World::new(1, 7);
    let table = &mut world.nodes[0].table;
    let mut hello = Table::new(member(1, 1, 8), PROTOCOL, "", &[], Timing::default()).hello(1);
    let named = |from: usize| {
        (from..from + 256)
            .map(|index| member(index, 1, 1))
            .collect()
    };
    hello.known = named(100);
    table.offered(1, 1, &hello).unwrap();
    table.ready(1, 1);
    assert_eq!(table.states().len(), 1, "the stranger itself");
    let dials = table.tick(100, || 0);
    assert!(
        !dials.iter().any(|effect| matches!(effect, Effect::Dial(_))),
        "{dials:?}"
    );
    for (link, from) in [(2, 1_000), (3, 2_000), (4, 3_000)] {
        let mut hello =
            Table::new(member(link, 1, 8), PROTOCOL, "c", &[], Timing::default()).hello(1);
        hello.known = named(from);
        if table.offered(2, link as u64, &hello).is_ok() {
            table.ready(2, link as u64);
        }
    }
    assert!(table.states().len() <= 256, "{}", table.states().len());
}

#[test]
fn an_address_whose_dial_was_lost_is_dialed_again() {
    let seeds = ["host9:1".to_owned()];
    let mut table = Table::new(member(0, 1, 1), PROTOCOL, "c", &seeds, Timing::default());
    let dials = |table: &mut Table, now_ms| {
        let effects = table.tick(now_ms, || 0);
        effects
            .iter()
            .filter(|effect| **effect == Effect::Dial("host9:1".to_owned()))
            .count()
    };
    assert_eq!(dials(&mut table, 1_000), 1);
    // Nobody ever says what came of it.
    for now_ms in (1_100..5_000).step_by(100) {
        assert_eq!(dials(&mut table, now_ms), 0, "it may be under way");
    }
    let again: usize = (5_000..20_000)
        .step_by(100)
        .map(|now_ms| dials(&mut table, now_ms))
        .sum();
    assert_eq!(again, 1);
}

#[test]
fn a_version_next_to_ours_is_taken_and_others_and_other_clusters_are_refused() {
    let mut world = World::new(1, 6);
    let mut hello = Table::new(member(1, 1, 8), PROTOCOL, "", &[], Timing::default()).hello(1);
    for theirs in [(PROTOCOL + 1, PROTOCOL + 2), (0, PROTOCOL_BEFORE - 1)] {
        hello.versions = theirs;
        let refusal = world.nodes[0].table.offered(1, 1, &hello).unwrap_err();
        let (lowest, highest) = (PROTOCOL_BEFORE, PROTOCOL);
        let refused = Some(theirs);
        let expected = Refusal::Version {
            lowest,
            highest,
            refused,
        };
        assert_eq!(refusal, expected);
        let words = refusal.to_string();
        let ours = format!("who refuses speaks {lowest} to {highest}");
        assert!(words.contains(&ours), "{words}");
        let theirs = format!("who is refused {} to {}", theirs.0, theirs.1);
        assert!(words.contains(&theirs), "{words}");
    }
    for (theirs, spoken) in [
        ((PROTOCOL_BEFORE - 1, PROTOCOL_BEFORE), PROTOCOL_BEFORE),
        ((PROTOCOL_BEFORE, PROTOCOL), PROTOCOL),
        ((PROTOCOL, PROTOCOL + 1), PROTOCOL),
    ] {
        hello.versions = theirs;
        assert_eq!(world.nodes[0].table.protocol_with(&hello), spoken);
    }
    hello.cluster = "other".to_owned();
    let offered = world.nodes[0].table.offered(1, 1, &hello);
    assert_eq!(offered, Err(Refusal::Cluster("other".to_owned())));
    hello.cluster.clear();
    assert!(world.nodes[0].table.offered(1, 1, &hello).is_ok());
}

#[test]
fn a_connection_that_held_is_dialed_again_at_once_and_one_that_did_not_is_dialed_later() {
    const AT_ONCE_MS: u64 = 50;
    // Which random number is drawn puts the dial no further off than that.
    for (held_ms, random) in [(10, 400), (10, 0), (5_000, 400), (5_000, 0)] {
        let mut table = Table::new(member(9, 1, 1), PROTOCOL, "c", &[], Timing::default());
        let hello = Table::new(member(1, 1, 8), PROTOCOL, "c", &[], Timing::default()).hello(1);
        table.offered(1_000, 1, &hello).unwrap();
        table.ready(1_000, 1);
        let lost_ms = 1_000 + held_ms;
        table.lost(lost_ms, 1, random);
        let dials = |effect: &Effect| *effect == Effect::Dial(hello.member.address.clone());
        let first = (lost_ms..lost_ms + 1_000)
            .find(|now_ms| table.tick(*now_ms, || random).iter().any(dials));
        let pause_ms = first.expect("it is dialed within a second") - lost_ms;
        assert_eq!(pause_ms <= AT_ONCE_MS, held_ms > 10, "{held_ms} {pause_ms}");
    }
}

/// What node 0 told of node 1, and forgets it.
fn told(world: &mut World) -> Vec<(Health, String)> {
    let turns = std::mem::take(&mut world.turns).into_iter();
    let of_one = turns.filter(|(at, turn)| *at == 0 && turn.name == "n1");
    of_one.map(|(_, turn)| (turn.to, turn.reason)).collect()
}

#[test]
fn each_change_of_state_is_told_with_its_reason() {
    let mut world = World::new(2, 1);
    world.run(8_000);
    let up = |reason: &str| vec![(Health::Up, reason.to_owned())];
    assert_eq!(told(&mut world), up("connected"));
    world.nodes[1].paused = true;
    world.run(2_900);
    let silent = told(&mut world);
    let [(Health::Suspect, reason)] = silent.as_slice() else {
        panic!("{silent:?}");
    };
    let silent_ms = reason.strip_prefix("silent for ").unwrap();
    let silent_ms: u64 = silent_ms.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((2_000..2_900).contains(&silent_ms), "{reason}");
    world.nodes[1].paused = false;
    world.run(2_000);
    assert_eq!(told(&mut world), up("answers again"));
    world.nodes[1].paused = true;
    world.run(6_000);
    let evicted = told(&mut world);
    let [(Health::Suspect, _), (Health::Down, reason)] = evicted.as_slice() else {
        panic!("{evicted:?}");
    };
    assert!(reason.starts_with("silent for 5"), "{reason}");
    world.nodes[1].paused = false;
    world.run(12_000);
    assert_eq!(told(&mut world), up("connected"));
    world.kill(1);
    world.run(100);
    let down = |reason: &str| vec![(Health::Down, reason.to_owned())];
    assert_eq!(told(&mut world), down("connection lost"));
}

#[test]
fn who_said_that_it_leaves_has_left_when_its_connection_ends() {
    let mut world = World::new(2, 1);
    world.run(8_000);
    told(&mut world);
    let link = world.nodes[0].table.link_of("id01").unwrap();
    let mut gossip = world.nodes[1].table.gossip();
    gossip.leaving = true;
    let now = world.clock(0);
    world.nodes[0].table.heard(now, link, &gossip);
    let effects = world.nodes[0].table.lost(now, link, 1);
    world.act(0, effects);
    let left = (Health::Down, "left".to_owned());
    assert_eq!(told(&mut world), [left]);
}
