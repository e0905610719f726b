//! What was lost with owner and standby is found again when one of them is back with its disk (PROTOCOLS L6): both had
//! each mark of a long window on disk before a grant of it was released, so either will do, and nobody else's will.

use super::copying::{Work, has_all_of};
use super::{Deed, Seat};
use crate::ledger::{Mark, ShardImage};
use crate::view::epoch::Epoch;
use crate::view::placement::Missing;
use crate::view::register::Life;

/// Holders that do not answer for so long are gone on without: the loss stays, and another view asks again.
const PATIENCE_MS: u64 = 500;

/// A loss that may be made good.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    missing: Missing,
    /// What one of the holders has, at which T: what is over by that is forgotten there.
    marks: Option<(i64, Vec<Mark>)>,
}

// === impl Seat ===

impl Seat {
    /// Looks at what a new owner has itself; the others are asked.
    pub(super) fn begin_finding(&mut self) {
        self.found.clear();
        let elsewhere = planted!(self, FoundAtAnybody);
        let missing = self.place.missing.iter();
        let finding: Vec<Finding> = missing
            .filter(|missing| !missing.holders.is_empty() || elsewhere)
            .map(|missing| Finding {
                missing: missing.clone(),
                marks: None,
            })
            .collect();
        self.finding = finding;
        self.has_nothing_of_what_is_lost(&self.me.clone(), self.begun);
        let mut finding = std::mem::take(&mut self.finding);
        let is_own = |one: &Finding| one.missing.holders.contains(&self.me) || elsewhere;
        if finding.iter().any(is_own) {
            let own = (self.ledger.t_ms(), self.ledger.shard_image().long_marks());
            for one in finding.iter_mut().filter(|one| is_own(one)) {
                one.marks = Some(own.clone());
            }
        }
        self.finding = finding;
    }

    /// Asks whom an answer is overdue of.
    pub(super) fn ask_holders(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let open = self.finding.iter().filter(|one| one.marks.is_none());
        let holders = open.flat_map(|one| one.missing.holders.iter());
        let mut due: Vec<Life> = holders
            .filter(|life| self.is_overdue(life, now_ms))
            .cloned()
            .collect();
        due.sort();
        due.dedup();
        for life in due {
            self.pull(&life, now_ms, out);
        }
    }

    /// A holder whose disk was begun anew after a loss has nothing of that, and is not waited for.
    fn has_nothing_of_what_is_lost(&mut self, holder: &Life, begun: Option<Epoch>) {
        if planted!(self, LostDiskIsASource) {
            return;
        }
        self.finding.retain_mut(|one| {
            let missing = &mut one.missing;
            if one.marks.is_some()
                || !missing.holders.contains(holder)
                || has_all_of(Some(missing.held), begun)
            {
                return true;
            }
            missing.holders.retain(|life| life != holder);
            !missing.holders.is_empty()
        });
    }

    /// All that this life has came in.
    pub(super) fn is_found_at(&mut self, from: &Life, begun: Option<Epoch>, image: &ShardImage) {
        self.has_nothing_of_what_is_lost(from, begun);
        let is_open = |one: &&mut Finding| one.marks.is_none();
        for one in self.finding.iter_mut().filter(is_open) {
            if one.missing.holders.contains(from) {
                one.marks = Some((image.t_ms, image.long_marks()));
            }
        }
    }

    /// It has what the last view had, and goes on when it also has what was lost before.
    pub(super) fn finding_goes_on(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let Work::Finding { origin, since_ms } = self.work else {
            return;
        };
        let is_patient = now_ms.abs_diff(since_ms) < PATIENCE_MS;
        // The standby's copy is about to be replaced.
        let is_standbys = |one: &Finding| {
            let standby = self.standby();
            standby.is_some_and(|standby| one.missing.holders.contains(standby))
        };
        let waits = |one: &Finding| one.marks.is_none() && (is_patient || is_standbys(one));
        if self.finding.iter().any(waits) {
            return;
        }
        let mut due = Vec::new();
        for one in std::mem::take(&mut self.finding) {
            if let Some((t_ms, marks)) = one.marks {
                // A window that is over there, by a clock that is ahead, is over here as well (L10).
                self.ledger.lift(Some(t_ms));
                due.extend(self.ledger.find(one.missing.t0_ms, marks));
                self.found.push(one.missing.epoch);
            }
        }
        self.pulls.clear();
        self.persist(due, out);
        self.begin_filling(origin, now_ms, out);
    }

    /// Whether its copy, or what its disk has, is of what was lost.
    pub(super) fn had_what_is_missing(&self) -> bool {
        let missing = &self.place.missing;
        missing
            .iter()
            .any(|missing| missing.names.contains(&self.me.node))
    }

    pub(super) fn found(&self) -> Vec<Epoch> {
        self.found.clone()
    }
}
