//! Calls that wait for units (L8): how long each of them, and how many at once.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::fault::Fault;

/// How long a call is held for units, of all its levels together, before it is refused with 503.
const HELD_MS: i64 = 3_000;
/// Calls that are held at once; more would only wait for one another.
const HELD: usize = 8_192;

/// Places of calls that wait.
#[derive(Debug)]
pub(super) struct Held(Semaphore);

/// A call's place among those that wait, as soon as it has to.
#[derive(Debug)]
pub(super) struct Place<'a> {
    held: &'a Held,
    taken: Option<SemaphorePermit<'a>>,
}

// === impl Held ===

impl Held {
    /// A place that is not taken yet.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            held: self,
            taken: None,
        }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self(Semaphore::new(HELD))
    }
}

// === impl Place ===

impl Place<'_> {
    /// Whether the call had to wait.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// How much longer the call may wait; its time, `until_ms`, begins with the first wait.
    ///
    /// # Errors
    /// 503 when that is over, or when too many wait already.
    pub(super) fn left(
        &mut self,
        until_ms: &mut Option<i64>,
        now_ms: i64,
    ) -> Result<Duration, Fault> {
        if self.taken.is_none() {
            let place = self.held.0.try_acquire();
            self.taken = Some(place.map_err(|_| too_many_held())?);
            metrics::counter!("headgate_throttle_held_calls_total").increment(1);
            metrics::gauge!("headgate_throttle_held_calls").increment(1);
        }
        let until_ms = *until_ms.get_or_insert(now_ms + HELD_MS);
        match u64::try_from(until_ms.saturating_sub(now_ms)) {
            Ok(left_ms) if left_ms > 0 => Ok(Duration::from_millis(left_ms)),
            _ => Err(held_too_long()),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.is_taken() {
            metrics::gauge!("headgate_throttle_held_calls").decrement(1);
        }
    }
}

/// Nobody granted the call its units in time.
pub(super) fn held_too_long() -> Fault {
    Fault::platform("Nobody could grant this call in time. Try again")
}

fn too_many_held() -> Fault {
    Fault::platform("Too many calls wait for their limits. Try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(place: &mut Place<'_>) -> Result<Duration, String> {
        let left = place.left(&mut None, 1_000);
        left.map_err(|fault| {
            assert_eq!((fault.code, fault.status.as_u16()), (900_900, 503));
            fault.description.into_owned()
        })
    }

    #[test]
    fn at_most_8192_calls_are_held_at_once_and_one_more_when_one_has_left() {
        let held = Held::default();
        let mut places: Vec<_> = (0..8_192).map(|_| held.place()).collect();
        let three = Ok(Duration::from_secs(3));
        assert!(places.iter_mut().all(|place| waits(place) == three));
        // Who waits goes on waiting in its place.
        assert!(places.iter_mut().all(|place| waits(place) == three));
        let mut late = held.place();
        let refused = waits(&mut late).unwrap_err();
        assert!(refused.starts_with("Too many calls wait"), "{refused}");
        assert!(!late.is_taken());
        places.pop();
        assert_eq!(waits(&mut late), three);
        assert!(waits(&mut held.place()).is_err());
    }

    #[test]
    fn all_waits_of_a_call_have_one_deadline() {
        let held = Held::default();
        let (mut first, mut second) = (held.place(), held.place());
        let mut until_ms = None;
        let mut left = |place: &mut Place<'_>, now_ms| place.left(&mut until_ms, now_ms).ok();
        assert_eq!(left(&mut first, 1_000), Some(Duration::from_secs(3)));
        // Judged anew, it has another place and the same time.
        assert_eq!(left(&mut second, 3_999), Some(Duration::from_millis(1)));
        assert_eq!(left(&mut second, 4_000), None);
    }
}
