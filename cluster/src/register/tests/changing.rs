//! Voters come and go, and the register goes on.

use std::time::Duration;

use super::world::{World, id, seed, timing, until, until_or};
use crate::register::words::{ContentWord, EntryWord, read};
use crate::register::{OrderError, RegisterTiming};
use crate::spawn_named;

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let ids = numbers.into_iter().map(|number| id(number as u128));
    ids.collect()
}

/// Five nodes, of which the first votes.
async fn one_of_five() -> World {
    let world = World::of(5, timing()).await;
    world.nodes[0].register.found(seed("")).await.unwrap();
    world.leader().await;
    world
}

async fn vote(world: &World, asked: usize, voters: impl IntoIterator<Item = usize>) {
    let voters = ids(voters);
    let changing = async {
        loop {
            match world.nodes[asked].register.change_voters(&voters).await {
                Ok(_) => break,
                // A leader that leaves is replaced first.
                Err(OrderError::NotLeader { .. } | OrderError::UnderWay) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(other) => panic!("{other}"),
            }
        }
    };
    let changing = tokio::time::timeout(Duration::from_secs(20), changing);
    changing.await.unwrap();
    let vote = until_or(|| {
        let mut leaders = world.nodes.iter().filter(|node| node.known().leads);
        leaders.any(|leader| leader.known().voters.sets == [voters.clone()])
    })
    .await;
    assert!(vote, "{voters:?} vote: {}", world.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn voters_become_three_and_five_and_three_others_and_one() {
    let world = one_of_five().await;
    world.agree(0, "a").await;
    vote(&world, 0, 0..3).await;
    world.agree(1, "b").await;
    vote(&world, 1, 0..5).await;
    world.agree(4, "c").await;
    world.have(&[0, 1, 2, 3, 4], "a b c ").await;
    // The leader leaves as well, should it be among the first two.
    vote(&world, 3, 2..5).await;
    world.agree(3, "d").await;
    world.have(&[2, 3, 4], "a b c d ").await;
    vote(&world, 2, [4]).await;
    world.agree(4, "e").await;
    world.have(&[4], "a b c d e ").await;
    // Who has left hears of nothing more, and keeps nobody from agreeing.
    assert!(!world.nodes[0].words().contains('e'));
    vote(&world, 4, [0, 3, 4]).await;
    world.agree(0, "f").await;
    world.have(&[0, 3, 4], "a b c d e f ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_has_ended_is_undone_by_nobody_who_saw_it_half_done() {
    let world = one_of_five().await;
    for voters in [0..3, 0..1, 0..3, 0..5, 0..3] {
        vote(&world, 0, voters.clone()).await;
        world.agree(0, &format!("{voters:?}")).await;
        let known = world.nodes[world.leader().await].known();
        assert_eq!(known.voters.sets, [ids(voters)], "{}", world.shown());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_at_once_one_is_told_so_and_the_voters_are_those_of_one() {
    let world = one_of_five().await;
    // The first waits for a node that does not follow yet.
    world.cut_off(1, true);
    let register = world.nodes[0].register.clone();
    let first = ids([0, 1, 2]);
    let changing = spawn_named("test", async move { register.change_voters(&first).await });
    let second = ids([0, 3, 4]);
    until_refused(&world, &second).await;
    world.cut_off(1, false);
    changing.await.unwrap().unwrap();
    assert_eq!(world.nodes[0].known().voters.sets, [ids([0, 1, 2])]);
    vote(&world, 0, [0, 3, 4]).await;
}

/// Waits until another change is refused because of the first, which has begun.
async fn until_refused(world: &World, voters: &[String]) {
    until("the first has begun", || {
        let stored = world.nodes[0].shelf.stored.lock().unwrap();
        // A leader's beginning, and who follows.
        stored.entries.len() >= 2
    })
    .await;
    let changed = world.nodes[0].register.change_voters(voters).await;
    assert_eq!(changed, Err(OrderError::UnderWay));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_follow_does_not_vote_and_two_or_four_never_do() {
    let mut world = one_of_five().await;
    world.agree(0, "a").await;
    world.stop(2).await;
    let register = &world.nodes[0].register;
    let changed = register.change_voters(&ids([0, 1, 2])).await;
    assert_eq!(changed, Err(OrderError::Unreached(id(2))));
    for count in [0, 2, 4] {
        let changed = register.change_voters(&ids(0..count)).await;
        assert_eq!(changed, Err(OrderError::Number { count }));
    }
    let named = register.change_voters(&["gw1".to_owned()]).await;
    assert_eq!(named, Err(OrderError::NotAnId("gw1".to_owned())));
    world.agree(0, "b").await;
    assert_eq!(world.nodes[0].known().voters.sets, [ids([0])]);
    // Whoever followed and was sent away votes as well when it is asked again.
    world.start(2).await;
    vote(&world, 0, 0..3).await;
    world.have(&[0, 1, 2], "a b ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_the_log_by_a_change_that_was_cut_short_votes_only_when_it_follows() {
    let timing = RegisterTiming {
        agreeing: Duration::from_millis(300),
        following: Duration::from_millis(300),
        ..timing()
    };
    let mut world = World::of(3, timing).await;
    world.nodes[0].register.found(seed("")).await.unwrap();
    world.leader().await;
    world.agree(0, "a").await;
    world.stop(1).await;
    world.stop(2).await;
    let node = &world.nodes[0];
    // The first gets no further than to write that they follow.
    node.shelf.hang().await;
    let changed = node.register.change_voters(&ids(0..3)).await;
    assert_eq!(changed, Err(OrderError::Unanswered));
    // One of two more is under way before anybody can end the first.
    let change = || {
        let register = node.register.clone();
        spawn_named(
            "test",
            async move { register.change_voters(&ids(0..3)).await },
        )
    };
    let (mut one, mut other) = (change(), change());
    let (refused, left) = tokio::select! {
        refused = &mut one => (refused, other),
        refused = &mut other => (refused, one),
    };
    assert_eq!(refused.unwrap(), Err(OrderError::UnderWay));
    node.shelf.go_on();
    let changed = left.await.unwrap();
    let unreached = [1, 2].map(|at| Err(OrderError::Unreached(id(at))));
    assert!(unreached.contains(&changed), "{changed:?}");
    world.agree(0, "b").await;
    assert_eq!(world.nodes[0].known().voters.sets, [ids([0])]);
    world.start(1).await;
    world.start(2).await;
    vote(&world, 0, 0..3).await;
    world.have(&[0, 1, 2], "a b ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_leader_ends_a_change_that_the_last_one_began() {
    let mut world = one_of_five().await;
    vote(&world, 0, 0..3).await;
    world.agree(0, "a").await;
    let leader = world.leader().await;
    let others: Vec<usize> = (0..5).filter(|at| *at != leader).collect();
    // It cannot write that the new ones decide alone.
    *world.nodes[leader].shelf.refused.lock().unwrap() = Some(|entry| {
        let entry = read::<EntryWord>(entry).unwrap();
        matches!(entry.content, ContentWord::Voters(voters) if voters.sets.len() == 1 && voters.sets[0].len() == 5)
    });
    let changed = world.nodes[leader].register.change_voters(&ids(0..5)).await;
    assert_eq!(changed, Err(OrderError::Unanswered));
    assert!(world.nodes[leader].known().voters.is_changing());
    world.stop(leader).await;
    world.leader_of(|at| at != leader).await;
    until("it is at its end", || {
        others
            .iter()
            .all(|at| world.nodes[*at].known().voters.sets == [ids(0..5)])
    })
    .await;
    world.agree(others[0], "b").await;
    world.have(&others, "a b ").await;
}
