//! What goes wrong among members and voters, once a second by chance: crashes, pauses, cuts in one or both directions,
//! clocks that are stepped.

use super::ledger_world::World;

// === impl World ===

impl World {
    /// Two nodes reach each other and nobody else, as gateways do.
    fn split(&mut self) {
        let nodes = self.nodes.all.len();
        let (one, other) = (self.rng.index(nodes), self.rng.index(nodes));
        let apart = |node: usize| node == one || node == other;
        for from in 0..nodes {
            for to in 0..nodes {
                if apart(from) != apart(to) {
                    self.nodes.cut.insert((from, to));
                }
            }
        }
    }

    pub(super) fn node_faults(&mut self) {
        let nodes = self.nodes.all.len();
        for node in 0..nodes {
            if self.rng.chance(self.plan.node_crashes) && self.nodes.all[node].is_up {
                let back_ms = self.rng.between(200, 6_000);
                self.node_crashes(node, back_ms);
            }
            if self.rng.chance(self.plan.node_pauses) {
                let pause_ms = self.rng.between(100, 8_000);
                let until = self.now_ms + pause_ms;
                self.nodes.all[node].paused_until_ms = until;
            }
            if self.rng.chance(self.plan.clock_steps_back) {
                let hours = self.rng.between(-2_000, 2_000);
                self.nodes.all[node].t_error_ms += hours;
            }
        }
        if self.rng.chance(self.plan.cuts) {
            let (one, other) = (self.rng.index(nodes), self.rng.index(nodes));
            if one != other {
                self.nodes.cut.insert((one, other));
                if self.rng.chance(500) {
                    self.nodes.cut.insert((other, one));
                }
            }
        }
        if self.rng.chance(300) {
            self.nodes.cut.clear();
        }
        if self.plan.splits > 0 && self.rng.chance(self.plan.splits) {
            self.split();
        }
    }
}
