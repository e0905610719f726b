//! Those that have changed nothing and wait until all that was changed before is applied, as for a revocation that is asked for
//! again, ask once for all of them. Whoever has credentials may ask so as often as it likes, and the feed looks at the
//! database for each question, before the heartbeats behind it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

use super::message::Applied;

/// The last of those questions, if it is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Together(Arc<Mutex<Weak<Asked>>>);

#[derive(Debug)]
struct Asked {
    n: u64,
    applied: OnceCell<Applied>,
}

// === impl Together ===

impl Together {
    /// Who has applied `n`, by the answer of this question, or of one that is under way and was put for `n` or later. That one
    /// holds for `n` too: it was put when `n` was committed, by then its followers were registered, and it waits for as long
    /// from then on (S3).
    pub(super) async fn applied(&self, n: u64, ask: impl Future<Output = Applied>) -> Applied {
        let asked = self.asked(n);
        asked.applied.get_or_init(|| ask).await.clone()
    }

    fn asked(&self, n: u64) -> Arc<Asked> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = last.upgrade().filter(|asked| !asked.applied.initialized());
        if let Some(asked) = under_way.filter(|asked| asked.n >= n) {
            return asked;
        }
        let applied = OnceCell::new();
        let asked = Arc::new(Asked { n, applied });
        *last = Arc::downgrade(&asked);
        asked
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A question that is answered a moment later, counted.
    async fn answer(count: &Cell<u64>) -> Applied {
        count.set(count.get() + 1);
        tokio::task::yield_now().await;
        Applied::default()
    }

    #[tokio::test]
    async fn who_asks_while_a_question_of_as_late_a_change_is_under_way_waits_for_its_answer() {
        let (together, count) = (Together::default(), Cell::new(0));
        let ask = |n| together.applied(n, answer(&count));
        tokio::join!(ask(5), ask(5), ask(4), ask(5));
        assert_eq!(count.get(), 1);
        // What was changed since it was put it says nothing of.
        tokio::join!(ask(5), ask(6), ask(5));
        assert_eq!(count.get(), 3);
        // Nor does one that was answered before.
        ask(6).await;
        assert_eq!(count.get(), 4);
    }
}
