//! What goes wrong among nodes of one name, once a second by chance.

use super::hold_world::{Disk, World};

// === impl World ===

impl World {
    pub(super) fn faults(&mut self) {
        if self.is_calm() {
            return self.all_is_well();
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].life.is_some() {
                self.node_suffers(node);
            }
        }
        if self.operator.is_none() && self.rng.chance(self.plan.words) {
            self.operator_orders();
        }
    }

    fn node_suffers(&mut self, node: usize) {
        if self.rng.chance(self.plan.pauses) {
            let most_ms = [4_000, 90_000][self.rng.index(2)];
            self.nodes[node].paused_until_ms = self.now_ms + self.rng.between(500, most_ms);
        }
        if self.rng.chance(self.plan.cuts) {
            let most_ms = [5_000, 120_000][self.rng.index(2)];
            self.nodes[node].cut_until_ms = self.now_ms + self.rng.between(500, most_ms);
        }
        if self.plan.lifts > 0 && self.works(node) && self.rng.chance(self.plan.lifts) {
            self.is_lifted(node);
        }
        if self.rng.chance(self.plan.crashes) {
            self.truth.seen.once("crashed");
            self.ends(node);
        } else if self.works(node) && self.rng.chance(self.plan.stops) {
            self.lets_go(node);
            self.ends(node);
        }
    }

    fn ends(&mut self, node: usize) {
        let (lost, only_of_the_register) =
            (self.rng.chance(self.plan.lost_disks), self.rng.chance(300));
        let most_ms = [3_000, 90_000][self.rng.index(2)];
        let starts_ms = self.now_ms + self.rng.between(1_000, most_ms);
        let empty = self.empty_disk();
        let at = &mut self.nodes[node];
        (at.life, at.paused_until_ms, at.starts_ms) = (None, 0, starts_ms);
        if !lost {
            return;
        }
        at.disk = match only_of_the_register {
            // As `carbon.db` alone: the ledger knows whose it is, and up to which T it counted.
            true => Disk {
                number: at.disk.number,
                noted_ms: at.disk.noted_ms,
                counted_in: at.disk.counted_in,
                ..Disk::default()
            },
            false => empty,
        };
    }

    /// Nothing goes wrong any more, and one more begins with an empty disk: another may have the place of all others.
    fn all_is_well(&mut self) {
        let now_ms = self.now_ms;
        let is_first = now_ms == self.plan.length_ms - self.plan.calm_ms;
        for node in &mut self.nodes {
            (node.paused_until_ms, node.cut_until_ms) = (0, 0);
            node.starts_ms = node.starts_ms.min(now_ms);
        }
        if is_first {
            self.operator = None;
            let empty = self.empty_disk();
            self.lets_go(0);
            let first = &mut self.nodes[0];
            (first.life, first.disk) = (None, empty);
        }
    }
}
