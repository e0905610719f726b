//! Keeps one lease's accounts with the owner (PROTOCOLS L7, L9): what was granted and given back, when to ask and for
//! how much. Owned by the gateway's lease actor; requests see only the [`Lease`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Lease, NEVER};
use crate::ledger::{Ask, CellKey, Holder, Outcome, Recall, Reopen, Reply, Stamp};
use crate::window::WindowId;

/// Demand is asked for so far ahead.
const AHEAD_MS: u64 = 100;
/// A final no is kept for so long and asked for again then: the word that there are units again may have been lost, with
/// whoever knew whom to tell.
const KEPT_NO_MS: i64 = 60_000;
/// T and this gateway's clock may run apart by one millisecond in so many: T follows a wall clock and is set right, by
/// 500 ppm each.
const APART_ONE_IN: i64 = 500;

/// What a reply meant for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// There are units: wake them.
    Units,
    /// No until then: wake them, they are refused.
    Closed {
        /// By this gateway's clock.
        until_ms: i64,
    },
    /// Nothing yet: ask again after so long.
    Retry {
        /// Milliseconds.
        after_ms: u32,
    },
    /// The owner has yet to hear of the policies this gateway knows: ask again after a moment.
    Behind,
    /// The owner knows no such policy.
    UnknownPolicy,
    /// Use the lease of [`crate::ledger::SHARED_KEY`] for this key until its window ends (L12).
    Shared,
    /// Late or repeated: nothing changed.
    Nothing,
}

/// The accounts of one lease.
#[derive(Debug)]
pub struct Book {
    lease: Arc<Lease>,
    holder: Holder,
    cell: CellKey,
    window: Option<WindowId>,
    stamp: Stamp,
    /// The stamp of the last recall of a reset that it answered: what owners said before, or say who do not know of that
    /// reset, says nothing to it.
    begun: Stamp,
    have: u64,
    returned: u64,
    /// Units used until the last ask or sweep, in this window.
    used_at_ask: u64,
    used_at_sweep: u64,
    asked_at_ms: i64,
    /// Units a second, as of the last ask.
    rate: u64,
    reopened_at_ms: i64,
}

// === impl Book ===

impl Book {
    /// Opens the accounts of a new lease. `holder.lease` has to be higher than of any lease this gateway had before
    /// in this incarnation.
    pub fn open(holder: Holder, cell: CellKey) -> Self {
        Self {
            lease: Arc::new(Lease::default()),
            holder,
            cell,
            window: None,
            stamp: Stamp::default(),
            begun: Stamp::default(),
            have: 0,
            returned: 0,
            used_at_ask: 0,
            used_at_sweep: 0,
            asked_at_ms: NEVER,
            rate: 0,
            reopened_at_ms: NEVER,
        }
    }

    /// Opens them after a recall of whatever lease this gateway had was answered without an account ([`Self::of_none`]), by an
    /// owner that said so then: told again, it is answered by this lease and does not end it.
    pub fn open_after(holder: Holder, cell: CellKey, recalled: Stamp) -> Self {
        let mut book = Self::open(holder, cell);
        (book.stamp, book.begun) = (recalled, recalled);
        book
    }

    /// What requests take from.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// What it is a lease of.
    pub fn cell(&self) -> &CellKey {
        &self.cell
    }

    /// Whose lease it is.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Asks for more: what was used of late, `AHEAD_MS` ahead, what is owed, and the units that are `wished` for. Calls
    /// that wait at this moment take so many of those at once. `policies` is the change-log number of the policies this
    /// gateway knows.
    pub fn ask(&mut self, policies: u64, (wished, waiting): (u32, u32), now_ms: i64) -> Ask {
        self.measure(now_ms);
        self.lease.asked_at_ms.store(now_ms, Ordering::Relaxed);
        // What is left of a window that is over is of no use.
        let over = now_ms >= self.lease.quota().end_ms;
        if over && self.counts_on() {
            // Nobody can use it any more, and where windows slide it would count all the same.
            self.returned = self.returned.saturating_add(u64::from(self.lease.empty()));
        }
        let at_hand = if over {
            0
        } else {
            u64::from(self.lease.at_hand())
        };
        let ahead = self.rate.saturating_mul(AHEAD_MS) / 1_000;
        let owed = self.lease.debt();
        let target = ahead
            .max(1)
            .saturating_add(u64::from(wished.max(waiting)))
            // More cannot be at hand; what is owed never comes to hand.
            .min(u64::from(u32::MAX))
            .saturating_add(owed);
        let want = target.saturating_sub(at_hand).max(1);
        Ask {
            want,
            due: owed.saturating_add(u64::from(waiting)).min(want),
            ..self.report(policies, now_ms)
        }
    }

    /// Takes in the owner's answer (L7: cumulative, so late and repeated ones are harmless).
    pub fn apply(&mut self, reply: &Reply) -> Applied {
        if reply.holder != self.holder {
            return Applied::Nothing;
        }
        let Some(window) = reply.window else {
            // The ask stays open: whoever waits asks again after a pause, not at once.
            return match reply.outcome {
                Outcome::Behind { .. } => Applied::Behind,
                Outcome::UnknownPolicy => Applied::UnknownPolicy,
                Outcome::Shared => Applied::Shared,
                Outcome::Retry { after_ms } => Applied::Retry { after_ms },
                Outcome::Granted | Outcome::Final => Applied::Nothing,
            };
        };
        let end_ms = end_of(reply.asked_at_ms, reply.remaining_ms);
        if !self.enter(window.id, reply.stamp, end_ms) {
            return Applied::Nothing;
        }
        self.lease.prolong(end_ms);
        self.lease.limit.store(reply.limit, Ordering::Relaxed);
        self.lease.left.store(reply.left, Ordering::Relaxed);
        let gain = self.receive(reply.granted);
        if gain > 0 {
            self.lease.closed_until_ms.store(NEVER, Ordering::Release);
            let low = self.lease.at_hand() / 2;
            self.lease.low_water.store(low, Ordering::Relaxed);
        }
        match reply.outcome {
            Outcome::Retry { after_ms } if gain == 0 => return Applied::Retry { after_ms },
            // An ask from before a reopening says nothing about what is free since.
            Outcome::Final if reply.asked_at_ms > self.reopened_at_ms => {
                let kept_ms = reply.asked_at_ms.saturating_add(KEPT_NO_MS).min(end_ms);
                self.lease.closed_until_ms.store(kept_ms, Ordering::Release);
                self.answered(reply.asked_at_ms);
                return if self.lease.at_hand() > 0 {
                    Applied::Units
                } else {
                    Applied::Closed { until_ms: end_ms }
                };
            }
            Outcome::Final => {
                self.answered(reply.asked_at_ms);
                return Applied::Retry { after_ms: 1 };
            }
            _ => self.answered(reply.asked_at_ms),
        }
        if gain > 0 {
            Applied::Units
        } else {
            Applied::Nothing
        }
    }

    /// Gives back what is unused and nobody waits for (L9): `waited_for` are the units that calls wait for now, and take
    /// as soon as they run. Were those given back, the last units of a limit would go round gateways that all have calls
    /// which wait, recalled for one as soon as they were granted to the other.
    ///
    /// At the last look, before the owner takes the silence for spent, what is at hand is given back all the same: where
    /// calls come as fast as they are let through some always wait.
    ///
    /// None if there is nothing to say: the recall is about a window that is over or another lease, or all that it asks
    /// for is waited for. Silence means that it is spent. One of a reset is for [`Book::begin_anew`].
    pub fn recall(
        &mut self,
        recall: &Recall,
        (policies, waited_for, is_last_look): (u64, u32, bool),
        now_ms: i64,
    ) -> Option<Ask> {
        if recall.holder != self.holder || recall.anew {
            return None;
        }
        let is_under_way = self.window != Some(recall.window) || recall.granted > self.have;
        if waited_for > 0 && is_under_way {
            return None;
        }
        if waited_for > 0 && !is_last_look && self.lease.at_hand() > 0 {
            return self.give_back_but(waited_for, policies, now_ms);
        }
        // A window this gateway has not heard of: its reply is under way, and its units are given back unseen.
        if !self.enter(recall.window, recall.stamp, NEVER) {
            return None;
        }
        // Counting what is under way as received means that nothing arrives after "I hold nothing". It is given
        // back without ever being usable.
        let under_way = recall.granted.saturating_sub(self.have);
        self.have = self.have.saturating_add(under_way);
        self.returned = self.returned.saturating_add(under_way);
        Some(self.give_back(policies, now_ms))
    }

    /// The key begins anew (L9): the next lease takes this one's place, and what was taken of this one is void, also what
    /// calls hold that wait elsewhere: once this is answered nothing of it may be used. What is owed stays owed (L11). Who
    /// waits is to be woken, and to ask.
    ///
    /// What is at hand is given back by the lease that ends, before the next one speaks: a recall may be late, and what was
    /// granted since it left would count though nobody used it. What calls hold is not given back: it is void.
    ///
    /// A recall of a lease before this one, also of an earlier life, was answered by this one, and is again. One of whatever
    /// lease this gateway has, from an owner that does not know of all (L5, L6), is of this one unless it was answered.
    ///
    /// Gives what is to be said, in this order; nothing if the recall is another's.
    pub fn begin_anew(
        &mut self,
        recall: &Recall,
        next: u64,
        policies: u64,
        now_ms: i64,
    ) -> Vec<Ask> {
        let (mine, of) = (&self.holder, &recall.holder);
        let age = |holder: &Holder| (holder.incarnation, holder.lease);
        if of.node != mine.node || age(of) > age(mine) || next <= mine.lease {
            return Vec::new();
        }
        let was_answered = match of.is_any() {
            true => recall.stamp <= self.begun,
            false => age(of) < age(mine),
        };
        if was_answered {
            return vec![self.report(policies, now_ms)];
        }
        let is_at_hand = self.lease.at_hand() > 0;
        let ended = is_at_hand.then(|| self.give_back(policies, now_ms));
        self.holder.lease = next;
        self.window = None;
        self.stamp = self.stamp.max(recall.stamp);
        self.begun = self.begun.max(recall.stamp);
        (self.have, self.returned) = (0, 0);
        (self.used_at_ask, self.used_at_sweep) = (0, 0);
        self.lease.open(NEVER);
        self.lease.asked_at_ms.store(NEVER, Ordering::Relaxed);
        let anew = self.report(policies, now_ms);
        ended.into_iter().chain([anew]).collect()
    }

    /// What a gateway without accounts of the key answers to a reset's recall, of this life or one before: nothing that its
    /// leases had may be used any more. `holder.lease` has to be higher than of any lease before.
    pub fn of_none(holder: Holder, recall: &Recall, policies: u64, now_ms: i64) -> Ask {
        let book = Self::open_after(holder, recall.cell.clone(), recall.stamp);
        book.report(policies, now_ms)
    }

    /// The owner may have units again (L9): true when those who were refused or wait should ask.
    pub fn reopen(&mut self, reopen: &Reopen, now_ms: i64) -> bool {
        if !reopen.is_for(&self.holder) || reopen.stamp < self.stamp {
            return false;
        }
        self.reopened_at_ms = now_ms;
        self.lease.closed_until_ms.store(NEVER, Ordering::Release);
        self.lease.asked_at_ms.store(NEVER, Ordering::Relaxed);
        true
    }

    /// The key's policy changed: a refusal that is kept, or under way, says nothing any more, and what is at hand is
    /// given back, so that a lowered limit is in force at once (L9).
    pub fn policy_changed(&mut self, policies: u64, now_ms: i64) -> Option<Ask> {
        self.reopened_at_ms = now_ms;
        self.lease.closed_until_ms.store(NEVER, Ordering::Release);
        self.lease.asked_at_ms.store(NEVER, Ordering::Relaxed);
        (self.lease.at_hand() > 0).then(|| self.give_back(policies, now_ms))
    }

    /// Keeps so many units of those at hand; none if there is nothing else.
    fn give_back_but(&mut self, kept: u32, policies: u64, now_ms: i64) -> Option<Ask> {
        let taken = self.lease.empty_but(kept);
        self.returned = self.returned.saturating_add(u64::from(taken));
        (taken > 0).then(|| self.report(policies, now_ms))
    }

    /// Gives everything unused back, as when the gateway leaves (M3).
    pub fn give_back(&mut self, policies: u64, now_ms: i64) -> Ask {
        self.returned = self.returned.saturating_add(u64::from(self.lease.empty()));
        Ask {
            emptied: true,
            due: 0,
            ..self.report(policies, now_ms)
        }
    }

    /// Gives everything unused back, and ends the lease as dropping its book does.
    pub fn end(mut self, policies: u64, now_ms: i64) -> Ask {
        self.give_back(policies, now_ms)
    }

    /// To be called about once a second: gives back what nobody used since the last time, so that units do not lie
    /// idle here while others are refused.
    pub fn sweep(&mut self, policies: u64, now_ms: i64) -> Option<Ask> {
        let used = self.used();
        let idle = std::mem::replace(&mut self.used_at_sweep, used) == used;
        let of_use = self.counts_on() || now_ms < self.lease.quota().end_ms;
        (idle && self.lease.at_hand() > 0 && of_use).then(|| self.give_back(policies, now_ms))
    }

    /// To be called before a lease that is over is forgotten: gives back what was never used, where that would count
    /// beyond the lease.
    pub fn leave(&mut self, policies: u64, now_ms: i64) -> Option<Ask> {
        (self.counts_on() && self.lease.at_hand() > 0).then(|| self.give_back(policies, now_ms))
    }

    /// Whether the lease may be forgotten: its window is over by this gateway's clock, and no refusal is cached.
    pub fn is_over(&self, now_ms: i64) -> bool {
        let asked = self.lease.asked_at_ms.load(Ordering::Relaxed);
        let unanswered = asked != NEVER && now_ms.saturating_sub(asked) < super::ASK_AGAIN_MS;
        now_ms >= self.lease.quota().end_ms && !self.lease.is_closed(now_ms) && !unanswered
    }

    /// What this gateway knows to be granted in the window it knows.
    pub fn granted(&self) -> (Option<WindowId>, u64) {
        (self.window, self.have)
    }

    /// The counts, without a wish.
    fn report(&self, policies: u64, now_ms: i64) -> Ask {
        Ask {
            holder: self.holder.clone(),
            cell: self.cell.clone(),
            policies,
            epoch: self.stamp.epoch,
            asked_at_ms: now_ms,
            window: self.window,
            have: self.have,
            returned: self.returned,
            want: 0,
            emptied: self.lease.at_hand() == 0,
            due: 0,
        }
    }

    /// Whether units count beyond their lease (L10).
    fn counts_on(&self) -> bool {
        self.window.is_some_and(|window| window.spec.is_paned())
    }

    /// Goes to the window a message speaks of; false if that one is behind.
    fn enter(&mut self, window: WindowId, stamp: Stamp, end_ms: i64) -> bool {
        if stamp < self.begun {
            return false;
        }
        if self.window == Some(window) {
            self.stamp = self.stamp.max(stamp);
            return true;
        }
        if self.window.is_some() && stamp <= self.stamp {
            return false;
        }
        self.window = Some(window);
        self.stamp = stamp;
        self.have = 0;
        self.returned = 0;
        self.used_at_ask = 0;
        self.used_at_sweep = 0;
        let counts_on = window.spec.is_paned();
        self.lease.counts_on.store(counts_on, Ordering::Relaxed);
        self.lease.open(end_ms);
        true
    }

    /// Brings the units granted so far to hand; gives how many are new.
    fn receive(&mut self, granted: u64) -> u64 {
        let gain = granted.saturating_sub(self.have);
        self.have = self.have.saturating_add(gain);
        self.lease.add(gain);
        gain
    }

    fn used(&self) -> u64 {
        self.have
            .saturating_sub(self.returned)
            .saturating_sub(u64::from(self.lease.at_hand()))
    }

    fn measure(&mut self, now_ms: i64) {
        let used = self.used();
        let since = u64::try_from(now_ms.saturating_sub(self.asked_at_ms).max(1)).unwrap_or(1);
        // After a quiet time the old rate says nothing; a burst is measured over at least 10 ms.
        let now = used.saturating_sub(self.used_at_ask).saturating_mul(1_000) / since.max(10);
        self.rate = if since > 1_000 {
            now
        } else {
            self.rate.midpoint(now).max(now)
        };
        self.used_at_ask = used;
        self.asked_at_ms = now_ms;
    }

    /// An answer to the last ask makes room for the next.
    fn answered(&self, asked_at_ms: i64) {
        let _ = self.lease.asked_at_ms.compare_exchange(
            asked_at_ms,
            NEVER,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

/// A lease that nobody keeps account of any more is void while its window lasts, with what calls hold of it: a reset takes
/// it for over as soon as another one follows it (L9). What it owes stays with it, for whoever takes that (L11).
impl Drop for Book {
    fn drop(&mut self) {
        self.lease.open(NEVER);
    }
}

/// The end of the owner's window by this gateway's clock (L7). The owner read T after the ask was sent, so it can only
/// be early; one millisecond covers the rounding of the clocks, a five-hundredth of the rest their drift (L10). Asking again later brings it closer.
fn end_of(asked_at_ms: i64, remaining_ms: i64) -> i64 {
    asked_at_ms
        .saturating_add(remaining_ms)
        .saturating_sub(remaining_ms / APART_ONE_IN + 1)
}
