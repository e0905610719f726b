//! How many calls are under way at once. One more than a gateway may have is refused before anything is done for it: what
//! all take in memory, descriptors and upstream connections has a bound.

use std::sync::Arc;

use super::fault::Fault;

/// All calls under way, over any change of settings.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<All>);

/// Held by each of them, and once more.
#[derive(Debug, Default)]
struct All(Arc<()>);

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
        let All(all) = &*self.0;
        if Arc::strong_count(all) > most {
            metrics::counter!("headgate_overload_refused_total", "of" => "calls").increment(1);
            return Err(Fault::platform(
                "This gateway has as many calls under way as it may. Try again",
            ));
        }
        Ok(Place {
            _crowd: Arc::clone(all),
        })
    }
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
}
