//! The number of the last change that touched each subject, bounded, with a floor for what was forgotten (PROTOCOLS
//! V2). One writer owns it; readers hold [`Touch`]es and load them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;

use super::{Subject, Watched};
#[cfg(test)]
use crate::simulation::Planted;

/// A subject's last change, shared between the writer and the entries that rest on the subject.
#[derive(Debug, Clone)]
pub struct Touch(Arc<AtomicU64>);

/// How many touches were raised, of whatever subject: while it stands still, what was current is current.
#[derive(Debug, Clone, Default)]
pub(super) struct Raised(Arc<AtomicU64>);

/// Ends every entry that watches touches of one life of a gateway's validation: whoever keeps the touches of the next
/// one raises no others.
#[derive(Debug, Clone)]
pub struct Life {
    touch: Touch,
    raised: Raised,
}

/// All subjects known, at most `capacity`.
#[derive(Debug)]
pub struct Touches {
    slots: HashMap<Subject, Slot, FixedState>,
    /// Candidates to be forgotten, oldest first; a subject that was used since it was looked at gets a second round.
    queue: VecDeque<Subject>,
    capacity: usize,
    floor: u64,
    /// What an answer about no subject at all rests on: that the state is not replaced.
    state: Touch,
    /// What every answer rests on: that its touches are still raised.
    life: Life,
    raised: Raised,
    #[cfg(test)]
    pub(super) planted: Option<Planted>,
}

#[derive(Debug)]
struct Slot {
    touch: Touch,
    used: bool,
}

// === impl Touch ===

impl Touch {
    fn new(number: u64) -> Self {
        Self(Arc::new(AtomicU64::new(number)))
    }

    /// The number of the last change; `u64::MAX` once the subject was forgotten, so that nothing rests on it any more.
    pub fn number(&self) -> u64 {
        // Pairs with the Release of the writer: who sees an acknowledged number sees the touch before it.
        self.0.load(Ordering::Acquire)
    }

    fn raise(&self, number: u64) {
        self.0.fetch_max(number, Ordering::AcqRel);
    }
}

// === impl Raised ===

impl Raised {
    pub(super) fn number(&self) -> u64 {
        // Pairs with `count`: who sees a number sees every touch that was raised before it.
        self.0.load(Ordering::Acquire)
    }

    /// After a touch was raised, and before anybody is told that its change is applied.
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

// === impl Life ===

impl Life {
    /// Nobody raises its touches from now on, so nothing rests on them any more.
    pub fn end(&self) {
        self.touch.raise(u64::MAX);
        self.raised.count();
    }
}

// === impl Touches ===

impl Touches {
    /// Keeps at most `capacity` subjects (at least one). `floor` is the number the gateway's state is true at when it
    /// starts: what touched anything before is not known.
    pub fn new(capacity: usize, floor: u64) -> Self {
        let raised = Raised::default();
        Self {
            slots: HashMap::with_hasher(FixedState::default()),
            queue: VecDeque::new(),
            capacity: capacity.max(1),
            floor,
            state: Touch::new(0),
            life: Life {
                touch: Touch::new(0),
                raised: raised.clone(),
            },
            raised,
            #[cfg(test)]
            planted: None,
        }
    }

    /// A reply true at a number below this says nothing about what was forgotten.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Ends all entries that watch these touches.
    pub fn life(&self) -> Life {
        self.life.clone()
    }

    /// How many subjects are kept.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Change `n` touched `subject`.
    pub fn touch(&mut self, subject: &Subject, n: u64) {
        self.slot(subject).raise(n);
        #[cfg(test)]
        if self.planted == Some(Planted::TouchesAreNotCounted) {
            return;
        }
        self.raised.count();
    }

    /// The touches an entry about these subjects has to hold.
    pub fn watch(&mut self, subjects: &[Subject]) -> Watched {
        let mut touches: Vec<Touch> = if subjects.is_empty() {
            vec![self.state.clone()]
        } else {
            subjects.iter().map(|subject| self.slot(subject)).collect()
        };
        touches.push(self.life.touch.clone());
        Watched::new(touches, self.raised.clone())
    }

    /// The state was replaced by a snapshot true at `n`: every entry dies, and nothing older is believed.
    pub fn reset(&mut self, n: u64) {
        for (_, slot) in self.slots.drain() {
            slot.touch.raise(u64::MAX);
        }
        self.queue.clear();
        self.state.raise(u64::MAX);
        self.state = Touch::new(0);
        self.raised.count();
        self.floor = n;
    }

    fn slot(&mut self, subject: &Subject) -> Touch {
        if let Some(slot) = self.slots.get_mut(subject) {
            slot.used = true;
            return slot.touch.clone();
        }
        while self.slots.len() >= self.capacity {
            self.forget_one();
        }
        // Whatever touched it before it was known (again) is at or below the floor.
        let touch = Touch::new(self.floor);
        self.slots.insert(
            subject.clone(),
            Slot {
                touch: touch.clone(),
                used: false,
            },
        );
        self.queue.push_back(subject.clone());
        touch
    }

    fn forget_one(&mut self) {
        while let Some(subject) = self.queue.pop_front() {
            if let Some(slot) = self.slots.get_mut(&subject)
                && std::mem::take(&mut slot.used)
            {
                self.queue.push_back(subject);
                continue;
            }
            if let Some(slot) = self.slots.remove(&subject) {
                self.raise_floor(slot.touch.number());
                // Later changes will raise another atomic: entries that point at this one must not live on.
                slot.touch.raise(u64::MAX);
                self.raised.count();
                return;
            }
        }
    }

    fn raise_floor(&mut self, number: u64) {
        #[cfg(test)]
        if self.planted == Some(Planted::ForgetWithoutFloor) {
            return;
        }
        self.floor = self.floor.max(number);
    }
}
