//! The view register as it is promised (PROTOCOLS W3), without its algorithm: what a majority has appended is agreed
//! on, one order for all; a leader that lost its majority may think that it leads, append what is cut off again, and
//! agrees on nothing.

use super::ledger_world::{Event, World};
use super::view_world::Saying;
use crate::view::{Entry, Epoch, View};

/// Without a leader that a majority hears another is chosen after so long at least.
const ELECTION_MS: i64 = 300;
const TICK_MS: i64 = 50;

#[derive(Debug, Default)]
pub(super) struct Register {
    pub(super) view: View,
    pub(super) leader: Option<usize>,
    /// Who still thinks that it leads.
    pretenders: Vec<usize>,
    term: u64,
    index: u64,
    heard_ms: i64,
}

// === impl Register ===

impl Register {
    pub(super) fn believes(&self, node: usize) -> bool {
        self.leader == Some(node) || self.pretenders.contains(&node)
    }

    pub(super) fn gone(&mut self, node: usize) {
        self.pretenders.retain(|known| *known != node);
        if self.leader == Some(node) {
            self.leader = None;
        }
    }
}

// === impl World ===

impl World {
    /// Time passes at the register: leaders are heard, lost and chosen, and the newest view goes round.
    pub(super) fn register_ticks(&mut self) {
        let voters = self.plan.voters;
        for one in 0..voters {
            for other in 0..voters {
                if self.hears(one, other) {
                    self.nodes.heard.insert((one, other), self.now_ms);
                }
            }
        }
        let leads = self
            .nodes
            .register
            .leader
            .filter(|leader| self.has_majority(*leader));
        if let Some(leader) = leads {
            self.nodes.register.heard_ms = self.now_ms;
            let view = self.nodes.register.view.clone();
            for node in 0..voters {
                if self.reaches(leader, node) {
                    // Whoever led before hears of the one who leads.
                    self.nodes
                        .register
                        .pretenders
                        .retain(|known| *known != node);
                    self.say(leader, node, Saying::View(view.clone()));
                }
            }
        } else if self.now_ms - self.nodes.register.heard_ms > self.rng.between(ELECTION_MS, 600) {
            self.elect();
        }
        self.queue.at(self.now_ms + TICK_MS, Event::Register);
    }

    fn elect(&mut self) {
        let able: Vec<usize> = (0..self.plan.voters)
            .filter(|node| self.has_majority(*node))
            .collect();
        if able.is_empty() {
            return;
        }
        let chosen = able[self.rng.index(able.len())];
        let register = &mut self.nodes.register;
        if let Some(before) = register.leader.replace(chosen)
            && before != chosen
        {
            register.pretenders.push(before);
        }
        register.pretenders.retain(|known| *known != chosen);
        register.term += 1;
        register.heard_ms = self.now_ms;
        let view = register.view.clone();
        self.node_follows(chosen, view);
    }

    fn has_majority(&self, node: usize) -> bool {
        let voters = self.plan.voters;
        let reached = (0..voters)
            .filter(|other| self.reaches(node, *other))
            .count();
        reached * 2 > voters
    }

    /// A node that thinks it leads wants this agreed on.
    pub(super) fn propose(&mut self, node: usize, entry: Entry) {
        let leads = self.nodes.register.leader == Some(node) && self.has_majority(node);
        let register = &self.nodes.register;
        if !leads {
            // It appends to its own log what will be cut off, and is sealed by it (W4).
            let term = register.term.saturating_sub(1);
            if matches!(entry, Entry::Sync { .. })
                && let Some(at) = Epoch::new(term, register.index + 1)
            {
                self.nodes.all[node].voter.seal(at);
            }
            return;
        }
        let at = Epoch::new(register.term, register.index + 1).unwrap();
        let is_view = matches!(entry, Entry::Sync { .. });
        self.nodes.register.index += 1;
        if !self.nodes.register.view.apply(at, entry) {
            return;
        }
        let view = self.nodes.register.view.clone();
        // A majority has appended it; the others hear of it later, or not for long.
        let mut appended: Vec<usize> = (0..self.plan.voters)
            .filter(|other| self.reaches(node, *other))
            .collect();
        while appended.len() > self.plan.voters / 2 + 1 {
            let out = self.rng.index(appended.len());
            if appended[out] != node {
                appended.remove(out);
            }
        }
        for voter in appended {
            if is_view {
                self.nodes.all[voter].voter.seal(at);
            }
            self.say(node, voter, Saying::View(view.clone()));
        }
    }
}
