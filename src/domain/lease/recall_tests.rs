//! What a gateway gives back of a lease that is recalled while calls wait for some of it (L9), and how it goes on where an
//! owner recalls whatever lease it has.

use std::sync::Arc;

use super::tests::{book, book_cell, book_holder, book_of_three, reply, take, window};
use super::*;
use crate::ledger::{Ask, Holder, Outcome, Recall, Reply, Stamp};

fn recall(granted: u64) -> Recall {
    Recall {
        holder: book_holder(),
        cell: book_cell(),
        stamp: Stamp { epoch: 1, seq: 2 },
        window: window(1).id,
        granted,
        anew: false,
    }
}

/// A reset by an owner of this epoch, which knows nothing of the gateway.
fn reset_of_any(epoch: u64) -> Recall {
    Recall {
        holder: Holder::any("g1"),
        stamp: Stamp { epoch, seq: 4 },
        anew: true,
        ..recall(0)
    }
}

#[test]
fn what_calls_wait_for_is_not_given_back_before_they_had_it() {
    let mut book = book();
    assert!(
        book.recall(&recall(3), (1, 2, false), 10).is_none(),
        "it overtook"
    );
    assert_eq!(
        book.apply(&reply(1, 1, 3, Outcome::Granted)),
        Applied::Units
    );
    let ask = book.recall(&recall(3), (1, 2, false), 10).unwrap();
    assert_eq!((ask.have, ask.returned, ask.emptied), (3, 1, false));
    assert!(
        book.recall(&recall(3), (1, 2, false), 10).is_none(),
        "all of it"
    );
    assert!(take(&book, 0).is_ok());
    let ask = book.recall(&recall(3), (1, 2, true), 10).unwrap();
    assert_eq!((ask.returned, ask.emptied), (2, true), "nobody came for it");
    let ask = book.recall(&recall(3), (1, 2, false), 10).unwrap();
    assert_eq!(
        (ask.returned, ask.emptied),
        (2, true),
        "who waits on waits for others'"
    );
}

/// What a look at a recall gives back of the two units at hand, while calls wait for so many; none where nothing is said.
fn looks(waited_for: u32, is_last: bool) -> Option<(u64, bool)> {
    let mut book = book_of_three();
    assert!(take(&book, 0).is_ok());
    let answer = book.recall(&recall(3), (1, waited_for, is_last), 10);
    answer.map(|ask| (ask.returned, ask.emptied))
}

#[test]
fn the_last_look_at_a_recall_gives_back_all_that_is_at_hand_however_many_calls_wait() {
    for (waited_for, before) in [
        (0, Some((2, true))),
        (1, Some((1, false))),
        (2, None),
        (9, None),
    ] {
        assert_eq!(looks(waited_for, false), before, "{waited_for} wait");
        assert_eq!(
            looks(waited_for, true),
            Some((2, true)),
            "{waited_for} wait"
        );
    }
}

#[test]
fn the_last_look_at_a_recall_leaves_what_is_under_way_to_those_who_wait_for_it() {
    let mut book = book_of_three();
    let under_way = recall(5);
    assert_eq!(book.recall(&under_way, (1, 2, true), 10), None);
    assert_eq!(book.lease().at_hand(), 3, "nor is anything else touched");
    assert_eq!(
        book.apply(&reply(1, 2, 5, Outcome::Granted)),
        Applied::Units
    );
    assert_eq!(book.lease().at_hand(), 5);
    // Where nobody waits it is given back unseen, at whichever look.
    let mut book = book_of_three();
    let ask = book.recall(&under_way, (1, 0, true), 10).unwrap();
    assert_eq!((ask.have, ask.returned, ask.emptied), (5, 5, true));
}

#[test]
fn whatever_lease_a_gateway_has_is_over_once_when_an_owner_recalls_it_that_knows_of_none() {
    let mut book = book_of_three();
    let mut held = Basket::default();
    held.take(Arc::clone(book.lease()), 1, || 5).unwrap();
    let said = book.begin_anew(&reset_of_any(7), 2, 1, 10);
    let of = |ask: &Ask| (ask.holder.lease, ask.returned, ask.epoch, ask.window);
    let said: Vec<_> = said.iter().map(of).collect();
    assert_eq!(said, [(1, 2, 1, Some(window(1).id)), (2, 0, 7, None)]);
    assert!(!held.is_current(|| 10), "what calls hold is void");
    let granted = Reply {
        holder: Holder::new("g1", 1, 2),
        stamp: Stamp { epoch: 7, seq: 4 },
        ..reply(1, 0, 2, Outcome::Granted)
    };
    assert_eq!(book.apply(&granted), Applied::Units);
    // It is told again, for its answer was lost.
    let again = book.begin_anew(&reset_of_any(7), 3, 1, 11);
    assert_eq!(
        again.iter().map(|ask| ask.holder.lease).collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(book.lease().at_hand(), 2, "it keeps what it has");
    let next = book.begin_anew(&reset_of_any(8), 4, 1, 12);
    assert_eq!(next.last().map(|ask| ask.holder.lease), Some(4));
    assert_eq!(book.lease().at_hand(), 0, "another reset");
}

#[test]
fn an_owner_that_does_not_know_of_a_reset_grants_nothing_to_the_lease_that_it_began() {
    let mut book = book_of_three();
    book.begin_anew(&reset_of_any(7), 2, 1, 10);
    // Others took over from that one, and nobody has told it.
    let of_before = Reply {
        holder: Holder::new("g1", 1, 2),
        stamp: Stamp { epoch: 6, seq: 90 },
        ..reply(1, 0, 3, Outcome::Granted)
    };
    assert_eq!(book.apply(&of_before), Applied::Nothing);
    assert_eq!(book.lease().at_hand(), 0);
}
