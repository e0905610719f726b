//! What calls cost in messages: the request path takes units without one, what is asked for together travels together, and a
//! refusal costs none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::Door;
use domain::policy::TimeUnit;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::refiller_tests::{Call, Gateway};
use crate::traffic_manager::message::{LeaseMany, Leased, ThrottleKey};
use crate::traffic_manager::{DEADLINE, Node, TrafficManagerHandle, key, shard_of};

/// An owner that counts what it is asked, and holds it up while its gate is shut.
struct Owner {
    /// Messages.
    messages: AtomicUsize,
    /// Questions of them for units.
    asks: AtomicUsize,
    /// Answers that granted more than was granted before.
    leases: AtomicUsize,
    gate: Semaphore,
}

// === impl Owner ===

impl Owner {
    fn messages(&self) -> usize {
        self.messages.load(Ordering::SeqCst)
    }

    fn counts(&self) -> (usize, usize) {
        let asks = self.asks.load(Ordering::SeqCst);
        (asks, self.leases.load(Ordering::SeqCst))
    }

    async fn answer(&self, owner: &TrafficManagerHandle, request: LeaseMany) -> Leased {
        self.messages.fetch_add(1, Ordering::SeqCst);
        let asks = request.asks.clone();
        let wishes = asks.iter().filter(|ask| ask.want > 0).count();
        self.asks.fetch_add(wishes, Ordering::SeqCst);
        let _open = self.gate.acquire().await;
        let Ok(Leased::Leases(answers)) = owner.lease(request).await else {
            return Leased::NotOwner;
        };
        let grants = asks.iter().zip(&answers).filter(|(ask, answer)| {
            let answer = answer.as_ref();
            answer.is_some_and(|answer| answer.granted > ask.have)
        });
        self.leases.fetch_add(grants.count(), Ordering::SeqCst);
        Leased::Leases(answers)
    }
}

/// A node, and a gateway that asks its owner through one that counts.
async fn counted(dir: &std::path::Path) -> (Node, Gateway, Arc<Owner>) {
    let node = Node::start(dir, 1).await;
    let owner = Arc::new(Owner {
        messages: AtomicUsize::new(0),
        asks: AtomicUsize::new(0),
        leases: AtomicUsize::new(0),
        gate: Semaphore::new(1),
    });
    let (counting, traffic) = (Arc::clone(&owner), node.traffic.clone());
    let door = Door::answering_later(move |request| {
        let (counting, traffic) = (Arc::clone(&counting), traffic.clone());
        async move { counting.answer(&traffic, request).await }
    });
    let gateway = Gateway::asking(&node, "gw1", node.traffic.asked_through(door)).await;
    (node, gateway, owner)
}

async fn stop(node: Node, gateway: Gateway) {
    gateway.root.stop(DEADLINE).await;
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn calls_cost_no_more_questions_than_leases_and_far_fewer_than_calls() {
    const CALLS: usize = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let (node, gateway, owner) = counted(dir.path()).await;
    node.save("day", 1_000_000, TimeUnit::Day).await;
    let key = key("day", "k");
    for _call in 0..CALLS {
        assert_eq!(gateway.call(&key).await, Call::Admitted);
    }
    // One may be under way.
    let (asks, leases) = owner.counts();
    assert!(asks <= leases + 1, "{asks} for {leases}");
    assert!(asks * 10 <= CALLS, "{asks} for {CALLS} calls");
    stop(node, gateway).await;
}

#[tokio::test]
async fn a_thousand_calls_that_a_full_window_refuses_cost_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let (node, gateway, owner) = counted(dir.path()).await;
    node.save("day", 3, TimeUnit::Day).await;
    let key = key("day", "k");
    assert_eq!(gateway.drain(&key).await, 3);
    let before = owner.messages();
    for _call in 0..1_000 {
        assert_eq!(gateway.call(&key).await, Call::Refused);
    }
    assert_eq!(owner.messages(), before);
    stop(node, gateway).await;
}

#[tokio::test]
async fn what_calls_of_many_keys_of_a_shard_want_while_a_question_is_under_way_travels_in_one() {
    let dir = tempfile::tempdir().unwrap();
    let (node, gateway, owner) = counted(dir.path()).await;
    node.save("day", 2_000, TimeUnit::Day).await;
    let all = (0..).map(|number: u32| key("day", &number.to_string()));
    let shard = shard_of(&key("day", "0"));
    let keys: Vec<ThrottleKey> = all.filter(|key| shard_of(key) == shard).take(21).collect();
    let shut = owner.gate.acquire().await.unwrap();
    let gateway = Arc::new(gateway);
    let mut calls = JoinSet::new();
    for key in keys.clone() {
        let gateway = Arc::clone(&gateway);
        calls.spawn(async move { gateway.call(&key).await });
    }
    for key in &keys {
        gateway.until(key, |slot| slot.line.units() > 0).await;
    }
    let deadline = gateway.now_ms() + 20_000;
    while owner.messages() == 0 {
        assert!(gateway.now_ms() < deadline, "nothing is asked for");
        tokio::task::yield_now().await;
    }
    assert_eq!(owner.messages(), 1, "one is under way, all others wait");
    drop(shut);
    let called = calls.join_all().await;
    assert!(called.iter().all(|call| *call == Call::Admitted));
    // One for all others, and what runs low by then.
    let messages = owner.messages();
    assert!(messages <= keys.len() / 4, "{messages} messages");
    let gateway = Arc::into_inner(gateway).unwrap();
    stop(node, gateway).await;
}
