//! Resets of the one key: when one is over, what was granted since is left and nothing else, and nothing that it forgave
//! is used after it.

use super::*;
use crate::ledger::cell::Cell;

// === impl Ledger ===

impl Ledger {
    /// A pane that another one is about to follow.
    pub(in crate::ledger) fn with_bugs_of_resets(&self, mut before: Cell) -> Cell {
        match self.planted {
            Some(Planted::ResetEndsWithItsPane) => before.round = None,
            Some(Planted::ForgivesWithThePane) => {
                let awaiting = before.round.take().filter(|round| round.resetting);
                for (node, granted) in awaiting.map(|round| round.awaiting).unwrap_or_default() {
                    before.forgive(&node, granted);
                }
            }
            _ => {}
        }
        before
    }

    /// An ask that is about to be heard: with the bug, who says that nothing is left has confirmed what it used.
    pub(in crate::ledger) fn plant_in_asks(&mut self, key: &CellKey, ask: &Ask) {
        self.plant_in_silence(key);
        if self.planted != Some(Planted::ResetKeepsItsLease) || !ask.emptied {
            return;
        }
        let Some(mut cell) = self.cells.get(key).filter(|cell| {
            let held = cell.holders.get(&ask.holder.node);
            let age = (ask.holder.incarnation, ask.holder.lease);
            ask.window == Some(cell.window.id)
                && held
                    .is_some_and(|held| held.count.age() == age && held.count.granted == ask.have)
        }) else {
            return;
        };
        let reset = cell.round.as_mut().filter(|round| round.resetting);
        let before = reset.and_then(|round| round.awaiting.remove(&ask.holder.node));
        if let Some(before) = before {
            cell.forgive(&ask.holder.node, before);
            self.cells.put(key, cell);
        }
    }

    /// What is known of who was silent at a reset.
    fn plant_in_silence(&mut self, key: &CellKey) {
        let bug = |awaited: Option<u64>| match self.planted {
            Some(Planted::ResetForgetsTheSilent) => None,
            Some(Planted::ForgivesSinceTheReset) => awaited.map(|_| u64::MAX),
            _ => awaited,
        };
        if let Some(mut cell) = self.cells.get(key).filter(|cell| !cell.silent.is_empty()) {
            for held in cell.holders.values_mut() {
                held.awaited = bug(held.awaited);
            }
            self.cells.put(key, cell);
        }
    }

    /// A key that is about to be reset.
    pub(in crate::ledger) fn plant_in_resets(&mut self, key: &CellKey) {
        if self.planted == Some(Planted::ForgivesWhatLasts)
            && let Some(mut cell) = self.cells.get(key)
        {
            cell.earlier = None;
            self.cells.put(key, cell);
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn is_reset(&mut self) {
        if self.knows_all_leases() {
            self.reset_at = Some(self.ledger.granted_units());
            (self.judges_reset, self.reset_is_told) = (true, false);
            let image = self.ledger.image(&key("a"));
            let holders = image.into_iter().flat_map(|image| image.holders);
            let out = |(node, count): (String, Count)| {
                let holder = Holder::new(&*node, count.incarnation, count.lease);
                (node, (holder, count.out()))
            };
            self.unheard = holders.map(out).collect();
            let gateways = NODES.map(str::to_owned).into();
            let cell = key("a");
            self.step(Input::Reset { cell, gateways });
        }
    }

    /// A reset that goes on may make up for what is used meanwhile. Once it is told as done it may make up for what those use
    /// of the leases of before that were not heard, as far as it was out when it came. When all were heard what was granted
    /// since is left.
    pub(super) fn resets(&mut self) -> Result<(), String> {
        let Some(granted_before) = self.reset_at else {
            return Ok(());
        };
        let (forgives, unheard) = (
            self.ledger.forgives(&key("a")),
            self.ledger.unheard(&key("a")),
        );
        if !self.reset_is_told {
            self.uses.clear();
            self.reset_is_told = !forgives;
        }
        if !self.reset_is_told {
            return Ok(());
        }
        // Whoever was not heard of a pane that is over is waited for as before.
        let heard = |node: &String, _: &mut (Holder, u64)| !forgives && !unheard.contains(node);
        let heard: Vec<(Holder, u64)> = (self.unheard.extract_if(.., heard))
            .map(|(_, of)| of)
            .collect();
        for (holder, out) in heard {
            self.forgives_late(&holder, out);
        }
        if forgives || !unheard.is_empty() {
            return Ok(());
        }
        self.reset_at = None;
        if !self.judges_reset {
            return Ok(());
        }
        let since = self.ledger.granted_units() - granted_before;
        let used = self.ledger.counted(&key("a")).map_or(0, |key| key.used);
        // What has run out of a bucket meanwhile is a part of a unit.
        let most = since + u64::from(self.window.kind == WindowKind::Bucket);
        match used <= most {
            true => Ok(()),
            false => Err(format!(
                "L9: {used} count after a reset, {since} granted since"
            )),
        }
    }

    /// Up to so many units that were used by a lease are made up for.
    fn forgives_late(&mut self, holder: &Holder, mut out: u64) {
        let of_lease = |(_, _, by): &&mut (i64, u64, Holder)| by == holder;
        for (_, units, _) in self.uses.iter_mut().filter(of_lease) {
            let forgiven = out.min(*units);
            (*units, out) = (*units - forgiven, out - forgiven);
        }
    }

    /// It is said to nobody that it is done; or it was, and who was not heard until now is not forgiven any more.
    pub(super) fn reset_is_given_up(&mut self) {
        if self.reset_at.take().is_some() && !self.reset_is_told {
            self.uses.clear();
        }
    }

    /// Whether the cell knows of all leases that are in use or on their way, also of panes that are over by T.
    fn knows_all_leases(&self) -> bool {
        let Some(image) = self.ledger.image(&key("a")) else {
            return false;
        };
        let panes = image.earlier.iter().flat_map(|earlier| &earlier.panes);
        let panes: Vec<&EndedPane> = panes.collect();
        let knows = |holder: &Holder, window: Option<Window>, granted: u64| {
            let is_it = |(node, count): &(String, Count)| {
                *node == holder.node
                    && count.age() == (holder.incarnation, holder.lease)
                    && count.granted >= granted
            };
            let number = window.map(|window| window.id.number);
            let mut earlier = panes.iter().filter(|pane| Some(pane.number) == number);
            window == Some(image.window) && image.holders.iter().any(is_it)
                || earlier.any(|pane| pane.holders.iter().any(is_it))
        };
        let gateways = self.gateways.iter();
        let mut in_use = gateways.filter(|at| at.holds() > 0 && self.real_ms < at.until_ms);
        let mut on_their_way = self.said.iter().filter_map(|said| match said {
            Effect::Reply(reply) if reply.granted > 0 => {
                let until_ms = reply.asked_at_ms + reply.remaining_ms;
                (self.real_ms < until_ms).then_some(reply)
            }
            _ => None,
        });
        !self.is_from_disk
            && self.before.is_none()
            && in_use.all(|at| knows(&at.holder, at.window, at.have))
            && on_their_way.all(|reply| knows(&reply.holder, reply.window, reply.granted))
    }
}
