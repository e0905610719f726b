//! What runs of a followers world are made of.

use super::Planted;

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) storm_ms: i64,
    pub(super) change_pace_ms: i64,
    /// Chances in a thousand, each second's, of each node.
    pub(super) crashes: u64,
    pub(super) stops: u64,
    /// A gateway is put back from a backup when it starts again.
    pub(super) put_back: u64,
    pub(super) pauses: u64,
    pub(super) cuts: u64,
    pub(super) control_crashes: u64,
    pub(super) control_pauses: u64,
    pub(super) feeds_anew: u64,
    pub(super) restores: u64,
    pub(super) database_cuts: u64,
    /// Chances in a thousand of each look or write.
    pub(super) slow: u64,
    pub(super) slow_writes: u64,
    pub(super) fails: u64,
    /// How far the pace of a clock is off, in thousandths.
    pub(super) drift: i64,
    pub(super) planted: Option<Planted>,
}

// === impl Plan ===

impl Plan {
    pub(super) fn stormy() -> Self {
        Self {
            storm_ms: 60_000,
            change_pace_ms: 900,
            crashes: 15,
            stops: 12,
            put_back: 150,
            pauses: 20,
            cuts: 35,
            control_crashes: 12,
            control_pauses: 20,
            feeds_anew: 12,
            restores: 12,
            database_cuts: 10,
            slow: 1,
            slow_writes: 100,
            fails: 4,
            // Of two clocks one runs by less than a twentieth faster.
            drift: 24,
            planted: None,
        }
    }

    /// Followers are cut off from one control plane or from all, again and again.
    pub(super) fn cut() -> Self {
        Self {
            cuts: 150,
            control_crashes: 0,
            restores: 0,
            stops: 4,
            ..Self::stormy()
        }
    }

    /// Backups are restored, by databases that answer now and then.
    pub(super) fn restored() -> Self {
        Self {
            restores: 100,
            control_crashes: 80,
            feeds_anew: 20,
            fails: 120,
            ..Self::stormy()
        }
    }

    /// Control planes stand still.
    pub(super) fn standing_still() -> Self {
        Self {
            control_pauses: 100,
            restores: 0,
            cuts: 5,
            ..Self::stormy()
        }
    }

    /// Nodes stop and start, many of them put back from backups.
    pub(super) fn put_back() -> Self {
        Self {
            put_back: 600,
            stops: 30,
            crashes: 30,
            restores: 0,
            ..Self::stormy()
        }
    }
}
