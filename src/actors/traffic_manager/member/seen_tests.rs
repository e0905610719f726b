//! What operators see of three members, and what they order.

use std::time::Duration;

use domain::policy::TimeUnit;
use domain::view::{Life, NotGivenUp, Phase, View};

use super::founding::Founded;
use super::{Members, NAMES, Registers};
use crate::agreed_view::message::{Agreed, RegisterSeen};
use crate::agreed_view::{AgreedView, NotAgreed, Orders, TestRegister};
use crate::traffic_manager::member::message::{AskShards, RoleSeen};
use crate::traffic_manager::member::{LAYOUT, Overview};
use crate::traffic_manager::shard_of;
use crate::traffic_manager::test_node::{DEADLINE, key};

fn agreed<'a>(members: &'a Members, of: &str) -> &'a AgreedView {
    let mut all = members.all.iter();
    &all.find(|(name, _)| name == of).unwrap().1.agreed
}

fn overview(members: &Members, of: &str) -> Overview {
    Overview::new(agreed(members, of), &members.ways)
}

/// Until a voter says this of its register.
async fn until(orders: &Orders, is_so: impl Fn(&RegisterSeen) -> bool) {
    let said = async {
        while !is_so(&orders.look().await) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, said).await.unwrap();
}

fn orders(members: &Members, of: &str) -> Orders {
    let nodes = members.nodes.seen_by(Life::new(of, 1));
    Orders::new(&nodes, agreed(members, of))
}

/// Orders at a node that knows this view and nothing later.
fn knowing(members: &Members, left: &str, view: Option<&View>) -> Orders {
    let agreed = AgreedView::new();
    agreed.learn(&Agreed {
        view: view.cloned().map(Box::new),
        voters: vec![left.to_owned()],
        clock_ms: None,
        voters_at: None,
        right_ms: 0,
    });
    Orders::new(&members.nodes.seen_by(Life::new(left, 1)), &agreed)
}

#[tokio::test]
async fn all_shards_and_a_key_are_seen_from_any_node_and_who_is_silent_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let members = Members::start(dir.path()).await;
    members
        .control_plane
        .save("minute", 40, TimeUnit::Min)
        .await;
    let key = key("minute", "k");
    let (owner, standby) = members.pair(&key);
    assert_eq!(members.drain(&owner, "gw1", &key, 3).await, 3);

    let all = AskShards {
        shard: None,
        keys: 0,
    };
    let seen = overview(&members, &standby).shards(all).await;
    assert!(seen.unanswered.is_empty(), "{:?}", seen.unanswered);
    let mut owned = Vec::new();
    for (node, told) in &seen.told {
        assert_eq!(told.life.node, *node);
        for shard in &told.shards {
            assert!(shard.seat.active && shard.seat.epoch == seen.latest.view.epoch);
            if shard.seat.role == RoleSeen::Owner {
                owned.push(shard.shard);
                assert!(shard.seat.grants);
            }
        }
    }
    owned.sort_unstable();
    assert_eq!(owned, (0..256).collect::<Vec<u16>>(), "each has one owner");
    let named = AskShards {
        shard: Some(shard_of(&key)),
        keys: 5,
    };
    let seen = overview(&members, &standby).shards(named).await;
    let of_owner = &seen.told[&owner].shards[0];
    assert_eq!((of_owner.keys, &of_owner.named), (1, &vec![key.clone()]));
    assert_eq!(of_owner.seat.other.as_ref(), Some(&standby));
    assert_eq!(seen.told[&standby].shards[0].seat.role, RoleSeen::Standby);

    let seen = overview(&members, &standby).key(&key).await;
    assert_eq!(
        (seen.owner.as_ref(), seen.shard),
        (Some(&owner), shard_of(&key))
    );
    for node in [&owner, &standby] {
        let count = seen.told[node].count.as_ref().unwrap();
        assert_eq!((count.limit, count.granted, count.left), (40, 3, 37));
        let lease = &count.leases[0];
        assert_eq!((lease.gateway.as_str(), lease.granted), ("gw1", 3));
    }
    members.ways.cut_off(&owner);
    let seen = overview(&members, &standby).key(&key).await;
    assert_eq!(seen.unanswered, [owner]);
    assert!(seen.told[&standby].count.is_some(), "its copy");
    members.stop().await;
}

#[tokio::test]
async fn voters_that_an_operator_chose_stay_until_the_choice_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut founded = Founded::new(dir.path()).await;
    for name in NAMES {
        founded.members.join(name, 1, &dir.path().join(name)).await;
    }
    let members = &founded.members;
    members.wait_for(&NAMES).await;
    let first = agreed(members, NAMES[0]).latest().voters;
    let votes_not = NAMES.into_iter().find(|name| first != [(*name).to_owned()]);
    // It votes on nothing: a voter passes its orders on.
    let orders = orders(members, votes_not.unwrap());
    let all = NAMES.map(str::to_owned);
    orders.choose(all.to_vec()).await.unwrap();
    members.wait_for_voters(&all).await;
    // A voter that does not lead hears of it a moment later.
    until(&orders, |seen| {
        let is_over = seen.next.is_empty() && seen.leader.is_some();
        is_over && seen.voters == all && seen.chosen == all
    })
    .await;
    // Once a view of one alone is active, no other is needed.
    let one = [votes_not.unwrap().to_owned()];
    orders.choose(one.to_vec()).await.unwrap();
    members.wait_for_voters(&one).await;
    orders.choose(Vec::new()).await.unwrap();
    until(&orders, |seen| seen.chosen.is_empty()).await;
    assert!(orders.answers(NAMES[0]).await && !orders.answers("nobody").await);
    founded.stop().await;
}

/// These are down and one is there, as whoever leads says at each of these nodes.
async fn are_down(asked: [&Orders; 2], down: [&str; 2], there: &str) {
    for orders in asked {
        for node in down {
            assert_eq!(orders.is_down(node).await, Ok(true), "{node}");
        }
        assert_eq!(orders.is_down(there).await, Ok(false));
    }
}

#[tokio::test]
async fn what_two_nodes_held_together_is_given_up_at_an_operators_word_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let key = key("minute", "k");
    let mut ranked = NAMES;
    ranked.sort_by_key(|name| std::cmp::Reverse((LAYOUT.rank)(shard_of(&key), name)));
    let [owner, standby, left] = ranked;
    // Whoever is left decides alone, so that two may be lost.
    let voters = Registers::InMemory(TestRegister::new(&[left]));
    let mut members = Members::new(dir.path(), voters).await;
    members.start_all(dir.path(), 1).await;
    members.control_plane.save("minute", 9, TimeUnit::Min).await;
    assert_eq!(members.drain(owner, "gw1", &key, 5).await, 5);
    // Both at once, and neither says a word more.
    let (gone, there): (Vec<_>, Vec<_>) = std::mem::take(&mut members.all)
        .into_iter()
        .partition(|(name, _)| name != left);
    members.all = there;
    let mut ending = tokio::task::JoinSet::new();
    for (name, one) in gone {
        members.cut_off(&name);
        ending.spawn(one.root.stop(DEADLINE));
    }
    ending.join_all().await;
    members.wait_for(&[left]).await;
    let view = agreed(&members, left).latest().view;
    assert_eq!(view.phase, Phase::Active);
    let held = |node: &str| {
        let lost = view.lost.iter();
        lost.filter(|loss| loss.holders.iter().any(|holder| holder == node))
            .count()
    };
    assert!(held(owner) > 0 && held(left) == 0);
    assert_eq!(
        members.drain(left, "gw2", &key, 9).await,
        0,
        "its window is full"
    );
    let orders = orders(&members, left);
    // Whoever leads judges, whatever the node that is asked knows.
    let (knows_nothing, knows_of_losses) = (
        knowing(&members, left, None),
        knowing(&members, left, Some(&view)),
    );
    let gives_up = knows_nothing.gives_up(owner).await.unwrap();
    assert!(gives_up.shards.contains(&shard_of(&key)) && !gives_up.others.contains(left));
    let may_be_there = NotAgreed::NotGivenUp(NotGivenUp::MayBeThere);
    assert_eq!(knows_nothing.forget(left).await, Err(may_be_there));
    assert_eq!(orders.forget(owner).await, Ok(true));
    assert_eq!(orders.latest().view.lost, []);
    // Nor does it matter for who is down, of which nothing is lost any more with the other one.
    are_down([&knows_nothing, &knows_of_losses], [owner, standby], left).await;
    let nothing_lost = NotAgreed::NotGivenUp(NotGivenUp::NothingLost);
    assert_eq!(knows_of_losses.forget(owner).await, Err(nothing_lost));
    assert_eq!(
        members.drain(left, "gw3", &key, 9).await,
        9,
        "it counts from nothing"
    );
    // Who votes is nobody that could be asked any more.
    members.cut_off(left);
    let refused = orders.forget(standby).await;
    assert!(
        matches!(refused, Err(NotAgreed::NobodyAnswers(_))),
        "{refused:?}"
    );
    members.stop().await;
}
