//! Calls that wait for units of a lease, whoever came first before the others (PROTOCOLS L8): woken all at once, the last
//! one to come would run first, and the first one perhaps never find a unit left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::lease_cache::Slot;

/// Those of one slot.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Units that all of them wait for.
    units: AtomicU32,
    turn: Arc<Mutex<()>>,
}

/// A call is in the line of a slot for as long as this is there.
#[derive(Debug)]
pub struct Waiting {
    slot: Arc<Slot>,
    units: u32,
    turn: Option<OwnedMutexGuard<()>>,
}

// === impl Slot ===

impl Slot {
    /// Whether who comes now for so many units has to wait behind others: not where there is enough for all of them.
    #[must_use]
    pub fn is_waited_for(&self, units: u32) -> bool {
        let waiting = self.line.units();
        waiting > 0 && self.lease.at_hand() < waiting.saturating_add(units)
    }
}

// === impl Line ===

impl Line {
    /// What all that wait need together.
    pub(super) fn units(&self) -> u32 {
        self.units.load(Ordering::Acquire)
    }
}

// === impl Waiting ===

impl Waiting {
    /// Gets into the line for so many units. What a gateway asks of their owner counts them.
    #[must_use]
    pub fn begin(slot: &Arc<Slot>, units: u32) -> Self {
        slot.line.units.fetch_add(units, Ordering::AcqRel);
        Self {
            slot: Arc::clone(slot),
            units,
            turn: None,
        }
    }

    /// Whether this is the line of that slot.
    #[must_use]
    pub fn is_for(&self, slot: &Arc<Slot>) -> bool {
        Arc::ptr_eq(&self.slot, slot)
    }

    /// Whether all who came before have left.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.turn.is_some()
    }

    /// Waits until that is so, for so long at most.
    pub async fn until_first(&mut self, most: Duration) {
        let turn = Arc::clone(&self.slot.line.turn).lock_owned();
        self.turn = tokio::time::timeout(most, turn).await.ok();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.slot.line.units.fetch_sub(self.units, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use domain::policy::{PolicyLevel, TimeUnit};
    use domain::window::WindowSpec;
    use tokio::sync::Notify;

    use super::*;
    use crate::traffic_manager::message::ThrottleKey;

    const SOON: Duration = Duration::from_secs(10);

    fn slot() -> Arc<Slot> {
        let key = ThrottleKey {
            tenant: "t".to_owned(),
            level: PolicyLevel::Application,
            policy: "p".to_owned(),
            limit: 0,
            subject: "s".to_owned(),
        };
        Arc::new(Slot {
            shard: 0,
            key,
            window: WindowSpec::new(TimeUnit::Min, 1),
            lease: Arc::default(),
            changed: Notify::new(),
            line: Line::default(),
        })
    }

    #[tokio::test]
    async fn whoever_came_first_is_first_and_whoever_leaves_holds_nobody_up() {
        let (slot, other) = (slot(), slot());
        assert!(!slot.is_waited_for(1));
        let mut first = Waiting::begin(&slot, 1);
        first.until_first(SOON).await;
        assert!(first.is_first() && first.is_for(&slot) && !first.is_for(&other));
        let mut second = Waiting::begin(&slot, 2);
        let mut third = Waiting::begin(&slot, 4);
        second.until_first(Duration::ZERO).await;
        assert!(!second.is_first(), "it may give up before");
        let seconds = second.until_first(SOON);
        tokio::pin!(seconds);
        assert!(now(&mut seconds).await.is_none());
        {
            let thirds = third.until_first(SOON);
            tokio::pin!(thirds);
            assert!(now(&mut thirds).await.is_none());
            drop(first);
            assert!(now(&mut thirds).await.is_none(), "it came later");
        }
        assert!(now(&mut seconds).await.is_some());
        assert_eq!(slot.line.units(), 6);
        assert!(slot.is_waited_for(1) && !other.is_waited_for(1));
    }

    /// What a future that is asked once has to say.
    async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            ready = future => Some(ready),
            () = std::future::ready(()) => None,
        }
    }
}
