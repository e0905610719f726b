//! The gateway's side of the ledger (PROTOCOLS L7, L9): units at hand, taken by requests without a lock.
//!
//! [`Lease`] is what requests share; [`Book`] is its keeper in the gateway's lease actor, which asks the owner and
//! applies what it says; [`Basket`] takes a unit at every level or puts back what it took; [`Meter`] counts what is
//! known only as it passes; [`Unsaid`] is what was given back and no owner is known to keep. All clocks here are the
//! gateway's own steady clock in milliseconds.

mod basket;
mod book;
mod debt;
mod meter;
#[cfg(test)]
mod meter_tests;
#[cfg(test)]
mod recall_tests;
#[cfg(test)]
mod tests;
mod unsaid;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

pub use basket::{Basket, LEVELS};
pub use book::{Applied, Book};
pub use meter::Meter;
pub use unsaid::Unsaid;

/// An ask without an answer for so long is put again.
const ASK_AGAIN_MS: i64 = 200;
const NEVER: i64 = i64::MIN;

/// Units of one key's window, granted by the owner, at the hands of this gateway's requests.
///
/// `state` holds the generation (one for each window this lease has seen) and the units left in one word, so that a
/// unit always belongs to a known window. Ends lie in one of two places by the generation's parity: the end of
/// generation g stays readable while g + 1 is current, and a reader that finds another generation than the one it
/// took from throws the unit away.
#[derive(Debug)]
pub struct Lease {
    state: AtomicU64,
    even_end_ms: AtomicI64,
    odd_end_ms: AtomicI64,
    closed_until_ms: AtomicI64,
    asked_at_ms: AtomicI64,
    low_water: AtomicU32,
    debt: AtomicU64,
    limit: AtomicU64,
    left: AtomicU64,
    /// Units count beyond the lease (L10): what nobody can use any more is kept, to be given back.
    counts_on: AtomicBool,
}

/// Units that were taken; good for the moment of the take, or to be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "units that are not used have to be put back"]
pub struct Receipt {
    generation: u32,
    units: u32,
    /// The lease runs low and nobody has asked yet: tell the lease actor to ask.
    pub ask: bool,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The owner said no until then, by this gateway's clock (L9).
    Closed {
        /// When to try again.
        until_ms: i64,
    },
    /// Nothing at hand: wait for the owner's answer.
    Empty {
        /// Nobody has asked yet: tell the lease actor to ask.
        ask: bool,
    },
}

/// What a lease knows about its quota, for the `RateLimit` headers; hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaHint {
    /// The limit.
    pub limit: u64,
    /// Units left in the window, as of the last reply, at most.
    pub left: u64,
    /// When this gateway's part of the window ends, by its own clock.
    pub end_ms: i64,
}

// === impl Lease ===

impl Default for Lease {
    fn default() -> Self {
        Self {
            state: AtomicU64::new(0),
            even_end_ms: AtomicI64::new(NEVER),
            odd_end_ms: AtomicI64::new(NEVER),
            closed_until_ms: AtomicI64::new(NEVER),
            asked_at_ms: AtomicI64::new(NEVER),
            low_water: AtomicU32::new(0),
            debt: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            left: AtomicU64::new(0),
            counts_on: AtomicBool::new(false),
        }
    }
}

impl Lease {
    /// Takes units, *then* reads the clock (L7): a thread that was paused in between finds its window over.
    pub fn take(&self, units: u32, clock: impl Fn() -> i64) -> Result<Receipt, Refused> {
        self.take_between(units, units, clock)
    }

    /// Takes what is at hand, one unit at least and `most` at most.
    pub fn take_most(&self, most: u32, clock: impl Fn() -> i64) -> Result<Receipt, Refused> {
        self.take_between(1, most.max(1), clock)
    }

    fn take_between(
        &self,
        least: u32,
        most: u32,
        clock: impl Fn() -> i64,
    ) -> Result<Receipt, Refused> {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let (generation, at_hand) = split(state);
            let units = at_hand.min(most);
            if units < least {
                return Err(self.refuse(clock()));
            }
            let rest = at_hand - units;
            let taken = join(generation, rest);
            if let Err(now) =
                self.state
                    .compare_exchange_weak(state, taken, Ordering::AcqRel, Ordering::Acquire)
            {
                state = now;
                continue;
            }
            let now_ms = clock();
            let end_ms = self.end(generation).load(Ordering::Acquire);
            state = self.state.load(Ordering::Acquire);
            if split(state).0 != generation {
                // Another window began meanwhile, and the end that was read may be a later one's: these units are void.
                continue;
            }
            if now_ms >= end_ms {
                if self.counts_on.load(Ordering::Relaxed) {
                    self.add_to(generation, units);
                }
                return Err(self.refuse(now_ms));
            }
            let ask = rest <= self.low_water.load(Ordering::Relaxed)
                && !self.is_closed(now_ms)
                && self.claim_ask(now_ms);
            return Ok(Receipt {
                generation,
                units,
                ask,
            });
        }
    }

    /// Puts back units that were taken and not used, if their window is still the current one.
    pub fn put_back(&self, receipt: Receipt) {
        self.add_to(receipt.generation, receipt.units);
    }

    fn add_to(&self, of: u32, units: u32) {
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                let (generation, at_hand) = split(state);
                (generation == of).then(|| join(generation, at_hand.saturating_add(units)))
            });
    }

    /// Whether units that were taken may still be used: their window is the current one and not over.
    fn is_current(&self, receipt: &Receipt, now_ms: i64) -> bool {
        let end_ms = self.end(receipt.generation).load(Ordering::Acquire);
        // Looked at last, as in `take`: with another generation the end may be a later window's.
        let (generation, _) = split(self.state.load(Ordering::Acquire));
        generation == receipt.generation && now_ms < end_ms
    }

    /// What is known about the quota.
    pub fn quota(&self) -> QuotaHint {
        let (generation, at_hand) = split(self.state.load(Ordering::Acquire));
        QuotaHint {
            limit: self.limit.load(Ordering::Relaxed),
            left: self
                .left
                .load(Ordering::Relaxed)
                .saturating_add(u64::from(at_hand)),
            end_ms: self.end(generation).load(Ordering::Acquire),
        }
    }

    fn refuse(&self, now_ms: i64) -> Refused {
        let kept_ms = self.closed_until_ms.load(Ordering::Acquire);
        if now_ms < kept_ms {
            // It may be asked for again before; units are not to be expected.
            let until_ms = self.quota().end_ms.max(kept_ms);
            Refused::Closed { until_ms }
        } else {
            Refused::Empty {
                ask: self.claim_ask(now_ms),
            }
        }
    }

    /// Whether a no of the owner still holds (L9).
    pub fn is_closed(&self, now_ms: i64) -> bool {
        now_ms < self.closed_until_ms.load(Ordering::Relaxed)
    }

    /// True for one caller alone until the ask is answered or 200 ms passed.
    fn claim_ask(&self, now_ms: i64) -> bool {
        let asked = self.asked_at_ms.load(Ordering::Relaxed);
        now_ms.saturating_sub(asked) >= ASK_AGAIN_MS
            && self
                .asked_at_ms
                .compare_exchange(asked, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn end(&self, generation: u32) -> &AtomicI64 {
        if generation.is_multiple_of(2) {
            &self.even_end_ms
        } else {
            &self.odd_end_ms
        }
    }

    /// Whether it had units of a window that is over by this gateway's clock.
    pub fn has_ended(&self, now_ms: i64) -> bool {
        let end_ms = self.quota().end_ms;
        end_ms != NEVER && now_ms >= end_ms
    }

    /// Units that are there to be taken, as far as their window lasts.
    pub fn at_hand(&self) -> u32 {
        split(self.state.load(Ordering::Acquire)).1
    }

    // What follows is for the book alone.

    /// Begins the next generation, empty; its end is set before it can be seen.
    fn open(&self, end_ms: i64) {
        let (generation, _) = split(self.state.load(Ordering::Acquire));
        let next = generation.wrapping_add(1);
        self.end(next).store(end_ms, Ordering::Release);
        self.state.store(join(next, 0), Ordering::Release);
        self.closed_until_ms.store(NEVER, Ordering::Release);
    }

    /// The current window lasts at least until then.
    fn prolong(&self, end_ms: i64) {
        let (generation, _) = split(self.state.load(Ordering::Acquire));
        self.end(generation).fetch_max(end_ms, Ordering::AcqRel);
    }

    /// Takes everything at hand out, to be given back.
    fn empty(&self) -> u32 {
        self.empty_but(0)
    }

    /// Takes out what is at hand beyond these.
    fn empty_but(&self, kept: u32) -> u32 {
        let mut taken = 0;
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                let (generation, at_hand) = split(state);
                taken = at_hand.saturating_sub(kept);
                Some(join(generation, at_hand.saturating_sub(taken)))
            });
        taken
    }
}

fn split(state: u64) -> (u32, u32) {
    // Both halves fit by construction.
    ((state >> 32) as u32, (state & u64::from(u32::MAX)) as u32)
}

fn join(generation: u32, units: u32) -> u64 {
    (u64::from(generation) << 32) | u64::from(units)
}
