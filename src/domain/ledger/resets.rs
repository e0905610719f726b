//! How an operator lets a key begin anew (PROTOCOLS L9). What is used counts no more at once; what may be used yet counts
//! until its holder has said what it used, or, of a pane that is over by T, until no lease of it lasts (L10).

use std::collections::{BTreeMap, BTreeSet};

use super::cell::{Absorbed, Cell, Count, Held};
use super::earlier::Earlier;
use super::grant::Step;
use super::message::{Ask, CellKey, Holder};
use super::owner::{Effect, Ledger};
use super::round::{Round, RoundsPane};
use super::silent::Silent;
use super::steady::used_until_ms;
use crate::policy::WindowKind;
use crate::window::WindowSpec;

// === impl Ledger ===

impl Ledger {
    /// Lets a key begin anew; these gateways are known to the node.
    pub(super) fn reset(
        &mut self,
        key: &CellKey,
        gateways: BTreeSet<String>,
        out: &mut Vec<Effect>,
    ) {
        self.open_known(key, true);
        self.roll(key);
        let cell = self.cells.get(key);
        let knows_all = cell.is_none_or(|cell| self.knows_all_leases(&cell));
        let gateways = (!knows_all).then_some(gateways);
        #[cfg(test)]
        self.plant_in_resets(key);
        self.change(key, out, |cell, key, step| cell.reset(key, gateways, step));
    }

    /// Whether nobody has a lease of a key that the owner does not know: not where disks alone knew of grants of its window, or
    /// nobody did (L5, L6), as long as such leases may last.
    fn knows_all_leases(&self, cell: &Cell) -> bool {
        let spec = cell.window.id.spec;
        let are_over = match self.unknown_until_ms() {
            // No lease lasts longer than its window.
            Some(unknown_ms) if !spec.is_paned() => {
                unknown_ms < cell.window.start_ms.saturating_sub(self.lag_ms())
            }
            _ => self.others_end_ms(spec) <= self.steady_ms(),
        };
        are_over && !cell.lost && cell.coverage == 0
    }

    /// When the last lease of a pane is over that was granted before all that this owner knows, by the steady time.
    pub(super) fn others_end_ms(&self, spec: WindowSpec) -> i64 {
        let unknown_ms = self.unknown_until_ms();
        unknown_ms.map_or(i64::MIN, |unknown_ms| used_until_ms(unknown_ms, spec))
    }

    /// Of what was granted up to this T others may know who do not tell: disks alone knew of it, or nobody is left who did, also
    /// where the window was opened again since (L6).
    fn unknown_until_ms(&self) -> Option<i64> {
        self.seam_ms().max(self.past.full_until_ms())
    }
}

// === impl Cell ===

impl Cell {
    /// Starts to count anew: recalls everything; what each holder confirms as spent is forgiven.
    ///
    /// What leases that are over and marks account for is forgiven at once, and so is a lost window: an operator said
    /// so. Where others may have leases that nobody has told of, those are recalled from all of these gateways: who does not
    /// go on by another lease is named.
    pub(super) fn reset(
        &mut self,
        key: &CellKey,
        gateways: Option<BTreeSet<String>>,
        step: &mut Step,
    ) {
        self.stamp = step.stamp;
        step.gave_back = true;
        // What holders have yet to tell of within a mark stays covered: it is forgiven with it.
        self.spent = 0;
        self.lost = false;
        let ended = self.forget_earlier(step.steady_ms);
        self.silent = Silent::default();
        for held in self.holders.values_mut() {
            // A holder that has been silent is asked once more; one that was emptied may have had units put back.
            held.silent = false;
            held.emptied = false;
            // This one forgives what an earlier one could not.
            held.awaited = None;
        }
        let waiting = self
            .round
            .take()
            .map(|round| round.waiting)
            .unwrap_or_default();
        // What was granted before the owner's time may be under way even to whoever has nothing by its own word.
        let may_hold_more = gateways.is_some();
        for node in gateways.into_iter().flatten() {
            self.holders.of(&Holder::any(node));
        }
        let from = self.holders(may_hold_more);
        self.start_round(key, waiting, Some((from, ended)), step);
        if let Some(round) = self.round.as_mut() {
            round.of_any = may_hold_more;
            let panes = round.ended.iter_mut();
            panes.for_each(|pane| pane.of_any = may_hold_more);
        }
        self.end_round_if_heard(key, step);
        self.reopen_if_free(key, step);
    }

    /// A gateway that the node did not see when a reset recalled whatever leases there are may have one as well: what it
    /// says first tells of nothing else, unless it has heard of the reset.
    pub(super) fn meets(&mut self, key: &CellKey, ask: &Ask, step: &mut Step) {
        let round = (self.round.as_mut()).filter(|round| round.resetting && round.of_any);
        if let Some(round) = round
            && !ask.is_of_reset(step.stamp.epoch)
        {
            let node = ask.holder.node.clone();
            round.awaiting.insert(node.clone(), 0);
            self.stamp = step.stamp;
            let recall = self.recall_from(Holder::any(node), key, true);
            step.messages.push(recall);
        }
    }

    /// Leases of panes that are over are over with them, and what was used of them counts no more. But T may have been lifted
    /// over the end of a pane: what its leases hold may be used for as long. Gives such panes.
    fn forget_earlier(&mut self, steady_ms: i64) -> Vec<RoundsPane> {
        let Some(mut earlier) = self.earlier.take() else {
            return Vec::new();
        };
        for pane in &mut earlier.panes {
            // Whoever holds by a later lease has none of the one before.
            let now = |node: &str| self.holders.get(node).map(|held| held.count.age());
            pane.holders
                .retain(|(node, count)| now(node).is_none_or(|age| age <= count.age()));
        }
        let ended = earlier.forget_used(self.window.id.spec, steady_ms);
        self.earlier = (!earlier.is_empty()).then_some(earlier);
        ended
    }

    /// Who holds something of these panes, by the last of them, but for those that are recalled already.
    pub(super) fn holders_of(
        &self,
        ended: &[RoundsPane],
        recalled: &BTreeMap<String, u64>,
    ) -> Vec<Holder> {
        let mut holders: BTreeMap<&String, Holder> = BTreeMap::new();
        let panes = self.earlier.iter().flat_map(|earlier| &earlier.panes);
        for pane in panes.filter(|pane| ended.iter().any(|of| of.number == pane.number)) {
            for (node, count) in &pane.holders {
                if !recalled.contains_key(node) {
                    let holder = Holder::new(node.clone(), count.incarnation, count.lease);
                    holders.insert(node, holder);
                }
            }
        }
        holders.into_values().collect()
    }

    /// The pane is over before all have confirmed what they used of it before a reset. Once none of its leases lasts, it
    /// is certain that nothing else of it will be used, and it is forgiven (L9); until then it is not. Gives all panes
    /// that a reset has to do with.
    /// So it is with who was silent when a reset was told as done.
    ///
    /// Leases that the owner does not know last until `others_end_ms`, by the steady time.
    pub(super) fn outlasts(
        &mut self,
        round: Option<Round>,
        others_end_ms: i64,
        steady_ms: i64,
    ) -> Vec<RoundsPane> {
        let round = round.unwrap_or_default();
        let (mut ended, resetting) = (round.ended, round.resetting);
        let mut awaiting = match resetting {
            true => round.awaiting,
            false => BTreeMap::new(),
        };
        let silent = self.holders.iter();
        // Of who had nothing by then, as far as anybody knows, there is nothing to be forgiven.
        let is_out = |held: &Held| held.awaited.filter(|out_before| *out_before > 0);
        awaiting.extend(silent.filter_map(|(node, held)| Some((node.clone(), is_out(held)?))));
        if resetting || !awaiting.is_empty() {
            let mut pane = RoundsPane {
                number: self.window.id.number,
                ends_ms: self.pane_ends_ms().max(others_end_ms),
                awaiting,
                of_any: round.of_any || self.silent.is_of_any(),
            };
            if pane.ends_ms <= steady_ms {
                for (node, out_before) in std::mem::take(&mut pane.awaiting) {
                    self.forgive(&node, out_before);
                }
            }
            ended.push(pane);
        }
        ended
    }

    /// What this holder had of its lease when a reset came counts no more.
    pub(super) fn forgive(&mut self, node: &str, out_before: u64) {
        if let Some(held) = self.holders.get_mut(node) {
            held.count.forgive(out_before);
        }
    }

    /// A reset's round has ended by time: who has not answered is named when it is told as done.
    pub(super) fn were_silent(&mut self, round: &Round) {
        let age = |node: &String| {
            let held = self.holders.get(node);
            (node.clone(), held.map_or((0, 0), |held| held.count.age()))
        };
        let nodes = round.awaiting.keys().map(age);
        self.silent = Silent::of(nodes, self.window.id.number, round.of_any);
    }

    /// What of these panes nobody can use any more counts no more; the reset waits on for the others.
    pub(super) fn forgive_ended(&mut self, ended: Vec<RoundsPane>, step: &mut Step) {
        let mut lasting = Vec::new();
        for mut pane in ended {
            if pane.ends_ms > step.steady_ms && !pane.awaiting.is_empty() {
                lasting.push(pane);
                continue;
            }
            let awaiting = std::mem::take(&mut pane.awaiting);
            for (node, out_before) in awaiting {
                self.forgive_earlier(pane.number, &node, out_before);
            }
            // The disk has to say less, before the reset is said to be done.
            self.stamp = step.stamp;
            step.gave_back = true;
        }
        let first_ms = lasting.iter().map(|pane| pane.ends_ms).min();
        self.round = first_ms.map(|first_ms| Round {
            until_ms: (step.now_ms).saturating_add(first_ms.saturating_sub(step.steady_ms)),
            ended: lasting,
            ..Round::default()
        });
    }

    /// Whoever speaks of a later pane, or by a later lease, can use nothing of the ones before. Of whom the owner knows no lease
    /// there that has to be the answer to a reset. Gives whether a reset waited for that.
    pub(super) fn has_left(&mut self, ask: &Ask, epoch: u64) -> bool {
        let spec = self.window.id.spec;
        let now = ask.window.filter(|window| window.spec == spec);
        let node = &ask.holder.node;
        let mut left = Vec::new();
        for ended in self.round.iter_mut().flat_map(|round| &mut round.ended) {
            let earlier = self.earlier.as_ref();
            let age = earlier.and_then(|earlier| earlier.age(ended.number, node));
            let is_answer = ask.is_of_reset(epoch);
            let is_over = age.map_or(is_answer, |age| {
                let asks = (ask.holder.incarnation, ask.holder.lease);
                let is_later = asks > age && (is_answer || !ended.of_any);
                is_later || (asks >= age && now.is_some_and(|now| now.number > ended.number))
            });
            if let Some(before) = is_over.then(|| ended.awaiting.remove(node)).flatten() {
                left.push((ended.number, before));
            }
        }
        for (number, before) in &left {
            self.forgive_earlier(*number, node, *before);
        }
        !left.is_empty()
    }

    /// What of a pane was out of a holder's lease when a reset came counts no more.
    fn forgive_earlier(&mut self, number: i64, node: &str, out_before: u64) {
        if let Some(earlier) = self.earlier.as_mut() {
            earlier.forgive_holder(number, node, out_before);
        }
    }
}

// === impl Held ===

impl Held {
    /// It tells of so much that the owner did not know of. Where it could not know of all leases others granted that before a
    /// reset, and it is forgiven with the rest. While the reset's round waits for it all that is out is of before, for it is
    /// granted nothing; later it may be granted more.
    pub(super) fn is_told_of_before(
        &mut self,
        in_round: Option<&mut u64>,
        was_silent: bool,
        told: u64,
    ) {
        match (in_round, &mut self.awaited) {
            (Some(before), _) => *before = self.count.out().max(*before),
            (None, Some(before)) if was_silent => *before = before.saturating_add(told),
            (None, _) => {}
        }
    }

    /// Its lease is over. What it did not give back counts as spent (L7: silence means spent), and how much that is. What a
    /// reset waits for, or told as done without its answer, is forgiven, but for what was granted since.
    pub(super) fn is_over(&self, in_round: Option<u64>) -> (u64, Absorbed) {
        let (out_before, absorbed) = match (in_round, self.awaited) {
            (Some(out_before), _) => (out_before, Absorbed::GaveBack),
            (None, Some(out_before)) => (out_before, Absorbed::GaveBackLate),
            (None, None) => return (self.net(), Absorbed::Current),
        };
        (self.net().min(self.count.out_since(out_before)), absorbed)
    }
}

// === impl Count ===

impl Count {
    /// What is out since a reset, when so much was: granted since, and not given back. What came back since is taken for a
    /// part of that: at most what was out before is forgiven, whichever of the units were used.
    fn out_since(&self, out_before: u64) -> u64 {
        self.out().saturating_sub(out_before)
    }

    /// All counts no more but for what is out since so much was. Gives how much that is.
    fn forgive(&mut self, out_before: u64) -> u64 {
        let forgiven = self.net().saturating_sub(self.out_since(out_before));
        self.forgiven = self.forgiven.saturating_add(forgiven);
        forgiven
    }
}

// === impl Earlier ===

impl Earlier {
    /// Only what leases hold that last on counts. Gives the panes that have some.
    fn forget_used(&mut self, spec: WindowSpec, steady_ms: i64) -> Vec<RoundsPane> {
        let is_bucket = spec.kind == WindowKind::Bucket;
        let dry_from_ms = self.dry_from_ms;
        let mut panes = std::mem::take(&mut self.panes);
        let (mut ended, mut out) = (Vec::new(), 0_u64);
        panes.retain_mut(|pane| {
            let held = pane.holders.iter().map(|(_, count)| count.net());
            let held = held.fold(0, u64::saturating_add).min(pane.used);
            let ends_ms = self.ends_ms(pane, spec);
            // Also of what was given back to the key: it may be used yet.
            let is_out = pane.holders.iter().any(|(_, count)| count.out() > 0);
            if !is_out || ends_ms <= steady_ms {
                return false;
            }
            out = out.saturating_add(held);
            // What is in a bucket came into it pane by pane.
            pane.used = if is_bucket { out } else { held };
            let holders = pane.holders.iter();
            ended.push(RoundsPane {
                number: pane.number,
                ends_ms,
                awaiting: holders
                    .map(|(node, count)| (node.clone(), count.out()))
                    .collect(),
                of_any: false,
            });
            true
        });
        self.panes = panes;
        if is_bucket {
            (self.level, self.rest) = (self.level.min(out), 0);
            for pane in &mut self.panes {
                pane.used = pane.used.min(self.level);
            }
            // What a lowered limit cut off may be held as well.
            self.cut_until_ms = self.cut_until_ms.min(dry_from_ms);
            if self.cut_until_ms <= steady_ms {
                self.cut = 0;
            }
        }
        ended
    }

    /// What of a pane was out of a holder's lease when a reset came counts no more.
    fn forgive_holder(&mut self, number: i64, node: &str, out_before: u64) {
        let Some(pane) = self.panes.iter_mut().find(|pane| pane.number == number) else {
            return;
        };
        let Some((_, count)) = pane.holders.iter_mut().find(|(of, _)| of == node) else {
            return;
        };
        let forgiven = count.forgive(out_before).min(pane.used);
        self.free(number, forgiven);
    }

    /// By which lease a holder has something of a pane.
    fn age(&self, number: i64, node: &str) -> Option<(u64, u64)> {
        let pane = self.panes.iter().find(|pane| pane.number == number)?;
        let (_, count) = pane.holders.iter().find(|(of, _)| of == node)?;
        Some(count.age())
    }
}
