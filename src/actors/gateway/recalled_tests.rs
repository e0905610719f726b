//! Recalls of whatever lease a gateway has that are told again, late, or by somebody hostile (L9).

use super::tests::{MINUTE, accounts, keys, neighbours, reply};
use super::*;
use crate::gateway::recalled::{TOLD_AGAIN_MS, TOLD_KEYS};
use domain::policy::TimeUnit;

/// A reset by an owner that does not know of all leases.
fn reset_of_any(key: &ThrottleKey) -> Recall {
    Recall {
        holder: Holder::any("gw"),
        cell: key.cell(),
        stamp: Stamp { epoch: 1, seq: 2 },
        window: MINUTE.at(0).id,
        granted: 0,
        anew: true,
    }
}

/// The same as of another step of its owner.
fn reset_at(key: &ThrottleKey, seq: u64) -> Recall {
    Recall {
        stamp: Stamp { epoch: 1, seq },
        ..reset_of_any(key)
    }
}

/// Opens a lease of a key and grants it three units after all resets; gives its slot and whose it is.
fn granted_after(accounts: &mut Accounts, key: &ThrottleKey, now_ms: i64) -> (Arc<Slot>, Holder) {
    let (slot, _) = accounts.open(key, MINUTE, now_ms);
    let (ask, _) = accounts.ask(slot.shard, key, now_ms).unwrap();
    let granted = Reply {
        stamp: Stamp { epoch: 1, seq: 99 },
        ..reply(&ask, Outcome::Granted, 3)
    };
    accounts.apply(slot.shard, key, &granted, now_ms);
    assert_eq!(slot.lease.at_hand(), 3);
    (slot, ask.holder)
}

#[test]
fn a_recall_of_any_lease_that_is_told_again_ends_none_that_was_opened_after_its_answer() {
    let mut accounts = accounts(2);
    let key = neighbours().next().unwrap();
    let shard = shard_of(&key);
    let recall = reset_of_any(&key);
    let (answer, _) = accounts.begin_anew(shard, &key, &recall, 0);
    let (slot, _) = accounts.open(&key, MINUTE, 1);
    let (ask, _) = accounts.ask(shard, &key, 1).unwrap();
    assert!(ask.holder > answer[0].holder);
    assert_eq!((ask.epoch, ask.window), (1, None), "it is an answer itself");
    let granted = Reply {
        stamp: Stamp { epoch: 1, seq: 3 },
        ..reply(&ask, Outcome::Granted, 3)
    };
    accounts.apply(shard, &key, &granted, 1);
    let (again, asks) = accounts.begin_anew(shard, &key, &recall, 2);
    assert_eq!((again[0].holder.clone(), asks), (ask.holder.clone(), false));
    assert_eq!((again.len(), slot.lease.at_hand()), (1, 3));
    // The next reset is another.
    let stamp = Stamp { epoch: 1, seq: 9 };
    let next = Recall { stamp, ..recall };
    accounts.begin_anew(shard, &key, &next, 3);
    assert_eq!(slot.lease.at_hand(), 0);
}

#[test]
fn what_was_recalled_is_remembered_no_longer_than_it_may_be_told_again_and_of_no_more_keys_than_there_is_room_for()
 {
    let mut accounts = accounts(2);
    for (number, key) in keys().take(TOLD_KEYS + 5).enumerate() {
        let at = i64::from(number > 0);
        accounts.begin_anew(shard_of(&key), &key, &reset_of_any(&key), at);
    }
    assert_eq!(accounts.recalled.len(), TOLD_KEYS);
    accounts.sweep(TOLD_AGAIN_MS);
    assert_eq!(accounts.recalled.len(), TOLD_KEYS - 1);
    accounts.sweep(TOLD_AGAIN_MS + 1);
    assert_eq!(accounts.recalled.len(), 0);
}

/// How an account goes.
type Goes = fn(&mut Accounts, &ThrottleKey);

#[test]
fn a_recall_of_any_lease_ends_none_that_was_opened_since_whichever_way_the_account_that_answered_went()
 {
    let ways: [(&str, Goes); 4] = [
        ("its window ends", |accounts, _| {
            drop(accounts.sweep(20_000));
        }),
        ("it made room", |accounts, key| {
            let others = neighbours().filter(|other| other != key).take(2);
            for other in others {
                accounts.open(&other, MINUTE, 5);
            }
        }),
        ("it shares", |accounts, key| {
            accounts.share(shard_of(key), key, 5);
        }),
        ("another window and back", |accounts, key| {
            let hour = WindowSpec::new(TimeUnit::Hour, 1);
            drop(accounts.open(key, hour, 5));
        }),
    ];
    for (way, goes) in ways {
        let mut accounts = accounts(2);
        let key = neighbours().next().unwrap();
        let shard = shard_of(&key);
        let (slot, first) = granted_after(&mut accounts, &key, 0);
        let recall = Recall {
            stamp: Stamp { epoch: 1, seq: 100 },
            ..reset_of_any(&key)
        };
        accounts.begin_anew(shard, &key, &recall, 1);
        // A lease of its own is counted since, and heard.
        let (ask, _) = accounts.ask(shard, &key, 2).unwrap();
        assert!(ask.holder > first);
        let after = Reply {
            stamp: Stamp { epoch: 1, seq: 101 },
            ..reply(&ask, Outcome::Granted, 1)
        };
        accounts.apply(shard, &key, &after, 2);
        drop(slot);
        goes(&mut accounts, &key);
        let (slot, _) = accounts.open(&key, MINUTE, 20_001);
        let (ask, _) = accounts.ask(shard, &key, 20_001).unwrap();
        let granted = Reply {
            stamp: Stamp { epoch: 1, seq: 102 },
            ..reply(&ask, Outcome::Granted, 3)
        };
        accounts.apply(shard, &key, &granted, 20_001);
        // Its answer was lost, so it is told again.
        let (again, _) = accounts.begin_anew(shard, &key, &recall, 20_002);
        assert_eq!((again.len(), slot.lease.at_hand()), (1, 3), "{way}");
    }
}

#[test]
fn the_shared_account_that_parted_answers_a_recall_of_any_lease_that_is_told_again() {
    let mut accounts = accounts(9);
    let own = neighbours().next().unwrap();
    let shard = shard_of(&own);
    accounts.open(&own, MINUTE, 0);
    accounts.share(shard, &own, 0);
    let key = ThrottleKey {
        subject: SHARED_KEY.to_owned(),
        ..own.clone()
    };
    let recall = reset_of_any(&key);
    accounts.begin_anew(shard, &key, &recall, 1);
    let slot = Arc::clone(&accounts.get_mut(shard, &key).unwrap().slot);
    let (ask, _) = accounts.ask(shard, &key, 2).unwrap();
    let granted = Reply {
        stamp: Stamp { epoch: 1, seq: 3 },
        ..reply(&ask, Outcome::Granted, 1)
    };
    accounts.apply(shard, &key, &granted, 2);
    assert!(accounts.part(&slot, 20_000));
    assert_eq!(accounts.recalled.get(shard, &key), Some((recall.stamp, 1)));
    // Each shard has its own: another one's owner has said nothing of it.
    assert_eq!(accounts.recalled.get(shard + 1, &key), None);
}

#[test]
fn of_recalls_of_any_lease_that_come_out_of_order_the_latest_counts() {
    let mut accounts = accounts(2);
    let key = neighbours().next().unwrap();
    let shard = shard_of(&key);
    for (seq, now_ms) in [(9, 0), (2, 1)] {
        accounts.begin_anew(shard, &key, &reset_at(&key, seq), now_ms);
    }
    let (slot, _) = granted_after(&mut accounts, &key, 2);
    accounts.begin_anew(shard, &key, &reset_at(&key, 9), 3);
    assert_eq!(slot.lease.at_hand(), 3, "it was answered before");
    accounts.begin_anew(shard, &key, &reset_at(&key, 100), 4);
    assert_eq!(slot.lease.at_hand(), 0, "this one is new");
}

#[test]
fn a_recall_of_a_key_that_is_invented_is_neither_kept_nor_answered() {
    let mut accounts = accounts(2);
    let real = neighbours().next().unwrap();
    let of_another_shard = (shard_of(&real) + 1, real.clone());
    let long = ThrottleKey {
        subject: "x".repeat(4_097),
        ..real.clone()
    };
    let of_a_long_policy = ThrottleKey {
        policy: "x".repeat(4_097),
        ..real.clone()
    };
    let ours = |key: ThrottleKey| (shard_of(&key), key);
    for (shard, key) in [of_another_shard, ours(long), ours(of_a_long_policy)] {
        let said = accounts.begin_anew(shard, &key, &reset_of_any(&key), 0);
        assert_eq!(said, (Vec::new(), false));
    }
    // Of a policy that comes later there may be a lease of an earlier life; one of this life is not opened.
    let unknown = ThrottleKey {
        policy: "q".to_owned(),
        ..real.clone()
    };
    let (shard, unknown) = ours(unknown);
    let (said, _) = accounts.begin_anew(shard, &unknown, &reset_of_any(&unknown), 0);
    assert_eq!((said.len(), accounts.recalled.len()), (1, 0));
    accounts.begin_anew(shard_of(&real), &real, &reset_of_any(&real), 0);
    assert_eq!(accounts.recalled.len(), 1);
}
