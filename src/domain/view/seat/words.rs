//! What members say to each other about a shard.

use serde::{Deserialize, Serialize};

use super::Deed;
use crate::ledger::{CellImage, Cursor, ShardImage, Stamp};
use crate::view::epoch::Epoch;
use crate::view::register::Life;

/// What members say to each other about a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Words {
    /// A new owner wants what the other has, sealed at this epoch.
    Copy {
        /// The new owner's view.
        epoch: Epoch,
        /// From here on.
        after: Cursor,
    },
    /// The answer.
    Copied {
        /// Echo.
        epoch: Epoch,
        /// Echo.
        after: Cursor,
        /// The view that its disk took part in first: of what was granted before that the disk has nothing.
        begun: Option<Epoch>,
        /// A part of what it has.
        image: Box<ShardImage>,
        /// Where the next part begins; none after the last.
        next: Option<Cursor>,
    },
    /// A new owner gives its standby what it begins with.
    Fill {
        /// The view of both.
        epoch: Epoch,
        /// From here on.
        after: Cursor,
        /// A part of it.
        image: Box<ShardImage>,
        /// Where the next part begins; none after the last.
        next: Option<Cursor>,
    },
    /// The standby has it up to here; when that is all, also on disk as far as that is needed.
    Filled {
        /// Echo.
        epoch: Epoch,
        /// Where the next part has to begin; none when it has all.
        next: Option<Cursor>,
    },
    /// What an owner changed; everything up to `stamp` that was not acknowledged yet.
    Change {
        /// The view of both.
        epoch: Epoch,
        /// The last change in it.
        stamp: Stamp,
        /// The owner's T.
        t_ms: i64,
        /// Its steady time, and the seam of that (L10).
        steady: (i64, Option<i64>),
        /// The cells as they are now.
        cells: Vec<CellImage>,
    },
    /// The standby has it.
    Changed {
        /// Echo.
        epoch: Epoch,
        /// Echo.
        stamp: Stamp,
    },
    /// Whoever says this knows of a later view than the one that it was spoken to in.
    Sealed {
        /// The later view's epoch.
        at: Epoch,
    },
}

/// What words want an answer to: the same as often as they are said again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A part of a copy, from there on.
    Copy(Epoch, Cursor),
    /// Whether the standby has a part, from there on.
    Fill(Epoch, Cursor),
    /// Whether the standby has all changes up to there.
    Change(Epoch, Stamp),
}

// === impl Words ===

impl Words {
    /// The view that this belongs to.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Copy { epoch, .. }
            | Self::Copied { epoch, .. }
            | Self::Fill { epoch, .. }
            | Self::Filled { epoch, .. }
            | Self::Change { epoch, .. }
            | Self::Changed { epoch, .. }
            | Self::Sealed { at: epoch } => *epoch,
        }
    }

    /// Whoever says it goes on saying it.
    pub(super) fn wants_an_answer(&self) -> bool {
        self.question().is_some()
    }

    /// What it asks for, if it wants an answer.
    pub fn question(&self) -> Option<Question> {
        match self {
            Self::Copy { epoch, after } => Some(Question::Copy(*epoch, after.clone())),
            Self::Fill { epoch, after, .. } => Some(Question::Fill(*epoch, after.clone())),
            Self::Change { epoch, stamp, .. } => Some(Question::Change(*epoch, *stamp)),
            Self::Copied { .. }
            | Self::Filled { .. }
            | Self::Changed { .. }
            | Self::Sealed { .. } => None,
        }
    }
}

// === impl Deed ===

impl Deed {
    pub(super) fn say(to: &Life, words: Words) -> Self {
        let to = to.clone();
        Self::Say { to, words }
    }

    pub(super) fn moved(epoch: Epoch, with: &Life) -> Self {
        let with = with.node.clone();
        Self::Moved { epoch, with }
    }
}
