//! A log begins once, where there is none, above all terms that were before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::world::{BEFORE, World, id, seed, timing, until};
use crate::register::store::Kept;
use crate::register::voter_id::VoterId;
use crate::register::words::{VoteWord, write};
use crate::register::{OrderError, RegisterSeed, Stored};

fn stored(world: &World) -> Stored {
    world.nodes[0].shelf.stored.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_begins_with_its_value_above_the_term_it_is_founded_at_and_goes_on_after_a_restart()
 {
    let mut world = World::of(3, timing()).await;
    let again = RegisterSeed {
        term: 3 * 65_536,
        value: b"before ".to_vec(),
    };
    world.nodes[0].register.found(again.clone()).await.unwrap();
    assert_eq!(world.nodes[0].words(), "before ");
    let place = world.agree(0, "a").await;
    assert!(place.term > again.term && place.index > 0, "{place}");
    world.stop(0).await;
    world.start(0).await;
    assert_eq!(world.nodes[0].words(), "before a ");
    assert!(world.agree(0, "b").await > place);
    // Whoever votes beside it takes in the same.
    let all: Vec<String> = (0..3).map(id).collect();
    world.nodes[0].register.change_voters(&all).await.unwrap();
    world.have(&[0, 1, 2], "before a b ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_founded_over_a_log_nor_where_another_leader_was_heard() {
    let world = World::voting(3).await;
    world.agree(0, "a").await;
    world.have(&[0, 1, 2], "a ").await;
    for node in &world.nodes {
        let founded = node.register.found(seed("again ")).await;
        assert_eq!(founded, Err(OrderError::NotEmpty));
    }
    world.agree(1, "b").await;
    world.have(&[0, 1, 2], "a b ").await;
    // Who gave another its vote, and has nothing of its log yet.
    let mut world = World::of(1, timing()).await;
    world.stop(0).await;
    let vote = VoteWord {
        term: 2,
        voted_for: VoterId::of(&id(1)),
        is_committed: true,
    };
    world.nodes[0].shelf.stored.lock().unwrap().vote = Some(write(&vote).unwrap());
    world.start(0).await;
    let founded = world.nodes[0].register.found(seed("")).await;
    assert_eq!(founded, Err(OrderError::NotEmpty));
    assert_eq!(stored(&world).snapshot, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founding_that_is_cut_short_has_founded_nothing_or_all() {
    let mut world = World::of(1, timing()).await;
    let (node, shelf) = (&world.nodes[0], Arc::clone(&world.nodes[0].shelf));
    // The vote is written, and the disk is full.
    shelf.fail_after(1);
    let founded = node.register.found(seed("one ")).await;
    assert!(matches!(founded, Err(OrderError::Failed(_))), "{founded:?}");
    let left = stored(&world);
    assert!(left.vote.is_some() && left.snapshot.is_none());
    let me = VoterId::of(&id(0)).unwrap();
    assert!(Kept::of(left).unwrap().is_empty(me));
    shelf.is_broken.store(false, Ordering::SeqCst);
    // It votes nowhere after that, and a later founding begins above it; an earlier one does not.
    world.stop(0).await;
    world.start(0).await;
    assert!(world.nodes[0].known().voters.sets.is_empty());
    let earlier = RegisterSeed {
        term: BEFORE - 1,
        ..seed("earlier ")
    };
    let founded = world.nodes[0].register.found(earlier).await;
    assert!(matches!(founded, Err(OrderError::Failed(_))), "{founded:?}");
    let later = RegisterSeed {
        term: BEFORE + 1,
        ..seed("two ")
    };
    world.nodes[0].register.found(later).await.unwrap();
    let place = world.agree(0, "a").await;
    assert!(place.term > BEFORE + 1, "{place}");
    assert_eq!(world.nodes[0].words(), "two a ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founding_that_ended_before_the_log_was_read_again_is_whole() {
    let mut world = World::of(1, timing()).await;
    world.nodes[0].register.found(seed("one ")).await.unwrap();
    let whole = stored(&world);
    world.stop(0).await;
    // As it lay there before openraft wrote anything.
    let kept = Stored {
        vote: Some(
            write(&VoteWord {
                term: BEFORE,
                voted_for: VoterId::of(&id(0)),
                is_committed: false,
            })
            .unwrap(),
        ),
        snapshot: whole.snapshot,
        ..Stored::default()
    };
    *world.nodes[0].shelf.stored.lock().unwrap() = kept;
    world.start(0).await;
    assert_eq!(world.nodes[0].words(), "one ");
    world.agree(0, "a").await;
    assert_eq!(world.nodes[0].words(), "one a ");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_votes_beside_the_founder_before_that_is_known_elsewhere() {
    let world = World::of(3, timing()).await;
    let node = &world.nodes[0];
    node.register.found(seed("")).await.unwrap();
    world.leader().await;
    let all: Vec<String> = (0..3).map(id).collect();
    node.seals.is_unshared.store(true, Ordering::SeqCst);
    let changed = node.register.change_voters(&all).await;
    assert!(matches!(changed, Err(OrderError::Failed(_))), "{changed:?}");
    world.agree(0, "a").await;
    assert_eq!(node.known().voters.sets, [vec![id(0)]]);
    node.seals.is_unshared.store(false, Ordering::SeqCst);
    node.register.change_voters(&all).await.unwrap();
    assert_eq!(node.seals.shared.load(Ordering::SeqCst), 2);
    until("all know it", || {
        let mut nodes = world.nodes.iter();
        nodes.all(|node| node.known().voters.sets == [all.clone()])
    })
    .await;
}
