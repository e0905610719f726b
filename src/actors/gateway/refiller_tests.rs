//! Two gateways against one owner of shards, through the real actors: what L2, L7, L9 and L12
//! promise to the callers of both.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cluster::{Address, AskError, Root, start_root};
use domain::lease::Refused;
use domain::ledger::{Ask, Holder, SHARED_KEY};
use domain::policy::{Mode, TimeUnit};
use domain::window::WindowSpec;

use super::lease_cache::{KeyParts, Slot};
use super::policy_rule::CountedLimit;
use super::refiller::{Arguments, Message};
use super::state::State;
use super::taking::{Wants, take};
use crate::traffic_manager::message::{LeaseMany, Leased, ThrottleKey};
use crate::traffic_manager::{DEADLINE, LedgerSettings, Node, TrafficManagerHandle, key, shard_of};

const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);
/// What a call waits for a unit before it is given up (L8).
const HELD: Duration = Duration::from_secs(3);

pub(super) struct Gateway {
    pub(super) state: Arc<State>,
    pub(super) refiller: Address<Message>,
    pub(super) root: Root,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    Admitted,
    Refused,
    GivenUp,
}

/// A call of a test.
struct Calling<'a> {
    gateway: &'a Gateway,
    key: &'a ThrottleKey,
    mode: Option<(&'a CountedLimit, Mode)>,
    until: Duration,
}

// === impl Calling ===

impl Wants for Calling<'_> {
    type Refusal = Call;

    fn units(&self) -> u32 {
        1
    }

    fn at_hand(&self) -> Option<Arc<Slot>> {
        self.gateway.state.leases.get(&KeyParts::of(self.key), DAY)
    }

    async fn open(&mut self, patience: Duration) -> Result<Arc<Slot>, AskError> {
        let open = |reply| Message::Open(self.key.clone(), DAY, reply);
        self.gateway.refiller.ask(patience, open).await
    }

    fn take(&mut self, slot: &Arc<Slot>) -> Result<(), Refused> {
        let receipt = slot.lease.take(1, || self.gateway.now_ms())?;
        if receipt.ask {
            self.refill(slot, 0);
        }
        Ok(())
    }

    fn refill(&self, slot: &Arc<Slot>, waited_for: u32) {
        let slot = Arc::clone(slot);
        let refill = Message::Refill { slot, waited_for };
        let _ = self.gateway.refiller.tell(refill);
    }

    fn is_unowned(&self, slot: &Slot) -> bool {
        let now_ms = self.gateway.now_ms();
        self.gateway.state.unowned.has(slot.shard, now_ms)
    }

    fn goes_on(&self) -> bool {
        let state = &self.gateway.state;
        self.mode.is_some_and(|(limit, mode)| {
            let at_ms = state.clock.now_ms();
            let parts = KeyParts::of(self.key);
            state.unowned.lets_through(parts, limit, mode, 1, at_ms)
        })
    }

    fn left(&mut self) -> Result<Duration, Call> {
        let now = self.gateway.state.clock.monotonic();
        let left = self.until.saturating_sub(now);
        if left.is_zero() {
            Err(Call::GivenUp)
        } else {
            Ok(left)
        }
    }

    fn used_up(&mut self, _: &Slot, _: i64) -> Result<(), Call> {
        Err(Call::Refused)
    }

    fn overloaded(&self) -> Call {
        Call::GivenUp
    }
}

// === impl Gateway ===

impl Gateway {
    pub(super) async fn start(node: &Node, name: &str) -> Self {
        Self::asking(node, name, node.traffic.clone()).await
    }

    pub(super) async fn asking(node: &Node, name: &str, traffic: TrafficManagerHandle) -> Self {
        Self::of_life(node, name, traffic, 1).await
    }

    pub(super) async fn of_life(
        node: &Node,
        name: &str,
        traffic: TrafficManagerHandle,
        incarnation: u64,
    ) -> Self {
        let state = Arc::new(State::new(node.system.clock.clone()));
        let arguments = Arguments {
            state: Arc::clone(&state),
            traffic_manager: traffic,
            node: name.to_owned(),
            incarnation,
            leases: Arc::new(AtomicU64::new(0)),
        };
        let actor = format!("{name}/refiller");
        let (refiller, child) = super::leases(&node.system, &actor, arguments, &node.gateways);
        let root = start_root(&node.system, vec![child]).await.unwrap();
        Self {
            state,
            refiller,
            root,
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        super::steady_ms(&self.state.clock)
    }

    pub(super) async fn slot(&self, key: &ThrottleKey) -> Arc<Slot> {
        if let Some(slot) = self.state.leases.get(&KeyParts::of(key), DAY) {
            return slot;
        }
        let open = |reply| Message::Open(key.clone(), DAY, reply);
        self.refiller.ask(DEADLINE, open).await.unwrap()
    }

    pub(super) fn refill(&self, slot: &Arc<Slot>, waited_for: u32) {
        let slot = Arc::clone(slot);
        let _ = self.refiller.tell(Message::Refill { slot, waited_for });
    }

    /// Takes a unit as a request does.
    pub(super) async fn call(&self, key: &ThrottleKey) -> Call {
        self.call_in(key, None).await
    }

    /// The same by a limit of some mode.
    pub(super) async fn call_in(
        &self,
        key: &ThrottleKey,
        mode: Option<(&CountedLimit, Mode)>,
    ) -> Call {
        let until = self.state.clock.monotonic() + HELD;
        let mut calling = Calling {
            gateway: self,
            key,
            mode,
            until,
        };
        match take(&mut calling).await {
            Ok(()) => Call::Admitted,
            Err(refused) => refused,
        }
    }

    /// Calls until it is refused; gives how many were admitted.
    pub(super) async fn drain(&self, key: &ThrottleKey) -> u64 {
        let mut admitted = 0;
        loop {
            match self.call(key).await {
                Call::Admitted => admitted += 1,
                Call::Refused => return admitted,
                Call::GivenUp => panic!("neither admitted nor refused in time"),
            }
        }
    }

    /// Waits until the lease of a key is as it should be.
    pub(super) async fn until(&self, key: &ThrottleKey, holds: impl Fn(&Slot) -> bool) {
        let deadline = self.state.clock.monotonic() + DEADLINE;
        while !holds(&*self.slot(key).await) {
            assert!(self.state.clock.monotonic() < deadline, "not in time");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Drains a key at both gateways until `expected` calls were admitted, and shows that no other is. A gateway that
/// was slow to answer a recall counts as silent until it speaks; what it then gives back is given out as well.
pub(super) async fn give_out(gateways: [(&Gateway, &ThrottleKey); 2], expected: u64) {
    let [(one, here), (other, there)] = gateways;
    let (clock, mut admitted) = (&one.state.clock, 0);
    let deadline = clock.monotonic() + DEADLINE;
    while admitted < expected {
        assert!(clock.monotonic() < deadline, "{admitted} of {expected}");
        let (first, second) = tokio::join!(one.drain(here), other.drain(there));
        admitted += first + second;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    admitted += one.drain(here).await + other.drain(there).await;
    assert_eq!(admitted, expected);
}

/// One owner and two gateways.
async fn two(dir: &std::path::Path) -> (Node, Gateway, Gateway) {
    let node = Node::start(dir, 1).await;
    let one = Gateway::start(&node, "gw1").await;
    let other = Gateway::start(&node, "gw2").await;
    (node, one, other)
}

/// Gives a unit to a gateway that is only a name: it is told nothing and says nothing.
pub(super) async fn granted_to(node: &Node, name: &str, key: &ThrottleKey) {
    let ask = Ask {
        holder: Holder::new(name, 1, 1),
        cell: key.cell(),
        policies: 0,
        epoch: 0,
        asked_at_ms: 0,
        window: None,
        have: 0,
        returned: 0,
        want: 1,
        emptied: true,
        due: 0,
    };
    let request = LeaseMany::of(shard_of(key), &[ask]).unwrap();
    let Ok(Leased::Leases(answers)) = node.traffic.lease(request).await else {
        panic!("no lease");
    };
    assert_eq!(answers[0].as_ref().map(|answer| answer.granted), Some(1));
}

async fn stop(node: Node, gateways: [Gateway; 2]) {
    for gateway in gateways {
        gateway.root.stop(DEADLINE).await;
    }
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn small_limits_are_given_out_completely_and_never_exceeded() {
    let dir = tempfile::tempdir().unwrap();
    let (node, one, other) = two(dir.path()).await;
    for limit in [1, 3, 10] {
        let (name, rounds) = (format!("day{limit}"), ["a", "b", "c", "d"]);
        node.save(&name, limit, TimeUnit::Day).await;
        for subject in rounds {
            let key = key(&name, subject);
            give_out([(&one, &key), (&other, &key)], limit).await;
        }
    }
    stop(node, [one, other]).await;
}

#[tokio::test]
async fn what_lies_unused_at_one_gateway_is_recalled_for_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (node, one, other) = two(dir.path()).await;
    node.save("day", 2, TimeUnit::Day).await;
    let key = key("day", "k");
    assert_eq!(one.call(&key).await, Call::Admitted);
    one.until(&key, |slot| slot.lease.at_hand() == 1).await;
    let began = node.system.clock.monotonic();
    give_out([(&other, &key), (&other, &key)], 1).await;
    let took = node.system.clock.monotonic() - began;
    // Unasked it gives back what lay idle for a second.
    assert!(took < Duration::from_millis(900), "not recalled: {took:?}");
    give_out([(&one, &key), (&other, &key)], 0).await;
    stop(node, [one, other]).await;
}

#[tokio::test]
async fn a_raised_plan_lets_calls_through_at_once_that_were_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (node, one, other) = two(dir.path()).await;
    node.save("day", 3, TimeUnit::Day).await;
    let key = key("day", "k");
    give_out([(&one, &key), (&other, &key)], 3).await;
    node.save("day", 5, TimeUnit::Day).await;
    one.until(&key, |slot| !slot.lease.is_closed(one.now_ms()))
        .await;
    other
        .until(&key, |slot| !slot.lease.is_closed(other.now_ms()))
        .await;
    give_out([(&one, &key), (&other, &key)], 2).await;
    stop(node, [one, other]).await;
}

#[tokio::test]
async fn a_lowered_plan_takes_back_what_lies_unused() {
    let dir = tempfile::tempdir().unwrap();
    let (node, one, other) = two(dir.path()).await;
    node.save("day", 4_000, TimeUnit::Day).await;
    let key = key("day", "k");
    assert_eq!(one.call(&key).await, Call::Admitted);
    assert_eq!(other.call(&key).await, Call::Admitted);
    one.until(&key, |slot| slot.lease.at_hand() > 0).await;
    let began = node.system.clock.monotonic();
    node.save("day", 5, TimeUnit::Day).await;
    one.until(&key, |slot| slot.lease.at_hand() == 0).await;
    other.until(&key, |slot| slot.lease.at_hand() == 0).await;
    let took = node.system.clock.monotonic() - began;
    // Unasked they give back what lay idle for a second.
    assert!(took < Duration::from_millis(900), "not recalled: {took:?}");
    give_out([(&one, &key), (&other, &key)], 3).await;
    stop(node, [one, other]).await;
}

#[tokio::test]
async fn what_a_silent_gateway_holds_is_spent_after_the_recall_round() {
    let dir = tempfile::tempdir().unwrap();
    let (node, one, other) = two(dir.path()).await;
    node.save("day", 3, TimeUnit::Day).await;
    let key = key("day", "k");
    // It has no door: it is told nothing and says nothing.
    granted_to(&node, "gw3", &key).await;
    let began = node.system.clock.monotonic();
    give_out([(&one, &key), (&other, &key)], 2).await;
    let took = node.system.clock.monotonic() - began;
    assert!(
        took >= Duration::from_millis(100),
        "no before the round: {took:?}"
    );
    stop(node, [one, other]).await;
}

#[tokio::test]
async fn a_gateway_that_lost_its_accounts_opens_new_leases_and_one_that_stops_returns_all() {
    let dir = tempfile::tempdir().unwrap();
    let (node, one, other) = two(dir.path()).await;
    node.save("day", 600, TimeUnit::Day).await;
    let key = key("day", "k");
    let mut admitted = 0;
    for _ in 0..5 {
        assert_eq!(one.call(&key).await, Call::Admitted);
        admitted += 1;
    }
    let lost = one.slot(&key).await;
    assert!(node.system.registry.restart("gw1/refiller"));
    one.until(&key, |slot| !std::ptr::eq(slot, &*lost)).await;
    assert_eq!(one.call(&key).await, Call::Admitted);
    admitted += 1;
    // A lease of a day's 600 is of 3 units: with two asks at most 6 were lost with the accounts.
    one.root.stop(DEADLINE).await;
    while admitted < 594 {
        admitted += other.drain(&key).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    admitted += other.drain(&key).await;
    assert!(admitted <= 600, "{admitted}");
    other.root.stop(DEADLINE).await;
    node.root.stop(DEADLINE).await;
}

#[tokio::test]
async fn keys_beyond_a_shards_bound_share_one_strict_limit() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::with(dir.path(), 1, LedgerSettings { keys: 1 }).await;
    let (one, other) = (
        Gateway::start(&node, "gw1").await,
        Gateway::start(&node, "gw2").await,
    );
    node.save("day", 5, TimeUnit::Day).await;
    let shard = shard_of(&key("day", "0"));
    let mut together = (0..).map(|number: u32| key("day", &number.to_string()));
    let mut next = || together.find(|key| shard_of(key) == shard).unwrap();
    let (own, first, second) = (next(), next(), next());
    assert_eq!(one.call(&own).await, Call::Admitted);
    give_out([(&one, &first), (&other, &second)], 5).await;
    give_out([(&one, &second), (&other, &first)], 0).await;
    assert_eq!(one.slot(&first).await.key.subject, SHARED_KEY);
    give_out([(&one, &own), (&other, &own)], 4).await;
    stop(node, [one, other]).await;
}

#[tokio::test]
async fn calls_of_a_policy_that_the_owner_does_not_know_are_held_and_never_let_through() {
    let dir = tempfile::tempdir().unwrap();
    let (node, one, other) = two(dir.path()).await;
    node.save("day", 5, TimeUnit::Day).await;
    assert_eq!(one.call(&key("none", "k")).await, Call::GivenUp);
    stop(node, [one, other]).await;
}
