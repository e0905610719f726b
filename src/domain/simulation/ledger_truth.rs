//! What really happened in a run of the ledger, and which invariants it broke.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::kernel::Digest;
use super::ledger_world::{TENANT, cell};
use super::seeds::{Ran, Seen};
use crate::ledger::{Ask, CellImage, Policies};
use crate::window::WindowId;

/// Counts and verdicts, kept outside of everything that is tested.
#[derive(Debug)]
pub(super) struct Truth {
    limits: BTreeMap<usize, u64>,
    /// The highest limit in force since a window began to be used.
    highest: BTreeMap<(usize, i64), u64>,
    admitted: BTreeMap<(usize, i64), u64>,
    t_ms: i64,
    digest: Digest,
    pub(super) broken: Vec<String>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn new(policies: &Policies) -> Self {
        let limits = (0..)
            .map_while(|key| {
                policies
                    .get(TENANT, &cell(key).policy)
                    .map(|quota| (key, quota.limit))
            })
            .collect();
        Self {
            limits,
            highest: BTreeMap::new(),
            admitted: BTreeMap::new(),
            t_ms: i64::MIN,
            digest: Digest::default(),
            broken: Vec::new(),
        }
    }

    pub(super) fn happened(&mut self, now_ms: i64, event: &impl Debug) {
        self.digest.add(now_ms, event);
    }

    /// T never goes back, whatever the machine's clock does (L10).
    pub(super) fn highest_t(&mut self, t_ms: i64) -> i64 {
        self.t_ms = self.t_ms.max(t_ms);
        self.t_ms
    }

    pub(super) fn limit(&mut self, key: usize, limit: u64) {
        self.limits.insert(key, limit);
        for ((of, _), highest) in &mut self.highest {
            if *of == key {
                *highest = (*highest).max(limit);
            }
        }
    }

    /// An owner grants in this window, by the limit of now.
    pub(super) fn opened(&mut self, key: usize, window: WindowId) {
        let limit = self.limits[&key];
        self.highest.entry((key, window.number)).or_insert(limit);
    }

    /// A request was admitted with a unit of this window, at T = `t_ms`.
    pub(super) fn admitted(&mut self, key: usize, window: WindowId, t_ms: i64) {
        let t_ms = self.highest_t(t_ms);
        let end_ms = window.spec.numbered(window.number).end_ms;
        if t_ms >= end_ms {
            self.broken.push(format!(
                "L7: a unit of key {key} was used {} ms after its window",
                t_ms - end_ms
            ));
        }
        let limit = self.limits[&key];
        let place = (key, window.number);
        let highest = *self.highest.entry(place).or_insert(limit);
        let admitted = self.admitted.entry(place).or_default();
        *admitted += 1;
        if *admitted > highest {
            self.broken.push(format!(
                "L2: key {key}, window {}: {admitted} admitted of {highest}",
                window.number
            ));
        }
    }

    /// The owner's step is over: what it granted must lie within the limit in force.
    pub(super) fn granted(
        &mut self,
        key: usize,
        ask: &Ask,
        before: Option<&CellImage>,
        after: Option<&CellImage>,
    ) {
        let Some(after) = after else { return };
        let before = before.filter(|before| before.window == after.window);
        let limit = self.limits[&key];
        self.highest
            .entry((key, after.window.id.number))
            .or_insert(limit);
        let grew = after.holders.iter().any(|(node, count)| {
            let known = before
                .and_then(|before| before.holders.iter().find(|(of, _)| of == node))
                .filter(|(_, old)| (old.incarnation, old.lease) == (count.incarnation, count.lease))
                .map_or(0, |(_, old)| old.granted);
            // What the asking gateway had before this owner began is a fact, not a grant.
            let had = if *node == ask.holder.node && ask.window == Some(after.window.id) {
                ask.have
            } else {
                0
            };
            count.granted > known.max(had)
        });
        let sum = after.spent
            + after
                .holders
                .iter()
                .map(|(_, count)| count.net())
                .sum::<u64>();
        if grew && sum > limit {
            self.broken
                .push(format!("L9: key {key}: {sum} granted of {limit}"));
        }
    }

    /// Admitted in each window that was used, oldest first; the first and the last are partial.
    pub(super) fn windows(&self, key: usize) -> Vec<u64> {
        self.admitted
            .iter()
            .filter(|((of, _), _)| *of == key)
            .map(|(_, count)| *count)
            .collect()
    }
}

// === impl Ran ===

impl From<Truth> for Ran {
    fn from(truth: Truth) -> Self {
        Self {
            digest: truth.digest,
            seen: Seen::default(),
            broken: truth.broken,
        }
    }
}
