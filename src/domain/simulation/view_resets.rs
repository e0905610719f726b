//! Whether a reset leaves of a key what was granted since and nothing else (L9), once its owner has heard everybody, be it
//! after the reset was told as done.

use super::ledger_world::{World, cell};
use crate::ledger::{Input, Ledger, Stamp};
use crate::policy::WindowKind;
use crate::view::Event;

/// A key that its owner resets.
#[derive(Debug)]
pub(super) struct ResetUnderWay {
    key: usize,
    node: usize,
    stamp: Stamp,
    /// Units of the shard that its owner had granted.
    granted_before: u64,
    /// Its owner has yet to forgive what holders have used.
    waits: bool,
    /// Another owner granted meanwhile, that was cut off: gateways may tell of that here.
    had_others: bool,
}

// === impl World ===

impl World {
    /// An administrator lets a key begin anew; whoever owns it does so.
    pub(super) fn reset(&mut self, key: usize) {
        let shard = self.shard_of(key);
        for node in 0..self.nodes.all.len() {
            if !self.works(node) || !self.nodes.all[node].seats[usize::from(shard)].grants() {
                continue;
            }
            let (spec, cell) = (self.plan.keys[key].1, cell(key));
            let ledger = self.ledger_of(node, shard);
            let (granted_before, t_ms) = (ledger.granted_units(), ledger.t_ms());
            let image = ledger.image(&cell);
            let is_lost = image.is_some_and(|image| image.lost) || ledger.would_be_lost(&cell);
            let gateways = 0..self.plan.gateways;
            let reset = Input::Reset {
                cell: cell.clone(),
                gateways: gateways.map(|gateway| format!("g{gateway}")).collect(),
            };
            self.seat(node, shard, Event::Ledger(reset));
            // A key that only marks know, or nobody, is reset as well.
            let ledger = self.ledger_of(node, shard);
            let window = ledger.image(&cell).map(|image| image.window);
            let window = window.unwrap_or(spec.at(ledger.t_ms()));
            // Of what only disks knew, or nobody, gateways may tell later.
            let knows_all = ledger.seam_ms().is_none() && ledger.full_until_ms().is_none();
            let stamp = ledger.stamp();
            match is_lost {
                // What nobody knows of is given up, also what others grant yet that are cut off.
                true => self.truth.given_up(key, spec, t_ms, self.now_ms),
                false => self.truth.reset(key, window.id, self.now_ms),
            }
            if knows_all && self.plan.cluster.shards == 0 {
                self.nodes.resets.push(ResetUnderWay {
                    key,
                    node,
                    stamp,
                    granted_before,
                    waits: true,
                    had_others: false,
                });
            }
        }
    }

    /// Looks at those of a shard after each of its owner's steps.
    pub(super) fn judge_resets(&mut self, node: usize, shard: u16) {
        for mut reset in std::mem::take(&mut self.nodes.resets) {
            let is_here = reset.node == node && self.shard_of(reset.key) == shard;
            if !is_here || self.goes_on(&mut reset, shard) {
                self.nodes.resets.push(reset);
            }
        }
    }

    fn goes_on(&mut self, reset: &mut ResetUnderWay, shard: u16) -> bool {
        let (key, cell) = (reset.key, cell(reset.key));
        let seat = &self.nodes.all[reset.node].seats[usize::from(shard)];
        let ledger = seat.ledger();
        if !seat.grants() || ledger.stamp().epoch != reset.stamp.epoch {
            // Nobody is told that it is done.
            return false;
        }
        // Nobody is told before that it is done. Of who was silent then the owner knows on.
        let waits_for_some = !ledger.unheard(&cell).is_empty();
        let goes_on = !ledger.is_settled(&cell, reset.stamp) || waits_for_some;
        let since = ledger.granted_units() - reset.granted_before;
        let is_bucket = self.plan.keys[key].1.kind == WindowKind::Bucket;
        let counted = ledger.counted(&cell).map_or(0, |key| key.used);
        let nodes = self.nodes.all.iter().enumerate();
        let mut others = nodes.filter(|(node, _)| *node != reset.node);
        reset.had_others |= others.any(|(_, node)| node.seats[usize::from(shard)].grants());
        // What has run out of a bucket meanwhile is a part of a unit.
        let is_left = counted > since + u64::from(is_bucket) && !reset.had_others;
        let waits = ledger.forgives(&cell) || waits_for_some;
        let waited = std::mem::replace(&mut reset.waits, waits);
        if waited {
            self.truth.forgives_until(key, self.now_ms);
        }
        if !goes_on && is_left {
            let what = format!("L9: key {key}: {counted} count after a reset, {since} since");
            self.truth.broken.push(what);
        }
        goes_on
    }

    fn ledger_of(&self, node: usize, shard: u16) -> &Ledger {
        self.nodes.all[node].seats[usize::from(shard)].ledger()
    }
}
