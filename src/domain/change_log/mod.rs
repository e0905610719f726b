//! The change log as its readers and its keeper see it (PROTOCOLS C): every change to the control plane is a numbered
//! entry, and number order is commit order.
//!
//! `follower` is what a gateway, a traffic manager or a portal's cache runs; `source` is the decision of whoever
//! answers a pull from the database, `followers` whom it waits for. All are pure: drivers in `actors` move the messages, entries travel as whatever
//! type implements [`Numbered`].

mod applied;
mod follower;
mod followers;
#[cfg(test)]
mod properties;
mod registered;
mod source;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::change::Entry;

pub use applied::{Applied, How, Missing};
pub use follower::{Effect, Follower, Input};
pub use followers::{Followers, Heard, Word};
pub use registered::Registered;
pub use source::{Answer, Log, answer};

/// A place in one history: the number of an entry and its UUID (PROTOCOLS C2). The same number with another UUID is
/// another history (a restored backup).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The entry's number; 0 stands before the first entry.
    pub n: u64,
    /// The entry's UUID; empty at 0.
    pub uuid: String,
}

/// An entry of the log, as far as following it goes.
pub trait Numbered {
    /// Its number, from 1, without gaps.
    fn n(&self) -> u64;
    /// Its UUID.
    fn uuid(&self) -> &str;
}

/// Why a follower threw its state away and takes a snapshot (PROTOCOLS C2, C3). All but `TooOld` are logged loudly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResyncReason {
    /// The log does not reach back to the follower's position: ordinary after a long absence.
    TooOld,
    /// The entry of this number has another UUID: another history.
    UuidMismatch,
    /// The log ends before the follower's position: a restored backup.
    HeadBelow,
    /// Entries came that do not follow one another.
    Gap,
}

// === impl Position ===

impl Position {
    /// The position of an entry.
    pub fn of(entry: &impl Numbered) -> Self {
        Self {
            n: entry.n(),
            uuid: entry.uuid().to_owned(),
        }
    }

    /// A position by its parts.
    pub fn new(n: u64, uuid: impl Into<String>) -> Self {
        Self {
            n,
            uuid: uuid.into(),
        }
    }
}

impl Numbered for Position {
    fn n(&self) -> u64 {
        self.n
    }

    fn uuid(&self) -> &str {
        &self.uuid
    }
}

impl Numbered for Entry {
    fn n(&self) -> u64 {
        self.n
    }

    fn uuid(&self) -> &str {
        &self.uuid
    }
}

// === impl ResyncReason ===

impl ResyncReason {
    const ALL: [Self; 4] = [Self::TooOld, Self::UuidMismatch, Self::HeadBelow, Self::Gap];

    /// Its word, which travels.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TooOld => "TooOld",
            Self::UuidMismatch => "UuidMismatch",
            Self::HeadBelow => "HeadBelow",
            Self::Gap => "Gap",
        }
    }

    /// The reason with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// Whether it hints at a lost or replaced history, and so belongs in the log as an error.
    pub fn is_alarming(self) -> bool {
        self != Self::TooOld
    }
}
