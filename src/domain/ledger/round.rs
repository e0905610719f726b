//! A recall round (L9): whom the owner waits for, and until when.

use std::collections::BTreeMap;

use super::message::{Ask, Stamp};

/// A recall round (L9).
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    /// When it began, which is when its recalls have left.
    pub(super) since_ms: i64,
    /// When it ends: not before its recalls have left.
    pub(super) until_ms: i64,
    /// How long it waits for answers.
    pub(super) lasts_ms: i64,
    /// Who is to answer, and what was out of its lease when the round began: granted, and not given back.
    pub(super) awaiting: BTreeMap<String, u64>,
    /// Asks to be decided when it ends, one per gateway.
    pub(super) waiting: Vec<Ask>,
    /// That of its recalls: it lasts from when they leave.
    pub(super) stamp: Stamp,
    /// The round belongs to a reset: what a lease had is forgiven once its gateway goes on by another one.
    pub(super) resetting: bool,
    /// Its gateways may have leases that the owner does not know: by those that it knows it cannot tell which are of before.
    pub(super) of_any: bool,
    /// Panes before the current one of which a reset has yet to forgive something.
    pub(super) ended: Vec<RoundsPane>,
}

/// A pane that is over by T, and of which a reset forgives only what nobody can use any more (L10).
#[derive(Debug, Clone)]
pub(super) struct RoundsPane {
    pub(super) number: i64,
    /// When the last lease of it is over, by the steady time: nothing of it is used after that, confirmed or not.
    pub(super) ends_ms: i64,
    /// Who may use something of it until then, and what of it was out when the reset came.
    pub(super) awaiting: BTreeMap<String, u64>,
    /// As of the round that it comes from.
    pub(super) of_any: bool,
}

// === impl Round ===

impl Round {
    /// Whether a reset waits for what holders have used, to forgive it.
    pub(super) fn forgives(&self) -> bool {
        self.resetting || !self.ended.is_empty()
    }

    /// Whether it waits for panes that are over and for nobody's answer besides: what is held now has to be recalled yet.
    pub(super) fn is_of_ended_panes(&self) -> bool {
        self.awaiting.is_empty() && !self.ended.is_empty()
    }
}
