//! One cell of the ledger (PROTOCOLS L2): what each gateway was granted and gave back in the current window of a key.
//! Only the owner's steps change it; a standby replaces it whole by a higher stamp.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::earlier::Earlier;
use super::holders::Holders;
use super::marks::forgiven;
use super::message::{ANY_LIFE, Ask, CellKey, Holder, Stamp};
use super::policy::Quota;
use super::round::Round;
use super::silent::Silent;
use crate::window::{Window, WindowId};

/// The counts of one gateway, all about the current window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The gateway's life and lease that these counts are of; older ones are in [`CellImage::spent`].
    pub incarnation: u64,
    /// See [`Holder::lease`].
    pub lease: u64,
    /// Granted so far.
    pub granted: u64,
    /// Given back so far.
    pub returned: u64,
    /// Taken out of the count by a reset or a refund, or within a mark for good.
    pub forgiven: u64,
    /// Granted before an owner that started from a mark, and counted within that (L5).
    pub covered: u64,
}

/// A cell as it travels to the standby (PROTOCOLS L2, L3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellImage {
    /// What is counted.
    pub cell: CellKey,
    /// When this state was made.
    pub stamp: Stamp,
    /// The current window.
    pub window: Window,
    /// The quota it was last granted by.
    pub quota: Quota,
    /// Whether the window counts as full because its source was lost (PROTOCOLS L6).
    pub lost: bool,
    /// Used by leases that are over, and what a high-water mark says was granted before (PROTOCOLS L5).
    pub spent: u64,
    /// Counts by gateway node id.
    pub holders: Vec<(String, Count)>,
    /// What counts on of panes before this one, where the window is no fixed one (L10).
    pub earlier: Option<Box<Earlier>>,
    /// How far the steady time lay behind T when the pane began; nothing of a fixed window (L10).
    pub lag_ms: i64,
    /// Units of a mark that stand for grants which no holder has told of yet (L5).
    pub coverage: u64,
}

/// A high-water mark of a long window (PROTOCOLS L5): at least what was granted when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What is counted.
    pub cell: CellKey,
    /// In which window.
    pub window: WindowId,
    /// When that window ends, milliseconds of T: the row may be deleted then.
    pub end_ms: i64,
    /// Units that count as used.
    pub used: u64,
    /// When it was made; a higher stamp replaces a lower one.
    pub stamp: Stamp,
    /// Units beside those that were given back to the key, by a reset or a refund, and that gateways may still tell of: they
    /// count no more. None in rows of before.
    #[serde(default)]
    pub forgiven: u64,
}

/// The owner's state of a cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) window: Window,
    pub(super) quota: Quota,
    pub(super) stamp: Stamp,
    pub(super) lost: bool,
    /// Used by leases that are over.
    pub(super) spent: u64,
    /// See [`CellImage::coverage`]; a reset leaves it, and takes it out of `spent`.
    pub(super) coverage: u64,
    pub(super) holders: Holders,
    /// What counts on of panes before this one (L10).
    pub(super) earlier: Option<Box<Earlier>>,
    /// See [`CellImage::lag_ms`].
    pub(super) lag_ms: i64,
    /// The last mark asked for, and when.
    pub(super) mark: u64,
    pub(super) mark_stamp: Stamp,
    pub(super) round: Option<Round>,
    /// Who had not answered the last reset.
    pub(super) silent: Silent,
    /// Told no; they get a `Reopen` when there are units again (L9).
    pub(super) denied: BTreeSet<Holder>,
    /// Others were told no by an owner before this one, which did not say whom.
    pub(super) others_denied: bool,
}

/// A gateway's counts with what the owner knows about it besides.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) count: Count,
    /// It said that it holds nothing unused, and was granted nothing since.
    pub(super) emptied: bool,
    /// It did not answer the last recall: what it has counts as spent (L7).
    pub(super) silent: bool,
    /// A reset's round ended that it had not answered: so much of this lease was out when that came, and is forgiven once
    /// its gateway goes on by another one. This owner alone knows of it.
    pub(super) awaited: Option<u64>,
}

/// What an ask said about the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absorbed {
    /// It comes from a lease that is over.
    Stale,
    /// Its counts are in.
    Current,
    /// The same, and what a reset waits for of the lease before is given back.
    GaveBack,
    /// The same, of a reset that was told as done before.
    GaveBackLate,
}

// === impl Count ===

impl Count {
    fn new(holder: &Holder) -> Self {
        Self {
            incarnation: holder.incarnation,
            lease: holder.lease,
            granted: 0,
            returned: 0,
            forgiven: 0,
            covered: 0,
        }
    }

    /// What it adds to the units that count as used: granted and not returned, so spent or still in the gateway's hands,
    /// neither forgiven nor counted within a mark.
    pub fn net(&self) -> u64 {
        self.unforgiven().saturating_sub(self.covered)
    }

    /// Granted and not given back.
    pub(super) fn out(&self) -> u64 {
        self.granted.saturating_sub(self.returned)
    }

    fn unforgiven(&self) -> u64 {
        self.out().saturating_sub(self.forgiven)
    }

    pub(super) fn age(&self) -> (u64, u64) {
        (self.incarnation, self.lease)
    }
}

// === impl CellImage ===

impl CellImage {
    /// Of a cell that was never changed, and of which nothing is used.
    pub fn new(cell: CellKey, window: Window, quota: Quota) -> Self {
        Cell::new(window, quota).image(&cell)
    }

    /// What it says of its window, as a mark: all that was granted and did not come back.
    fn mark(&self) -> Mark {
        let counts = self.holders.iter().map(|(_, count)| count);
        let held = counts.clone().map(Count::net);
        let earlier = self.earlier.as_ref().map_or(0, |earlier| earlier.marked());
        let used = held.fold(self.spent.saturating_add(earlier), u64::saturating_add);
        Mark {
            cell: self.cell.clone(),
            window: self.window.id,
            end_ms: self.window.marked_until_ms(),
            used: if self.lost { self.quota.limit } else { used },
            stamp: self.stamp,
            forgiven: forgiven(counts, self.coverage, self.spent),
        }
    }

    /// The mark of a long window, unless it is full only because nobody knew of it.
    pub(super) fn long_mark(&self, is_gone: impl Fn(Window, i64) -> bool) -> Option<Mark> {
        let is_unknown = self.lost && is_gone(self.window, self.lag_ms);
        (self.window.id.spec.is_long() && !is_unknown).then(|| self.mark())
    }

    /// About so many bytes as it travels.
    pub(crate) fn weight(&self) -> usize {
        let holders = self.holders.iter().map(|(node, _)| node.len() + 48);
        let earlier = self.earlier.as_ref().map_or(0, |earlier| earlier.weight());
        self.cell.weight() + 80 + holders.sum::<usize>() + earlier
    }
}

// === impl Held ===

impl Held {
    pub(super) fn new(holder: &Holder) -> Self {
        Self {
            count: Count::new(holder),
            emptied: true,
            silent: false,
            awaited: None,
        }
    }

    /// What it adds to the units that count as used.
    pub(super) fn net(&self) -> u64 {
        self.count.net()
    }

    /// Takes in counts about the current window. Gives what is out by it that the owner did not know of: granted by others.
    fn hear(&mut self, ask: &Ask, epoch: u64, coverage: &mut u64) -> u64 {
        let count = &mut self.count;
        let (before, out_before) = (count.unforgiven(), count.out());
        self.emptied &= ask.have <= count.granted;
        count.granted = count.granted.max(ask.have);
        count.returned = count.returned.max(ask.returned.min(count.granted));
        let after = count.unforgiven();
        // More was granted before this owner started: the mark counts it already, as far as it reaches (L5).
        let more = after.saturating_sub(before).min(*coverage);
        // The counts of an ask from before this owner may be older than the mark: what it says was given back may have
        // been granted again before the mark, so it frees nothing.
        let back = before.saturating_sub(after).min(count.covered);
        count.covered = count.covered.saturating_add(more).saturating_sub(back);
        *coverage = coverage.saturating_add(back).saturating_sub(more);
        if ask.epoch >= epoch {
            // It has heard of this owner: what it gives back from now on was not given back before the mark.
            count.forgiven = count.forgiven.saturating_add(count.covered);
            count.covered = 0;
        }
        self.emptied |= ask.emptied && ask.have == count.granted;
        count.out().saturating_sub(out_before)
    }
}

// === impl Cell ===

impl Cell {
    pub(super) fn new(window: Window, quota: Quota) -> Self {
        Self {
            window,
            quota,
            stamp: Stamp::default(),
            lost: false,
            spent: 0,
            coverage: 0,
            holders: Holders::default(),
            earlier: None,
            lag_ms: 0,
            mark: 0,
            mark_stamp: Stamp::default(),
            round: None,
            silent: Silent::default(),
            denied: BTreeSet::new(),
            others_denied: false,
        }
    }

    /// Units of the window that count as used or held.
    pub(super) fn used(&self) -> u64 {
        let earlier = self.earlier.as_ref().map_or(0, |earlier| earlier.total());
        self.used_here().saturating_add(earlier)
    }

    /// Those of them that were granted in the current pane.
    pub(super) fn used_here(&self) -> u64 {
        let held: u64 = self
            .holders
            .values()
            .fold(0, |sum, held| sum.saturating_add(held.net()));
        held.saturating_add(self.spent)
    }

    /// What a mark has to say: also what a limit that is raised again counts.
    pub(super) fn to_be_marked(&self) -> u64 {
        let earlier = self.earlier.as_ref().map_or(0, |earlier| earlier.marked());
        self.used_here().saturating_add(earlier)
    }

    /// What was granted before this owner, or before it was lost (L6), is known from a mark of who had it. What holders
    /// tell of it is within the mark, also what they have told already.
    pub(super) fn found(&mut self, mark: &Mark) {
        self.spent = mark.used;
        self.coverage = mark.used.saturating_add(mark.forgiven);
        self.mark = mark.used;
        for held in self.holders.values_mut() {
            held.count.covered = held.count.unforgiven().min(self.coverage);
            self.coverage = self.coverage.saturating_sub(held.count.covered);
        }
    }

    /// Units that may be granted; never negative, whatever the limit was lowered to (L9).
    pub(super) fn free(&self) -> u64 {
        if self.lost {
            0
        } else {
            self.quota.limit.saturating_sub(self.used())
        }
    }

    /// All granted to this holder, if it is the one the counts are of.
    pub(super) fn granted(&self, holder: &Holder) -> u64 {
        let held = self.holders.get(&holder.node);
        let age = (holder.incarnation, holder.lease);
        held.filter(|held| held.count.age() == age)
            .map_or(0, |held| held.count.granted)
    }

    /// Takes in what an ask says about the past: cumulative, so old and repeated asks change nothing (L7).
    pub(super) fn absorb(&mut self, ask: &Ask, epoch: u64) -> Absorbed {
        let Self {
            holders,
            spent,
            coverage,
            window,
            denied,
            round,
            silent,
            ..
        } = self;
        let held = holders.of(&ask.holder);
        let age = (ask.holder.incarnation, ask.holder.lease);
        if age < held.count.age() {
            return Absorbed::Stale;
        }
        let mut absorbed = Absorbed::Current;
        let is_of_reset = ask.is_of_reset(epoch);
        silent.hear(ask, is_of_reset);
        if held.count.incarnation == ANY_LIFE && !is_of_reset && age > held.count.age() {
            // A lease of before is known now, and it is still the one that a reset waits for.
            let awaited = held.awaited;
            *held = Held::new(&ask.holder);
            held.awaited = awaited;
        } else if age > held.count.age() {
            let reset = round.as_ref().filter(|round| round.resetting);
            let out_before = reset.and_then(|round| round.awaiting.get(&ask.holder.node));
            let counts;
            (counts, absorbed) = held.is_over(out_before.copied());
            *spent = spent.saturating_add(counts);
            denied.retain(|holder| holder.node != ask.holder.node);
            // Nor did the new one ask for what the old one waits for.
            if let Some(round) = round {
                (round.waiting).retain(|waiting| waiting.holder.node != ask.holder.node);
                match round.awaiting.get_mut(&ask.holder.node) {
                    // This one may be of before as well.
                    Some(out) if round.resetting && round.of_any && !is_of_reset => *out = 0,
                    // Nor is it asked: it would pass for silent with what it is granted now.
                    _ => drop(round.awaiting.remove(&ask.holder.node)),
                }
            }
            *held = Held::new(&ask.holder);
            // This one may be of before as well.
            held.awaited = silent.awaits_any(&ask.holder.node).then_some(0);
        }
        held.silent = false;
        if ask.window == Some(window.id) {
            let told = held.hear(ask, epoch, coverage);
            let node = &ask.holder.node;
            let mut reset = round.as_mut().filter(|round| round.of_any);
            let in_round = (reset.as_mut()).and_then(|round| round.awaiting.get_mut(node));
            held.is_told_of_before(in_round, silent.awaits_any(node), told);
        }
        absorbed
    }

    /// Adds units to a holder's count.
    pub(super) fn grant(&mut self, holder: &Holder, units: u64) {
        if let Some(held) = self.holders.get_mut(&holder.node) {
            held.count.granted = held.count.granted.saturating_add(units);
            held.emptied = false;
        }
        self.denied.remove(holder);
    }

    /// Everyone but `except` who may hold units unused and is believed to answer.
    pub(super) fn outstanding(&self, except: Option<&str>) -> Vec<Holder> {
        self.holders
            .iter()
            .filter(|(node, held)| {
                except != Some(node.as_str())
                    && held.count.net() > 0
                    && !held.emptied
                    && !held.silent
            })
            .map(|(node, held)| Holder::new(node.clone(), held.count.incarnation, held.count.lease))
            .collect()
    }

    /// Everyone who may hold units unused, also such as count no more: they were given back to the key while they were held,
    /// or are within a mark. Or really everyone: more may have been granted than anybody told of.
    pub(super) fn holders(&self, are_all: bool) -> Vec<Holder> {
        let may_hold =
            |held: &Held| are_all || held.count.out() > 0 || held.count.incarnation == ANY_LIFE;
        let held = self.holders.iter().filter(|(_, held)| may_hold(held));
        held.map(|(node, held)| match are_all {
            true => Holder::any(node.clone()),
            false => Holder::new(node.clone(), held.count.incarnation, held.count.lease),
        })
        .collect()
    }

    pub(super) fn image(&self, key: &CellKey) -> CellImage {
        CellImage {
            cell: key.clone(),
            stamp: self.stamp,
            window: self.window,
            quota: self.quota,
            lost: self.lost,
            spent: self.spent,
            holders: self
                .holders
                .iter()
                .map(|(node, held)| (node.clone(), held.count.clone()))
                .collect(),
            earlier: self.earlier.clone(),
            lag_ms: self.lag_ms,
            coverage: self.coverage,
        }
    }

    /// A cell that a standby or a new owner keeps from an image.
    pub(super) fn from_image(image: CellImage) -> Self {
        let mut cell = Self::new(image.window, image.quota);
        cell.stamp = image.stamp;
        cell.lost = image.lost;
        cell.spent = image.spent;
        cell.coverage = image.coverage;
        cell.earlier = image.earlier;
        cell.lag_ms = image.lag_ms;
        cell.holders = image
            .holders
            .into_iter()
            .map(|(node, count)| {
                (
                    node,
                    Held {
                        count,
                        emptied: false,
                        silent: false,
                        awaited: None,
                    },
                )
            })
            .collect();
        cell.others_denied = cell.free() == 0;
        cell
    }
}
