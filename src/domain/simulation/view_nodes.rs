//! How the nodes of a world with several members begin, end and come back with what their disks have.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Planted;
use super::ledger_world::{Event, WORLD_EPOCH_MS, World, key_of};
use super::view_changes::Stopped;
use super::view_plans::Fault;
use super::view_world::{Node, NodeEvent, name, rank};
use crate::ledger::{CellKey, Ledger, Mark, Recovery, Source};
use crate::view::{
    Coordinator, Epoch, Fences, Life, News, NodeTime, Now, Patience, Phase, Seat, Voter, Waits,
};

/// Short, for runs are.
const PATIENCE: Patience = Patience {
    fresh_ms: 400,
    join_ms: 500,
    gather_ms: 1_000,
    stuck_ms: 1_500,
};

/// As clocks are set that are wrong.
const SLEW_PPM: i64 = 500;
const TICK_MS: i64 = 50;
const SPARSE_TICK_MS: i64 = 150;
/// Whatever happened is dealt with in so long.
const BUSY_MS: i64 = 3_000;

/// What a disk has.
#[derive(Debug, Default)]
struct Disk {
    rows: BTreeMap<CellKey, Mark>,
    /// What the last stop in order left of each shard.
    stopped: Vec<Stopped>,
    /// The view that it took part in first.
    begun: Option<Epoch>,
}

/// By the clock that it has from then on: one that showed more once would keep its steady time standing still.
fn tell_what_the_disk_has(seat: &mut Seat, t_ms: i64, clock_ms: i64, begun: Option<Epoch>) {
    let now = Now {
        t_ms,
        clock_ms,
        runs_ms: t_ms,
    };
    seat.step(crate::view::Event::Noted { t_ms }, now);
    if let Some(epoch) = begun {
        seat.step(crate::view::Event::Begun { epoch }, now);
    }
}

// === impl World ===

impl World {
    pub(super) fn is_clustered(&self) -> bool {
        self.nodes.members > 0
    }

    pub(super) fn start_nodes(&mut self) {
        self.nodes.members = self.plan.members;
        self.nodes.register.voting = (0..self.plan.voters).collect();
        self.nodes.known = vec![Arc::default(); self.plan.gateways];
        self.nodes.heard = vec![vec![None; self.plan.voters]; self.plan.voters];
        // Apart from all other chances.
        let mut rng = self.rng.clone();
        let slews = (0..self.plan.voters).map(|_| rng.between(-SLEW_PPM, SLEW_PPM));
        self.nodes.slews = slews.collect();
        self.nodes.busy_until_ms = BUSY_MS;
        for node in 0..self.plan.voters {
            let mut blank = self.blank(node, &Disk::default(), 1, (None, 0));
            blank.policies = self.policies.applied;
            self.nodes.all.push(blank);
            self.node_starts(node);
        }
        self.queue.at(1, Event::Register { round: 0 });
    }

    /// A life of a node, with what its disk has and the T that it noted; its clock is wrong by so much.
    fn blank(
        &self,
        node: usize,
        disk: &Disk,
        life: u64,
        (noted_ms, wall_error_ms): (Option<i64>, i64),
    ) -> Node {
        let shards = self.shards();
        let clock_ms = self.wall_ms(node, wall_error_ms);
        let mut time = NodeTime::new(noted_ms, clock_ms);
        // Before anything else.
        if let Some(due) = time.due_note(clock_ms) {
            time.noted(due);
        }
        let t_ms = time.t_ms(clock_ms);
        let begins_empty = self.plan.planted == Some(Planted::DiskBeginsEmpty);
        let me = Life::new(name(node), self.incarnation_of(life));
        let seats = (0..shards).map(|shard| {
            let stopped = disk.stopped.get(usize::from(shard));
            let marks = disk
                .rows
                .values()
                .filter(|mark| self.shard_of(key_of(&mark.cell)) == shard);
            let recovery = Recovery {
                epoch: 0,
                t0_ms: (life > 1 && !begins_empty).then_some(t_ms),
                source: if life > 1 && stopped.is_none() {
                    Source::Disk
                } else {
                    Source::CleanStop
                },
                lost_ms: stopped.and_then(|stopped| stopped.lost_ms),
                marks: marks.cloned().collect(),
            };
            let policies = Arc::new(self.policies.clone());
            let mut ledger = Ledger::new(64, recovery, Arc::clone(&policies));
            if let Some(stopped) = stopped {
                ledger.stopped_in(stopped.epoch.number());
            }
            let mut seat = Seat::new(me.clone(), ledger, policies);
            seat.plant(self.plan.planted);
            tell_what_the_disk_has(&mut seat, time.noted_ms(), self.now_ms, disk.begun);
            seat
        });
        let seats = seats.collect();
        let mut coordinator = Coordinator::new(shards, rank, PATIENCE).on(&me.node);
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
            view: Arc::default(),
            policies: self.policies.applied,
            leaving_ms: None,
            fences: Fences::default(),
            waits: Waits::default(),
            link: Vec::new(),
            voter: Voter::default(),
            disk: disk.rows.clone(),
            disk_free_ms: self.now_ms,
            stopped: Vec::new(),
            begun: disk.begun,
        }
    }

    fn node_starts(&mut self, node: usize) {
        for seat in &mut self.nodes.all[node].seats {
            seat.has_small_parts = self.plan.cluster.fault == Some(Fault::OneKilledAndLinkSlow);
        }
        let (life, round) = (self.nodes.all[node].life, self.nodes.round);
        let voting = self.nodes.register.voting.iter();
        let voters = voting.map(|node| name(*node)).collect();
        self.coordinate(node, News::Voters(voters));
        self.node_reads_its_log(node);
        self.queue.at(
            self.now_ms + 1,
            Event::Node(NodeEvent::Ticks { node, life, round }),
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
        let mut voter = old.voter;
        let mut disk = Disk {
            rows: std::mem::take(&mut old.disk),
            stopped: std::mem::take(&mut old.stopped),
            begun: old.begun,
        };
        let mut time = (Some(old.time.noted_ms()), old.wall_error_ms);
        let lost_disks = self.plan.cluster.lost_disks;
        if lost_disks > 0 && !old.is_up && self.rng.chance(lost_disks) {
            (disk, time.0) = (Disk::default(), None);
        }
        let old = &self.nodes.all[node];
        let life = old.life + 1;
        if self.plan.planted == Some(Planted::VoterForgets) {
            voter = Voter::default();
        }
        let mut fresh = self.blank(node, &disk, life, time);
        fresh.voter = voter;
        let old = &self.nodes.all[node];
        // A process that was killed while it stood still stands still no more.
        fresh.paused_until_ms = if old.is_up { old.paused_until_ms } else { 0 };
        fresh.disk_free_ms = self.nodes.all[node].disk_free_ms;
        self.nodes.all[node] = fresh;
        self.node_starts(node);
        self.all_may_know();
        self.stir();
    }

    // --- time ---

    /// What the clock of a node's life shows.
    pub(super) fn clock_of(&self, node: usize) -> i64 {
        self.wall_ms(node, self.nodes.all[node].clock_error_ms)
    }

    /// What a node's wall clock shows that is wrong by so much.
    pub(super) fn wall_ms(&self, node: usize, error_ms: i64) -> i64 {
        let slewed_ms = self.now_ms * self.nodes.slews[node] / 1_000_000;
        WORLD_EPOCH_MS + self.now_ms + slewed_ms + error_ms
    }

    // --- time that nothing happens in ---

    /// Something happened: nobody sleeps for a while.
    pub(super) fn stir(&mut self) {
        self.stir_for(BUSY_MS);
    }

    pub(super) fn stir_for(&mut self, least_ms: i64) {
        let until_ms = self.now_ms + least_ms;
        self.nodes.busy_until_ms = self.nodes.busy_until_ms.max(until_ms);
        let Some(since_ms) = self.nodes.idle_since_ms.take() else {
            return;
        };
        self.nodes.idle_ms += self.now_ms - since_ms;
        self.nodes.round += 1;
        let round = self.nodes.round;
        self.queue.at(self.now_ms, Event::Register { round });
        for node in 0..self.nodes.all.len() {
            let life = self.nodes.all[node].life;
            let ticks = NodeEvent::Ticks { node, life, round };
            self.queue.at(self.now_ms, Event::Node(ticks));
        }
    }

    /// How long until the next tick; none when nothing is to be expected before somebody stirs.
    pub(super) fn tick_ms(&mut self) -> Option<i64> {
        if !self.plan.cluster.is_sparse {
            return Some(TICK_MS);
        }
        let now_ms = self.now_ms;
        let nodes = &self.nodes.all;
        let hangs =
            |node: &Node| !node.is_up || node.paused_until_ms > now_ms || node.leaving_ms.is_some();
        let is_busy = self.nodes.busy_until_ms > now_ms
            || self.nodes.register.view.phase == Phase::Sync
            || !nodes.iter().any(|node| node.is_up && !hangs(node));
        if is_busy {
            return Some(SPARSE_TICK_MS);
        }
        self.nodes.idle_since_ms.get_or_insert(now_ms);
        None
    }

    /// Time as far as anybody looked at it.
    pub(super) fn busy_ms(&self) -> i64 {
        self.nodes.idle_since_ms.unwrap_or(self.now_ms) - self.nodes.idle_ms
    }
}
