//! What may be asked of the traffic manager that owns a shard, from wherever (L7).

use serde::{Deserialize, Serialize};

use cluster::Request;
use domain::policy::PolicyLevel;

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

/// One gateway asks for units of several keys at once; all keys belong to `shard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseMany {
    /// The shard of the keys.
    pub shard: u16,
    /// The asking gateway's stable id and incarnation, such as `gw1.7`.
    pub gateway: String,
    /// The change-log number that the asker has applied; policies are read at it (L12).
    pub applied: u64,
    /// The questions.
    pub asks: Vec<LeaseAsk>,
}

/// A question about one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAsk {
    /// The key.
    pub key: ThrottleKey,
    /// Window that `have` and `returned` speak of; 0 when the gateway knows none yet.
    pub window: u64,
    /// Units granted to this gateway in that window, cumulative, as far as it knows.
    pub have: u64,
    /// Units it gives back in that window, cumulative.
    pub returned: u64,
    /// Units it would like in addition.
    pub want: u64,
}

/// The answer to [`LeaseMany`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leased {
    /// One answer per question, in order.
    Leases(Vec<LeaseAnswer>),
    /// The owner knows older policies than the asker has applied; ask again (L12).
    Behind {
        /// What it has applied.
        at: u64,
    },
    /// Whoever was asked does not own the shard (any more).
    NotOwner,
}

/// The answer about one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    /// Number of the current window.
    pub window: u64,
    /// Units granted to this gateway in the window, cumulative: repeats and late replies are harmless.
    pub granted: u64,
    /// Milliseconds until the window ends, by the owner's clock when it answered.
    pub remaining_ms: u64,
    /// The limit in force, units per window.
    pub limit: u64,
    /// Units of the window that nobody holds.
    pub left: u64,
    /// What a gateway without units should do.
    pub outlook: Outlook,
}

/// What follows from an answer that grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outlook {
    /// Units may be had.
    Open,
    /// Others may give units back: ask again after so many milliseconds (L9).
    Retry(u32),
    /// None until the window ends (L9).
    Exhausted,
}

impl Request for LeaseMany {
    type Reply = Leased;
    const KIND: u16 = 0x0201;
    const VERSION: u16 = 1;
}
