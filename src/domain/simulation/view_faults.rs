//! What goes wrong among members and voters, once a second by chance: crashes, pauses, cuts in one or both directions,
//! clocks that are stepped.

use super::ledger_world::World;
use super::view_world::number;
use crate::view::Role;

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

    /// A pair whose owner's disk hangs goes on by itself for a while, with one gateway.
    fn hang_a_pair(&mut self) {
        let shard = u16::try_from(self.rng.index(usize::from(self.shards()))).unwrap();
        let pair = (0..self.nodes.members).find_map(|node| {
            let seat = &self.nodes.all[node].seats[usize::from(shard)];
            match &seat.place().role {
                Role::Owner { standby: Some(to) } if seat.grants() => {
                    Some([node, number(&to.node)])
                }
                _ => None,
            }
        });
        let until_ms = self.now_ms + self.rng.between(10_000, 30_000);
        if let Some(pair) = pair {
            self.nodes.apart = Some((until_ms, pair));
            self.nodes.all[pair[0]].disk_free_ms = until_ms;
        }
    }

    /// Whatever else is cut or mended.
    fn keep_a_pair_apart(&mut self) {
        let Some((_, pair)) = self.nodes.apart.filter(|(until, _)| self.now_ms < *until) else {
            self.nodes.apart = None;
            return;
        };
        for other in (0..self.nodes.all.len()).filter(|other| !pair.contains(other)) {
            for one in pair {
                self.nodes.cut.extend([(one, other), (other, one)]);
                self.nodes.gateway_cut.insert((1, one));
            }
            self.nodes.gateway_cut.insert((0, other));
        }
    }

    /// Most lose their power at once, and two come back long after the others.
    fn blackout(&mut self) {
        let nodes = self.nodes.all.len();
        let late = [self.rng.index(nodes), self.rng.index(nodes)];
        for node in 0..nodes {
            if self.rng.chance(900) && self.nodes.all[node].is_up {
                let (least, most) = if late.contains(&node) {
                    (3_000, 9_000)
                } else {
                    (50, 600)
                };
                let back_ms = self.rng.between(least, most);
                self.node_crashes(node, back_ms);
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
                let most_ms = match self.plan.cluster.pause_ms {
                    0 => 8_000,
                    most_ms => most_ms,
                };
                let pause_ms = self.rng.between(100, most_ms);
                let calm_ms = self.plan.length_ms - self.plan.cluster.calm_ms;
                let until = (self.now_ms + pause_ms).min(calm_ms);
                self.nodes.all[node].paused_until_ms = until;
            }
            if self.rng.chance(self.plan.clock_steps_back) {
                let most_ms = if self.rng.chance(200) {
                    2 * 3_600_000
                } else {
                    2_000
                };
                self.nodes.all[node].wall_error_ms = self.rng.between(-most_ms, most_ms);
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
            self.nodes.gateway_cut.clear();
        }
        if self.rng.chance(self.plan.cluster.gateway_cuts) {
            let gateway = self.rng.index(self.plan.gateways);
            let node = self.rng.index(nodes);
            self.nodes.gateway_cut.insert((gateway, node));
        }
        if self.plan.blackouts > 0 && self.rng.chance(self.plan.blackouts) {
            self.blackout();
        }
        if self.plan.splits > 0 && self.rng.chance(self.plan.splits) {
            self.split();
        }
        let hung_pairs = self.plan.cluster.hung_pairs;
        if hung_pairs > 0 && self.nodes.apart.is_none() && self.rng.chance(hung_pairs) {
            self.hang_a_pair();
        }
        self.keep_a_pair_apart();
    }
}
