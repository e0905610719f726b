//! How often something may be told that is told once a minute, in a test of which nobody knows how long it takes.

use tokio::time::Instant;

/// Since it was made, before anything was told.
#[derive(Debug, Clone, Copy)]
pub struct Minutes(Instant);

// === impl Minutes ===

impl Minutes {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How many have begun by now.
    fn begun(self) -> usize {
        usize::try_from(self.0.elapsed().as_secs() / 60 + 1).expect("a number")
    }

    /// It was told, at most so often in each, as was read before.
    #[track_caller]
    pub fn have(self, told: usize, each: usize) {
        let most = self.begun() * each;
        assert!((1..=most).contains(&told), "told {told} times of {most}");
    }
}
