//! What members say to each other about a shard (L3, L4). Plain data with a frozen shape (M1).

use serde::{Deserialize, Serialize};

use cluster::Request;
use domain::view::{Life, Words};

/// One member says something to another, in this life and in no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellShard {
    /// About which shard.
    pub shard: u16,
    /// Who says it.
    pub from: Life,
    /// To whom.
    pub to: Life,
    /// What.
    pub words: Words,
}

/// What the other says to that at once; what waits for its disk comes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardHeard {
    /// In order.
    pub words: Vec<Words>,
}

impl Request for TellShard {
    type Reply = ShardHeard;
    const KIND: u16 = 0x0203;
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
    /// Nodes that speak no later protocol than the first have no agreed view.
    const SINCE: u16 = 2;

    fn is_bulk(&self) -> bool {
        matches!(self.words, Words::Fill { .. } | Words::Copy { .. })
    }
}
