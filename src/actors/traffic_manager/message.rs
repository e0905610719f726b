//! What travels between gateways and the traffic manager that owns a shard, from wherever (L7, L9).
//!
//! The machines speak `domain::ledger`'s words; `translate` turns those into these and back. A
//! message names each limit once, however many of its keys it speaks of, and what all its parts
//! share stands in front of them.

use serde::{Deserialize, Serialize};

use cluster::{Before, Request};
use domain::ledger::{Outcome, Stamp};
use domain::policy::PolicyLevel;
use domain::window::WindowId;

use super::told_before::TellLeasesBefore;

/// What a lease is counted on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ThrottleKey {
    /// Tenant domain.
    pub tenant: String,
    /// Level of the policy.
    pub level: PolicyLevel,
    /// Name of the policy whose limit counts.
    pub policy: String,
    /// Which of the policy's limits: its number (`domain::policy::Policy::numbered_limits`).
    pub limit: u16,
    /// Who or what is counted, such as `application:user` or `/pizza/1.0.0`.
    pub subject: String,
}

/// One limit of one policy, as a message names it once for all keys that are counted by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LimitName {
    /// Tenant domain.
    pub tenant: String,
    /// Level of the policy.
    pub level: PolicyLevel,
    /// Name of the policy.
    pub policy: String,
    /// Which of its limits, as in [`ThrottleKey::limit`].
    pub limit: u16,
}

/// One gateway asks for units of several keys at once; all keys belong to `shard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseMany {
    /// The shard of the keys.
    pub shard: u16,
    /// The asking gateway's stable id.
    pub node: String,
    /// Its incarnation (W1).
    pub incarnation: u64,
    /// The change-log number that the asker has applied; policies are read at it (L12).
    pub applied: u64,
    /// The asker's own clock, milliseconds.
    pub asked_at_ms: i64,
    /// The limits that the questions are about.
    pub limits: Vec<LimitName>,
    /// The questions.
    pub asks: Vec<LeaseAsk>,
}

/// A question about one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAsk {
    /// Its limit's place in the message.
    pub limit: u16,
    /// Who or what is counted, or [`domain::ledger::SHARED_KEY`] for all beyond the bound (L12).
    pub subject: String,
    /// The number of the asker's lease; it grows with every lease of an incarnation.
    pub lease: u64,
    /// The epoch of the last owner the asker heard of this key from; 0 when of none.
    pub epoch: u64,
    /// Window that the counts speak of; none when the asker knows of none yet.
    pub window: Option<WindowId>,
    /// Units granted to this lease in that window, cumulative, as far as the asker knows.
    pub have: u64,
    /// Units it gives back in that window, cumulative.
    pub returned: u64,
    /// Units it would like beyond `have`; 0 when it only gives back.
    pub want: u64,
    /// Whether it holds nothing unused of what it has.
    pub emptied: bool,
    /// Units of `want` that are used as soon as they are granted (L7, L11).
    pub due: u64,
}

/// The answer to [`LeaseMany`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leased {
    /// One place per question, in order; none where there is nothing to say: it only gave back, it
    /// is of a lease that is over, or it cannot be answered now.
    Leases(Vec<Option<LeaseAnswer>>),
    /// The owner knows older policies than the asker has applied; ask again (L12).
    Behind {
        /// What it has applied.
        at: u64,
    },
    /// Whoever was asked does not own the shard (any more).
    NotOwner,
}

/// A gateway that does not reach the owner of a shard asks another member to put its question to it. Once only: who is asked
/// so asks the owner itself, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassOn {
    /// The question, as the owner is to have it.
    pub asked: LeaseMany,
}

/// The answer to [`PassOn`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PassedOn {
    /// What the owner said.
    Answered(Leased),
    /// Who was asked does not reach the owner either, or passes too many on already.
    NotReached,
}

/// The answer about one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    /// When the owner made it; a gateway follows the highest from window to window.
    pub stamp: Stamp,
    /// The current window; none when the owner could not tell.
    pub window: Option<WindowId>,
    /// Milliseconds until the window ends, by the owner's clock when it answered.
    pub remaining_ms: i64,
    /// Units granted to this lease in the window, cumulative: repeats and late replies are harmless.
    pub granted: u64,
    /// The limit in force, units per window.
    pub limit: u64,
    /// Units of the window that nobody holds.
    pub left: u64,
    /// What was decided.
    pub outcome: Outcome,
}

/// What the owner of a shard tells a gateway unasked (L9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellLeases {
    /// The shard of the keys.
    pub shard: u16,
    /// The gateway's stable id.
    pub node: String,
    /// The incarnation whose leases it is about.
    pub incarnation: u64,
    /// The limits that the news is about.
    pub limits: Vec<LimitName>,
    /// The news.
    pub news: Vec<LeaseNews>,
}

/// News of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseNews {
    /// Its limit's place in the message.
    pub limit: u16,
    /// Who or what is counted.
    pub subject: String,
    /// The number of the lease.
    pub lease: u64,
    /// What there is to say.
    pub news: News,
}

/// What the owner says about a lease unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// The late answer to a question that had to wait.
    Answer {
        /// The asker's clock when it asked.
        asked_at_ms: i64,
        /// The answer.
        answer: LeaseAnswer,
    },
    /// Others need what lies unused: give it back with an ask that says `emptied`.
    Recall {
        /// When the owner made it.
        stamp: Stamp,
        /// Of which window.
        window: WindowId,
        /// All that was granted to this lease in that window.
        granted: u64,
    },
    /// There may be units again where there were none: forget the refusal.
    Reopen {
        /// When the owner made it.
        stamp: Stamp,
    },
    /// The key was reset: this lease is over, and the gateway says by which one it goes on.
    RecallAnew {
        /// When the owner made it.
        stamp: Stamp,
        /// Of which window.
        window: WindowId,
        /// All that was granted to this lease in that window.
        granted: u64,
    },
}

/// The answer to [`TellLeases`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// It was heard; what it asks for comes by itself.
    Taken,
    /// This is another gateway, or another life of it.
    Elsewhere,
}

impl Request for LeaseMany {
    type Reply = Leased;
    const KIND: u16 = 0x0201;
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
}

impl Request for PassOn {
    type Reply = PassedOn;
    const KIND: u16 = 0xfdfa;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
}

impl Request for TellLeases {
    type Reply = Told;
    const KIND: u16 = 0x0202;
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
    const BEFORE: Option<Before<Self>> = Some(Before::new::<TellLeasesBefore, Told>(1));
}
