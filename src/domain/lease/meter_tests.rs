//! Bytes as they stream (PROTOCOLS L11): one by one, and in any order against a real owner.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ledger::{
    CellKey, Effect, Holder, Input, Ledger, Outcome, Policies, Quota, Recovery, Reply, Stamp,
};
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

const WINDOW: WindowSpec = WindowSpec::new(TimeUnit::Sec, 10);
const POLICY: &str = "application:Small#32768";

type Running = Meter<Arc<Lease>>;

fn cell() -> CellKey {
    CellKey::new("t", POLICY, "a")
}

/// Gateways with their books, the owner, and what is true.
struct World {
    now_ms: i64,
    limit: u64,
    owner: Ledger,
    gateways: Vec<(Book, Vec<Running>)>,
    /// Bytes that passed, in all windows.
    passed: u64,
    /// Units that windows which are over ended with.
    charged: u64,
}

// === impl World ===

impl World {
    fn new(limit: u64, gateways: u64) -> Self {
        let mut policies = Policies::new(1);
        let window = WINDOW;
        policies.set("t", POLICY, Quota { limit, window });
        let book = |n| Book::open(Holder::new(format!("g{n}"), 1, 1), cell());
        Self {
            now_ms: 0,
            limit,
            owner: Ledger::new(9, Recovery::founding(1), Arc::new(policies)),
            gateways: (0..gateways).map(|n| (book(n), Vec::new())).collect(),
            passed: 0,
            charged: 0,
        }
    }

    fn lease(&self, gateway: usize) -> Arc<Lease> {
        Arc::clone(self.gateways[gateway].0.lease())
    }

    fn open(&mut self, gateway: usize, announced: u64) -> bool {
        let (lease, now_ms) = (self.lease(gateway), self.now_ms);
        let chunk = Running::chunk_of(self.limit);
        let opened = Meter::open(Arc::clone(&lease), chunk, announced, true, || now_ms);
        let Ok((meter, _)) = opened else {
            return false;
        };
        assert_eq!(lease.debt(), 0, "nobody begins while something is owed");
        self.gateways[gateway].1.push(meter);
        true
    }

    fn count(&mut self, gateway: usize, meter: usize, bytes: u64) {
        let (now_ms, meters) = (self.now_ms, &mut self.gateways[gateway].1);
        if !meters.is_empty() {
            let meter = meter % meters.len();
            meters[meter].count(bytes, || now_ms);
            self.passed += bytes;
        }
    }

    fn close(&mut self, gateway: usize, meter: usize) {
        let (now_ms, meters) = (self.now_ms, &mut self.gateways[gateway].1);
        if !meters.is_empty() {
            let meter = meter % meters.len();
            meters.swap_remove(meter).close(now_ms);
        }
    }

    /// The gateway asks, or gives back; everything the owner says is heard at once.
    fn tell(&mut self, ask: crate::ledger::Ask) {
        let mut inputs = vec![Input::Ask(ask)];
        while let Some(input) = inputs.pop() {
            for effect in self.owner.step_alone(input, self.now_ms) {
                match effect {
                    Effect::Reply(reply) => {
                        let book = self.book(&reply.holder);
                        book.apply(&reply);
                    }
                    Effect::Recall(recall) => {
                        let now_ms = self.now_ms;
                        let returned =
                            self.book(&recall.holder)
                                .recall(&recall, (1, 0, false), now_ms);
                        inputs.extend(returned.map(Input::Ask));
                    }
                    Effect::Reopen(reopen) => {
                        let now_ms = self.now_ms;
                        self.book(&reopen.holder).reopen(&reopen, now_ms);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn book(&mut self, holder: &Holder) -> &mut Book {
        let found = |(book, _): &&mut (Book, Vec<Running>)| book.holder() == holder;
        &mut self.gateways.iter_mut().find(found).unwrap().0
    }

    fn ask(&mut self, gateway: usize, wanted: u32) {
        let ask = self.gateways[gateway]
            .0
            .ask(1, (wanted, wanted), self.now_ms);
        self.tell(ask);
    }

    fn give_back(&mut self, gateway: usize) {
        let ask = self.gateways[gateway].0.give_back(1, self.now_ms);
        self.tell(ask);
    }

    /// Asks until nothing is owed or the owner says no, as the lease actor does.
    fn pay(&mut self, gateway: usize) {
        for _ in 0..10_000 {
            let lease = self.lease(gateway);
            let owed = lease.debt();
            if owed == 0 || lease.is_closed(self.now_ms) {
                return;
            }
            self.ask(gateway, 0);
            if lease.debt() == owed {
                // Told to ask again a moment later.
                self.advance(1);
            }
        }
        panic!("debts are neither paid nor refused");
    }

    fn advance(&mut self, ms: i64) {
        let before = WINDOW.at(self.now_ms);
        self.now_ms += ms;
        if self.now_ms >= before.end_ms {
            self.charged += self.used();
            self.owner.step_alone(Input::Tick, self.now_ms);
        }
    }

    /// Units that the owner counts in the window of now.
    fn used(&self) -> u64 {
        let Some(image) = self.owner.image(&cell()) else {
            return 0;
        };
        image.spent
            + image
                .holders
                .iter()
                .map(|(_, count)| count.net())
                .sum::<u64>()
    }

    fn debt(&self) -> u64 {
        let debts = self.gateways.iter().map(|(book, _)| book.lease().debt());
        debts.sum()
    }

    fn check(&self) {
        assert!(self.used() <= self.limit, "never over");
        let accounted = self.charged + self.used() + self.debt();
        assert!(self.passed <= accounted, "{} of {}", accounted, self.passed);
    }
}

#[test]
fn what_a_call_did_not_use_goes_back_at_its_end() {
    let mut world = World::new(2_000, 1);
    world.ask(0, 10);
    assert!(world.open(0, 0));
    world.count(0, 0, 3);
    let at_hand = world.lease(0).at_hand();
    world.close(0, 0);
    assert_eq!(world.lease(0).at_hand(), at_hand + 7, "of a chunk of ten");
    world.give_back(0);
    assert_eq!(world.used(), 3);
}

#[test]
fn what_a_stream_overruns_is_paid_by_the_windows_that_follow() {
    let mut world = World::new(1_000, 1);
    world.ask(0, 5);
    assert!(world.open(0, 0));
    world.count(0, 0, 2_500);
    world.close(0, 0);
    world.pay(0);
    assert_eq!((world.used(), world.debt()), (1_000, 1_500));
    assert!(!world.open(0, 0), "the quota is exhausted");
    for owed in [500, 0] {
        world.advance(10_000);
        world.pay(0);
        assert_eq!(world.debt(), owed);
    }
    world.ask(0, 1);
    assert!(world.open(0, 0), "half a window is left");
    world.check();
}

#[test]
fn a_reservation_of_a_window_that_is_over_pays_for_nothing_in_the_next() {
    let mut world = World::new(2_000, 1);
    world.ask(0, 10);
    assert!(world.open(0, 0));
    world.advance(10_000);
    world.count(0, 0, 4);
    assert_eq!(
        world.debt(),
        4,
        "the gateway has nothing of the new window yet"
    );
    world.pay(0);
    world.close(0, 0);
    world.give_back(0);
    assert_eq!((world.debt(), world.used()), (0, 4));
}

#[test]
fn an_announced_length_is_reserved_at_once_within_bounds() {
    let lease = Arc::new(Lease::default());
    let mut book = Book::open(Holder::new("g", 1, 1), cell());
    let granted = Reply {
        holder: Holder::new("g", 1, 1),
        cell: cell(),
        stamp: Stamp { epoch: 1, seq: 1 },
        asked_at_ms: 0,
        window: Some(WINDOW.at(0)),
        remaining_ms: 10_000,
        granted: 1 << 30,
        limit: 1 << 40,
        left: 0,
        outcome: Outcome::Granted,
    };
    book.apply(&granted);
    let reserved = |announced| {
        let before = book.lease().at_hand();
        let (_meter, _) =
            Meter::open(Arc::clone(book.lease()), 65_536, announced, true, || 0).unwrap();
        before - book.lease().at_hand()
    };
    assert_eq!(
        [0, 9, 70_000, u64::MAX].map(reserved),
        [65_536, 65_536, 70_000, 1_048_576]
    );
    let refused = Meter::open(lease, 65_536, 0, true, || 0).map(|_| ());
    assert_eq!(refused, Err(Refused::Empty { ask: true }));
}

#[test]
fn a_policy_that_lets_everything_through_makes_no_debts() {
    let mut world = World::new(1_000, 1);
    let now_ms = world.now_ms;
    world.ask(0, 5);
    let (mut meter, _) = Meter::open(world.lease(0), 5, 0, false, || now_ms).unwrap();
    while !world.lease(0).is_closed(now_ms) {
        meter.count(100, || now_ms);
        world.ask(0, 100);
    }
    meter.count(1_000_000, || now_ms);
    assert_eq!((world.debt(), world.used()), (0, 1_000));
}

#[test]
fn debts_and_units_never_lie_side_by_side() {
    let mut book = Book::open(Holder::new("g", 1, 1), cell());
    let lease = Arc::clone(book.lease());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for turn in 0..10_000 {
                    match lease.take_most(3, || 0) {
                        Ok(receipt) if turn % 2 == 0 => lease.put_back_and_settle(receipt, 0),
                        Ok(_) => {}
                        Err(_) => lease.overrun(2, 0),
                    }
                }
            });
        }
        for round in 1..=2_000u64 {
            book.apply(&Reply {
                holder: Holder::new("g", 1, 1),
                cell: cell(),
                stamp: Stamp {
                    epoch: 1,
                    seq: round,
                },
                asked_at_ms: 0,
                window: Some(WINDOW.at(0)),
                remaining_ms: 10_000,
                granted: round * 10,
                limit: 1 << 40,
                left: 0,
                outcome: Outcome::Granted,
            });
        }
    });
    assert!(lease.debt() == 0 || lease.at_hand() == 0);
}

#[derive(Debug, Clone)]
enum Happening {
    Open(usize, u64),
    Count(usize, usize, u64),
    Close(usize, usize),
    Ask(usize, u32),
    GiveBack(usize),
    Advance(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let gateway = 0..2_usize;
    prop_oneof![
        3 => (gateway.clone(), 0..500_u64).prop_map(|(g, n)| Happening::Open(g, n)),
        6 => (gateway.clone(), any::<usize>(), 1..400_u64)
            .prop_map(|(g, m, n)| Happening::Count(g, m, n)),
        3 => (gateway.clone(), any::<usize>()).prop_map(|(g, m)| Happening::Close(g, m)),
        6 => (gateway.clone(), 0..200_u32).prop_map(|(g, n)| Happening::Ask(g, n)),
        1 => gateway.prop_map(Happening::GiveBack),
        1 => (1..6_000_i64).prop_map(Happening::Advance),
    ]
}

proptest! {
    #[test]
    fn every_byte_is_charged_to_a_window_or_owed(
        limit in 1..3_000_u64,
        happenings in prop::collection::vec(happening(), 1..200),
    ) {
        let mut world = World::new(limit, 2);
        for happening in happenings {
            match happening {
                Happening::Open(gateway, announced) => drop(world.open(gateway, announced)),
                Happening::Count(gateway, meter, bytes) => world.count(gateway, meter, bytes),
                Happening::Close(gateway, meter) => world.close(gateway, meter),
                Happening::Ask(gateway, wanted) => world.ask(gateway, wanted),
                Happening::GiveBack(gateway) => world.give_back(gateway),
                Happening::Advance(ms) => world.advance(ms),
            }
            world.check();
        }
        // By the gateways' clocks as well, which are a little early.
        let one_window = world.now_ms < 9_900;
        for gateway in 0..2 {
            while !world.gateways[gateway].1.is_empty() {
                world.close(gateway, 0);
            }
            world.pay(gateway);
            world.give_back(gateway);
        }
        world.check();
        if one_window {
            prop_assert_eq!(world.used() + world.debt(), world.passed, "settled to the byte");
        }
        let windows = world.debt() / world.limit + 2;
        for _ in 0..windows {
            world.advance(10_000);
            for gateway in 0..2 {
                world.pay(gateway);
                world.give_back(gateway);
            }
        }
        prop_assert_eq!(world.debt(), 0, "every debt is paid in time");
        world.check();
    }
}
