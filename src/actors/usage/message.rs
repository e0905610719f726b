//! What gateways deliver to the control plane (M4). Both may be repeated: what was taken before is
//! answered with how far that is, and changes nothing.

use serde::{Deserialize, Serialize};

use cluster::Request;
use domain::usage::UsageCount;

/// A batch of counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverUsage {
    /// The gateway's stable id.
    pub node: String,
    /// Its incarnation (W1).
    pub incarnation: u64,
    /// The first event's number.
    pub first: u64,
    /// The last event's number; batches come in order.
    pub last: u64,
    /// The counts of these events.
    pub counts: Vec<UsageCount>,
}

/// How many calls of an incarnation may have happened and are in no batch; replaces what was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverUnknown {
    /// The gateway's stable id.
    pub node: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// Calls.
    pub unknown: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivered {
    /// It is in API-M: the sender may forget it.
    Taken,
    /// API-M cannot be written now.
    Unavailable,
    /// API-M had everything up to this number before, which is a part of the batch or all of it;
    /// nothing was added. The sender forgets that part and sends the rest.
    Before(u64),
}

/// More counts than this are not sent beside probes.
const MANY: usize = 512;

impl Request for DeliverUsage {
    type Reply = Delivered;
    const KIND: u16 = 0x0401;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;

    /// What has waited for long comes in large parts.
    fn is_bulk(&self) -> bool {
        self.counts.len() > MANY
    }
}

impl Request for DeliverUnknown {
    type Reply = Delivered;
    const KIND: u16 = 0x0402;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}
