//! Answers that their callers leave untaken on an HTTP/2 connection: each has a window of its own there, and one that the
//! caller never opens would hold its stream and the upstream's connection for ever. Nothing on the wire tells of it, so
//! answers count themselves: one that has bytes to give lies in the box of the time at which it last gave some.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A box is filled for half the limit. Two whole boxes after its own an answer has had the limit at least.
const BOXES: usize = 4;

/// The answers of one connection that are offered and not taken.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    /// Which box is filled now, ever growing, and since when.
    filled: AtomicU64,
    since_ms: AtomicU64,
    boxes: [AtomicUsize; BOXES],
}

/// Where an answer lies while it has bytes to give.
#[derive(Debug, Default)]
pub(super) struct Place(Option<u64>);

// === impl Untaken ===

impl Untaken {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            since_ms: AtomicU64::new(now_ms),
            ..Self::default()
        }
    }

    /// An answer gave bytes just now, or begins to offer them.
    pub(super) fn offered(&self, place: &mut Place) {
        let filled = self.filled.load(Ordering::Relaxed);
        if place.0 != Some(filled) {
            self.put(filled);
            self.withdrawn(place);
            place.0 = Some(filled);
        }
    }

    /// An answer has nothing to give now, or is over.
    pub(super) fn withdrawn(&self, place: &mut Place) {
        if let Some(count) = place.0.take().and_then(|filled| self.of(filled)) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether an answer was left for `limit_ms`; to be asked at least twice in that time, by one task.
    pub(super) fn is_over(&self, now_ms: u64, limit_ms: u64) -> bool {
        let since_ms = self.since_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(since_ms) < limit_ms / 2 {
            return false;
        }
        // The box that is filled next was filled three boxes ago: who still lies there was not taken since.
        let next = self.filled.load(Ordering::Relaxed).wrapping_add(1);
        let left = self
            .of(next)
            .is_some_and(|count| count.load(Ordering::Relaxed) > 0);
        if !left {
            self.since_ms.store(now_ms, Ordering::Relaxed);
            self.filled.store(next, Ordering::Relaxed);
        }
        left
    }

    fn put(&self, filled: u64) {
        if let Some(count) = self.of(filled) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, filled: u64) -> Option<&AtomicUsize> {
        self.boxes.get((filled % BOXES as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_taken_is_over_after_the_limit_and_one_that_flows_never() {
        let untaken = Untaken::new(0);
        let (mut flows, mut left) = (Place::default(), Place::default());
        untaken.offered(&mut left);
        let mut over = None;
        for now_ms in (0..4_000).step_by(100) {
            untaken.offered(&mut flows);
            if untaken.is_over(now_ms, 1_000) {
                over = Some(now_ms);
                break;
            }
        }
        assert!((1_000..=2_000).contains(&over.unwrap()), "{over:?}");
        untaken.withdrawn(&mut left);
        for now_ms in (4_000..20_000).step_by(100) {
            untaken.offered(&mut flows);
            assert!(!untaken.is_over(now_ms, 1_000), "{now_ms}");
        }
        // The upstream's silence is not the caller's.
        untaken.withdrawn(&mut flows);
        for now_ms in (20_000..40_000).step_by(100) {
            assert!(!untaken.is_over(now_ms, 1_000), "{now_ms}");
        }
    }
}
