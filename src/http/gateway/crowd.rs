//! How many calls are under way at once. One more than a gateway may have is refused before anything is done for it: what
//! all take in memory, descriptors and upstream connections has a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fault::Fault;

/// So many are let in however much memory there is: they are served, or it would never be given back.
const ALWAYS: usize = 64;

/// All calls under way, over any change of settings.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<All>);

#[derive(Debug, Default)]
struct All {
    /// Held by each of them, and once more.
    places: Arc<()>,
    /// Whether the process has more memory than it should.
    is_short: AtomicBool,
}

/// One of them, until its last byte has gone out or its caller has, and until its upload is over.
#[derive(Debug)]
pub(super) struct Place {
    // Counted by being held: each call costs one addition and one subtraction, and no lock.
    _crowd: Arc<()>,
}

// === impl Crowd ===

impl Crowd {
    /// Takes a place beside those that are taken, of `most`. Two that come in one moment may both take the last one.
    pub(super) fn enter(&self, most: usize) -> Result<Place, Fault> {
        let All { places, is_short } = &*self.0;
        let taken = Arc::strong_count(places);
        if taken > most {
            return Err(refused(
                "calls",
                "This gateway has as many calls under way as it may. Try again",
            ));
        }
        if is_short.load(Ordering::Relaxed) && taken > ALWAYS {
            return Err(refused(
                "memory",
                "This gateway has as much memory in use as it may. Try again",
            ));
        }
        Ok(Place {
            _crowd: Arc::clone(places),
        })
    }

    /// Memory is short from now on, or no more.
    pub(super) fn is_short(&self, is_so: bool) {
        self.0.is_short.store(is_so, Ordering::Relaxed);
    }
}

fn refused(of: &'static str, why: &'static str) -> Fault {
    metrics::counter!("headgate_overload_refused_total", "of" => of).increment(1);
    Fault::platform(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_enter_than_may_and_who_leaves_makes_room() {
        let crowd = Crowd::default();
        let first = crowd.enter(2).unwrap();
        let _second = crowd.clone().enter(2).unwrap();
        let refused = crowd.enter(2).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (900_900, Some(1)));
        drop(first);
        let third = crowd.enter(2);
        assert!(third.is_ok());
        // A limit that was lowered meanwhile lets nobody in before as many have left.
        assert!(crowd.enter(1).is_err());
    }

    #[test]
    fn while_memory_is_short_few_enter_and_afterwards_all_that_may() {
        let crowd = Crowd::default();
        crowd.is_short(true);
        let held: Vec<_> = (0..ALWAYS).map(|_| crowd.enter(1_000).unwrap()).collect();
        let refused = crowd.enter(1_000).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (900_900, Some(1)));
        crowd.is_short(false);
        let more = crowd.enter(1_000).unwrap();
        crowd.is_short(true);
        drop((held, more));
        assert!(crowd.enter(1_000).is_ok());
    }
}
