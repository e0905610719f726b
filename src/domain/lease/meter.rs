//! Counts one call's bytes by one lease (PROTOCOLS L11). What a call will cost is not known when it begins: a chunk is
//! reserved, more as the bytes pass, and what is left of it goes back at the end. A stream that is open is never cut: what
//! it uses beyond the units at hand becomes the lease's debt.

use std::ops::Deref;

use super::{Lease, Receipt, Refused};

/// The most bytes reserved at a time.
const CHUNK: u64 = 64 * 1_024;
/// The most bytes reserved at once for a length that was announced: whoever announces much and sends nothing keeps no
/// more from others.
const ANNOUNCED: u64 = 16 * CHUNK;

/// The count of one call by one lease.
#[derive(Debug)]
pub struct Meter<L: Deref<Target = Lease>> {
    lease: L,
    reserved: Option<Receipt>,
    chunk: u32,
    /// Whether bytes beyond the units at hand are a debt; not by policies that let everything through.
    owes: bool,
}

// === impl Meter ===

impl<L: Deref<Target = Lease>> Meter<L> {
    /// How much is reserved at a time by a limit of so many bytes: small limits are shared in small pieces.
    #[must_use]
    pub fn chunk_of(limit: u64) -> u32 {
        u32::try_from((limit / 200).clamp(1, CHUNK)).unwrap_or(1)
    }

    /// Reserves for a call that begins: a chunk, or what it announced; whatever is at hand, one byte at least. True
    /// says that the lease actor is to be told to ask for more.
    ///
    /// # Errors
    /// When nothing is at hand; the call may not begin.
    pub fn open(
        lease: L,
        chunk: u32,
        announced: u64,
        owes: bool,
        clock: impl Fn() -> i64,
    ) -> Result<(Self, bool), Refused> {
        let most = u64::from(chunk).max(announced.min(ANNOUNCED));
        let receipt = lease.take_most(bounded(most), clock)?;
        let meter = Self {
            lease,
            reserved: Some(receipt),
            chunk,
            owes,
        };
        Ok((meter, receipt.ask))
    }

    /// Counts bytes that have passed, in the window of now. True says that the lease actor is to be told to ask for
    /// more.
    pub fn count(&mut self, bytes: u64, clock: impl Fn() -> i64) -> bool {
        let mut rest = bytes;
        if let Some(reserved) = self.reserved.take()
            && self.lease.is_current(&reserved, clock())
        {
            rest = self.spend(reserved, rest);
        }
        let mut ask = false;
        while rest > 0 {
            let most = bounded(rest.max(u64::from(self.chunk)));
            match self.lease.take_most(most, &clock) {
                Ok(receipt) => {
                    ask |= receipt.ask;
                    rest = self.spend(receipt, rest);
                }
                Err(refused) => {
                    if self.owes {
                        self.lease.overrun(rest, clock());
                    }
                    return ask || refused == (Refused::Empty { ask: true });
                }
            }
        }
        ask
    }

    /// Gives back what is left of the reservation; true says that something is owed, so that the lease actor has to
    /// ask for it.
    pub fn close(&mut self, now_ms: i64) -> bool {
        if let Some(reserved) = self.reserved.take() {
            self.lease.put_back_and_settle(reserved, now_ms);
        }
        self.lease.debt() > 0
    }

    /// Pays with a reservation and keeps its rest; gives what it did not suffice for.
    fn spend(&mut self, mut reserved: Receipt, bytes: u64) -> u64 {
        let spent = bounded(bytes).min(reserved.units);
        reserved.units -= spent;
        self.reserved = (reserved.units > 0).then_some(reserved);
        bytes - u64::from(spent)
    }
}

impl<L: Deref<Target = Lease>> Drop for Meter<L> {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            self.lease.put_back(reserved);
        }
    }
}

fn bounded(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}
