//! A reset whose recall meets nobody at first: an account that is gone, or a gateway that is away (L9).

use cluster::{Actor, Address, AskError, Asked, BoxError, Door, child, start_root};
use domain::ledger::{Holder, Outcome, Recall, Reply, Stamp};
use domain::policy::TimeUnit;

use super::refiller_tests::{Call, Gateway, give_out, granted_to};
use crate::traffic_manager::message::{TellLeases, ThrottleKey};
use crate::traffic_manager::{DEADLINE, KeyChange, KeyChanged, Node, Tidings, key, shard_of};

/// What is granted of a key after a reset of it, and who was not heard of it.
async fn reset(node: &Node, key: &ThrottleKey) -> (u64, Vec<String>) {
    let deadline = node.system.clock.monotonic() + DEADLINE;
    loop {
        match node.change_key(key, KeyChange::Reset).await {
            KeyChanged::Changed { count, unheard } => return (count.granted, unheard),
            // A node that has just started may not have the policies yet.
            KeyChanged::NotCounted if node.system.clock.monotonic() < deadline => {
                tokio::task::yield_now().await;
            }
            changed => panic!("{changed:?}"),
        }
    }
}

#[tokio::test]
async fn a_reset_forgives_what_a_gateway_used_whose_account_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 3, TimeUnit::Day).await;
    let key = key("day", "k");
    let one = Gateway::start(&node, "gw1").await;
    assert_eq!(one.drain(&key).await, 3);
    let lost = one.slot(&key).await;
    assert!(node.system.registry.restart("gw1/refiller"));
    // Its state is another one: nobody finds the lease of before.
    let deadline = one.now_ms() + 20_000;
    let parts = super::lease_cache::KeyParts::of(&key);
    while one.state.leases.get(&parts, lost.window).is_some() {
        assert!(one.now_ms() < deadline, "not started anew");
        tokio::task::yield_now().await;
    }
    assert_eq!(reset(&node, &key).await, (0, vec![]));
    assert_eq!(one.drain(&key).await, 3);
    for root in [one.root, node.root] {
        root.stop(DEADLINE).await;
    }
}

#[tokio::test]
async fn a_reset_forgives_what_a_gateway_used_that_was_away_as_soon_as_its_next_life_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 3, TimeUnit::Day).await;
    let key = key("day", "k");
    granted_to(&node, "gw2", &key).await;
    let one = Gateway::start(&node, "gw1").await;
    assert_eq!(one.drain(&key).await, 2);
    // It has no door. What it used counts until it is heard, and the operator is told so.
    assert_eq!(reset(&node, &key).await, (1, vec!["gw2".to_owned()]));
    assert_eq!(one.drain(&key).await, 2);
    assert_eq!(one.call(&key).await, Call::Refused);
    let next = Gateway::of_life(&node, "gw2", node.traffic.clone(), 2).await;
    // It is told again, and answers though nobody calls there.
    give_out([(&one, &key), (&one, &key)], 1).await;
    for root in [one.root, next.root, node.root] {
        root.stop(DEADLINE).await;
    }
}

/// A gateway that is there and says nothing.
struct Mute(Vec<Asked<TellLeases>>);

impl Actor for Mute {
    type Message = Asked<TellLeases>;
    type Arguments = ();
    const KIND: &'static str = "test.mute";

    async fn start((): (), _: Address<Asked<TellLeases>>) -> Result<Self, BoxError> {
        Ok(Self(Vec::new()))
    }

    async fn handle(&mut self, asked: Asked<TellLeases>) -> Result<(), BoxError> {
        self.0.push(asked);
        Ok(())
    }
}

#[tokio::test]
async fn a_reset_ends_what_gateways_have_that_live_on_over_a_start_from_disks_and_names_who_is_mute()
 {
    let dir = tempfile::tempdir().unwrap();
    let before = Node::start(dir.path(), 1).await;
    before.save("day", 3, TimeUnit::Day).await;
    let key = key("day", "k");
    granted_to(&before, "gw2", &key).await;
    before.root.stop(DEADLINE).await;
    let node = Node::start(dir.path(), 2).await;
    let lives_on = Gateway::start(&node, "gw2").await;
    let slot = lives_on.slot(&key).await;
    let granted = Tidings::Answer(Reply {
        holder: Holder::new("gw2", 1, 1),
        cell: key.cell(),
        stamp: Stamp { epoch: 1, seq: 1 },
        asked_at_ms: lives_on.now_ms(),
        window: Some(slot.window.at(lives_on.state.clock.now_ms())),
        remaining_ms: 3_600_000,
        granted: 1,
        limit: 3,
        left: 2,
        outcome: Outcome::Granted,
    });
    let news = TellLeases::of(shard_of(&key), &[granted]).unwrap();
    node.gateways.tell(news).await.unwrap();
    assert_eq!(slot.lease.at_hand(), 1);
    let (address, mute) = child::<Mute>(&node.system, "mute", ());
    let mute = start_root(&node.system, vec![mute]).await.unwrap();
    let door = Door::local(&node.system, address, |asked| asked, Some);
    node.gateways.admit("gw3", door);
    assert_eq!(reset(&node, &key).await, (0, vec!["gw3".to_owned()]));
    assert_eq!(slot.lease.at_hand(), 0, "it goes on by another lease");
    assert_eq!(lives_on.drain(&key).await, 3);
    for root in [lives_on.root, mute, node.root] {
        root.stop(DEADLINE).await;
    }
}

#[tokio::test]
async fn a_recall_as_of_no_view_that_is_known_makes_no_account_deaf_and_is_left_to_be_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 3, TimeUnit::Day).await;
    let key = key("day", "k");
    let one = Gateway::start(&node, "gw1").await;
    let slot = one.slot(&key).await;
    let stamp = Stamp {
        epoch: u64::MAX,
        seq: u64::MAX,
    };
    let recall = Tidings::Recall(Recall {
        holder: Holder::any("gw1"),
        cell: key.cell(),
        stamp,
        window: slot.window.at(one.state.clock.now_ms()).id,
        granted: 0,
        anew: true,
    });
    let news = TellLeases::of(shard_of(&key), &[recall]).unwrap();
    let told = node.gateways.tell(news).await;
    assert_eq!(told, Err(AskError::Dropped));
    assert_eq!(one.drain(&key).await, 3, "it hears its owner");
    assert_eq!(reset(&node, &key).await, (0, vec![]));
    assert_eq!(one.drain(&key).await, 3, "and its resets");
    for root in [one.root, node.root] {
        root.stop(DEADLINE).await;
    }
}
