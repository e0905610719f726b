//! When an owner's words may leave (PROTOCOLS L3): the standby has what they speak of, and a majority of voters has
//! fenced the T in which it was granted.

use std::collections::{BTreeMap, VecDeque};

use super::copying::AGAIN_MS;
use super::{Deed, Seat, Words};
use crate::ledger::{self, CellImage, CellKey, Stamp};
use crate::view::epoch::Epoch;
use crate::view::placement::Role;
use crate::view::register::Life;
use crate::view::waits::STALLED_MS;

/// Changes that wait apart at most.
const MOST_WAITING: usize = 1_024;

/// A flight is about so many bytes.
const FLIGHT_BYTES: usize = 512 * 1_024;

/// What an owner changed and may not speak of yet.
#[derive(Debug, Default)]
pub(super) struct Releases {
    /// Stamp and T of each change, in order.
    waiting: VecDeque<(Stamp, i64)>,
    /// Cells that were not sent yet, as they are now, with the first change of each that was not.
    uncopied: BTreeMap<CellKey, (Stamp, CellImage)>,
    /// What is on its way to the standby.
    flight: Option<Flight>,
    /// The standby has everything up to here.
    copied: Stamp,
}

#[derive(Debug)]
struct Flight {
    stamp: Stamp,
    cells: Vec<CellImage>,
    said_ms: i64,
    since_ms: i64,
}

// === impl Releases ===

impl Releases {
    pub(super) fn wait(&mut self, stamp: Stamp, fence_ms: i64, cells: Vec<CellImage>) {
        let is_full = self.waiting.len() >= MOST_WAITING;
        match self.waiting.back_mut() {
            // While nothing may leave, many changes wait as one.
            Some(last) if is_full => *last = (stamp, fence_ms.max(last.1)),
            _ => self.waiting.push_back((stamp, fence_ms)),
        }
        for cell in cells {
            let first = self.uncopied.get(&cell.cell).map_or(stamp, |(at, _)| *at);
            self.uncopied.insert(cell.cell.clone(), (first, cell));
        }
    }

    /// Whether all that was changed may be spoken of, and has arrived.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.flight.is_none()
    }

    /// The last change that may be spoken of now and could not before.
    fn pass(&mut self, is_free: impl Fn(&Self, Stamp, i64) -> bool) -> Option<Stamp> {
        let mut passed = None;
        while let Some((stamp, fence_ms)) = self.waiting.front().copied()
            && is_free(self, stamp, fence_ms)
        {
            self.waiting.pop_front();
            passed = Some(stamp);
        }
        passed
    }

    /// What goes to the standby next: all that changed since the last time, once that arrived.
    fn next_flight(&mut self, now_ms: i64) -> Option<&Flight> {
        let (stamp, _) = self.waiting.back().copied()?;
        if self.flight.is_some() || self.uncopied.is_empty() {
            return None;
        }
        let (stamp, cells) = self.load(stamp, FLIGHT_BYTES);
        let said_ms = now_ms;
        self.flight = Some(Flight {
            stamp,
            cells,
            said_ms,
            since_ms: said_ms,
        });
        self.flight.as_ref()
    }

    /// All that was not sent; of more than is good for one message what changed first, and the stamp up to which
    /// that is all.
    fn load(&mut self, all: Stamp, most: usize) -> (Stamp, Vec<CellImage>) {
        let weights = self.uncopied.values().map(|(_, cell)| cell.weight());
        let mut loaded: Vec<(Stamp, CellImage)>;
        if weights.sum::<usize>() <= most {
            loaded = std::mem::take(&mut self.uncopied).into_values().collect();
            return (all, loaded.drain(..).map(|(_, cell)| cell).collect());
        }
        loaded = std::mem::take(&mut self.uncopied).into_values().collect();
        loaded.sort_by_key(|(first, _)| *first);
        let mut weight = 0;
        let fits = loaded.iter().take_while(|(_, cell)| {
            weight += cell.weight();
            weight <= most
        });
        let fits = fits.count().max(1);
        let left = loaded.split_off(fits.min(loaded.len()));
        let stamp = left.first().map_or(all, |(first, _)| Stamp {
            epoch: first.epoch,
            seq: first.seq.saturating_sub(1),
        });
        let left = left.into_iter();
        self.uncopied = left
            .map(|(at, cell)| (cell.cell.clone(), (at, cell)))
            .collect();
        (stamp, loaded.into_iter().map(|(_, cell)| cell).collect())
    }
}

// === impl Seat ===

impl Seat {
    /// Says what may be said now, and asks for what is missing.
    pub(super) fn settle(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let Role::Owner { standby } = &self.place.role else {
            return;
        };
        if let Some((_, t_ms)) = self.releases.waiting.back().copied() {
            out.push(Deed::Fence { t_ms });
        }
        let ((for_view, reach), epoch) = (self.fenced, self.place.epoch);
        let alone = standby.is_none() || planted!(self, GrantBeforeStandby);
        let unfenced = planted!(self, SkipFence);
        let passed = self.releases.pass(|releases, stamp, fence_ms| {
            let fenced = for_view == epoch && fence_ms <= reach;
            (alone || stamp <= releases.copied) && (fenced || unfenced)
        });
        if let (Some(to), Some(flight)) = (standby, self.releases.next_flight(now_ms)) {
            let words = Words::Change {
                epoch: self.place.epoch,
                stamp: flight.stamp,
                t_ms: self.ledger.t_ms(),
                steady: (self.ledger.steady_ms(), self.ledger.seam_ms()),
                cells: flight.cells.clone(),
            };
            out.push(Deed::say(to, words));
        }
        if let Some(stamp) = passed {
            let told = self
                .ledger
                .step(ledger::Input::Replicated { stamp }, now_ms);
            out.extend(told.into_iter().map(Deed::Ledger));
        }
    }

    /// The standby has what was sent.
    pub(super) fn changed(
        &mut self,
        from: &Life,
        epoch: Epoch,
        stamp: Stamp,
        now_ms: i64,
        out: &mut Vec<Deed>,
    ) {
        let by_standby =
            matches!(&self.place.role, Role::Owner { standby: Some(by) } if by == from);
        let flight = self.releases.flight.as_ref();
        if by_standby && epoch == self.place.epoch && flight.is_some_and(|on| on.stamp == stamp) {
            self.releases.flight = None;
            self.releases.copied = stamp;
            self.settle(now_ms, out);
        }
    }

    /// Whoever an active view waits for too long is left out of the next one, and so may be a source that does not answer.
    pub(super) fn tell_who_stalls(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let owes = self.marked < self.asked_marks;
        self.unmarked_ms = owes.then(|| self.unmarked_ms.unwrap_or(now_ms));
        let is_long = |since_ms: i64| now_ms.abs_diff(since_ms) >= STALLED_MS;
        let by = match (&self.place.role, &self.releases.flight) {
            _ if !self.place.active => self.silent_source(is_long),
            _ if !self.grants() => None,
            (Role::Owner { standby: Some(to) }, Some(flight)) if is_long(flight.since_ms) => {
                Some(to.node.clone())
            }
            _ if self.unmarked_ms.is_some_and(is_long) => Some(self.me.node.clone()),
            _ => None,
        };
        if let Some(by) = by {
            let epoch = self.place.epoch;
            out.push(Deed::Stalled { epoch, by });
        }
    }

    /// Says once more what the standby has not acknowledged, and what voters have not fenced.
    pub(super) fn repeat_changes(&mut self, now_ms: i64, out: &mut Vec<Deed>) {
        let Role::Owner { standby: Some(to) } = &self.place.role else {
            return;
        };
        let epoch = self.place.epoch;
        if let Some(flight) = self.releases.flight.as_mut()
            && now_ms.abs_diff(flight.said_ms) >= AGAIN_MS
        {
            flight.said_ms = now_ms;
            let words = Words::Change {
                epoch,
                stamp: flight.stamp,
                t_ms: self.ledger.t_ms(),
                steady: (self.ledger.steady_ms(), self.ledger.seam_ms()),
                cells: flight.cells.clone(),
            };
            out.push(Deed::say(to, words));
        }
    }
}
