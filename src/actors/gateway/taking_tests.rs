//! The loop of a call that has to have units, alone: the test is the owner.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{AskError, Clock, spawn_named};
use domain::lease::{Book, Refused};
use domain::ledger::{Ask, Holder, Outcome, Reply, Stamp};
use domain::policy::{PolicyLevel, TimeUnit};
use domain::window::WindowSpec;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::lease_cache::Slot;
use super::line::Line;
use super::taking::{Wants, take};
use crate::traffic_manager::message::ThrottleKey;

const HOUR: WindowSpec = WindowSpec::new(TimeUnit::Hour, 1);
const SOON: Duration = Duration::from_secs(10);

/// Grants units of one lease.
pub(super) struct Owner {
    pub(super) slot: Arc<Slot>,
    book: Mutex<(Book, u64)>,
}

// === impl Owner ===

impl Owner {
    pub(super) fn new() -> Self {
        let key = ThrottleKey {
            tenant: "t".to_owned(),
            level: PolicyLevel::Application,
            policy: "p".to_owned(),
            limit: 0,
            subject: "s".to_owned(),
        };
        let book = Book::open(Holder::new("g", 1, 1), key.cell());
        let slot = Arc::new(Slot {
            shard: 0,
            key,
            window: HOUR,
            lease: Arc::clone(book.lease()),
            changed: Notify::new(),
            line: Line::default(),
        });
        let book = Mutex::new((book, 0));
        Self { slot, book }
    }

    pub(super) fn grant(&self, units: u64) {
        self.answer(units, Outcome::Granted);
    }

    fn refuse(&self) {
        self.answer(0, Outcome::Final);
    }

    fn answer(&self, units: u64, outcome: Outcome) {
        let mut book = self.book.lock().unwrap();
        let (book, granted) = &mut *book;
        let Ask {
            holder,
            cell,
            asked_at_ms,
            ..
        } = book.ask(1, (0, 0), 0);
        *granted += units;
        let reply = Reply {
            holder,
            cell,
            stamp: Stamp { epoch: 1, seq: 1 },
            asked_at_ms,
            window: Some(HOUR.at(0)),
            remaining_ms: 1 << 40,
            granted: *granted,
            limit: 1_000,
            left: 0,
            outcome,
        };
        book.apply(&reply);
        self.slot.changed.notify_waiters();
    }

    /// Until so many units are waited for.
    async fn until_waited_for(&self, units: u32) {
        let (clock, slot) = (Clock::system(), &self.slot);
        let until = clock.monotonic() + SOON;
        while slot.line.units() != units {
            assert!(clock.monotonic() < until, "{:?}", slot.line);
            tokio::task::yield_now().await;
        }
    }
}

/// What all calls of a test have in common.
struct Calls {
    owner: Owner,
    clock: Clock,
    /// Numbers of those that were let through, in order.
    took: Mutex<Vec<u64>>,
    refilled: AtomicU32,
    is_unowned: AtomicBool,
    /// Whether there is a lease without one being opened.
    is_open: AtomicBool,
    /// How often it cannot be opened.
    closed_for: AtomicU64,
}

struct Call {
    of: Arc<Calls>,
    number: u64,
    until: Duration,
    /// Whether it goes on without units.
    goes_on: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    UsedUp,
    TooLong,
    Overloaded,
}

// === impl Calls ===

impl Calls {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            owner: Owner::new(),
            clock: Clock::system(),
            took: Mutex::default(),
            refilled: AtomicU32::new(0),
            is_unowned: AtomicBool::new(false),
            is_open: AtomicBool::new(true),
            closed_for: AtomicU64::new(0),
        })
    }

    fn call(self: &Arc<Self>, number: u64) -> Call {
        Call {
            of: Arc::clone(self),
            number,
            until: self.clock.monotonic() + SOON,
            goes_on: false,
        }
    }

    /// Calls with these numbers that come one after the other.
    async fn come(
        self: &Arc<Self>,
        numbers: std::ops::Range<u64>,
    ) -> Vec<JoinHandle<Result<(), Told>>> {
        let mut calls = Vec::new();
        for number in numbers {
            let mut call = self.call(number);
            let before = self.owner.slot.line.units();
            calls.push(spawn_named("a call", async move { take(&mut call).await }));
            self.owner.until_waited_for(before + 1).await;
        }
        calls
    }
}

// === impl Call ===

impl Wants for Call {
    type Refusal = Told;

    fn units(&self) -> u32 {
        1
    }

    fn at_hand(&self) -> Option<Arc<Slot>> {
        let is_open = self.of.is_open.load(Ordering::Relaxed);
        is_open.then(|| Arc::clone(&self.of.owner.slot))
    }

    async fn open(&mut self, _: Duration) -> Result<Arc<Slot>, AskError> {
        let closed_for = &self.of.closed_for;
        match closed_for.load(Ordering::Relaxed) {
            0 => Ok(Arc::clone(&self.of.owner.slot)),
            u64::MAX => Err(AskError::Overloaded),
            left => {
                closed_for.store(left - 1, Ordering::Relaxed);
                Err(AskError::Unavailable)
            }
        }
    }

    fn take(&mut self, slot: &Arc<Slot>) -> Result<(), Refused> {
        let mut took = self.of.took.lock().unwrap();
        let _receipt = slot.lease.take(1, || 0)?;
        took.push(self.number);
        Ok(())
    }

    fn refill(&self, _: &Arc<Slot>, _: u32) {
        self.of.refilled.fetch_add(1, Ordering::Relaxed);
    }

    fn is_unowned(&self, _: &Slot) -> bool {
        self.of.is_unowned.load(Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        self.goes_on
    }

    fn left(&mut self) -> Result<Duration, Told> {
        let left = self.until.saturating_sub(self.of.clock.monotonic());
        if left.is_zero() {
            return Err(Told::TooLong);
        }
        Ok(left)
    }

    fn used_up(&mut self, _: &Slot, _: i64) -> Result<(), Told> {
        if self.goes_on {
            Ok(())
        } else {
            Err(Told::UsedUp)
        }
    }

    fn overloaded(&self) -> Told {
        Told::Overloaded
    }
}

async fn all_of(calls: Vec<JoinHandle<Result<(), Told>>>) -> Vec<Result<(), Told>> {
    let mut said = Vec::new();
    for call in calls {
        let call = tokio::time::timeout(SOON, call).await;
        said.push(call.expect("one waits for ever").expect("one panicked"));
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn units_that_come_go_to_those_who_came_first_and_to_all_of_them_at_once() {
    let calls = Calls::new();
    let mut waiting = calls.come(0..256).await;
    let later = waiting.split_off(100);
    for (waiting, units, of) in [(waiting, 100, 0..100), (later, 156, 100..256)] {
        let began = calls.clock.monotonic();
        calls.owner.grant(units);
        for said in all_of(waiting).await {
            assert_eq!(said, Ok(()));
        }
        println!("{units} calls: {:?}", calls.clock.monotonic() - began);
        let mut took = std::mem::take(&mut *calls.took.lock().unwrap());
        took.sort_unstable();
        assert!(took.into_iter().eq(of), "others passed them");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_given_up_in_the_line_or_in_their_turn_hold_nobody_up() {
    for turn in 0..20 {
        let calls = Calls::new();
        let waiting = calls.come(0..40).await;
        if turn % 2 == 0 {
            calls.owner.grant(40);
        }
        let mut others = Vec::new();
        for (number, call) in waiting.into_iter().enumerate() {
            if number % 3 == turn % 3 {
                call.abort();
            } else {
                others.push(call);
            }
        }
        if turn % 2 == 1 {
            calls.owner.grant(40);
        }
        assert!(all_of(others).await.iter().all(Result::is_ok));
        calls.owner.until_waited_for(0).await;
    }
}

#[tokio::test]
async fn a_refusal_ends_the_wait_of_all_and_stops_none_that_goes_on_beyond_its_quota() {
    let calls = Calls::new();
    let mut waiting = calls.come(0..4).await;
    let mut call = calls.call(4);
    call.goes_on = true;
    waiting.push(spawn_named("a call", async move { take(&mut call).await }));
    calls.owner.until_waited_for(5).await;
    calls.owner.refuse();
    let said = all_of(waiting).await;
    assert!(said[..4].iter().all(|said| *said == Err(Told::UsedUp)));
    assert_eq!(said[4], Ok(()));
}

#[tokio::test]
async fn a_call_waits_as_long_as_it_may_and_then_goes_on_only_where_its_mode_says_so() {
    let calls = Calls::new();
    for (goes_on, is_unowned, expected) in [
        (false, false, Err(Told::TooLong)),
        (false, true, Err(Told::TooLong)),
        (true, false, Ok(())),
        (true, true, Ok(())),
    ] {
        calls.is_unowned.store(is_unowned, Ordering::Relaxed);
        let began = calls.clock.monotonic();
        let mut call = calls.call(0);
        call.until = began + Duration::from_millis(300);
        call.goes_on = goes_on;
        assert_eq!(take(&mut call).await, expected);
        // With nobody there to grant, it does so at once.
        let waited = calls.clock.monotonic() - began >= Duration::from_millis(300);
        assert_eq!(waited, !(goes_on && is_unowned));
    }
    assert!(calls.took.lock().unwrap().is_empty());
}

#[tokio::test]
async fn many_calls_that_wait_have_the_owner_asked_once() {
    let calls = Calls::new();
    let waiting = calls.come(0..64).await;
    assert_eq!(calls.refilled.load(Ordering::Relaxed), 1);
    calls.owner.grant(64);
    assert!(all_of(waiting).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_lease_that_cannot_be_opened_is_tried_again_unless_too_many_wait_for_that() {
    let calls = Calls::new();
    calls.owner.grant(1);
    calls.is_open.store(false, Ordering::Relaxed);
    calls.closed_for.store(3, Ordering::Relaxed);
    assert_eq!(take(&mut calls.call(7)).await, Ok(()));
    assert_eq!(*calls.took.lock().unwrap(), [7]);
    calls.closed_for.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(take(&mut calls.call(8)).await, Err(Told::Overloaded));
}
