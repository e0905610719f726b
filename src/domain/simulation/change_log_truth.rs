//! What was really committed in a run of the change log, and which invariants its followers broke.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::change_log_database::{Change, Rows, Stored};
use super::kernel::Digest;
use super::seeds::{Ran, Seen};
use crate::change_log::Position;

/// All histories that ever were. An entry's uuid names its whole past, for it has one predecessor.
#[derive(Debug, Default)]
pub(super) struct Truth {
    commits: BTreeMap<String, Committed>,
    digest: Digest,
    /// What happened at all: a run in which nothing goes wrong proves nothing.
    pub(super) seen: Seen,
    pub(super) broken: Vec<String>,
}

#[derive(Debug)]
struct Committed {
    n: u64,
    before: Position,
    /// The rows as this entry left them.
    rows: Rows,
}

// === impl Truth ===

impl Truth {
    pub(super) fn happened(&mut self, now_ms: i64, event: &impl Debug) {
        self.digest.add(now_ms, event);
    }

    pub(super) fn committed(&mut self, change: &Change, before: Position, rows: &Rows) {
        self.seen.once("commits");
        let committed = Committed {
            n: change.n,
            before,
            rows: rows.clone(),
        };
        self.commits.insert(change.uuid.clone(), committed);
    }

    /// A follower that stands at `before` makes a change visible: once, and after the one before it.
    pub(super) fn applies(&mut self, follower: usize, before: &Position, change: &Change) {
        self.seen.once("applied");
        let committed = self.commits.get(&change.uuid);
        if committed.is_none_or(|committed| committed.before != *before) {
            self.broken.push(format!(
                "C4: follower {follower} applied {} after {}",
                change.n, before.n
            ));
        }
    }

    /// What requests see at a follower is what the history it follows had made of the rows at its position.
    pub(super) fn sees(&mut self, follower: usize, at: &Position, rows: &Rows) {
        let committed = self.commits.get(&at.uuid);
        let right = match committed {
            Some(committed) => committed.n == at.n && committed.rows == *rows,
            None => at.n == 0 && rows.is_empty(),
        };
        if !right {
            self.broken.push(format!(
                "C4: follower {follower} at {} is no prefix of its history",
                at.n
            ));
        }
    }

    /// A follower at `applied` acknowledged `n`, while its disk stood at `disk`.
    pub(super) fn acknowledged(
        &mut self,
        follower: usize,
        n: u64,
        applied: &Position,
        disk: &Position,
    ) {
        self.seen.once("acknowledged");
        let visible = self.ancestor(applied, n);
        if visible.is_none() {
            self.broken.push(format!(
                "C4: follower {follower} acknowledged {n} before it was applied"
            ));
        }
        if visible != self.ancestor(disk, n) {
            self.broken.push(format!(
                "C4: follower {follower} acknowledged {n}, its disk has {}",
                disk.n
            ));
        }
    }

    /// The network is calm and nobody writes: everybody has everything.
    pub(super) fn at_rest(
        &mut self,
        follower: usize,
        caught_up: bool,
        at: &Position,
        rows: &Rows,
        database: &Stored,
    ) {
        if !caught_up || *at != database.head || *rows != database.rows {
            self.broken.push(format!(
                "C4: follower {follower} rests at {} of {}, caught up: {caught_up}",
                at.n, database.head.n
            ));
        }
    }

    /// The entry of number `n` in the past of `at`.
    fn ancestor(&self, at: &Position, n: u64) -> Option<Position> {
        let mut at = at.clone();
        while at.n > n {
            at = self.commits.get(&at.uuid)?.before.clone();
        }
        (at.n == n).then_some(at)
    }
}

// === impl Ran ===

impl From<Truth> for Ran {
    fn from(truth: Truth) -> Self {
        Self {
            digest: truth.digest,
            seen: truth.seen,
            broken: truth.broken,
        }
    }
}
