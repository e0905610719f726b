//! The view register as it is promised (PROTOCOLS W3), without its algorithm: what a majority has appended is agreed
//! on, one order for all; a leader that lost its majority may think that it leads, append what is cut off again, and
//! agrees on nothing.

use std::sync::Arc;

use super::ledger_world::{Event, World};
use super::view_world::{Saying, name};
use crate::view::{Entry, Epoch, Phase, View};

/// Without a leader that a majority hears another is chosen after so long at least.
const ELECTION_MS: i64 = 300;

#[derive(Debug, Default)]
pub(super) struct Register {
    pub(super) view: Arc<View>,
    /// All that it was.
    pub(super) values: Vec<Arc<View>>,
    /// Since when.
    values_ms: Vec<i64>,
    /// Who votes.
    pub(super) voting: Vec<usize>,
    pub(super) leader: Option<usize>,
    /// When a view was active last.
    pub(super) active_ms: i64,
    /// Who still thinks that it leads.
    pretenders: Vec<usize>,
    term: u64,
    pub(super) index: u64,
    heard_ms: i64,
}

// === impl Register ===

impl Register {
    pub(super) fn believes(&self, node: usize) -> bool {
        self.leader == Some(node) || self.pretenders.contains(&node)
    }

    /// From when until when one member took over what so many outside of its view had.
    pub(super) fn taken_over(&self, sources: usize) -> Option<(i64, i64)> {
        let mut values = self.values.iter().zip(&self.values_ms);
        let is_it = |view: &View| view.members.len() == 1 && view.sources.len() == sources;
        let (sync, from_ms) = values.find(|(view, _)| is_it(view))?;
        let is_over = |view: &View| view.epoch == sync.epoch && view.phase == Phase::Active;
        let (_, until_ms) = values.find(|(view, _)| is_over(view))?;
        Some((*from_ms, *until_ms))
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
    pub(super) fn register_ticks(&mut self, round: u64) {
        if round != self.nodes.round {
            return;
        }
        if self.nodes.register.view.phase == Phase::Active {
            self.nodes.register.active_ms = self.now_ms;
        }
        let nodes = self.plan.voters;
        let now_ms = self.busy_ms();
        for one in 0..nodes {
            for other in 0..nodes {
                if self.hears(one, other) {
                    self.nodes.heard[one][other] = Some(now_ms);
                }
            }
        }
        let leads = self
            .nodes
            .register
            .leader
            .filter(|leader| self.has_majority(*leader));
        if let Some(leader) = leads {
            self.nodes.register.heard_ms = now_ms;
            let view = Arc::clone(&self.nodes.register.view);
            let voting = self.nodes.register.voting.iter();
            let voting: Arc<Vec<String>> = Arc::new(voting.map(|node| name(*node)).collect());
            for node in 0..nodes {
                if self.reaches(leader, node) {
                    // Whoever led before hears of the one who leads.
                    self.nodes
                        .register
                        .pretenders
                        .retain(|known| *known != node);
                    self.say(leader, node, Saying::View(Arc::clone(&view)));
                    self.say(leader, node, Saying::Voters(Arc::clone(&voting)));
                }
            }
        } else if now_ms - self.nodes.register.heard_ms > self.rng.between(ELECTION_MS, 600) {
            self.elect();
        }
        if let Some(pause_ms) = self.tick_ms() {
            let at = self.now_ms + pause_ms;
            self.queue.at(at, Event::Register { round });
        }
    }

    fn elect(&mut self) {
        let voting = self.nodes.register.voting.iter().copied();
        let able: Vec<usize> = voting.filter(|node| self.has_majority(*node)).collect();
        let now_ms = self.busy_ms();
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
        register.heard_ms = now_ms;
        let view = Arc::clone(&register.view);
        self.node_follows(chosen, view);
    }

    fn has_majority(&self, node: usize) -> bool {
        let voting = &self.nodes.register.voting;
        let reached = voting.iter().filter(|other| self.reaches(node, **other));
        reached.count() * 2 > voting.len()
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
        let mut value = View::clone(&self.nodes.register.view);
        if !value.apply(at, entry) {
            return;
        }
        let view = Arc::new(value);
        self.nodes.register.view = Arc::clone(&view);
        self.nodes.register.values.push(Arc::clone(&view));
        self.nodes.register.values_ms.push(self.now_ms);
        // A majority has appended it; the others hear of it later, or not for long.
        let voting = self.nodes.register.voting.clone();
        let most = voting.len() / 2 + 1;
        let mut appended: Vec<usize> = voting
            .into_iter()
            .filter(|other| self.reaches(node, *other))
            .collect();
        while appended.len() > most {
            let out = self.rng.index(appended.len());
            if appended[out] != node {
                appended.remove(out);
            }
        }
        for voter in appended {
            if is_view {
                self.nodes.all[voter].voter.seal(at);
            }
            self.say(node, voter, Saying::View(Arc::clone(&view)));
        }
    }
}
