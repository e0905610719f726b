//! What members say to each other about a shard (L3, L4), and what any node may ask them to see. Plain data with a frozen shape (M1).

use serde::{Deserialize, Serialize};

use cluster::{Before, Earlier, Request};
use domain::ledger::Cursor;
use domain::policy::TimeUnit;
use domain::view::{Epoch, Life, Words};

use crate::traffic_manager::message::ThrottleKey;

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
    const VERSION: u16 = 3;
    const IDEMPOTENT: bool = true;

    /// A first part is small, and there are as many of them as shards: one after the other they would take a round trip
    /// each.
    fn is_bulk(&self) -> bool {
        match &self.words {
            Words::Fill { after, .. } | Words::Copy { after, .. } => *after != Cursor::Begin,
            _ => false,
        }
    }
}

/// Any node asks a member what it is to the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskShards {
    /// This one alone; all when none.
    pub shard: Option<u16>,
    /// Keys of each shard that it is to name, [`NAMED_KEYS`] at most.
    pub keys: u16,
}

/// The most keys of a shard that a member names in one answer.
pub const NAMED_KEYS: u16 = 200;

/// What a member is to the shards, as far as it knows; those that it has nothing to do with are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardsSeen {
    /// In which life it answers.
    pub life: Life,
    /// The shards.
    pub shards: Vec<ShardSeen>,
}

/// What a member is to one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardSeen {
    /// The shard.
    pub shard: u16,
    /// Its part.
    pub seat: SeatSeen,
    /// Keys that it counts, or has a copy of.
    pub keys: u64,
    /// Questions and their answers that wait: for others to give back, for standby, voters or disk.
    pub waiting: u64,
    /// Short windows that had begun by this T are full, for nobody knows what was granted of them.
    pub full_until_ms: Option<i64>,
    /// Some of the keys, where that was asked for.
    pub named: Vec<ThrottleKey>,
}

/// The part that a member has in a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatSeen {
    /// What it is.
    pub role: RoleSeen,
    /// By the view of this epoch.
    pub epoch: Epoch,
    /// Whether that is active, as far as it knows.
    pub active: bool,
    /// Whether it grants.
    pub grants: bool,
    /// The stable id of an owner's standby, or of a standby's owner.
    pub other: Option<String>,
}

/// What a member is to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleSeen {
    /// It grants the shard's units.
    Owner,
    /// It keeps the owner's copy.
    Standby,
    /// It owned it or stood by in the last active view, and gives what it has.
    Source,
    /// Nothing.
    None,
}

/// Any node asks a member how a key is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskKey {
    /// The key.
    pub key: ThrottleKey,
}

/// What a member knows of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySeen {
    /// In which life it answers.
    pub life: Life,
    /// Its part in the key's shard.
    pub seat: SeatSeen,
    /// The counts; none where it has none.
    pub count: Option<CountSeen>,
}

/// How a key is counted in its window of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountSeen {
    /// The window's unit.
    pub unit: TimeUnit,
    /// How many of them it lasts.
    pub unit_time: u32,
    /// When it begins, milliseconds of T.
    pub start_ms: i64,
    /// When it ends.
    pub end_ms: i64,
    /// Units a window.
    pub limit: u64,
    /// Units that are used or held.
    pub granted: u64,
    /// Units that may still be granted.
    pub left: u64,
    /// Whether the window counts as full, because what was granted of it was lost (L6).
    pub lost: bool,
    /// Used by leases that are over, or granted before as far as only disks knew.
    pub spent: u64,
    /// The leases.
    pub leases: Vec<LeaseSeen>,
}

/// What one gateway was granted in the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSeen {
    /// The gateway's stable id.
    pub gateway: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// The number of its lease.
    pub lease: u64,
    /// Granted so far.
    pub granted: u64,
    /// Given back so far.
    pub returned: u64,
}

/// An administrator does something to one key; told to the owner of its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeKey {
    /// The key.
    pub key: ThrottleKey,
    /// What is done to it.
    pub change: KeyChange,
}

/// What an administrator does to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyChange {
    /// It may use its limit once more in the window of now.
    Reset,
    /// So many units of what it used in the window of now count no more, none at least.
    Refund {
        /// How many.
        units: u64,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyChanged {
    /// It is done, and whoever takes over knows it.
    Changed {
        /// How the key is counted now.
        count: CountSeen,
        /// Stable ids of gateways that had not answered a reset by then: what they had been granted before it counts until
        /// they do.
        unheard: Vec<String>,
    },
    /// Nothing of the key is counted, so there is nothing to change.
    NotCounted,
    /// What was granted of its window is lost: nobody knows what could be given back.
    Lost,
    /// Whoever was asked does not grant units of the key (now): nothing was done.
    NotOwner,
}

/// [`KeyChanged`] as the answer to version 1 of [`ChangeKey`]: it says of nobody that a reset was not answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeyChangedBefore {
    /// See [`KeyChanged::Changed`].
    Changed(CountSeen),
    /// See [`KeyChanged::NotCounted`].
    NotCounted,
    /// See [`KeyChanged::Lost`].
    Lost,
    /// See [`KeyChanged::NotOwner`].
    NotOwner,
}

impl Request for AskShards {
    type Reply = ShardsSeen;
    const KIND: u16 = 0x0204;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Request for AskKey {
    type Reply = KeySeen;
    const KIND: u16 = 0x0205;
    const VERSION: u16 = 1;
    const IDEMPOTENT: bool = true;
}

impl Request for ChangeKey {
    type Reply = KeyChanged;
    const KIND: u16 = 0x0206;
    const VERSION: u16 = 2;
    /// Units would be given back twice.
    const IDEMPOTENT: bool = false;
    const SINCE: u16 = 3;
    const BEFORE: Option<Before<Self>> = Some(Before::new::<Self, KeyChangedBefore>(1));
}

// === impl KeyChangedBefore ===

impl Earlier<KeyChanged> for KeyChangedBefore {
    fn of(now: &KeyChanged) -> Self {
        match now {
            KeyChanged::Changed { count, .. } => Self::Changed(count.clone()),
            KeyChanged::NotCounted => Self::NotCounted,
            KeyChanged::Lost => Self::Lost,
            KeyChanged::NotOwner => Self::NotOwner,
        }
    }

    fn into_now(self) -> KeyChanged {
        match self {
            Self::Changed(count) => KeyChanged::Changed {
                count,
                unheard: Vec::new(),
            },
            Self::NotCounted => KeyChanged::NotCounted,
            Self::Lost => KeyChanged::Lost,
            Self::NotOwner => KeyChanged::NotOwner,
        }
    }
}
