//! Membership: who is there, who is connected, who is suspected (W1, W2). Gossip is not truth:
//! it says whom to ask and whom to dial, never who owns what.

mod dials;
mod judge;
mod peer;
mod rivals;
#[cfg(test)]
mod rivals_tests;
mod standing;
#[cfg(test)]
mod standing_tests;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod strangers_tests;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod world;

pub(crate) use standing::Kept;
pub(crate) use table::{Effect, Gossip, Table};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::member::Member;

/// How often peers are probed, and what silence means.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two probes of a peer.
    pub probe: Duration,
    /// Silence after which a peer is avoided.
    pub suspect: Duration,
    /// Silence after which a peer is disconnected.
    pub evict: Duration,
}

/// How a member is doing, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Heard of, and never connected to since.
    Unmet,
    /// Answers.
    Up,
    /// Connected, and silent for a while.
    Suspect,
    /// Was connected, and is not any more.
    Down,
}

/// One line of the live map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// Who.
    pub member: Member,
    /// How.
    pub health: Health,
    /// Whether it is about to leave.
    pub leaving: bool,
    /// Since when it is so, milliseconds of this node's boot clock.
    pub since_ms: u64,
}

/// A change of a member's health, for the log: one line each, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The member's name.
    pub(crate) name: String,
    /// Its incarnation.
    pub(crate) incarnation: u64,
    /// Before.
    pub(crate) from: Health,
    /// After.
    pub(crate) to: Health,
    /// Why.
    pub(crate) reason: String,
}

// === impl Turn ===

impl Turn {
    /// One line in the log.
    pub(crate) fn tell(&self) {
        let (member, reason) = (self.name.as_str(), self.reason.as_str());
        let (incarnation, from, to) = (self.incarnation, self.from, self.to);
        match to {
            Health::Up => tracing::info!(member, incarnation, ?from, ?to, reason, "member"),
            _ => tracing::warn!(member, incarnation, ?from, ?to, reason, "member"),
        }
    }
}

// === impl Timing ===

impl Default for Timing {
    fn default() -> Self {
        Self {
            probe: Duration::from_millis(500),
            suspect: Duration::from_secs(2),
            evict: Duration::from_secs(5),
        }
    }
}
