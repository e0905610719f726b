//! A request takes a unit at every level or puts back what it took (PROTOCOLS L9). Dropped without `keep` (refused at
//! a later level, or the client went away while waiting), everything goes back.

use std::ops::Deref;

use super::{Lease, Receipt, Refused};

/// Levels a request can be throttled at.
pub const LEVELS: usize = 8;

/// What a request has taken so far. `L` is a reference or an `Arc`, so that a basket can be held while waiting.
#[derive(Debug)]
pub struct Basket<L: Deref<Target = Lease>> {
    taken: [Option<(L, Receipt)>; LEVELS],
}

// === impl Basket ===

impl<L: Deref<Target = Lease>> Default for Basket<L> {
    fn default() -> Self {
        Self {
            taken: [const { None }; LEVELS],
        }
    }
}

impl<L: Deref<Target = Lease>> Basket<L> {
    /// Takes units at one more level; true says that the lease actor is to be told to ask for more. A basket with
    /// [`LEVELS`] levels takes no more and says [`Refused::Empty`].
    pub fn take(&mut self, lease: L, units: u32, clock: impl Fn() -> i64) -> Result<bool, Refused> {
        let Some(place) = self.taken.iter_mut().find(|place| place.is_none()) else {
            return Err(Refused::Empty { ask: false });
        };
        let receipt = lease.take(units, clock)?;
        *place = Some((lease, receipt));
        Ok(receipt.ask)
    }

    /// Whether everything that was taken may still be used: a request that was held at one level may have outlasted the
    /// window of a unit that it took before at another (L7).
    pub fn is_current(&self, clock: impl Fn() -> i64) -> bool {
        let mut taken = self.taken.iter().flatten();
        taken.all(|(lease, receipt)| lease.is_current(receipt, clock()))
    }

    /// The request goes on: the units are spent.
    pub fn keep(mut self) {
        self.taken = [const { None }; LEVELS];
    }
}

impl<L: Deref<Target = Lease>> Drop for Basket<L> {
    fn drop(&mut self) {
        for (lease, receipt) in self.taken.iter_mut().filter_map(Option::take) {
            lease.put_back(receipt);
        }
    }
}
