//! What people and the surroundings do to members: they join, leave and stop in order, voters change, operators reset
//! keys and give up what is lost, policies come late.

use std::sync::Arc;

use super::Planted;
use super::ledger_world::{Event, World};
use super::view_plans::Fault;
use super::view_world::{NodeEvent, Saying, name};
use crate::ledger::{Mark, Policies};
use crate::view::{Entry, Epoch, Event as SeatEvent, Phase};

/// Who leaves waits for its hand-over so long at most.
const LEAVE_MS: i64 = 3_000;
/// And so long where that takes a while.
const SLOW_LEAVE_MS: i64 = 25_000;

/// What a stop in order left of a shard beside its marks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopped {
    pub(super) epoch: Epoch,
    pub(super) lost_ms: Option<i64>,
}

// === impl World ===

impl World {
    /// What happens on purpose.
    pub(super) fn node_changes(&mut self) {
        let chances = self.plan.cluster.clone();
        let node = self.rng.index(self.nodes.all.len());
        if self.rng.chance(chances.leaves) && node < self.nodes.members {
            self.node_leaves(node);
        }
        if self.rng.chance(chances.seat_restarts) && self.nodes.all[node].is_up {
            self.node_fails(node);
        }
        if self.rng.chance(chances.hung_disks) {
            let most_ms = self.rng.between(500, 10_000);
            self.nodes.all[node].disk_free_ms = self.now_ms + most_ms;
        }
        if self.rng.chance(chances.voter_changes) {
            self.change_voters();
        }
        if self.rng.chance(chances.forgets) {
            self.forget();
        }
        if self.rng.chance(chances.resets) {
            let key = self.rng.index(self.plan.keys.len());
            self.reset(key);
        }
    }

    pub(super) fn node_leaves(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let at = &mut self.nodes.all[node];
        if at.is_up && at.leaving_ms.is_none() {
            at.leaving_ms = Some(now_ms);
            if self.plan.planted == Some(Planted::StopsBeforeHandOver) {
                self.write_stop(node);
            }
        }
    }

    /// Whoever leaves stops when the others go on without it, or when it waited for long enough.
    pub(super) fn node_may_stop(&mut self, node: usize) {
        let at = &self.nodes.all[node];
        let Some(since_ms) = at.leaving_ms else {
            return;
        };
        let view = &at.view;
        let mut named = view.members.iter().chain(&view.sources);
        let is_named = named.any(|life| life.node == name(node));
        let is_over = view.phase == Phase::Active && !is_named;
        let leave_ms = match self.plan.cluster.fault {
            Some(Fault::OneKilledAndLinkSlow) => SLOW_LEAVE_MS,
            _ => LEAVE_MS,
        };
        if !is_over && self.now_ms - since_ms < leave_ms {
            return;
        }
        if self.plan.planted != Some(Planted::StopsBeforeHandOver) {
            self.write_stop(node);
        }
        let back_ms = self.rng.between(500, 8_000);
        self.node_crashes(node, back_ms);
    }

    /// The exact counts of all that it has, which nothing follows: it says nothing from here on.
    fn write_stop(&mut self, node: usize) {
        let at = &mut self.nodes.all[node];
        at.stopped.clear();
        let epoch = at.view.epoch;
        for seat in &at.seats {
            let ledger = seat.ledger();
            let marks: Vec<Mark> = ledger.final_marks();
            let marks = marks.into_iter().map(|mark| (mark.cell.clone(), mark));
            at.disk.extend(marks);
            let lost_ms = ledger.full_until_ms();
            at.stopped.push(Stopped { epoch, lost_ms });
        }
    }

    /// An actor failed: all seats of the node begin anew, in a life of their own.
    pub(super) fn node_fails(&mut self, node: usize) {
        self.nodes.all[node].stopped.clear();
        self.node_returns(node);
    }

    /// The leader changes who votes, if majorities of those before and after hear it.
    pub(super) fn change_voters(&mut self) {
        let nodes = self.nodes.all.len();
        let Some(leader) = self.nodes.register.leader else {
            return;
        };
        let size = [1, 3, 5][self.rng.index(3)];
        let mut voting = vec![leader];
        while voting.len() < size.min(nodes) {
            let other = self.rng.index(nodes);
            if !voting.contains(&other) {
                voting.push(other);
            }
        }
        voting.sort_unstable();
        let heard = |all: &[usize]| {
            let reached = all.iter().filter(|node| self.reaches(leader, **node));
            reached.count() * 2 > all.len()
        };
        if heard(&voting) && heard(&self.nodes.register.voting) {
            self.nodes.register.voting = voting;
            self.nodes.register.index += 1;
        }
    }

    fn forget(&mut self) {
        let lost = &self.nodes.register.view.lost;
        if lost.is_empty() {
            return;
        }
        let loss = lost[self.rng.index(lost.len())].clone();
        let node = loss.holders[self.rng.index(loss.holders.len())].clone();
        let given_up: Vec<(u16, i64)> = lost
            .iter()
            .filter(|loss| loss.holders.contains(&node))
            .map(|loss| (loss.shard, loss.t0_ms))
            .collect();
        let before = self.nodes.register.view.entries;
        if let Some(leader) = self.nodes.register.leader {
            self.propose(leader, Entry::Forget { node });
        }
        if self.nodes.register.view.entries == before {
            return;
        }
        for (shard, t0_ms) in given_up {
            for key in 0..self.plan.keys.len() {
                if self.shard_of(key) == shard {
                    let spec = self.plan.keys[key].1;
                    self.truth.given_up(key, spec, t0_ms, self.now_ms);
                }
            }
        }
    }

    /// The policies reach every node and gateway, at once or one by one.
    pub(super) fn publish(&mut self) {
        let policies = Arc::new(self.policies.clone());
        let most_ms = if self.plan.cluster.late_policies {
            3_000
        } else {
            0
        };
        for node in 0..self.nodes.all.len() {
            let at = self.now_ms + self.rng.between(0, most_ms);
            let life = self.nodes.all[node].life;
            let policies = Arc::clone(&policies);
            let told = NodeEvent::Policies {
                node,
                life,
                policies,
            };
            self.queue.at(at, Event::Node(told));
        }
        for gateway in 0..self.plan.gateways {
            let at = self.now_ms + self.rng.between(0, most_ms);
            let applied = policies.applied;
            let told = Event::GatewayPolicies { gateway, applied };
            self.queue.at(at, told);
        }
    }

    pub(super) fn node_hears_policies(&mut self, node: usize, policies: &Arc<Policies>) {
        if policies.applied <= self.nodes.all[node].policies {
            return;
        }
        self.nodes.all[node].policies = policies.applied;
        for shard in 0..self.shards() {
            let policies = Arc::clone(policies);
            self.seat(node, shard, SeatEvent::Policies(policies));
        }
        self.all_may_know();
    }

    /// Whoever is down starts with the policies of then.
    pub(super) fn all_may_know(&mut self) {
        let up = self.nodes.all.iter().filter(|node| node.is_up);
        if let Some(oldest) = up.map(|node| node.policies).min() {
            self.truth.all_know(oldest);
        }
    }

    /// With the planted bug, whoever would own a shard of those that it hears grants, whatever the view says.
    pub(super) fn owns_by_gossip(&self, node: usize, shard: u16) -> bool {
        if self.plan.planted != Some(Planted::TrustGossip) {
            return false;
        }
        let weight = |node: &usize| super::view_world::rank(shard, &name(*node));
        let heard = self.heard_by(node);
        let there =
            (0..self.nodes.members).filter(|other| *other == node || heard.contains(&name(*other)));
        node < self.nodes.members && there.max_by_key(weight) == Some(node)
    }

    /// What is agreed on, as a node that starts reads it anew from its own log: from an earlier value on.
    pub(super) fn node_reads_its_log(&mut self, node: usize) {
        let values = self.nodes.register.values.len();
        if values > 1 && self.rng.chance(500) {
            let from = self.rng.index(values);
            let late: Vec<_> = self.nodes.register.values[from..values - 1].to_vec();
            for view in late {
                self.say(node, node, Saying::View(view));
            }
        }
    }
}
