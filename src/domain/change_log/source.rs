//! The keeper's side of a pull (PROTOCOLS C2, C3): from what the database says about its log and from the follower's
//! position, decide what to send. The caller reads head, tail and UUID in one transaction.

use serde::{Deserialize, Serialize};

use super::{Position, ResyncReason};

/// What the database says about its log, read in one transaction together with the follower's entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The last entry's number, 0 when nothing was ever written.
    pub head: u64,
    /// The oldest entry still kept; `head + 1` when none is.
    pub tail: u64,
    /// The UUID stored for the follower's number, if that entry is kept.
    pub uuid_at_follower: Option<String>,
}

/// What to send to a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing is newer.
    UpToDate,
    /// The entries of these numbers, both included.
    Entries {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// The whole state as of the head, because of this.
    Snapshot {
        /// Why entries will not do.
        reason: ResyncReason,
    },
}

/// Decides what a follower at `follower` gets, at most `limit` entries at a time.
pub fn answer(log: &Log, follower: &Position, limit: u64) -> Answer {
    let snapshot = |reason| Answer::Snapshot { reason };
    if follower.n > log.head {
        return snapshot(ResyncReason::HeadBelow);
    }
    if follower.n == 0 {
        // Nothing to compare: a newcomer reads from the first entry if it is still there.
        if log.head > 0 && log.tail > 1 {
            return snapshot(ResyncReason::TooOld);
        }
    } else {
        match &log.uuid_at_follower {
            // Its own entry is gone, so nobody can tell whether it is of this history (C2).
            None => return snapshot(ResyncReason::TooOld),
            Some(uuid) if *uuid != follower.uuid => return snapshot(ResyncReason::UuidMismatch),
            Some(_) => {}
        }
    }
    if follower.n == log.head {
        return Answer::UpToDate;
    }
    let from = follower.n.saturating_add(1);
    Answer::Entries {
        from,
        to: log.head.min(follower.n.saturating_add(limit.max(1))),
    }
}
