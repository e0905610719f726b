//! How the nodes of a world with several members begin, end and come back with what their disks have.

use std::sync::Arc;

use super::Planted;
use super::ledger_world::{Event, WORLD_EPOCH_MS, World, key_of};
use super::view_world::{Node, NodeEvent, name, rank};
use crate::ledger::{Ledger, Mark, Recovery, Source};
use crate::view::{Coordinator, Fences, Life, News, NodeTime, Patience, Seat, View, Voter};

/// Short, for runs are.
const PATIENCE: Patience = Patience {
    fresh_ms: 400,
    join_ms: 500,
    gather_ms: 1_000,
    stuck_ms: 1_500,
};

// === impl World ===

impl World {
    pub(super) fn is_clustered(&self) -> bool {
        self.nodes.members > 0
    }

    pub(super) fn start_nodes(&mut self) {
        self.nodes.members = self.plan.members;
        for node in 0..self.plan.voters {
            let blank = self.blank(node, Vec::new(), 1, (None, 0));
            self.nodes.all.push(blank);
            self.node_starts(node);
        }
        self.queue.at(1, Event::Register);
    }

    /// A life of a node, with what its disk has and the T that it noted; its clock is wrong by so much.
    fn blank(
        &self,
        node: usize,
        disk: Vec<Mark>,
        life: u64,
        (noted_ms, wall_error_ms): (Option<i64>, i64),
    ) -> Node {
        let shards = self.shards();
        let clock_ms = WORLD_EPOCH_MS + self.now_ms + wall_error_ms;
        let mut time = NodeTime::new(noted_ms, clock_ms);
        // Before anything else.
        if let Some(due) = time.due_note(clock_ms) {
            time.noted(due);
        }
        let t_ms = time.t_ms(clock_ms);
        let begins_empty = self.plan.planted == Some(Planted::DiskBeginsEmpty);
        let me = Life::new(name(node), self.incarnation_of(life));
        let seats = (0..shards).map(|shard| {
            let marks = disk
                .iter()
                .filter(|mark| key_of(&mark.cell) == usize::from(shard));
            let recovery = Recovery {
                epoch: 0,
                t0_ms: (life > 1 && !begins_empty).then_some(t_ms),
                source: if life > 1 {
                    Source::Disk
                } else {
                    Source::CleanStop
                },
                lost_ms: None,
                marks: marks.cloned().collect(),
            };
            let policies = Arc::new(self.policies.clone());
            let ledger = Ledger::new(64, recovery, Arc::clone(&policies));
            let mut seat = Seat::new(me.clone(), ledger, policies);
            seat.plant(self.plan.planted);
            let t_ms = time.noted_ms();
            seat.step(crate::view::Event::Noted { t_ms }, t_ms);
            seat
        });
        let seats = seats.collect();
        let mut coordinator = Coordinator::new(shards, rank, PATIENCE);
        coordinator.planted = self.plan.planted;
        Node {
            life,
            is_up: true,
            paused_until_ms: 0,
            wall_error_ms,
            clock_error_ms: wall_error_ms,
            time,
            seats,
            coordinator,
            view: View::default(),
            fences: Fences::default(),
            voter: Voter::default(),
            disk,
        }
    }

    fn node_starts(&mut self, node: usize) {
        let life = self.nodes.all[node].life;
        let voters = (0..self.plan.voters).map(name).collect();
        self.coordinate(node, News::Voters(voters));
        self.queue.at(
            self.now_ms + 1,
            Event::Node(NodeEvent::Ticks { node, life }),
        );
    }

    /// Crashes; it comes back with what its disk has, after a while.
    pub(super) fn node_crashes(&mut self, node: usize, back_ms: i64) {
        self.nodes.all[node].is_up = false;
        self.nodes.register.gone(node);
        self.queue.at(
            self.now_ms + back_ms,
            Event::Node(NodeEvent::Starts { node }),
        );
    }

    pub(super) fn node_returns(&mut self, node: usize) {
        let old = &mut self.nodes.all[node];
        let (disk, mut voter) = (std::mem::take(&mut old.disk), old.voter);
        let time = (Some(old.time.noted_ms()), old.wall_error_ms);
        let life = old.life + 1;
        if self.plan.planted == Some(Planted::VoterForgets) {
            voter = Voter::default();
        }
        let mut fresh = self.blank(node, disk, life, time);
        fresh.voter = voter;
        self.nodes.all[node] = fresh;
        self.node_starts(node);
    }
}
