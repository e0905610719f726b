//! Whatever fails here fails alone, and is seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{World, id, seed, timing, until};
use crate::register::actor::ASKED_AT_ONCE;
use crate::register::words::{Said, Told, VoteWord, read, write};
use crate::register::{OrderError, RegisterState, RegisterTiming};
use crate::spawn_named;
use crate::tests::{SOON, report};

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_whose_store_fails_acknowledges_nothing_and_comes_back_with_it() {
    let world = World::voting(3).await;
    world.agree(0, "a").await;
    world.have(&[0, 1, 2], "a ").await;
    let leader = world.leader().await;
    let follower = (leader + 1) % 3;
    for broken in [follower, leader] {
        let node = &world.nodes[broken];
        let restarts = || report(&node.system, "register").restarts;
        let before = restarts();
        node.shelf.is_broken.store(true, Ordering::SeqCst);
        let others: Vec<usize> = (0..3).filter(|at| *at != broken).collect();
        let kept = node.shelf.stored.lock().unwrap().entries.len();
        let proposed = node.propose("?").await;
        assert!(proposed.is_err() || broken != leader, "{proposed:?}");
        world.agree(others[0], &format!("b{broken}")).await;
        until("it is seen to have failed", || {
            matches!(node.known().state, RegisterState::Failed(ref why) if why.contains("disk is full"))
        })
        .await;
        assert_eq!(node.shelf.stored.lock().unwrap().entries.len(), kept);
        node.shelf.is_broken.store(false, Ordering::SeqCst);
        world.runs(broken, true).await;
        assert!(restarts() > before);
        until("it has what the others have", || {
            node.words() == world.nodes[others[0]].words()
        })
        .await;
    }
    world.agree(leader, "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_before_the_voter_has_sealed() {
    let world = World::voting(3).await;
    let leader = world.leader().await;
    world.agree(leader, "a").await;
    world.have(&[0, 1, 2], "a ").await;
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    for other in &others {
        world.nodes[*other].seals.gate.forget_permits(1);
    }
    let proposed = world.nodes[leader].propose("b").await;
    assert_eq!(proposed, Err(OrderError::Unanswered), "both hold back");
    assert_eq!(world.nodes[leader].words(), "a ");
    for other in &others {
        world.nodes[*other].seals.gate.add_permits(1);
    }
    let others = [leader, others[0], others[1]];
    until("now it is", || {
        others
            .iter()
            .all(|at| world.nodes[*at].words().starts_with("a b "))
    })
    .await;
    for node in &world.nodes {
        let appended = node.seals.appended.lock().unwrap().clone();
        assert!(appended.iter().any(|(_, word)| word == "b"));
    }
    // A voter that cannot seal any more does not run.
    world.nodes[others[1]].seals.gate.close();
    world.agree(leader, "c").await;
    world.runs(others[1], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_seals_at_its_start_by_all_that_its_log_has() {
    let mut world = World::voting(1).await;
    let place = world.agree(0, "a").await;
    world.stop(0).await;
    world.nodes[0].seals.appended.lock().unwrap().clear();
    world.start(0).await;
    let appended = world.nodes[0].seals.appended.lock().unwrap().clone();
    assert_eq!(appended, [(place, "a".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_is_killed_leads_and_votes_again_and_nobody_else_writes_into_its_store() {
    let world = World::voting(3).await;
    for round in 0..3 {
        let leader = world.leader().await;
        world.agree(leader, &round.to_string()).await;
        assert!(world.nodes[leader].system.registry.restart("register"));
        let other = (leader + 1) % 3;
        world.agree(other, &format!("x{round}")).await;
    }
    until("all have the same", || {
        let words: Vec<String> = world.nodes.iter().map(|node| node.words()).collect();
        words.iter().all(|one| *one == words[0]) && words[0] == "0 x0 1 x1 2 x2 "
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_not_understood_or_panics_stops_the_register_and_hangs_nobody() {
    for (word, why) in [("!later", "later version"), ("!panic", "panicked")] {
        let world = World::voting(1).await;
        world.agree(0, "a").await;
        let proposed = world.nodes[0].propose(word).await;
        assert_eq!(proposed, Err(OrderError::Unanswered));
        let node = &world.nodes[0];
        until(
            "it is seen",
            || matches!(node.known().state, RegisterState::Failed(ref said) if said.contains(why)),
        )
        .await;
        assert_eq!(node.words(), "a ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_removes_nothing_of_its_log_before_it_has_the_snapshot_that_covers_it() {
    let timing = RegisterTiming {
        following: SOON,
        ..timing()
    };
    let mut world = World::of(3, timing).await;
    world.nodes[0].register.found(seed("")).await.unwrap();
    world.agree(0, "a").await;
    let (behind, words) = (1, "a ");
    let seals = Arc::clone(&world.nodes[behind].seals);
    // The node ends before it has sealed by the snapshot.
    let closed = seals.installing.acquire().await.unwrap();
    let (register, all) = (world.nodes[0].register.clone(), [0, 1, 2].map(id));
    let changing = spawn_named("test", async move { register.change_voters(&all).await });
    until("it takes the snapshot", || {
        !seals.installed.lock().unwrap().is_empty()
    })
    .await;
    world.stop(behind).await;
    drop(closed);
    // It cannot seal by it.
    seals.is_broken.store(true, Ordering::SeqCst);
    world.start(behind).await;
    let node = &world.nodes[behind];
    until("it is seen", || {
        matches!(node.known().state, RegisterState::Failed(ref why) if why.contains("the seal is lost"))
    })
    .await;
    let stored = || node.shelf.stored.lock().unwrap().clone();
    assert_eq!((stored().purged, stored().snapshot), (None, None));
    // And comes back by itself as soon as it can.
    seals.is_broken.store(false, Ordering::SeqCst);
    changing.await.unwrap().unwrap();
    world.have(&[0, 1, 2], words).await;
    until("its log is cut as well", || stored().purged.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_hangs_does_not_say_that_it_leads_and_comes_back_with_the_disk() {
    let world = World::voting(3).await;
    let old = world.leader().await;
    world.agree(old, "a").await;
    let node = &world.nodes[old];
    node.shelf.hang().await;
    assert_eq!(node.propose("b").await, Err(OrderError::Unanswered));
    until("it is seen", || {
        let known = node.known();
        (known.state, known.leads, known.leader) == (RegisterState::Stalled, false, None)
    })
    .await;
    let new = world.leader_of(|at| at != old).await;
    world.agree(new, "c").await;
    assert_eq!(node.words(), "a ");
    node.shelf.go_on();
    world.runs(old, true).await;
    until("it has what the others have", || {
        node.words() == world.nodes[new].words()
    })
    .await;
    world.agree(old, "d").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_whose_disk_hangs_keeps_only_so_much_of_what_it_is_asked() {
    let timing = RegisterTiming {
        agreeing: Duration::from_millis(200),
        ..timing()
    };
    let world = World::of(1, timing).await;
    world.found().await;
    let node = &world.nodes[0];
    node.shelf.hang().await;
    let proposing: Vec<_> = (0..40)
        .map(|number| {
            let (register, word) = (node.register.clone(), number.to_string().into_bytes());
            spawn_named("test", async move { register.propose(word).await })
        })
        .collect();
    for proposed in proposing {
        assert_eq!(proposed.await.unwrap(), Err(OrderError::Unanswered));
    }
    // Nobody waits any more, and openraft has them all the same.
    let vote = VoteWord {
        term: 0,
        voted_for: None,
        is_committed: false,
    };
    let vote = write(&Said::Vote(vote, None)).unwrap();
    let told = node.register.answer(vote.clone(), SOON).await.unwrap();
    let told = read::<Told>(&told).unwrap();
    assert_eq!(told, Told::Failed("it has too much to answer".to_owned()));
    node.shelf.go_on();
    world.agree(0, "last").await;
    let words = node.words();
    let (before, _) = words.split_once("last ").unwrap();
    assert_eq!(before.split_whitespace().count(), ASKED_AT_ONCE, "{words}");
    let told = node.register.answer(vote, SOON).await.unwrap();
    let told = read::<Told>(&told).unwrap();
    assert!(matches!(told, Told::Vote(..)), "{told:?}");
}
