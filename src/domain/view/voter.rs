//! What a voter promises (PROTOCOLS W4, L3): once it knows of an epoch it acknowledges nothing of a lower one, and it
//! knows the highest T that it acknowledged. The driver has both on disk before an answer leaves.

use serde::{Deserialize, Serialize};

use super::epoch::Epoch;

/// A voter's promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voter {
    sealed: Epoch,
    fenced_ms: i64,
}

/// What a sealed voter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The epoch that it is sealed at: that asked for, or a higher one.
    pub at: Epoch,
    /// The highest T it acknowledged before.
    pub fenced_ms: Option<i64>,
}

// === impl Voter ===

impl Default for Voter {
    fn default() -> Self {
        Self {
            sealed: Epoch::default(),
            fenced_ms: i64::MIN,
        }
    }
}

impl Voter {
    /// The epoch it is sealed at.
    #[must_use]
    pub const fn sealed_at(&self) -> Epoch {
        self.sealed
    }

    /// It has appended an entry of this epoch, or heard of it.
    pub fn seal(&mut self, epoch: Epoch) -> Sealed {
        self.sealed = self.sealed.max(epoch);
        Sealed {
            at: self.sealed,
            fenced_ms: self.fenced_ms(),
        }
    }

    /// The highest T that it ever fenced; none where it fenced none.
    pub fn fenced_ms(&self) -> Option<i64> {
        (self.fenced_ms > i64::MIN).then_some(self.fenced_ms)
    }

    /// A member of this epoch's view wants to grant up to this T.
    ///
    /// # Errors
    /// The epoch that it is sealed at, when that is higher.
    pub fn fence(&mut self, epoch: Epoch, t_ms: i64) -> Result<(), Epoch> {
        if epoch < self.sealed {
            return Err(self.sealed);
        }
        self.sealed = epoch;
        self.fenced_ms = self.fenced_ms.max(t_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_voter_fences_nothing_of_a_lower_epoch_and_tells_what_it_fenced() {
        let (one, two) = (Epoch::new(1, 1).unwrap(), Epoch::new(1, 2).unwrap());
        let mut voter = Voter::default();
        assert_eq!(voter.seal(one).fenced_ms, None);
        assert_eq!(voter.fence(one, 50), Ok(()));
        assert_eq!(voter.fence(one, 40), Ok(()));
        let sealed = voter.seal(two);
        assert_eq!((sealed.at, sealed.fenced_ms), (two, Some(50)));
        assert_eq!(voter.fence(one, 60), Err(two));
        assert_eq!(voter.seal(one), sealed, "nothing went back");
        assert_eq!(voter.fence(two, 60), Ok(()));
    }
}
