//! The accounts of this gateway's leases by shard (PROTOCOLS L7, L12): no mailbox, no clock, no wire.
//! Owned by the refiller; requests find the slots in the lease cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::lease::{Applied, Book};
use domain::ledger::{Ask, Holder, Recall, Reopen, Reply, SHARED_KEY};
use domain::window::WindowSpec;
use foldhash::fast::FixedState;
use tokio::sync::Notify;

use super::lease_cache::Slot;
use super::state::State;
use crate::traffic_manager::message::ThrottleKey;
use crate::traffic_manager::shard_of;

/// An account whose owner never told a window is kept so long after it was last of use.
const UNHEARD_MS: i64 = 10_000;

/// The accounts of one gateway.
pub(super) struct Accounts {
    state: Arc<State>,
    node: String,
    incarnation: u64,
    /// The last lease's number: it grows over every start of the refiller, so that leases whose
    /// accounts are lost are over when their keys are asked for again.
    leases: Arc<AtomicU64>,
    /// Keys of one shard at most.
    capacity: usize,
    shards: HashMap<u16, HashMap<ThrottleKey, Account, FixedState>, FixedState>,
}

/// One lease's account.
pub(super) struct Account {
    pub(super) slot: Arc<Slot>,
    pub(super) book: Book,
    /// Requests that wait since the last ask.
    pub(super) waiting: u32,
    used_at_ms: i64,
}

// === impl Accounts ===

impl Accounts {
    pub(super) fn new(
        state: Arc<State>,
        (node, incarnation): (&str, u64),
        leases: Arc<AtomicU64>,
        capacity: usize,
    ) -> Self {
        Self {
            state,
            node: node.to_owned(),
            incarnation,
            leases,
            capacity,
            shards: HashMap::default(),
        }
    }

    /// Whether a message is for this life of this gateway.
    pub(super) fn are_of(&self, node: &str, incarnation: u64) -> bool {
        self.node == node && self.incarnation == incarnation
    }

    pub(super) fn get_mut(&mut self, shard: u16, key: &ThrottleKey) -> Option<&mut Account> {
        self.shards.get_mut(&shard)?.get_mut(key)
    }

    /// The slot of a key, and what is to be said for an account that made room.
    pub(super) fn open(
        &mut self,
        key: &ThrottleKey,
        window: WindowSpec,
        now_ms: i64,
    ) -> (Arc<Slot>, Option<(u16, Ask)>) {
        let shard = shard_of(key);
        if let Some(account) = self.get_mut(shard, key)
            && account.slot.window == window
        {
            let slot = Arc::clone(&account.slot);
            self.state.leases.insert(&slot);
            return (slot, None);
        }
        let left = self.make_room(shard, now_ms).map(|ask| (shard, ask));
        let slot = self.begin(shard, key, window, now_ms);
        self.state.leases.insert(&slot);
        (slot, left)
    }

    fn begin(
        &mut self,
        shard: u16,
        key: &ThrottleKey,
        window: WindowSpec,
        now_ms: i64,
    ) -> Arc<Slot> {
        let lease = self.leases.fetch_add(1, Ordering::Relaxed) + 1;
        let holder = Holder::new(self.node.clone(), self.incarnation, lease);
        let book = Book::open(holder, key.cell());
        let slot = Arc::new(Slot {
            shard,
            key: key.clone(),
            window,
            lease: Arc::clone(book.lease()),
            changed: Notify::new(),
        });
        let account = Account {
            slot: Arc::clone(&slot),
            book,
            waiting: 0,
            used_at_ms: now_ms,
        };
        let of_shard = self.shards.entry(shard).or_default();
        if let Some(before) = of_shard.insert(key.clone(), account) {
            // Of another kind of window: who waits looks the lease up anew.
            before.slot.changed.notify_waiters();
        }
        slot
    }

    /// Forgets the account that was of no use for longest when a shard has too many; gives what it returns.
    fn make_room(&mut self, shard: u16, now_ms: i64) -> Option<Ask> {
        let of_shard = self.shards.get_mut(&shard)?;
        if of_shard.len() < self.capacity {
            return None;
        }
        let oldest = of_shard
            .iter()
            .min_by_key(|(_, account)| account.used_at_ms);
        let key = oldest.map(|(key, _)| key.clone())?;
        let mut account = of_shard.remove(&key)?;
        self.state.leases.remove(&key);
        account.slot.changed.notify_waiters();
        Some(account.book.give_back(self.state.applied(), now_ms))
    }

    /// The ask of a key, and how many requests wait for its answer.
    pub(super) fn ask(&mut self, shard: u16, key: &ThrottleKey, now_ms: i64) -> Option<(Ask, u32)> {
        let applied = self.state.applied();
        let account = self.get_mut(shard, key)?;
        let waiting = std::mem::take(&mut account.waiting);
        account.used_at_ms = now_ms;
        Some((account.book.ask(applied, waiting, now_ms), waiting))
    }

    /// Takes in an answer and wakes whom it concerns; gives after how many milliseconds to wake them again.
    pub(super) fn apply(
        &mut self,
        shard: u16,
        key: &ThrottleKey,
        reply: &Reply,
        now_ms: i64,
    ) -> Option<(Arc<Slot>, u32)> {
        let account = self.get_mut(shard, key)?;
        match account.book.apply(reply) {
            Applied::Units | Applied::Closed { .. } => account.slot.changed.notify_waiters(),
            Applied::Retry { after_ms } => return Some((Arc::clone(&account.slot), after_ms)),
            // Held, then 503: neither is a no, and neither means unlimited (L8, L12).
            Applied::Behind | Applied::UnknownPolicy => {
                return Some((Arc::clone(&account.slot), 200));
            }
            Applied::Shared => self.share(shard, key, now_ms),
            Applied::Nothing => {}
        }
        None
    }

    /// From now on the key is counted with others beyond the shard's bound (L12). What requests find
    /// under it is the others' lease, in the same shard.
    fn share(&mut self, shard: u16, key: &ThrottleKey, now_ms: i64) {
        let account = self.shards.get_mut(&shard).and_then(|of| of.remove(key));
        let Some(account) = account else { return };
        let window = account.slot.window;
        let shared = ThrottleKey {
            subject: SHARED_KEY.to_owned(),
            ..key.clone()
        };
        let slot = match self.get_mut(shard, &shared) {
            Some(known) if known.slot.window == window => Arc::clone(&known.slot),
            _ => self.begin(shard, &shared, window, now_ms),
        };
        metrics::counter!("headgate_throttle_keys_shared_total").increment(1);
        self.state.leases.insert_under(key.clone(), &slot);
        account.slot.changed.notify_waiters();
    }

    /// Ends the sharing of keys whose window is over: each asks for itself again, so that a new
    /// window does not begin shared because the last one ended so. True when this account is gone.
    pub(super) fn part(&mut self, slot: &Slot, now_ms: i64) -> bool {
        let over = |account: &Account| account.is_shared() && account.slot.lease.has_ended(now_ms);
        let ended = self
            .get_mut(slot.shard, &slot.key)
            .is_some_and(|it| over(it));
        if ended {
            for of_shard in self.shards.values_mut() {
                of_shard.retain(|_, account| !over(account));
            }
            self.state.leases.part(now_ms);
            slot.changed.notify_waiters();
        }
        ended
    }

    /// Gives back what the owner wants back (L9).
    pub(super) fn recall(
        &mut self,
        shard: u16,
        key: &ThrottleKey,
        recall: &Recall,
        now_ms: i64,
    ) -> Option<Ask> {
        let applied = self.state.applied();
        let account = self.get_mut(shard, key)?;
        account.book.recall(recall, applied, now_ms)
    }

    /// Forgets a refusal; who waits asks (L9).
    pub(super) fn reopen(&mut self, shard: u16, key: &ThrottleKey, reopen: &Reopen, now_ms: i64) {
        if let Some(account) = self.get_mut(shard, key)
            && account.book.reopen(reopen, now_ms)
        {
            account.slot.changed.notify_waiters();
        }
    }

    /// Forgets what is over; gives what lies idle back, by shard.
    pub(super) fn sweep(&mut self, now_ms: i64) -> Vec<(u16, Vec<Ask>)> {
        let (applied, leases) = (self.state.applied(), &self.state.leases);
        let (mut idle, mut parted) = (Vec::new(), false);
        for (shard, of_shard) in &mut self.shards {
            let mut asks = Vec::new();
            of_shard.retain(|key, account| {
                let over = account.is_over(now_ms);
                if over {
                    parted |= account.is_shared();
                    leases.remove(key);
                    account.slot.changed.notify_waiters();
                } else {
                    asks.extend(account.book.sweep(applied, now_ms));
                }
                !over
            });
            if !asks.is_empty() {
                idle.push((*shard, asks));
            }
        }
        if parted {
            leases.part(now_ms);
        }
        self.shards.retain(|_, of_shard| !of_shard.is_empty());
        idle
    }

    /// Gives everything back, by shard: this life ends (M3).
    pub(super) fn give_all_back(&mut self, now_ms: i64) -> Vec<(u16, Vec<Ask>)> {
        let applied = self.state.applied();
        let all = |of_shard: &mut HashMap<ThrottleKey, Account, FixedState>| {
            let accounts = of_shard.values_mut();
            accounts
                .map(|account| account.book.give_back(applied, now_ms))
                .collect()
        };
        let shards = self.shards.iter_mut();
        shards.map(|(shard, of)| (*shard, all(of))).collect()
    }
}

// === impl Account ===

impl Account {
    fn is_shared(&self) -> bool {
        self.slot.key.subject == SHARED_KEY
    }

    fn is_heard(&self) -> bool {
        self.book.granted().0.is_some()
    }

    fn is_over(&self, now_ms: i64) -> bool {
        let of_use = now_ms.saturating_sub(self.used_at_ms) < UNHEARD_MS;
        self.book.is_over(now_ms) && (self.is_heard() || !of_use)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::lease_cache::KeyParts;
    use cluster::Clock;
    use domain::lease::Refused;
    use domain::ledger::{Outcome, Stamp};
    use domain::policy::{PolicyLevel, TimeUnit};

    const MINUTE: WindowSpec = WindowSpec::new(TimeUnit::Min, 1);

    fn accounts(capacity: usize) -> Accounts {
        let state = Arc::new(State::new(Clock::system()));
        let leases = Arc::new(AtomicU64::new(0));
        Accounts::new(state, ("gw", 7), leases, capacity)
    }

    /// Keys that belong to one shard.
    fn neighbours() -> impl Iterator<Item = ThrottleKey> {
        let key = |number: u32| ThrottleKey {
            tenant: "t".to_owned(),
            level: PolicyLevel::Application,
            policy: "p".to_owned(),
            limit: 0,
            subject: number.to_string(),
        };
        let shard = shard_of(&key(0));
        (0..).map(key).filter(move |key| shard_of(key) == shard)
    }

    fn reply(ask: &Ask, outcome: Outcome, granted: u64) -> Reply {
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
        let parts = KeyParts {
            tenant: &key.tenant,
            level: key.level,
            policy: &key.policy,
            limit: key.limit,
            subject: &key.subject,
        };
        accounts.state.leases.get(&parts, MINUTE)
    }

    /// Asks and hears what the owner says.
    fn hear(
        accounts: &mut Accounts,
        slot: &Slot,
        outcome: Outcome,
        granted: u64,
    ) -> Option<(Arc<Slot>, u32)> {
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
        hear(&mut accounts, &slot, Outcome::Granted, 3);
        let (_, left) = accounts.open(&third, MINUTE, 9);
        let (shard, ask) = left.unwrap();
        assert_eq!((shard, ask.cell), (shard_of(&first), first.cell()));
        assert_eq!((ask.returned, ask.emptied), (3, true));
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
    fn who_asks_too_new_or_unknown_policies_is_held_neither_refused_nor_let_through() {
        let mut accounts = accounts(9);
        let key = neighbours().next().unwrap();
        let (slot, _) = accounts.open(&key, MINUTE, 0);
        for outcome in [Outcome::UnknownPolicy, Outcome::Behind { applied: 1 }] {
            let again = hear(&mut accounts, &slot, outcome, 0);
            assert!(again.is_some_and(|(of, _)| Arc::ptr_eq(&of, &slot)));
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
        accounts.sweep(5_000);
        assert!(found(&accounts, &key).is_some());
        accounts.sweep(20_000);
        assert!(found(&accounts, &key).is_none());
    }
}
