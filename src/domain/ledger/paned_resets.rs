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
}

// === impl World ===

impl World {
    pub(super) fn is_reset(&mut self) {
        if self.knows_all_leases() {
            self.reset_at = Some(self.ledger.granted_units());
            self.step(Input::Reset { cell: key("a") });
        }
    }

    /// A reset that goes on may make up for what is used meanwhile. When it is over what was granted since is left.
    pub(super) fn resets(&mut self) -> Result<(), String> {
        let Some(granted_before) = self.reset_at else {
            return Ok(());
        };
        self.uses.clear();
        if self.ledger.forgives(&key("a")) {
            return Ok(());
        }
        self.reset_at = None;
        let since = self.ledger.granted_units() - granted_before;
        let used = self.ledger.counted(&key("a")).map_or(0, |key| key.used);
        // What has run out of a bucket meanwhile is a part of a unit.
        let most = since + u64::from(self.window.kind == WindowKind::Bucket);
        match used <= most || self.ledger.has_silent_holders(&key("a")) {
            true => Ok(()),
            false => Err(format!(
                "L9: {used} count after a reset, {since} granted since"
            )),
        }
    }

    /// It is said to nobody that it is done.
    pub(super) fn reset_is_given_up(&mut self) {
        if self.reset_at.take().is_some() {
            self.uses.clear();
        }
    }

    /// Whether the cell knows of all leases that are in use or on their way.
    fn knows_all_leases(&self) -> bool {
        let Some(image) = self.ledger.image(&key("a")) else {
            return false;
        };
        let is_of_now = image.window == self.window.at(self.ledger.t_ms());
        let knows = |holder: &Holder, window: Option<Window>, granted: u64| {
            let mut holders = image.holders.iter();
            let is_it = |(node, count): &(String, Count)| {
                *node == holder.node
                    && count.age() == (holder.incarnation, holder.lease)
                    && count.granted >= granted
            };
            window == Some(image.window) && holders.any(is_it)
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
        is_of_now
            && !self.is_from_disk
            && self.before.is_none()
            && in_use.all(|at| knows(&at.holder, at.window, at.have))
            && on_their_way.all(|reply| knows(&reply.holder, reply.window, reply.granted))
    }
}
