//! What calls of each mode come to at a gateway whose owner grants nothing (L8), and what a gateway hears that its owner
//! does not know (L9).

use std::sync::{Arc, Mutex};

use cluster::{Actor, Address, Asked, BoxError, Door, Root, child, start_root};
use domain::ledger::{Outcome, Reply, Stamp};
use domain::policy::{Mode, Policy, TimeUnit};
use domain::window::WindowSpec;

use super::policy_rule::{CountedLimit, PolicyRule};
use super::refiller_tests::{Call, Gateway};
use crate::traffic_manager::message::TellLeases;
use crate::traffic_manager::message::{LeaseAnswer, LeaseMany, Leased, ThrottleKey};
use crate::traffic_manager::{
    DEADLINE, KeyChange, KeyChanged, Node, Tidings, TrafficManagerHandle, key, shard_of,
};

const LIMIT: u64 = 30;
const GATEWAYS: usize = 3;

/// How whoever is asked for units answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// As the owner does.
    Owner,
    /// It owns nothing.
    NotOwner,
    /// The same, to one question.
    NotOwnerOnce,
    /// It waits in Sync.
    Retry,
    /// The same, to so many questions.
    RetryTo(u32),
    /// Its standby or its disk does not answer.
    Nothing,
    /// It is not there.
    Silence,
}

type Play = Arc<Mutex<Answers>>;

/// Stands between a gateway and the owner.
struct Between {
    play: Play,
    owner: TrafficManagerHandle,
    unanswered: Vec<cluster::Reply<Leased>>,
}

impl Actor for Between {
    type Message = Asked<LeaseMany>;
    type Arguments = (Play, TrafficManagerHandle);
    const KIND: &'static str = "test.between";

    async fn start(
        (play, owner): (Play, TrafficManagerHandle),
        _: Address<Asked<LeaseMany>>,
    ) -> Result<Self, BoxError> {
        let unanswered = Vec::new();
        Ok(Self {
            play,
            owner,
            unanswered,
        })
    }

    async fn handle(&mut self, asked: Asked<LeaseMany>) -> Result<(), BoxError> {
        let Asked { request, reply } = asked;
        let answers = *self.play.lock().unwrap();
        let of_all = |answer: Option<LeaseAnswer>| {
            let all = request.asks.iter().map(|_| answer.clone());
            Leased::Leases(all.collect())
        };
        match answers {
            Answers::Owner => {
                let owner = self.owner.clone();
                cluster::spawn_named("asks the owner", async move {
                    if let Ok(leased) = owner.lease(request).await {
                        reply.send(leased);
                    }
                });
            }
            Answers::NotOwner => reply.send(Leased::NotOwner),
            Answers::NotOwnerOnce => {
                *self.play.lock().unwrap() = Answers::Owner;
                reply.send(Leased::NotOwner);
            }
            Answers::Retry | Answers::RetryTo(_) => {
                if let Answers::RetryTo(left) = answers {
                    *self.play.lock().unwrap() = match left {
                        0 | 1 => Answers::Owner,
                        left => Answers::RetryTo(left - 1),
                    };
                }
                let outcome = Outcome::Retry { after_ms: 200 };
                let waits = LeaseAnswer {
                    stamp: Stamp::default(),
                    window: None,
                    remaining_ms: 0,
                    granted: 0,
                    limit: 0,
                    left: 0,
                    outcome,
                };
                reply.send(of_all(Some(waits)));
            }
            Answers::Nothing => reply.send(of_all(None)),
            Answers::Silence => self.unanswered.push(reply),
        }
        Ok(())
    }
}

/// The way of a gateway to the owner that leads through it.
async fn between(node: &Node, play: &Play) -> (Door<LeaseMany>, Root) {
    let arguments = (Arc::clone(play), node.traffic.clone());
    let (address, between) = child::<Between>(&node.system, "between", arguments);
    let door = Door::local(&node.system, address, |asked| asked, Some);
    (door, start_root(&node.system, vec![between]).await.unwrap())
}

fn limit() -> Arc<CountedLimit> {
    let mut policy = Policy::defaults("t", String::new).remove(0);
    let limit = policy.limit.as_mut().unwrap();
    (limit.units, limit.time_unit) = (LIMIT, TimeUnit::Day);
    let rule = PolicyRule::compile(policy);
    Arc::clone(rule.limit("::1".parse().unwrap()).unwrap())
}

/// One call as a request makes it: held while its mode lets it not go on.
async fn call(gateway: &Gateway, key: &ThrottleKey, mode: Mode) -> Call {
    gateway.call_in(key, Some((&limit(), mode))).await
}

/// How many of so many calls are let through, before the first one that is held in vain or refused.
async fn let_through(gateway: &Gateway, key: &ThrottleKey, mode: Mode, calls: u64) -> u64 {
    for number in 0..calls {
        if call(gateway, key, mode).await != Call::Admitted {
            return number;
        }
    }
    calls
}

#[tokio::test]
async fn while_an_owner_grants_nothing_modes_let_through_what_they_say_and_all_are_exact_with_one()
{
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", LIMIT, TimeUnit::Day).await;
    let play = Play::new(Mutex::new(Answers::Owner));
    let (door, between) = between(&node, &play).await;
    let gateway = Gateway::asking(&node, "gw1", node.traffic.asked_through(door)).await;
    gateway.state.unowned.sees_gateways(GATEWAYS);
    let share = LIMIT / u64::try_from(GATEWAYS).unwrap();
    for answers in [
        Answers::NotOwner,
        Answers::Retry,
        Answers::Nothing,
        Answers::Silence,
    ] {
        let of = |mode: Mode| key("day", &format!("{answers:?} {mode:?}"));
        *play.lock().unwrap() = answers;
        let keys = [of(Mode::Exact), of(Mode::Share), of(Mode::Allow)];
        let (exact, shared, allowed) = tokio::join!(
            let_through(&gateway, &keys[0], Mode::Exact, 1),
            let_through(&gateway, &keys[1], Mode::Share, LIMIT),
            let_through(&gateway, &keys[2], Mode::Allow, 2 * LIMIT),
        );
        let expected = (0, share, 2 * LIMIT);
        assert_eq!((exact, shared, allowed), expected, "{answers:?}");
        *play.lock().unwrap() = Answers::Owner;
        for mode in [Mode::Exact, Mode::Share, Mode::Allow] {
            let slot = gateway.slot(&of(mode)).await;
            // The first answer of an owner ends it.
            gateway.refill(&slot, 1);
            gateway
                .until(&of(mode), |slot| {
                    !gateway.state.unowned.has(slot.shard, gateway.now_ms())
                })
                .await;
            let passed = let_through(&gateway, &of(mode), mode, 2 * LIMIT).await;
            assert_eq!(passed, LIMIT, "{mode:?} after {answers:?}");
        }
    }
    gateway.root.stop(DEADLINE).await;
    between.stop(DEADLINE).await;
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn a_reset_opens_a_key_at_gateways_that_its_owner_does_not_know_of() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 1, TimeUnit::Day).await;
    let known = Gateway::start(&node, "gw1").await;
    let unknown = Gateway::start(&node, "gw2").await;
    let key = key("day", "k");
    assert_eq!(known.drain(&key).await, 1);
    // An owner whose memory is lost told it no.
    let slot = unknown.slot(&key).await;
    let window = WindowSpec::new(TimeUnit::Day, 1).at(unknown.state.clock.now_ms());
    let told_no = Tidings::Answer(Reply {
        holder: domain::ledger::Holder::new("gw2", 1, 1),
        cell: key.cell(),
        stamp: Stamp { epoch: 0, seq: 1 },
        asked_at_ms: unknown.now_ms(),
        window: Some(window),
        remaining_ms: 3_600_000,
        granted: 0,
        limit: 1,
        left: 0,
        outcome: Outcome::Final,
    });
    let news = TellLeases::of(shard_of(&key), &[told_no]).unwrap();
    node.gateways.tell(news).await.unwrap();
    assert!(slot.lease.is_closed(unknown.now_ms()));
    let changed = node.change_key(&key, KeyChange::Reset).await;
    assert!(matches!(changed, KeyChanged::Changed { .. }), "{changed:?}");
    unknown
        .until(&key, |slot| !slot.lease.is_closed(unknown.now_ms()))
        .await;
    assert_eq!(unknown.drain(&key).await, 1);
    for gateway in [known, unknown] {
        gateway.root.stop(DEADLINE).await;
    }
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn what_was_given_back_to_somebody_who_is_not_the_owner_is_given_out_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 2, TimeUnit::Day).await;
    let play = Play::new(Mutex::new(Answers::Owner));
    let (door, between) = between(&node, &play).await;
    let one = Gateway::asking(&node, "gw1", node.traffic.asked_through(door)).await;
    let other = Gateway::start(&node, "gw2").await;
    let key = key("day", "k");
    assert_eq!(one.call(&key).await, Call::Admitted);
    one.until(&key, |slot| slot.lease.at_hand() == 1).await;
    // It is recalled for the other.
    *play.lock().unwrap() = Answers::NotOwnerOnce;
    assert_eq!(other.call(&key).await, Call::Admitted);
    assert_eq!(*play.lock().unwrap(), Answers::Owner, "it was asked");
    other.root.stop(DEADLINE).await;
    one.root.stop(DEADLINE).await;
    between.stop(DEADLINE).await;
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn what_was_given_back_while_a_view_began_is_given_out_when_it_is_active_however_long_that_took()
 {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), 1).await;
    node.save("day", 2, TimeUnit::Day).await;
    let play = Play::new(Mutex::new(Answers::Owner));
    let (door, between) = between(&node, &play).await;
    let one = Gateway::asking(&node, "gw1", node.traffic.asked_through(door)).await;
    let other = Gateway::start(&node, "gw2").await;
    let key = key("day", "k");
    assert_eq!(one.call(&key).await, Call::Admitted);
    one.until(&key, |slot| slot.lease.at_hand() == 1).await;
    // It is recalled for the other, which is told no: nobody takes what comes back, for longer than that is said again soon.
    *play.lock().unwrap() = Answers::RetryTo(4);
    assert_eq!(other.call(&key).await, Call::Refused);
    other
        .until(&key, |slot| !slot.lease.is_closed(other.now_ms()))
        .await;
    assert_eq!(*play.lock().unwrap(), Answers::Owner);
    assert_eq!(other.call(&key).await, Call::Admitted);
    other.root.stop(DEADLINE).await;
    one.root.stop(DEADLINE).await;
    between.stop(DEADLINE).await;
    node.root.stop(DEADLINE).await;
}
