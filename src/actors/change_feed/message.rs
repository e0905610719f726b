//! What a follower may ask of the change feed, from wherever (C2 to C4, S1).

use serde::{Deserialize, Serialize};

use cluster::{Before, Earlier, Request};
use domain::change::Entry;
use domain::change_log::Applied;
use domain::serving_lease::FollowerKind;

/// Asks for the entries after a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The follower's stable name.
    pub follower: String,
    /// The last entry it has applied; 0 when it has none.
    pub n: u64,
    /// That entry's uuid; empty with `n` 0 or after a snapshot of an empty log.
    pub uuid: String,
    /// The most entries to send.
    pub most: u32,
    /// Answer when there is something to send or after so many milliseconds (long poll); 0 at once.
    pub wait_ms: u32,
    /// Whether what is large shall stay where it is: the answer ends before it, and its head tells that there is more.
    /// The follower asks for that at once, and so beside probes (M2).
    pub small: bool,
}

/// Version 1 of [`Pull`]: whatever comes next comes with the answer, however large it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullBefore {
    /// The follower's stable name.
    pub follower: String,
    /// The last entry it has applied; 0 when it has none.
    pub n: u64,
    /// That entry's uuid; empty with `n` 0 or after a snapshot of an empty log.
    pub uuid: String,
    /// The most entries to send.
    pub most: u32,
    /// Answer when there is something to send or after so many milliseconds (long poll); 0 at once.
    pub wait_ms: u32,
}

/// The answer to [`Pull`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pulled {
    /// The next entries, in order, and the head they lead to; none when the follower is at the head, or wants small ones
    /// alone and the next is large.
    Entries {
        /// In order, without a gap.
        entries: Vec<Entry>,
        /// The head when they were read.
        head: u64,
    },
    /// The position is older than what is kept, or not of this log: take a snapshot (C2, C3).
    Resync {
        /// Why: the word of a [`domain::change_log::ResyncReason`].
        reason: String,
    },
    /// The feed cannot read its database now; said by a former version, this one leaves the asker to
    /// ask another node.
    Unavailable,
}

/// Asks for one piece of a snapshot of what gateways and traffic managers need (C3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where the last piece ended; empty for the first.
    pub cursor: String,
    /// Of what; the same for every piece of one snapshot.
    pub of: SnapshotOf,
}

/// What a snapshot is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotOf {
    /// All that a gateway needs.
    Everything,
    /// Throttling policies.
    Policies,
}

/// The answer to [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Some entries without numbers of their own; each is a [`domain::change::Change`] as JSON.
    Part {
        /// `(tenant, change)` pairs.
        changes: Vec<(String, String)>,
        /// What to ask with next; none when this was the last piece.
        cursor: Option<String>,
        /// Of the last piece: the position that the whole snapshot is true at.
        n: u64,
        /// That position's uuid.
        uuid: String,
    },
    /// The feed cannot read its database now.
    Unavailable,
}

/// Tells the feed how far a follower is, whenever that changes and every half second: what waits for
/// that number is answered (C6), and a gateway may serve by the answer (S1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The follower's stable name.
    pub follower: String,
    /// The life of its node (W1): what a former one still says counts no more.
    pub incarnation: u64,
    /// What it follows for.
    pub kind: FollowerKind,
    /// Applied, stored and visible to requests up to here.
    pub n: u64,
    /// That entry's uuid: an acknowledgement is of one history.
    pub uuid: String,
    /// Whether it goes: nobody shall wait for it.
    pub leaves: bool,
}

/// The answer to [`Heartbeat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// The head of the change log, read after the follower was heard and is registered.
    Head(u64),
    /// What it has applied is not of this log, or too old to tell.
    Elsewhere,
    /// Nobody could wait for it: its name is none, there are too many, or a later life of its node
    /// has registered.
    Unavailable,
}

impl Request for Pull {
    type Reply = Pulled;
    const KIND: u16 = 0x0301;
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
    const SINCE: u16 = 3;
    const BEFORE: Option<Before<Self>> = Some(Before::new::<PullBefore, Pulled>(1));

    /// Whoever does not want to wait for a change has many to catch up with, or a large one.
    fn is_bulk(&self) -> bool {
        self.wait_ms == 0
    }
}

impl Earlier<Pull> for PullBefore {
    fn of(now: &Pull) -> Self {
        Self {
            follower: now.follower.clone(),
            n: now.n,
            uuid: now.uuid.clone(),
            most: now.most,
            wait_ms: now.wait_ms,
        }
    }

    fn into_now(self) -> Pull {
        Pull {
            follower: self.follower,
            n: self.n,
            uuid: self.uuid,
            most: self.most,
            wait_ms: self.wait_ms,
            // Told of a head above its own it would ask the same again, and never go on.
            small: false,
        }
    }
}

impl Request for Snapshot {
    type Reply = Piece;
    const KIND: u16 = 0x0302;
    // Version 1 did not say of what and was never released.
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;

    fn is_bulk(&self) -> bool {
        true
    }
}

impl Request for Heartbeat {
    type Reply = Heard;
    const KIND: u16 = 0x0303;
    // Versions 1 and 2 named no history or no life; they were never released.
    const VERSION: u16 = 3;
    const IDEMPOTENT: bool = true;
}

/// Waits until every registered follower has acknowledged `n`, at most `within_ms` (C6, S3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitApplied {
    /// The committed number; the feed learns from it that there is something to pull.
    pub n: u64,
    /// How long to wait, milliseconds; 0 only tells the feed.
    pub within_ms: u32,
}

impl Request for WaitApplied {
    type Reply = Applied;
    const KIND: u16 = 0x0304;
    // Version 1 did not say what it means to be behind and was never released.
    const VERSION: u16 = 2;
    const IDEMPOTENT: bool = true;
}
