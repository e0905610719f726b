//! What is agreed on stays, whoever is lost.

use std::time::Duration;

use super::world::{World, seed, until};
use crate::register::OrderError;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_has_it_agreed_on_and_all_have_the_same() {
    let world = World::voting(3).await;
    let mut places = Vec::new();
    for (node, word) in [(0, "a"), (1, "b"), (2, "c")] {
        places.push(world.agree(node, word).await);
    }
    world.have(&[0, 1, 2], "a b c ").await;
    assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
    let leader = world.leader().await;
    let leads = world.nodes.iter().filter(|node| node.known().leads);
    assert_eq!(leads.count(), 1);
    until("all know it", || {
        let leader = Some(world.nodes[leader].id.clone());
        world.nodes.iter().all(|node| node.known().leader == leader)
    })
    .await;
    let known = world.nodes[1].known();
    assert_eq!(known.voters.all().len(), 3);
    assert_eq!(known.at.unwrap().index, places[2].index);
    let size = 64 * 1024 + 1;
    let large = world.nodes[1].register.propose(vec![b'x'; size]).await;
    assert_eq!(large, Err(OrderError::TooLarge { size }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_is_replaced_and_what_it_wrote_is_cut_off_and_its_place_never_comes_again()
 {
    let world = World::voting(3).await;
    let old = world.leader().await;
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    world.agree(old, "a").await;
    world.have(&[0, 1, 2], "a ").await;
    world.cut_off(old, true);
    let lost = world.nodes[old].propose("lost").await;
    assert_eq!(lost, Err(OrderError::Unanswered));
    let new = world.leader_of(|at| at != old).await;
    until("it knows that no majority follows it", || {
        !world.nodes[old].known().leads
    })
    .await;
    let place = world.agree(new, "b").await;
    world.have(&others, "a b ").await;
    assert_eq!(world.nodes[old].words(), "a ");
    world.cut_off(old, false);
    world.agree(old, "c").await;
    world.have(&[0, 1, 2], "a b c ").await;
    // W4: it has sealed by what was cut off, at a place that nothing else has.
    let appended = world.nodes[old].seals.appended.lock().unwrap().clone();
    let lost = appended.iter().find(|(_, word)| word == "lost").unwrap();
    let same = appended.iter().filter(|(at, _)| *at == lost.0);
    assert_eq!(same.count(), 1, "{appended:?}");
    assert!(place > lost.0, "{appended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_all_hear_and_that_hears_nobody_is_replaced() {
    let world = World::voting(3).await;
    let old = world.leader().await;
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    world.agree(old, "a").await;
    world.have(&[0, 1, 2], "a ").await;
    world.deafen(old);
    // What it asks to have agreed on goes on being said, and heard.
    let lost = world.nodes[old].propose("lost").await;
    assert_eq!(lost, Err(OrderError::Unanswered));
    let new = world.leader_of(|at| at != old).await;
    world.agree(new, "b").await;
    until("the others go on", || {
        let words = |at: &usize| world.nodes[*at].words();
        others.iter().all(|at| words(at).ends_with("b "))
    })
    .await;
    world.cut_off(old, false);
    world.agree(old, "c").await;
    until("it goes on with them", || {
        world
            .nodes
            .iter()
            .all(|node| node.words().ends_with("b c "))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_voters_agree_without_two_of_them_and_on_nothing_without_three() {
    let mut world = World::voting(5).await;
    world.agree(0, "a").await;
    world.have(&[0, 1, 2, 3, 4], "a ").await;
    let leader = world.leader().await;
    let others: Vec<usize> = (0..5).filter(|at| *at != leader).collect();
    world.stop(leader).await;
    world.stop(others[0]).await;
    let left = others[1];
    world.agree(left, "b").await;
    world.have(&others[1..], "a b ").await;
    world.stop(others[3]).await;
    let alone = world.nodes[left].propose("c").await;
    assert!(
        matches!(
            alone,
            Err(OrderError::Unanswered | OrderError::NotLeader { .. })
        ),
        "{alone:?}"
    );
    assert_eq!(world.nodes[left].words(), "a b ");
    world.start(leader).await;
    world.agree(leader, "d").await;
    let now = [left, others[2], leader];
    until("the three have it", || {
        now.iter()
            .all(|at| world.nodes[*at].words().ends_with("d "))
    })
    .await;
}

// Between continents. There and back it takes longer than the pause between heartbeats: whoever took an answer for lost
// after one would never hear any.
#[tokio::test(flavor = "multi_thread")]
async fn voters_that_are_far_away_from_each_other_keep_their_leader_and_agree() {
    let world = World::voting(3).await;
    world.delay(Duration::from_millis(100));
    let leader = world.leader().await;
    let term = world.nodes[leader].known().term;
    let mut words = String::new();
    for number in 0..10 {
        world.agree(number % 3, &number.to_string()).await;
        words.push_str(&format!("{number} "));
    }
    world.have(&[0, 1, 2], &words).await;
    let terms: Vec<u64> = world.nodes.iter().map(|node| node.known().term).collect();
    assert_eq!(terms, [term; 3], "somebody else was elected");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_agreed_on_is_known_again_after_a_restart_of_everything() {
    let mut world = World::voting(3).await;
    for word in ["a", "b", "c"] {
        world.agree(0, word).await;
    }
    world.have(&[0, 1, 2], "a b c ").await;
    for node in 0..3 {
        world.stop(node).await;
    }
    for node in 0..3 {
        world.start(node).await;
        // The last of them may not have been known to be agreed on when it stopped.
        assert_eq!(
            world.nodes[node].words(),
            "a b c ",
            "before it hears of others"
        );
    }
    let node = &world.nodes[1];
    let again = node.register.found(seed("")).await;
    assert_eq!(again, Err(OrderError::NotEmpty));
    world.agree(1, "d").await;
    world.have(&[0, 1, 2], "a b c d ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_is_far_behind_takes_the_value_and_logs_stay_short() {
    let (mut world, behind, words) = World::with_one_far_behind().await;
    let seals = std::sync::Arc::clone(&world.nodes[behind].seals);
    seals.installed.lock().unwrap().clear();
    world.start(behind).await;
    world.have(&[0, 1, 2], &words).await;
    let installed = seals.installed.lock().unwrap().clone();
    assert!(
        installed.len() > 1 && installed.is_sorted(),
        "its own, and then the leader's: {installed:?}"
    );
    // From what it has now it goes on by itself.
    world.stop(behind).await;
    world.start(behind).await;
    assert_eq!(world.nodes[behind].words(), words);
    world.agree(behind, "z").await;
    world.have(&[0, 1, 2], &format!("{words}z ")).await;
}
