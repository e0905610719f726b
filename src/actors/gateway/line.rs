//! Calls that wait for units of a lease, whoever came first before the others (PROTOCOLS L8): woken all at once, the last
//! one to come would run first, and the first one perhaps never find a unit left. Those for whom there is enough, in
//! their order, have their turn together: one after the other, each would wait until the one before it has run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::lease_cache::Slot;
use super::locked;

/// Those of one slot.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Units that all of them wait for.
    units: AtomicU32,
    queue: Mutex<Queue>,
}

/// Who waits, in order.
#[derive(Debug, Default)]
struct Queue {
    /// The number of the last one that came.
    last: u64,
    places: VecDeque<Place>,
    /// How many of the first have their turn, and for how many units.
    called: usize,
    called_units: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    units: u32,
    call: Arc<Notify>,
}

/// A call is in the line of a slot for as long as this is there.
#[derive(Debug)]
pub(super) struct Waiting {
    slot: Arc<Slot>,
    units: u32,
    number: u64,
    call: Arc<Notify>,
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

// === impl Queue ===

impl Queue {
    fn join(&mut self, units: u32) -> (u64, Arc<Notify>) {
        self.last += 1;
        let call = Arc::new(Notify::new());
        self.places.push_back(Place {
            number: self.last,
            units,
            call: Arc::clone(&call),
        });
        (self.last, call)
    }

    fn leave(&mut self, number: u64) {
        let Some(at) = self.find(number) else {
            return;
        };
        if let Some(place) = self.places.remove(at)
            && at < self.called
        {
            self.called -= 1;
            self.called_units -= u64::from(place.units);
        }
    }

    fn is_called(&self, number: u64) -> bool {
        self.find(number).is_some_and(|at| at < self.called)
    }

    /// The first one has its turn, and those behind it for whom there is enough as well.
    fn call(&mut self, at_hand: u32) {
        while let Some(next) = self.places.get(self.called) {
            let together = self.called_units + u64::from(next.units);
            if self.called > 0 && together > u64::from(at_hand) {
                return;
            }
            next.call.notify_one();
            self.called += 1;
            self.called_units = together;
        }
    }

    /// There was not enough after all: the first one alone waits for more.
    fn call_off(&mut self) {
        self.called = self.called.min(1);
        let first = self.places.front().filter(|_| self.called > 0);
        self.called_units = first.map_or(0, |first| u64::from(first.units));
    }

    /// They stand in the order of their numbers.
    fn find(&self, number: u64) -> Option<usize> {
        let by = |place: &Place| place.number.cmp(&number);
        self.places.binary_search_by(by).ok()
    }
}

// === impl Waiting ===

impl Waiting {
    /// Gets into the line for so many units. What a gateway asks of their owner counts them.
    #[must_use]
    pub(super) fn begin(slot: &Arc<Slot>, units: u32) -> Self {
        slot.line.units.fetch_add(units, Ordering::AcqRel);
        let mut queue = locked(&slot.line.queue);
        let (number, call) = queue.join(units);
        queue.call(slot.lease.at_hand());
        drop(queue);
        Self {
            slot: Arc::clone(slot),
            units,
            number,
            call,
        }
    }

    /// Whether this is the line of that slot.
    #[must_use]
    pub(super) fn is_for(&self, slot: &Arc<Slot>) -> bool {
        Arc::ptr_eq(&self.slot, slot)
    }

    /// Whether it may take: all who came before have left, or there is enough for them too.
    #[must_use]
    pub(super) fn has_turn(&self) -> bool {
        locked(&self.slot.line.queue).is_called(self.number)
    }

    /// Waits until that is so, for so long at most.
    pub(super) async fn until_turn(&self, most: Duration) {
        let turn = async {
            while !self.has_turn() {
                self.call.notified().await;
            }
        };
        let _ = tokio::time::timeout(most, turn).await;
    }

    /// It found nothing in its turn. Whether it is the first one, which waits for more to come.
    #[must_use]
    pub(super) fn found_nothing(&self) -> bool {
        let mut queue = locked(&self.slot.line.queue);
        queue.call_off();
        queue.is_called(self.number)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.slot.line.units.fetch_sub(self.units, Ordering::AcqRel);
        let mut queue = locked(&self.slot.line.queue);
        queue.leave(self.number);
        queue.call(self.slot.lease.at_hand());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::taking_tests::Owner;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn whoever_came_first_is_first_and_whoever_leaves_holds_nobody_up() {
        let (slot, other) = (Owner::new().slot, Owner::new().slot);
        assert!(!slot.is_waited_for(1));
        let first = Waiting::begin(&slot, 1);
        first.until_turn(SOON).await;
        assert!(first.has_turn() && first.is_for(&slot) && !first.is_for(&other));
        let second = Waiting::begin(&slot, 2);
        let third = Waiting::begin(&slot, 4);
        second.until_turn(Duration::ZERO).await;
        assert!(!second.has_turn(), "it may give up before");
        let seconds = second.until_turn(SOON);
        tokio::pin!(seconds);
        assert!(now(&mut seconds).await.is_none());
        {
            let thirds = third.until_turn(SOON);
            tokio::pin!(thirds);
            assert!(now(&mut thirds).await.is_none());
            drop(first);
            assert!(now(&mut thirds).await.is_none(), "it came later");
        }
        assert!(now(&mut seconds).await.is_some());
        assert_eq!(slot.line.units(), 6);
        assert!(slot.is_waited_for(1) && !other.is_waited_for(1));
    }

    #[test]
    fn those_for_whom_there_is_enough_have_their_turn_together_and_lose_it_where_there_is_not() {
        let owner = Owner::new();
        let slot = &owner.slot;
        let begin = |units| Waiting::begin(slot, units);
        let turns = |line: &[Waiting]| line.iter().filter(|one| one.has_turn()).count();
        let first = begin(1);
        let mut line = vec![begin(2), begin(3), begin(4), begin(1)];
        owner.grant(6);
        assert_eq!(turns(&line), 0, "the first one looks before the others");
        let taken = slot.lease.take(1, || 0).unwrap();
        drop(first);
        assert_eq!(turns(&line), 2, "nobody passes one who waits for more");
        // Somebody else was quicker.
        let others = slot.lease.take(4, || 0).unwrap();
        assert!(!line[1].found_nothing(), "it is not the first one");
        assert_eq!(turns(&line), 1);
        assert!(line[0].found_nothing());
        slot.lease.put_back(taken);
        slot.lease.put_back(others);
        // Who leaves from among those that wait takes nobody's turn with it.
        line.remove(2);
        assert_eq!(turns(&line), 3, "{line:?}");
        line.remove(1);
        line.remove(0);
        assert_eq!(turns(&line), 1);
        drop(line);
        assert_eq!(slot.line.units(), 0);
        assert!(begin(9).has_turn());
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
