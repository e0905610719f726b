//! What open streams used without having it (PROTOCOLS L11). A debt is paid before anything else: by units that are
//! granted, and by units that are put back while their window lasts. So nobody new gets a unit while there is one.
//!
//! An overrun raises the debt and then looks at the units, whoever brings units looks at the debt afterwards, all in
//! one order (`SeqCst`): one of the two sees the other.

use std::sync::atomic::Ordering;

use super::{Lease, Receipt, join, split};

// === impl Lease ===

impl Lease {
    /// Units that an open stream used without having them; the next ones to come pay for it.
    pub fn overrun(&self, units: u64, now_ms: i64) {
        self.debt.fetch_add(units, Ordering::SeqCst);
        self.settle(now_ms);
    }

    /// What is still to be paid.
    #[must_use]
    pub fn debt(&self) -> u64 {
        self.debt.load(Ordering::SeqCst)
    }

    /// Takes the debt away, to charge another lease of the same key with it, or nobody.
    pub fn take_debt(&self) -> u64 {
        self.debt.swap(0, Ordering::SeqCst)
    }

    /// Puts unused units back; what is owed is paid with them.
    pub(super) fn put_back_and_settle(&self, receipt: Receipt, now_ms: i64) {
        self.put_back(receipt);
        self.settle(now_ms);
    }

    /// Adds granted units, after debts are paid; gives how many there are to use.
    pub(super) fn add(&self, units: u64) {
        let gain = units - self.pay(units);
        let _ = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::Acquire, |state| {
                let (generation, at_hand) = split(state);
                let room = u32::MAX - at_hand;
                let units = u32::try_from(gain).unwrap_or(u32::MAX).min(room);
                Some(join(generation, at_hand + units))
            });
        // A debt that was made meanwhile; the units are of the owner's window of now.
        self.settle(i64::MIN);
    }

    /// Pays debts with what is at hand, while its window lasts: units of a window that is over pay for nothing.
    fn settle(&self, now_ms: i64) {
        while let debt @ 1.. = self.debt() {
            let (generation, at_hand) = split(self.state.load(Ordering::SeqCst));
            if at_hand == 0 || now_ms >= self.end(generation).load(Ordering::Acquire) {
                return;
            }
            let units = at_hand.min(u32::try_from(debt).unwrap_or(u32::MAX));
            let (before, after) = (join(generation, at_hand), join(generation, at_hand - units));
            let taken =
                self.state
                    .compare_exchange(before, after, Ordering::SeqCst, Ordering::Acquire);
            if taken.is_err() {
                continue;
            }
            let rest = units - u32::try_from(self.pay(u64::from(units))).unwrap_or(units);
            if rest > 0 {
                // Others paid at the same time.
                self.put_back(Receipt {
                    generation,
                    units: rest,
                    ask: false,
                });
            }
        }
    }

    /// Lowers the debt by up to `units`; gives by how much.
    fn pay(&self, units: u64) -> u64 {
        let mut paid = 0;
        let _ = self
            .debt
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |debt| {
                paid = debt.min(units);
                (paid > 0).then(|| debt - paid)
            });
        paid
    }
}
