//! Those that have changed nothing and wait until all that was changed before is applied, as for a revocation that is asked for
//! again, ask once for all of them. Whoever has credentials may ask so as often as it likes, and the feed looks at the
//! database for each question, before the heartbeats behind it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

use domain::change_log::Applied;

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
    ///
    /// Whoever put it may end before it is answered: who puts it then for the others asks for what they all rest on.
    pub(super) async fn applied<A: Future<Output = Applied>>(
        &self,
        n: u64,
        ask: impl FnOnce(u64) -> A,
    ) -> Applied {
        let asked = self.asked(n);
        let put = || ask(asked.n);
        asked.applied.get_or_init(put).await.clone()
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
        let ask = |n| together.applied(n, |_| answer(&count));
        tokio::join!(ask(5), ask(5), ask(4), ask(5));
        assert_eq!(count.get(), 1);
        // What was changed since it was put it says nothing of.
        tokio::join!(ask(5), ask(6), ask(5));
        assert_eq!(count.get(), 3);
        // Nor does one that was answered before.
        ask(6).await;
        assert_eq!(count.get(), 4);
    }

    #[tokio::test]
    async fn where_who_put_a_question_is_gone_another_one_puts_it_for_all_that_rest_on_it() {
        let (together, put) = (Together::default(), Cell::new(0));
        let first = together.applied(6, |_| std::future::pending());
        let mut first = Box::pin(first);
        let other = together.applied(5, async |n| {
            put.set(n);
            Applied::default()
        });
        tokio::select! {
            biased;
            _ = &mut first => {}
            () = std::future::ready(()) => {}
        }
        drop_while_others_wait(first, other).await;
        assert_eq!(put.get(), 6);
    }

    /// The second one has come by when the first one ends.
    async fn drop_while_others_wait(
        first: impl Future<Output = Applied>,
        other: impl Future<Output = Applied>,
    ) {
        let mut other = Box::pin(other);
        tokio::select! {
            biased;
            _ = &mut other => {}
            () = std::future::ready(()) => {}
        }
        drop(first);
        other.await;
    }
}
