//! What nodes that nobody knows cost: never a member's place.

use super::world::member;
use super::*;
use crate::hello::{Hello, Refusal};

fn table() -> Table {
    Table::new(member(0, 1, 1), 1, "c", &[], Timing::default())
}

/// The first words of a node of this cluster.
fn hello(index: usize) -> Hello {
    Table::new(member(index, 1, 8), 1, "c", &[], Timing::default()).hello()
}

/// As many strangers as come in, from this one on.
fn strangers(table: &mut Table, from: usize) -> usize {
    let links = from..from + 1_000;
    let taken = links.take_while(|link| table.offered(1, *link as u64, &hello(*link)).is_ok());
    taken.count()
}

#[test]
fn strangers_have_a_bound_of_their_own_and_are_forgotten_when_they_go() {
    let mut table = table();
    let taken = strangers(&mut table, 1_000);
    assert!((32..=128).contains(&taken), "{taken}");
    let full = table.offered(1, 1, &hello(1));
    assert_eq!(full, Err(Refusal::Full));
    assert!(!Refusal::Full.is_final(), "it may try again");
    assert!(table.states().is_empty(), "nobody is told of them");
    assert_eq!(table.lost(2, 1_000, 0), [], "nor of their going");
    assert!(table.offered(2, 1, &hello(1)).is_ok());
    // Who never finishes is forgotten as well, and dialed by nobody.
    let late = table.tick(10_000, || 0);
    let dials = late
        .iter()
        .filter(|effect| !matches!(effect, Effect::Kill(_)));
    assert_eq!(dials.collect::<Vec<_>>(), Vec::<&Effect>::new());
    assert_eq!(strangers(&mut table, 3_000), taken);
}

#[test]
fn a_member_comes_in_and_others_are_learned_while_strangers_hold_all_their_places() {
    let mut table = table();
    table.offered(1, 1, &hello(1)).unwrap();
    table.ready(1, 1);
    strangers(&mut table, 1_000);
    let gossip = Gossip {
        member: member(1, 1, 8),
        leaving: false,
        known: (10..100).map(|index| member(index, 1, 8)).collect(),
    };
    table.heard(2, 1, &gossip);
    assert_eq!(table.states().len(), 91);
    assert!(table.offered(3, 10, &hello(10)).is_ok(), "it was named");
}

#[test]
fn a_stranger_is_refused_when_as_many_members_are_known_as_can_be() {
    let mut table = table();
    let mut known = 0;
    for index in 1..=300 {
        if table.offered(1, index as u64, &hello(index)).is_ok() {
            table.ready(1, index as u64);
            known += 1;
        }
    }
    assert_eq!((known, table.states().len()), (256, 256));
    assert_eq!(table.offered(2, 400, &hello(400)), Err(Refusal::Full));
    // A member that comes back has its place.
    table.lost(3, 7, 0);
    assert!(table.offered(4, 401, &hello(7)).is_ok());
}

#[test]
fn whom_a_stranger_names_is_believed_when_it_is_connected_and_not_before() {
    let mut table = table();
    let mut hello = hello(1);
    hello.known = (100..200).map(|index| member(index, 1, 1)).collect();
    table.offered(1, 1, &hello).unwrap();
    assert!(table.states().is_empty());
    table.ready(2, 1);
    assert_eq!(table.states().len(), 101);
}

#[test]
fn no_more_than_a_few_dials_are_under_way_and_everybody_gets_a_turn() {
    let mut table = table();
    let mut first = hello(1);
    first.known = (100..350).map(|index| member(index, 1, 1)).collect();
    table.offered(1, 1, &first).unwrap();
    table.ready(1, 1);
    let mut dialed = std::collections::BTreeSet::new();
    let mut under_way = Vec::new();
    for now_ms in (2_000..120_000).step_by(100) {
        // Nobody answers: each dial fails after three seconds.
        under_way.retain(|(begun, address): &(u64, String)| {
            let over = now_ms >= begun + 3_000;
            if over {
                table.not_dialed(now_ms, address, 7);
            }
            !over
        });
        for effect in table.tick(now_ms, || 7) {
            if let Effect::Dial(address) = effect {
                dialed.insert(address.clone());
                under_way.push((now_ms, address));
            }
        }
        assert!(under_way.len() <= 32, "{}", under_way.len());
        table.heard(
            now_ms,
            1,
            &Gossip {
                member: member(1, 1, 8),
                leaving: false,
                known: Vec::new(),
            },
        );
    }
    assert_eq!(dialed.len(), 250);
}

#[test]
fn a_node_of_the_version_before_takes_no_connection_for_what_is_large() {
    let mut table = table();
    for (index, versions, takes) in [(1, (1, 1), false), (2, (1, 2), true), (3, (2, 3), true)] {
        let hello = Hello {
            versions,
            ..hello(index)
        };
        let link = u64::try_from(index).unwrap();
        assert!(table.offered(1, link, &hello).is_ok(), "{versions:?}");
        let member = takes.then_some(&hello.member);
        assert_eq!(table.takes_bulk(link), member, "{versions:?}");
    }
}
