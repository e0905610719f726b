//! Accounts one by one, without actors: `refiller_tests` drives them against an owner.

use super::*;
use crate::gateway::lease_cache::KeyParts;
use crate::gateway::line::Waiting;
use crate::gateway::rules::Rules;
use cluster::Clock;
use domain::lease::{Lease, Receipt, Refused};
use domain::ledger::Stamp;
use domain::policy::{Policy, PolicyLevel, TimeUnit};

pub(super) const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);

pub(super) fn accounts(capacity: usize) -> Accounts {
    let state = Arc::new(State::new(Clock::system()));
    let mut rules = Rules::seeded();
    let mut policy = Policy::defaults("t", String::new).remove(0);
    (policy.level, policy.name) = (PolicyLevel::Application, "p".to_owned());
    rules.save(policy);
    state.rules.store(Arc::new(rules));
    let leases = Arc::new(AtomicU64::new(0));
    Accounts::new(state, ("gw", 7), leases, capacity)
}

pub(super) fn keys() -> impl Iterator<Item = ThrottleKey> {
    (0_u32..).map(|number| ThrottleKey {
        tenant: "t".to_owned(),
        level: PolicyLevel::Application,
        policy: "p".to_owned(),
        limit: 0,
        subject: number.to_string(),
    })
}

/// Keys that belong to one shard.
pub(super) fn neighbours() -> impl Iterator<Item = ThrottleKey> {
    let shard = keys().next().map(|key| shard_of(&key));
    keys().filter(move |key| Some(shard_of(key)) == shard)
}

pub(super) fn reply(ask: &Ask, outcome: Outcome, granted: u64) -> Reply {
    let heard = matches!(outcome, Outcome::Granted | Outcome::Final);
    Reply {
        holder: ask.holder.clone(),
        cell: ask.cell.clone(),
        stamp: Stamp { epoch: 1, seq: 1 },
        asked_at_ms: ask.asked_at_ms,
        window: heard.then(|| MINUTE.at(0)),
        remaining_ms: 10_000,
        granted,
        limit: 5,
        left: 0,
        outcome,
    }
}

fn found(accounts: &Accounts, key: &ThrottleKey) -> Option<Arc<Slot>> {
    accounts.state.leases.get(&KeyParts::of(key), MINUTE)
}

/// Asks and hears what the owner says.
fn hear(accounts: &mut Accounts, slot: &Slot, outcome: Outcome, granted: u64) -> Next {
    let (ask, _) = accounts.ask(slot.shard, &slot.key, 0).unwrap();
    accounts.apply(slot.shard, &slot.key, &reply(&ask, outcome, granted), 0)
}

#[test]
fn beyond_the_bound_the_account_that_was_of_no_use_for_longest_gives_back_and_is_forgotten() {
    let mut accounts = accounts(2);
    let [first, second, third] = std::array::from_fn(|at| neighbours().nth(at).unwrap());
    let (slot, left) = accounts.open(&first, MINUTE, 0);
    assert!(left.is_none());
    accounts.open(&second, MINUTE, 5);
    hear(&mut accounts, &slot, Outcome::Granted, 4);
    let lease = Arc::clone(&slot.lease);
    let held = lease.take(1, || 0).unwrap();
    // No stream counts by it any more.
    drop(slot);
    let (_, left) = accounts.open(&third, MINUTE, 9);
    let (shard, ask) = left.unwrap();
    assert_eq!((shard, ask.cell), (shard_of(&first), first.cell()));
    assert_eq!((ask.returned, ask.emptied), (3, true));
    lease.put_back(held);
    assert_eq!(lease.at_hand(), 0, "what a call held of it is void");
    assert!(found(&accounts, &first).is_none());
    // Opened anew, its lease is a later one: what the old one did not return is spent (L7).
    let (again, _) = accounts.open(&first, MINUTE, 10);
    let (ask_again, _) = accounts.ask(again.shard, &first, 10).unwrap();
    assert!(ask_again.holder.lease > ask.holder.lease);
}

#[test]
fn a_key_shares_until_the_window_ends_and_not_longer() {
    let mut accounts = accounts(9);
    let [first, second, _] = std::array::from_fn(|at| neighbours().nth(at).unwrap());
    for key in [&first, &second] {
        let (slot, _) = accounts.open(key, MINUTE, 0);
        hear(&mut accounts, &slot, Outcome::Shared, 0);
    }
    let shared = found(&accounts, &first).unwrap();
    assert_eq!(shared.key.subject, SHARED_KEY);
    assert_eq!(shared.shard, shard_of(&first), "the bound is the shard's");
    assert!(Arc::ptr_eq(&shared, &found(&accounts, &second).unwrap()));
    hear(&mut accounts, &shared, Outcome::Granted, 1);
    assert!(!accounts.part(&shared, 9_000));
    assert!(accounts.part(&shared, 10_000));
    assert!(found(&accounts, &first).is_none());
    let (own, _) = accounts.open(&second, MINUTE, 10_000);
    assert_eq!(own.key, second);
}

#[test]
fn keys_that_share_an_account_that_made_room_are_asked_for_anew() {
    let mut accounts = accounts(2);
    let [first, second, third] = std::array::from_fn(|at| neighbours().nth(at).unwrap());
    let (slot, _) = accounts.open(&first, MINUTE, 0);
    hear(&mut accounts, &slot, Outcome::Shared, 0);
    let shared = found(&accounts, &first).unwrap();
    hear(&mut accounts, &shared, Outcome::Granted, 1);
    drop((slot, shared));
    assert!(found(&accounts, &first).is_some());
    accounts.open(&second, MINUTE, 5);
    let (_, left) = accounts.open(&third, MINUTE, 9);
    assert_eq!(left.unwrap().1.cell.key, SHARED_KEY);
    assert!(found(&accounts, &first).is_none());
    assert_eq!(accounts.open(&first, MINUTE, 10).0.key, first);
}

#[test]
fn who_asks_too_new_or_unknown_policies_is_held_neither_refused_nor_let_through() {
    let mut accounts = accounts(9);
    let key = neighbours().next().unwrap();
    let (slot, _) = accounts.open(&key, MINUTE, 0);
    for outcome in [Outcome::UnknownPolicy, Outcome::Behind { applied: 1 }] {
        let again = hear(&mut accounts, &slot, outcome, 0);
        assert!(matches!(again, Next::Wake { slot: of, .. } if Arc::ptr_eq(&of, &slot)));
        let taken = slot.lease.take(1, || 100);
        // Nobody asks before a pause.
        assert_eq!(taken, Err(Refused::Empty { ask: false }));
    }
}

#[test]
fn an_account_nobody_told_a_window_is_forgotten_after_a_while() {
    let mut accounts = accounts(9);
    let key = neighbours().next().unwrap();
    let (slot, _) = accounts.open(&key, MINUTE, 0);
    hear(&mut accounts, &slot, Outcome::UnknownPolicy, 0);
    accounts.sweep(115_000);
    assert!(found(&accounts, &key).is_some(), "it may be answered yet");
    accounts.sweep(130_000);
    assert!(found(&accounts, &key).is_none());
}

#[test]
fn an_account_that_may_have_been_granted_something_unheard_is_kept_until_the_owner_answers() {
    let mut accounts = accounts(9);
    let [new, used, _] = std::array::from_fn(|at| neighbours().nth(at).unwrap());
    let (slot, _) = accounts.open(&new, MINUTE, 0);
    let (of_used, _) = accounts.open(&used, MINUTE, 0);
    // Its window is over when it asks again.
    hear(&mut accounts, &of_used, Outcome::Granted, 1);
    let later = 20_000;
    let (ask, _) = accounts.ask(slot.shard, &new, later).unwrap();
    let (of_next, _) = accounts.ask(slot.shard, &used, later).unwrap();
    // One that has yet to count says nothing of what was granted.
    let yet = reply(&ask, Outcome::Retry { after_ms: 200 }, 0);
    accounts.apply(slot.shard, &new, &yet, later);
    // Nor does what was asked before.
    let before = Reply {
        asked_at_ms: 0,
        ..reply(&of_next, Outcome::Granted, 1)
    };
    accounts.apply(slot.shard, &used, &before, later);
    accounts.sweep(later + 86_000_000);
    for key in [&new, &used] {
        assert!(
            found(&accounts, key).is_some(),
            "nobody else could give it back"
        );
    }
    let at_ms = later + 86_000_000;
    for (key, ask) in [(&new, &ask), (&used, &of_next)] {
        accounts.apply(slot.shard, key, &reply(ask, Outcome::Granted, 1), at_ms);
    }
    accounts.sweep(at_ms);
    for key in [&new, &used] {
        assert!(found(&accounts, key).is_none());
    }
    // One that nobody answers is not kept for ever.
    let (slot, _) = accounts.open(&new, MINUTE, at_ms);
    accounts.ask(slot.shard, &new, at_ms).unwrap();
    drop(slot);
    accounts.sweep(at_ms + 86_399_999);
    assert!(found(&accounts, &new).is_some());
    accounts.sweep(at_ms + 86_400_000);
    assert!(found(&accounts, &new).is_none());
}

#[test]
fn all_calls_that_wait_are_asked_for_though_only_the_first_says_so() {
    let mut accounts = accounts(9);
    let key = neighbours().next().unwrap();
    let (slot, _) = accounts.open(&key, MINUTE, 0);
    let waiting: Vec<Waiting> = (0..3).map(|_| Waiting::begin(&slot, 2)).collect();
    accounts.get_mut(slot.shard, &key).unwrap().waited_for = 2;
    let (ask, waited_for) = accounts.ask(slot.shard, &key, 0).unwrap();
    assert_eq!((ask.due, waited_for), (6, 6));
    assert!(ask.want > 6, "and one ahead");
    drop(waiting);
    let (ask, waited_for) = accounts.ask(slot.shard, &key, 0).unwrap();
    assert_eq!((ask.due, waited_for), (0, 0), "nobody waits any more");
    accounts.get_mut(slot.shard, &key).unwrap().waited_for = 9;
    let (ask, waited_for) = accounts.ask(slot.shard, &key, 0).unwrap();
    assert_eq!((ask.due, waited_for), (0, 9), "who asked is gone");
}

#[test]
fn of_accounts_that_no_owner_answers_no_more_are_kept_than_there_is_room_for() {
    let mut accounts = accounts(3);
    let asked: Vec<ThrottleKey> = neighbours().take(9).collect();
    let shard = shard_of(&asked[0]);
    for (key, now_ms) in asked.iter().zip(0..) {
        let (slot, _) = accounts.open(key, MINUTE, now_ms);
        accounts.ask(slot.shard, key, now_ms);
    }
    // They are kept for a day after the last ask, and not by a second longer.
    for (now_ms, kept) in [(UNANSWERED_MS - 1, 3), (UNANSWERED_MS + 10, 0)] {
        accounts.sweep(now_ms);
        let all = asked
            .iter()
            .filter(|key| accounts.get_mut(shard, key).is_some());
        assert_eq!(all.count(), kept);
    }
}

/// A recall of a reset, of the lease that asked.
fn reset_of(ask: &Ask) -> Recall {
    Recall {
        holder: ask.holder.clone(),
        cell: ask.cell.clone(),
        stamp: Stamp { epoch: 1, seq: 2 },
        window: MINUTE.at(0).id,
        granted: 3,
        anew: true,
    }
}

#[test]
fn a_key_that_is_reset_goes_on_by_another_lease_in_the_same_place_and_asks_for_who_waits() {
    let mut accounts = accounts(2);
    let key = neighbours().next().unwrap();
    let (slot, _) = accounts.open(&key, MINUTE, 0);
    let (ask, _) = accounts.ask(slot.shard, &key, 0).unwrap();
    let granted = reply(&ask, Outcome::Granted, 3);
    accounts.apply(slot.shard, &key, &granted, 0);
    let held = slot.lease.take(1, || 0).unwrap();
    let recall = reset_of(&ask);
    let (answers, asks) = accounts.begin_anew(slot.shard, &key, &recall, 1);
    let [ended, answer] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!((&ended.holder, ended.returned), (&ask.holder, 2));
    assert!(answer.holder.lease > ask.holder.lease);
    assert!(!asks, "nobody waits");
    slot.lease.put_back(held);
    assert_eq!(slot.lease.at_hand(), 0, "what a call held is void");
    let same = found(&accounts, &key).unwrap();
    assert!(Arc::ptr_eq(&same, &slot), "who waits there is found");
    // Its answer was lost.
    let (again, _) = accounts.begin_anew(slot.shard, &key, &recall, 2);
    assert_eq!((again.len(), &again[0].holder), (1, &answer.holder));
    let _waiting = Waiting::begin(&slot, 1);
    let recall = reset_of(&again[0]);
    let (_, asks) = accounts.begin_anew(slot.shard, &key, &recall, 3);
    assert!(asks);
}

/// How an account goes.
type Goes = fn(&mut Accounts, &ThrottleKey, WindowSpec);

/// A lease, and the receipt of a call that holds one of its units.
fn held_of(accounts: &mut Accounts, key: &ThrottleKey) -> (Arc<Lease>, Receipt) {
    let (slot, _) = accounts.open(key, MINUTE, 0);
    hear(accounts, &slot, Outcome::Granted, 3);
    let lease = Arc::clone(&slot.lease);
    let held = lease.take(1, || 0).unwrap();
    (lease, held)
}

#[test]
fn a_lease_whose_account_is_gone_is_void_whichever_way_it_went_and_its_debt_is_owed_on() {
    let hour = WindowSpec::new(TimeUnit::Hour, 1);
    let key = neighbours().next().unwrap();
    let ways: [(&str, Goes); 4] = [
        ("it shares", |accounts, key, _| {
            accounts.share(shard_of(key), key, 1);
        }),
        ("another window", |accounts, key, hour| {
            accounts.open(key, hour, 1);
        }),
        ("it stops", |accounts, _, _| {
            let returned: Vec<u64> = (accounts.give_all_back(1).iter())
                .flat_map(|(_, asks)| asks.iter().map(|ask| ask.returned))
                .collect();
            assert_eq!(returned, [0], "what was at hand paid for what is owed");
        }),
        ("it fails", |accounts, _, _| {
            let state = Arc::clone(&accounts.state);
            *accounts = Accounts::new(state, ("gw", 7), Arc::clone(&accounts.leases), 2);
        }),
    ];
    for (way, goes) in ways {
        let mut accounts = accounts(2);
        let (lease, held) = held_of(&mut accounts, &key);
        lease.overrun(5, 0);
        goes(&mut accounts, &key, hour);
        lease.put_back(held);
        assert_eq!(lease.at_hand(), 0, "{way}: what a call held is void");
        let debts = accounts.shards.values().flat_map(HashMap::values);
        let owed: u64 = debts.map(|account| account.slot.lease.debt()).sum();
        assert_eq!(owed + lease.debt(), 3, "{way}: two were at hand");
    }
}

#[test]
fn a_gateway_without_an_account_of_a_key_that_is_reset_says_that_nothing_of_any_lease_is_used() {
    let mut accounts = accounts(2);
    let key = neighbours().next().unwrap();
    let shard = shard_of(&key);
    let (slot, _) = accounts.open(&key, MINUTE, 0);
    let (ask, _) = accounts.ask(shard, &key, 0).unwrap();
    let of_before = Ask {
        holder: Holder::new("gw", 6, 99),
        ..ask.clone()
    };
    // Its own account is of a later lease than that of the life before.
    let (said, _) = accounts.begin_anew(shard, &key, &reset_of(&of_before), 1);
    assert_eq!(said[0].holder, ask.holder);
    drop(slot);
    accounts.sweep(UNANSWERED_MS + 10);
    assert!(accounts.get_mut(shard, &key).is_none(), "it is swept");
    for ask in [&ask, &of_before] {
        let (said, asks) = accounts.begin_anew(shard, &key, &reset_of(ask), 1);
        let [said] = &said[..] else {
            panic!("{said:?}");
        };
        assert!(said.holder > ask.holder && said.holder.incarnation == 7);
        let counts = (said.window, said.have, said.returned, said.want);
        assert_eq!((counts, said.emptied), ((None, 0, 0, 0), true));
        assert!(!asks);
        // What is opened after it is later than what has been said.
        accounts.open(&key, MINUTE, 2);
        let (next, _) = accounts.ask(shard, &key, 2).unwrap();
        assert!(next.holder > said.holder);
        accounts.sweep(2 * UNANSWERED_MS);
    }
    for (node, incarnation) in [("gw", 8), ("other", 7)] {
        let of = Ask {
            holder: Holder::new(node, incarnation, 1),
            ..ask.clone()
        };
        let (said, _) = accounts.begin_anew(shard, &key, &reset_of(&of), 3);
        assert_eq!(said, [], "that is another");
    }
}
