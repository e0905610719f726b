//! The accounts of this gateway's leases by shard (PROTOCOLS L7, L12): no mailbox, no clock, no wire.
//! Owned by the refiller; requests find the slots in the lease cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::lease::{Applied, Book};
use domain::ledger::{ANY_LIFE, Ask, Holder, Outcome, Recall, Reopen, Reply, SHARED_KEY, Stamp};
use domain::window::WindowSpec;
use foldhash::fast::FixedState;
use tokio::sync::Notify;

use super::lease_cache::Slot;
use super::line::Line;
use super::recalled::{Recalled, is_of_shard};
use super::refiller::PolicyName;
use super::state::State;
use crate::traffic_manager::message::ThrottleKey;
use crate::traffic_manager::shard_of;

/// An account whose owner never told a window is kept so long after it was last of use: what it asked for may be granted
/// when voters or the owner are back, and nobody else could give that back.
const UNHEARD_MS: i64 = 120_000;
/// One whose owner has not answered at all is kept so long: of a small limit it may have been granted all there is.
const UNANSWERED_MS: i64 = 86_400_000;

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
    recalled: Recalled,
}

/// One lease's account.
pub(super) struct Account {
    pub(super) slot: Arc<Slot>,
    pub(super) book: Book,
    /// Units that requests wait for since the last ask.
    pub(super) waited_for: u32,
    used_at_ms: i64,
    /// Whether what it asked last may have been granted unheard.
    is_unanswered: bool,
    /// The latest recall of whatever lease there is that it answered, or that was answered before it: as of when by its
    /// owner, and when it was heard last.
    pub(super) recalled: Option<(Stamp, i64)>,
}

/// What follows from an answer.
pub(super) enum Next {
    /// Nothing more.
    Nothing,
    /// More is owed than was granted: ask again.
    Ask,
    /// Who waits is woken after so many milliseconds, to ask again.
    Wake { slot: Arc<Slot>, after_ms: u32 },
}

/// What a look at all accounts found.
#[derive(Default)]
pub(super) struct Swept {
    /// What lay idle and is given back, by shard.
    pub(super) idle: Vec<(u16, Vec<Ask>)>,
    /// Keys that owe something from a window that is over.
    pub(super) owing: Vec<(u16, ThrottleKey)>,
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
            recalled: Recalled::default(),
        }
    }

    /// Whether a message is for this life of this gateway, or for whichever it is in.
    pub(super) fn are_of(&self, node: &str, incarnation: u64) -> bool {
        self.node == node && [self.incarnation, ANY_LIFE].contains(&incarnation)
    }

    /// How many keys have one.
    pub(super) fn len(&self) -> usize {
        self.shards.values().map(HashMap::len).sum()
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
        let before = self.get_mut(shard, key).and_then(|before| before.recalled);
        let recalled = before.max(self.recalled.get(shard, key));
        let book = match recalled {
            Some((stamp, _)) => Book::open_after(holder, key.cell(), stamp),
            None => Book::open(holder, key.cell()),
        };
        let slot = Arc::new(Slot {
            shard,
            key: key.clone(),
            window,
            lease: Arc::clone(book.lease()),
            changed: Notify::new(),
            line: Line::default(),
        });
        let account = Account {
            slot: Arc::clone(&slot),
            book,
            waited_for: 0,
            used_at_ms: now_ms,
            is_unanswered: false,
            recalled,
        };
        let of_shard = self.shards.entry(shard).or_default();
        if let Some(before) = of_shard.insert(key.clone(), account) {
            // Of another kind of window: who waits looks the lease up anew, and what is owed stays owed (L11).
            let debt = before.slot.lease.take_debt();
            slot.lease.overrun(debt, now_ms);
            if before.is_shared() {
                self.state.leases.forget(&before.slot);
            }
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
        let accounts = of_shard.iter();
        let oldest = accounts
            .filter(|(_, account)| !account.is_of_streams())
            .min_by_key(|(_, account)| account.used_at_ms);
        let key = oldest.map(|(key, _)| key.clone())?;
        let account = of_shard.remove(&key)?;
        self.recalled.keep_of(shard, &account, now_ms);
        self.state.leases.remove(&key);
        if account.is_shared() {
            self.state.leases.forget(&account.slot);
        }
        account.slot.changed.notify_waiters();
        Some(account.book.end(self.state.applied(), now_ms))
    }

    /// The ask of a key, and how many units are waited for.
    pub(super) fn ask(&mut self, shard: u16, key: &ThrottleKey, now_ms: i64) -> Option<(Ask, u32)> {
        let applied = self.state.applied();
        let account = self.get_mut(shard, key)?;
        // Who found the ask open already has not said so, and some who have are gone.
        let waiting = account.slot.line.units();
        let waited_for = std::mem::take(&mut account.waited_for).max(waiting);
        account.used_at_ms = now_ms;
        account.is_unanswered = true;
        Some((
            account.book.ask(applied, (waited_for, waiting), now_ms),
            waited_for,
        ))
    }

    /// Takes in an answer and wakes whom it concerns.
    pub(super) fn apply(
        &mut self,
        shard: u16,
        key: &ThrottleKey,
        reply: &Reply,
        now_ms: i64,
    ) -> Next {
        let Some(account) = self.get_mut(shard, key) else {
            return Next::Nothing;
        };
        account.hears(reply);
        let slot = &account.slot;
        let after_ms = match account.book.apply(reply) {
            Applied::Units | Applied::Closed { .. } => {
                slot.changed.notify_waiters();
                // What was granted was not enough; the next grant may be (L11).
                let owes = reply.outcome == Outcome::Granted && slot.lease.debt() > 0;
                return if owes { Next::Ask } else { Next::Nothing };
            }
            Applied::Retry { after_ms } => after_ms,
            // Held, then 503: neither is a no, and neither means unlimited (L8, L12).
            Applied::Behind | Applied::UnknownPolicy => 200,
            Applied::Shared => {
                self.share(shard, key, now_ms);
                return Next::Nothing;
            }
            Applied::Nothing => return Next::Nothing,
        };
        let slot = Arc::clone(slot);
        Next::Wake { slot, after_ms }
    }

    /// From now on the key is counted with others beyond the shard's bound (L12). What requests find
    /// under it is the others' lease, in the same shard.
    fn share(&mut self, shard: u16, key: &ThrottleKey, now_ms: i64) {
        let account = self.shards.get_mut(&shard).and_then(|of| of.remove(key));
        let Some(account) = account else { return };
        self.recalled.keep_of(shard, &account, now_ms);
        let window = account.slot.window;
        let shared = ThrottleKey {
            subject: SHARED_KEY.to_owned(),
            ..key.clone()
        };
        let slot = match self.get_mut(shard, &shared) {
            Some(known) if known.slot.window == window => Arc::clone(&known.slot),
            _ => self.begin(shard, &shared, window, now_ms),
        };
        let debt = account.slot.lease.take_debt();
        slot.lease.overrun(debt, now_ms);
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
            // Before their accounts go, and the ends of their windows with them.
            self.state.leases.part(now_ms);
            // What they owe together is paid by those who share in the next window (L11).
            let recalled = &mut self.recalled;
            for (shard, of_shard) in &mut self.shards {
                of_shard.retain(|_, account| {
                    let stays = !over(account) || account.slot.lease.debt() > 0;
                    if !stays {
                        recalled.keep_of(*shard, account, now_ms);
                    }
                    stays
                });
            }
            slot.changed.notify_waiters();
        }
        ended
    }

    /// Gives back what the owner wants back (L9); and whether calls may hold some of it up, which take what they wait
    /// for as soon as they run.
    pub(super) fn recall(
        &mut self,
        shard: u16,
        key: &ThrottleKey,
        (recall, is_last_look): (&Recall, bool),
        now_ms: i64,
    ) -> (Option<Ask>, bool) {
        let applied = self.state.applied();
        let Some(account) = self.get_mut(shard, key) else {
            return (None, false);
        };
        let waiting = account.slot.line.units();
        let answer = account
            .book
            .recall(recall, (applied, waiting, is_last_look), now_ms);
        let is_whole = answer.as_ref().is_some_and(|answer| answer.emptied);
        (answer, waiting > 0 && !is_whole)
    }

    /// The key was reset: goes on by the next lease (L9). Gives what is to be said, in this order, and whether there is
    /// anything to ask for now.
    ///
    /// Where there is no account, of this life or of the one that is recalled, nothing of any lease can be used any more:
    /// the next one says so. Whoever invents keys hears nothing, and has nothing kept.
    pub(super) fn begin_anew(
        &mut self,
        shard: u16,
        key: &ThrottleKey,
        recall: &Recall,
        now_ms: i64,
    ) -> (Vec<Ask>, bool) {
        let of = &recall.holder;
        if of.node != self.node || of.incarnation > self.incarnation {
            return (Vec::new(), false);
        }
        let applied = self.state.applied();
        let next = self.leases.fetch_add(1, Ordering::Relaxed) + 1;
        let holder = Holder::new(self.node.clone(), self.incarnation, next);
        let known = Arc::clone(&self.state.rules.load());
        let Some(account) = self.get_mut(shard, key) else {
            if !is_of_shard(shard, key) {
                return (Vec::new(), false);
            }
            // Of a policy that is not known here yet no lease is opened.
            if of.is_any() && known.window_of(key).is_some() {
                self.recalled.keep(shard, key, (recall.stamp, now_ms));
            }
            let answer = Book::of_none(holder, recall, applied, now_ms);
            return (vec![answer], false);
        };
        let answers = account.book.begin_anew(recall, next, applied, now_ms);
        if of.is_any() {
            let stamp = account
                .recalled
                .map_or(recall.stamp, |(known, _)| known.max(recall.stamp));
            account.recalled = Some((stamp, now_ms));
        }
        if account.book.holder().lease != next {
            return (answers, false);
        }
        // What the lease before asked for is nobody's concern any more.
        account.is_unanswered = false;
        let slot = &account.slot;
        slot.changed.notify_waiters();
        let asks = slot.line.units() > 0 || slot.lease.debt() > 0;
        (answers, asks)
    }

    /// Whoever waits for units of a shard looks again: nobody may come to grant any (L8).
    pub(super) fn wake(&self, shard: u16) {
        let of_shard = self.shards.get(&shard).into_iter();
        for account in of_shard.flat_map(HashMap::values) {
            account.slot.changed.notify_waiters();
        }
    }

    /// Forgets a refusal; who waits asks (L9).
    pub(super) fn reopen(&mut self, shard: u16, key: &ThrottleKey, reopen: &Reopen, now_ms: i64) {
        if let Some(account) = self.get_mut(shard, key)
            && account.book.reopen(reopen, now_ms)
        {
            account.slot.changed.notify_waiters();
        }
    }

    /// Forgets what is over; says what lay idle and who owes something from a window that is over.
    pub(super) fn sweep(&mut self, now_ms: i64) -> Swept {
        let (applied, leases) = (self.state.applied(), &self.state.leases);
        let rules = self.state.rules.load();
        let recalled = &mut self.recalled;
        recalled.forget(now_ms);
        let mut swept = Swept::default();
        for (shard, of_shard) in &mut self.shards {
            let mut asks = Vec::new();
            of_shard.retain(|key, account| {
                if !account.is_over(now_ms) {
                    asks.extend(account.book.sweep(applied, now_ms));
                    return true;
                }
                asks.extend(account.book.leave(applied, now_ms));
                leases.remove(key);
                if account.is_shared() {
                    leases.part(now_ms);
                }
                account.slot.changed.notify_waiters();
                if account.slot.lease.debt() > 0 && rules.window_of(key).is_some() {
                    swept.owing.push((*shard, key.clone()));
                    return true;
                }
                // Streams that are open count on by it.
                let stays = Arc::strong_count(&account.slot) > 1;
                if !stays {
                    recalled.keep_of(*shard, account, now_ms);
                }
                stays
            });
            if !asks.is_empty() {
                swept.idle.push((*shard, asks));
            }
        }
        self.shards.retain(|_, of_shard| !of_shard.is_empty());
        swept
    }

    /// The limits of a policy changed, or of all: what is at hand goes back and refusals are forgotten; gives what
    /// goes back, by shard (L9).
    pub(super) fn limits_changed(
        &mut self,
        policy: Option<&PolicyName>,
        now_ms: i64,
    ) -> Vec<(u16, Vec<Ask>)> {
        let applied = self.state.applied();
        let concerned = |key: &ThrottleKey| {
            policy.is_none_or(|(tenant, level, name)| {
                key.policy == *name && key.level == *level && key.tenant == *tenant
            })
        };
        let of = |of_shard: &mut HashMap<ThrottleKey, Account, FixedState>| {
            let accounts = of_shard.iter_mut().filter(|(key, _)| concerned(key));
            let asks = accounts.filter_map(|(_, account)| {
                account.slot.changed.notify_waiters();
                account.book.policy_changed(applied, now_ms)
            });
            asks.collect()
        };
        let shards = self.shards.iter_mut();
        shards
            .map(|(shard, accounts)| (*shard, of(accounts)))
            .collect()
    }

    /// Gives everything back, by shard, and ends all leases: this life ends (M3).
    pub(super) fn give_all_back(&mut self, now_ms: i64) -> Vec<(u16, Vec<Ask>)> {
        let applied = self.state.applied();
        let all = |of_shard: HashMap<ThrottleKey, Account, FixedState>| {
            let accounts = of_shard.into_values();
            accounts
                .map(|account| account.book.end(applied, now_ms))
                .collect()
        };
        let shards = self.shards.drain();
        shards.map(|(shard, of)| (shard, all(of))).collect()
    }
}

// === impl Account ===

impl Account {
    fn is_shared(&self) -> bool {
        self.slot.key.subject == SHARED_KEY
    }

    /// Whether open streams count by it or left a debt. A slot is held by the cache and its account always, by
    /// requests for a moment.
    fn is_of_streams(&self) -> bool {
        Arc::strong_count(&self.slot) > 2 || self.slot.lease.debt() > 0
    }

    fn is_heard(&self) -> bool {
        self.book.granted().0.is_some()
    }

    fn is_over(&self, now_ms: i64) -> bool {
        let kept_ms = match (self.is_unanswered, self.is_heard()) {
            (true, _) => UNANSWERED_MS,
            (false, true) => 0,
            (false, false) => UNHEARD_MS,
        };
        self.book.is_over(now_ms) && now_ms.saturating_sub(self.used_at_ms) >= kept_ms
    }

    /// An owner that counts says all that it granted; one that has yet to says nothing of that.
    fn hears(&mut self, reply: &Reply) {
        let says_all = match reply.outcome {
            Outcome::UnknownPolicy | Outcome::Shared => true,
            _ => reply.window.is_some(),
        };
        let of_last = reply.asked_at_ms >= self.used_at_ms;
        self.is_unanswered &= !(says_all && of_last && reply.holder == *self.book.holder());
    }
}

#[cfg(test)]
#[path = "recalled_tests.rs"]
mod recalled_tests;
#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
