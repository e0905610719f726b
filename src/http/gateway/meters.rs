//! Counts the bytes of one call by every policy that limits bytes (PROTOCOLS L11): in both directions, as they stream.
//! Shared by the two bodies; when the last of them is gone, what is left of the reservations goes back.

use std::sync::{Arc, Mutex, PoisonError};

use actors::gateway::{CountedLimit, Slot};
use domain::lease::{Lease, Meter, Refused};

use super::ingress::Ingress;

/// The meters of one call.
#[derive(Debug)]
pub(super) struct Meters {
    ingress: Arc<Ingress>,
    each: Mutex<Vec<Metered>>,
}

/// One policy's meter.
#[derive(Debug)]
struct Metered {
    slot: Arc<Slot>,
    chunk: u32,
    meter: Meter<Arc<Lease>>,
}

// === impl Meters ===

impl Meters {
    /// Counts nothing yet.
    pub(super) const fn new(ingress: Arc<Ingress>) -> Self {
        Self {
            ingress,
            each: Mutex::new(Vec::new()),
        }
    }

    /// How many bytes are reserved at a time.
    pub(super) fn chunk(limit: &CountedLimit) -> u32 {
        Meter::<Arc<Lease>>::chunk_of(limit.units)
    }

    /// Reserves for a call that begins and announced so many bytes, by one more policy; `owes` says whether bytes
    /// beyond the quota are paid later.
    ///
    /// # Errors
    /// When nothing is at hand: the call may not begin.
    pub(super) fn reserve(
        &self,
        slot: &Arc<Slot>,
        limit: &CountedLimit,
        announced: u64,
        owes: bool,
    ) -> Result<(), Refused> {
        let (chunk, gateway) = (Self::chunk(limit), &self.ingress.gateway);
        let clock = || gateway.steady_ms();
        let lease = Arc::clone(&slot.lease);
        let (meter, low) = Meter::open(lease, chunk, announced, owes, clock)?;
        if low {
            gateway.refill(slot, chunk);
        }
        let slot = Arc::clone(slot);
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        each.push(Metered { slot, chunk, meter });
        Ok(())
    }

    /// Counts bytes of a body that passed.
    pub(super) fn count(&self, bytes: u64) {
        let gateway = &self.ingress.gateway;
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        for metered in &mut *each {
            if metered.meter.count(bytes, || gateway.steady_ms()) {
                gateway.refill(&metered.slot, metered.chunk);
            }
        }
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        let gateway = &self.ingress.gateway;
        let now_ms = gateway.steady_ms();
        let each = self.each.get_mut().unwrap_or_else(PoisonError::into_inner);
        for metered in each {
            if metered.meter.close(now_ms) {
                gateway.refill(&metered.slot, 0);
            }
        }
    }
}
