//! What an entry of the cache rests on (PROTOCOLS V2), with a memory of the last look: a gateway makes many hits
//! between two changes, and each touch lies in a cache line of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Touch;
use super::touches::Raised;

/// No look was taken yet.
const NEVER: u64 = u64::MAX;

/// The touches of the subjects that an answer is about.
#[derive(Debug)]
pub struct Watched {
    touches: Box<[Touch]>,
    raised: Raised,
    /// What `raised` said before all touches were last found to be low enough.
    looked_at: AtomicU64,
}

// === impl Watched ===

impl Watched {
    pub(super) fn new(touches: Vec<Touch>, raised: Raised) -> Self {
        Self {
            touches: touches.into_boxed_slice(),
            raised,
            looked_at: AtomicU64::new(NEVER),
        }
    }

    /// Whether none of the subjects was touched by a change after `number`; always to be asked with the same number.
    ///
    /// Touches only rise, and each rise is counted before its change is acknowledged. So as long as the count is what
    /// it was before a look that found all of them low enough, they are low enough as far as anybody was told.
    pub(super) fn is_untouched_since(&self, number: u64) -> bool {
        let raised = self.raised.number();
        if self.looked_at.load(Ordering::Relaxed) == raised {
            return true;
        }
        let untouched = self.touches.iter().all(|touch| touch.number() <= number);
        if untouched {
            self.looked_at.store(raised, Ordering::Relaxed);
        }
        untouched
    }
}

impl Clone for Watched {
    fn clone(&self) -> Self {
        Self::new(self.touches.to_vec(), self.raised.clone())
    }
}
