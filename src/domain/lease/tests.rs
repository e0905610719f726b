//! The gateway's half of L7 and L9, one by one; `simulation` drives it against a real owner.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::ledger::{Ask, CellKey, Holder, Outcome, Recall, Reopen, Reply, Stamp};
use crate::policy::TimeUnit;
use crate::window::{Window, WindowSpec};

const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);

pub(super) fn book() -> Book {
    Book::open(
        Holder::new("g1", 1, 1),
        CellKey::new("carbon.super", "application:10PerMin", "a"),
    )
}

pub(super) fn window(number: i64) -> Window {
    MINUTE.numbered(number)
}

pub(super) fn reply(number: i64, seq: u64, granted: u64, outcome: Outcome) -> Reply {
    Reply {
        holder: Holder::new("g1", 1, 1),
        cell: CellKey::new("carbon.super", "application:10PerMin", "a"),
        stamp: Stamp { epoch: 1, seq },
        asked_at_ms: 0,
        window: Some(window(number)),
        remaining_ms: 10_000,
        granted,
        limit: 10,
        left: 3,
        outcome,
    }
}

pub(super) fn take(book: &Book, now_ms: i64) -> Result<Receipt, Refused> {
    book.lease().take(1, || now_ms)
}

#[test]
fn granted_units_can_be_taken_until_the_window_ends_by_the_gateways_clock() {
    let mut book = book();
    assert_eq!(take(&book, 0), Err(Refused::Empty { ask: true }));
    assert_eq!(
        take(&book, 1),
        Err(Refused::Empty { ask: false }),
        "one asks for all"
    );
    assert_eq!(
        book.apply(&reply(1, 1, 3, Outcome::Granted)),
        Applied::Units
    );
    assert!(take(&book, 5_000).is_ok());
    assert!(
        take(&book, 9_978).is_ok(),
        "a five-hundredth is kept for drift"
    );
    assert!(matches!(take(&book, 9_979), Err(Refused::Empty { .. })));
}

#[test]
fn the_clock_is_read_after_the_unit_is_taken() {
    let mut book = book();
    book.apply(&reply(1, 1, 1, Outcome::Granted));
    let at_hand_when_read = Cell::new(9);
    let lease = Arc::clone(book.lease());
    let taken = lease.take(1, || {
        at_hand_when_read.set(lease.at_hand());
        0
    });
    assert!(taken.is_ok());
    assert_eq!(at_hand_when_read.get(), 0);
}

#[test]
fn a_unit_taken_before_the_window_changed_is_void() {
    let mut book = book();
    book.apply(&reply(1, 1, 1, Outcome::Granted));
    let lease = Arc::clone(book.lease());
    let changing = std::cell::RefCell::new(book);
    let taken = lease.take(1, || {
        changing
            .borrow_mut()
            .apply(&reply(2, 2, 0, Outcome::Granted));
        0
    });
    assert!(matches!(taken, Err(Refused::Empty { .. })));
}

#[test]
fn repeated_and_late_replies_change_nothing() {
    let mut book = book();
    book.apply(&reply(1, 1, 1, Outcome::Granted));
    assert_eq!(
        book.apply(&reply(1, 2, 3, Outcome::Granted)),
        Applied::Units
    );
    assert_eq!(
        book.apply(&reply(1, 1, 1, Outcome::Granted)),
        Applied::Nothing
    );
    assert_eq!(
        book.apply(&reply(1, 2, 3, Outcome::Granted)),
        Applied::Nothing
    );
    assert_eq!(book.lease().at_hand(), 3);
    book.apply(&reply(2, 3, 1, Outcome::Granted));
    assert_eq!(
        book.apply(&reply(1, 2, 9, Outcome::Granted)),
        Applied::Nothing,
        "another window began"
    );
    assert_eq!(book.lease().at_hand(), 1);
}

#[test]
fn a_unit_put_back_can_be_taken_again_but_not_in_another_window() {
    let mut book = book();
    book.apply(&reply(1, 1, 1, Outcome::Granted));
    let receipt = take(&book, 0).unwrap();
    book.lease().put_back(receipt);
    let receipt = take(&book, 0).unwrap();
    book.apply(&reply(2, 2, 0, Outcome::Granted));
    book.lease().put_back(receipt);
    assert!(matches!(take(&book, 0), Err(Refused::Empty { .. })));
}

#[test]
fn a_basket_that_is_dropped_puts_everything_back() {
    let mut first = book();
    let second = book();
    first.apply(&reply(1, 1, 1, Outcome::Granted));
    let mut basket = Basket::default();
    assert!(basket.take(Arc::clone(first.lease()), 1, || 0).is_ok());
    assert!(basket.take(Arc::clone(second.lease()), 1, || 0).is_err());
    assert_eq!(first.lease().at_hand(), 0);
    drop(basket);
    assert_eq!(first.lease().at_hand(), 1);
    let mut basket = Basket::default();
    assert!(basket.take(Arc::clone(first.lease()), 1, || 0).is_ok());
    basket.keep();
    assert_eq!(first.lease().at_hand(), 0);
}

#[test]
fn a_unit_of_a_window_that_ended_while_the_call_was_held_is_not_used() {
    let mut book = book();
    book.apply(&reply(1, 1, 1, Outcome::Granted));
    let mut basket = Basket::default();
    assert!(basket.is_current(|| 0), "an empty one");
    assert!(basket.take(Arc::clone(book.lease()), 1, || 0).is_ok());
    assert!(basket.is_current(|| 9_978));
    assert!(!basket.is_current(|| 9_979));
}

#[test]
fn a_final_no_is_kept_until_the_window_ends_or_reopens() {
    let mut book = book();
    assert_eq!(
        book.apply(&reply(1, 1, 0, Outcome::Final)),
        Applied::Closed { until_ms: 9_979 }
    );
    assert_eq!(take(&book, 9_978), Err(Refused::Closed { until_ms: 9_979 }));
    assert_eq!(take(&book, 9_979), Err(Refused::Empty { ask: true }));
    let reopen = |seq| Reopen {
        holder: book_holder(),
        cell: book_cell(),
        stamp: Stamp { epoch: 1, seq },
    };
    assert!(!book.reopen(&reopen(0), 50), "from before the no");
    assert!(book.reopen(&reopen(1), 50));
    assert_eq!(take(&book, 60), Err(Refused::Empty { ask: true }));
    assert_eq!(
        book.apply(&reply(1, 1, 0, Outcome::Final)),
        Applied::Retry { after_ms: 1 },
        "asked before"
    );
}

#[test]
fn a_final_no_is_asked_for_again_after_a_minute_whoever_lost_the_word_that_it_is_over() {
    let mut book = book();
    let day_ms = 86_400_000;
    book.apply(&Reply {
        remaining_ms: day_ms,
        ..reply(1, 1, 0, Outcome::Final)
    });
    let until_ms = day_ms - day_ms / 500 - 1;
    assert_eq!(take(&book, 59_999), Err(Refused::Closed { until_ms }));
    assert_eq!(take(&book, 60_000), Err(Refused::Empty { ask: true }));
}

pub(super) fn book_holder() -> Holder {
    Holder::new("g1", 1, 1)
}

pub(super) fn book_cell() -> CellKey {
    CellKey::new("carbon.super", "application:10PerMin", "a")
}

#[test]
fn a_recall_takes_what_is_at_hand_and_what_is_under_way() {
    let mut book = book();
    book.apply(&reply(1, 1, 3, Outcome::Granted));
    assert!(take(&book, 0).is_ok());
    let recall = Recall {
        holder: book_holder(),
        cell: book_cell(),
        stamp: Stamp { epoch: 1, seq: 2 },
        window: window(1).id,
        granted: 5,
        anew: false,
    };
    let ask = book.recall(&recall, (1, 0, false), 10).unwrap();
    assert_eq!(
        (ask.have, ask.returned, ask.want, ask.emptied),
        (5, 4, 0, true)
    );
    assert_eq!(
        book.apply(&reply(1, 2, 5, Outcome::Granted)),
        Applied::Nothing,
        "it was under way"
    );
    assert!(matches!(take(&book, 0), Err(Refused::Empty { .. })));
}

#[test]
fn a_lease_running_low_says_once_that_more_is_needed() {
    let mut book = book();
    book.ask(1, (1, 1), 0);
    book.apply(&reply(1, 1, 4, Outcome::Granted));
    let asks: Vec<bool> = (0..4).map(|_| take(&book, 1).unwrap().ask).collect();
    assert_eq!(asks, [false, true, false, false]);
    assert!(
        take(&book, 250).is_err_and(|refused| refused == Refused::Empty { ask: true }),
        "the ask was lost"
    );
}

#[test]
fn an_ask_follows_the_demand() {
    let mut book = book();
    assert_eq!(book.ask(1, (1, 1), 0).want, 2);
    book.apply(&reply(1, 1, 100, Outcome::Granted));
    for _ in 0..100 {
        assert!(take(&book, 50).is_ok());
    }
    let Ask {
        want,
        have,
        emptied,
        ..
    } = book.ask(1, (0, 0), 100);
    assert_eq!((want, have, emptied), (100, 100, true), "100 in 100 ms");
}

#[test]
fn what_a_stream_overran_is_paid_by_the_next_units() {
    let mut book = book();
    book.lease().overrun(5, 0);
    assert_eq!(book.ask(1, (0, 0), 0).want, 6);
    book.apply(&reply(1, 1, 6, Outcome::Granted));
    assert_eq!(book.lease().at_hand(), 1);
}

#[test]
fn idle_units_go_back() {
    let mut book = book();
    book.apply(&reply(1, 1, 3, Outcome::Granted));
    assert!(take(&book, 0).is_ok());
    assert_eq!(book.sweep(1, 1_000), None, "used since the last time");
    assert_eq!(book.sweep(1, 2_000).map(|ask| ask.returned), Some(2));
    assert!(!book.is_over(9_000) && book.is_over(9_990));
}

#[test]
fn many_threads_never_take_more_than_was_granted() {
    let mut book = book();
    let taken = AtomicU64::new(0);
    let lease = Arc::clone(book.lease());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..20_000 {
                    if let Ok(receipt) = lease.take(1, || 0) {
                        if turn % 7 == 0 {
                            lease.put_back(receipt);
                        } else {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        for round in 1..=1_000u64 {
            book.apply(&reply(1, round, round * 10, Outcome::Granted));
            if round % 10 == 0 {
                book.give_back(1, 0);
            }
        }
    });
    let given_back = book.give_back(1, 0).returned;
    assert_eq!(taken.load(Ordering::Relaxed) + given_back, 10_000);
}

#[test]
fn a_call_after_the_pane_s_end_keeps_what_it_cannot_use_to_be_given_back() {
    use crate::policy::WindowKind;
    for (kind, returned) in [(WindowKind::Sliding, 2), (WindowKind::Fixed, 0)] {
        let cell = CellKey::new("t", "p", "k");
        let holder = Holder::new("g1", 1, 1);
        let mut book = Book::open(holder.clone(), cell.clone());
        let window = WindowSpec::new(TimeUnit::Min, 1).counted(kind).at(0);
        book.apply(&Reply {
            holder,
            cell,
            stamp: Stamp { epoch: 1, seq: 1 },
            asked_at_ms: 0,
            window: Some(window),
            remaining_ms: 600,
            granted: 2,
            limit: 2,
            left: 0,
            outcome: Outcome::Granted,
        });
        assert!(book.lease().take(1, || 700).is_err());
        let ask = book.ask(1, (1, 1), 700);
        assert_eq!(ask.returned, returned, "{kind:?}");
        assert_eq!(ask.emptied, kind == WindowKind::Sliding);
    }
}

#[test]
fn what_calls_hold_of_a_lease_that_a_reset_recalls_is_void_and_comes_back_to_nobody() {
    let mut book = book();
    book.apply(&reply(1, 1, 3, Outcome::Granted));
    let mut held = Basket::default();
    held.take(Arc::clone(book.lease()), 1, || 5).unwrap();
    book.lease().overrun(4, 5);
    let recall = Recall {
        holder: book_holder(),
        cell: book_cell(),
        stamp: Stamp { epoch: 1, seq: 2 },
        window: window(1).id,
        granted: 4,
        anew: true,
    };
    assert!(book.recall(&recall, (1, 0, true), 10).is_none());
    let said = book.begin_anew(&recall, 2, 1, 10);
    let [ask] = &said[..] else {
        panic!("nothing is at hand: {said:?}");
    };
    assert_eq!((ask.holder.lease, ask.window), (2, None));
    assert_eq!((ask.have, ask.returned, ask.want), (0, 0, 0));
    assert!(ask.emptied);
    assert!(!held.is_current(|| 10), "it has to take again");
    drop(held);
    assert_eq!(book.lease().at_hand(), 0);
    assert_eq!(take(&book, 10), Err(Refused::Empty { ask: true }));
    // What was under way to it is nobody's, and what is owed stays owed (L11).
    let late = book.apply(&reply(1, 3, 4, Outcome::Granted));
    assert_eq!(late, Applied::Nothing);
    assert_eq!(book.ask(1, (0, 0), 11).due, 2);
}

#[test]
fn a_reset_that_is_said_again_finds_the_lease_that_took_its_place() {
    let mut book = book();
    let recall = |holder| Recall {
        holder,
        cell: book_cell(),
        stamp: Stamp { epoch: 1, seq: 2 },
        window: window(1).id,
        granted: 0,
        anew: true,
    };
    let of_first = recall(book_holder());
    assert_eq!(book.begin_anew(&of_first, 4, 1, 10).len(), 1);
    let granted = Reply {
        holder: Holder::new("g1", 1, 4),
        ..reply(1, 3, 2, Outcome::Granted)
    };
    assert_eq!(book.apply(&granted), Applied::Units);
    for of in [book_holder(), Holder::new("g1", 0, 9)] {
        let again = book.begin_anew(&recall(of), 5, 1, 11);
        let said = |ask: &Ask| (ask.holder.lease, ask.have);
        assert_eq!(again.iter().map(said).collect::<Vec<_>>(), [(4, 2)]);
        assert_eq!(book.lease().at_hand(), 2, "it keeps what it has");
    }
    for holder in [Holder::new("g1", 1, 9), Holder::new("g1", 2, 4)] {
        assert_eq!(book.begin_anew(&recall(holder), 6, 1, 12), []);
    }
}

#[test]
fn what_is_at_hand_when_a_reset_s_recall_comes_late_is_given_back_and_what_calls_hold_is_not() {
    let mut book = book_of_three();
    let mut held = Basket::default();
    held.take(Arc::clone(book.lease()), 1, || 5).unwrap();
    let recall = Recall {
        holder: book_holder(),
        cell: book_cell(),
        stamp: Stamp { epoch: 1, seq: 2 },
        window: window(1).id,
        granted: 1,
        anew: true,
    };
    let said = book.begin_anew(&recall, 2, 1, 10);
    let said = said
        .iter()
        .map(|ask| (ask.holder.lease, ask.have, ask.returned));
    assert_eq!(said.collect::<Vec<_>>(), [(1, 3, 2), (2, 0, 0)]);
    drop(held);
    assert_eq!(book.lease().at_hand(), 0);
}

#[test]
fn a_lease_that_lost_its_book_is_void_with_what_calls_hold_of_it_and_owes_what_it_owed() {
    let book = book_of_three();
    let lease = Arc::clone(book.lease());
    let mut held = Basket::default();
    held.take(Arc::clone(&lease), 1, || 5).unwrap();
    drop(book);
    assert!(!held.is_current(|| 10), "it has to take again");
    drop(held);
    assert_eq!(lease.at_hand(), 0, "nor does it come back to anybody");
    assert_eq!(lease.take(1, || 10), Err(Refused::Empty { ask: true }));
    lease.overrun(4, 10);
    assert_eq!(lease.take_debt(), 4, "whoever counts the key next pays it");
}

#[test]
fn an_open_stream_counts_on_by_a_lease_that_lost_its_book_and_its_reservation_is_void() {
    let book = book_of_three();
    let lease = Arc::clone(book.lease());
    let (mut meter, _) = Meter::open(Arc::clone(&lease), 2, 0, true, || 5).unwrap();
    let ended = book.end(1, 6);
    assert_eq!((ended.returned, ended.emptied), (1, true));
    meter.count(2, || 7);
    assert_eq!(lease.debt(), 2, "owed to the lease that follows");
    assert!(meter.close(8), "and asked for");
    assert_eq!((lease.at_hand(), lease.debt()), (0, 2));
}

pub(super) fn book_of_three() -> Book {
    let mut book = book();
    book.apply(&reply(1, 1, 3, Outcome::Granted));
    book
}
