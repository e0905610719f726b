//! Nodes of one name, each of which would decide alone, over one row that knows who founded the register: the real
//! `Founder`, `Cover`, `Watch`, `Voter` and `NodeTime`, with nodes that crash, stop in order, stand still, are cut off from
//! the row, lose their disks and start with clocks that are hours off, and an operator who gives founders up.

use super::Planted;
use super::hold_operator::Operator;
use super::hold_truth::Truth;
use super::kernel::{Digest, Rng};
use super::seeds::Ran;
use crate::view::{
    Claimant, Cover, Epoch, Founder, Founding, Hold, Holder, NodeTime, Others, Verdict, Voter,
    Watch, renewal_ms, unsaid_ms,
};

/// What the clock of where the row is shows when a run begins: it is right.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// Everybody looks at what is due so often.
pub(super) const TICK_MS: i64 = 250;
/// A node whose register is empty asks so often.
const ASKS_MS: i64 = 2_000;
/// It asks again after so long where it was told nothing, and goes by what it was told before after so long.
pub(super) const AGAIN_MS: i64 = 500;
const PATIENCE_MS: i64 = 3_000;
/// A fence reaches so far ahead.
const AHEAD_MS: i64 = 1_000;
const NAME: &str = "tm1";

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) length_ms: i64,
    /// From then on nothing goes wrong.
    pub(super) calm_ms: i64,
    pub(super) hold_ms: i64,
    pub(super) nodes: usize,
    /// Chance in thousandths that units are asked for as a node looks; while nothing goes wrong they always are.
    pub(super) calls: u64,
    /// Chances in thousandths, a second and node.
    pub(super) crashes: u64,
    pub(super) stops: u64,
    pub(super) pauses: u64,
    pub(super) cuts: u64,
    /// T is lifted, by what others are at.
    pub(super) lifts: u64,
    /// Of a node that ended, whether its disk is lost, or what it knew of the register alone.
    pub(super) lost_disks: u64,
    pub(super) words: u64,
    pub(super) planted: Option<Planted>,
}

/// What outlives a life.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// The id that the node has by it.
    pub(super) number: u64,
    /// The generation of its register; none where that is empty.
    pub(super) register: Option<u64>,
    pub(super) kept_ms: Option<i64>,
    pub(super) voter: Voter,
    pub(super) noted_ms: Option<i64>,
    pub(super) counted_in: u64,
    /// What T its register begins above.
    pub(super) t0_ms: Option<i64>,
}

/// A life of a node.
#[derive(Debug)]
pub(super) struct Life {
    time: NodeTime,
    cover: Cover,
    clock_error_ms: i64,
    earlier_ms: Option<i64>,
    /// Whether it goes by what an earlier life was told.
    by_kept: bool,
    due_ms: i64,
    unheard_ms: Option<i64>,
    watch: Option<(Watch, i64)>,
    told_of: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) disk: Disk,
    pub(super) lives: u64,
    pub(super) life: Option<Life>,
    pub(super) paused_until_ms: i64,
    pub(super) cut_until_ms: i64,
    pub(super) starts_ms: i64,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) now_ms: i64,
    pub(super) row: Founder,
    pub(super) nodes: Vec<Node>,
    pub(super) operator: Option<Operator>,
    pub(super) disks: u64,
    pub(super) truth: Truth,
    digest: Digest,
}

pub(super) fn id(disk: u64) -> String {
    format!("n{disk}")
}

/// Who says something of the row, but for what.
fn holder(node: &str, hold_ms: i64) -> Holder<'_> {
    Holder {
        node,
        name: NAME,
        life: 0,
        generation: 0,
        others: Others::None,
        t_ms: i64::MIN,
        reach_ms: i64::MIN,
        hold_ms,
        leaves_from_ms: None,
        moment_ms: 0,
    }
}

// === impl Plan ===

impl Plan {
    pub(super) fn stormy() -> Self {
        Self {
            length_ms: 1_500_000,
            calm_ms: 150_000,
            hold_ms: 60_000,
            nodes: 3,
            calls: 100,
            crashes: 6,
            stops: 6,
            pauses: 6,
            cuts: 10,
            lifts: 0,
            lost_disks: 300,
            words: 20,
            planted: None,
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut world = Self {
            rng: Rng::new(seed),
            now_ms: 0,
            row: Founder::default(),
            nodes: Vec::new(),
            operator: None,
            disks: 0,
            truth: Truth::default(),
            digest: Digest::default(),
            plan,
        };
        for _ in 0..world.plan.nodes {
            let disk = world.empty_disk();
            let starts_ms = world.rng.between(0, 90_000);
            world.nodes.push(Node {
                disk,
                lives: 0,
                life: None,
                paused_until_ms: 0,
                cut_until_ms: 0,
                starts_ms,
            });
        }
        world
    }

    pub(super) fn run(mut self) -> Ran {
        while self.now_ms < self.plan.length_ms {
            self.now_ms += TICK_MS;
            if self.now_ms % 1_000 == 0 {
                self.faults();
            }
            for node in 0..self.nodes.len() {
                self.node_ticks(node);
            }
            self.operator_looks();
            self.digest.fold(self.now_ms, self.row.renewals, &self.rng);
        }
        let silent_ms = self.now_ms - self.truth.granted_at_ms;
        // One whose clock was set right went on for longer, by what it was told before.
        let is_told_more = self.row.hold_ms > self.plan.hold_ms;
        if silent_ms > 2 * TICK_MS && !is_told_more {
            let row = &self.row;
            let broken = format!("W3: nobody has counted for {silent_ms} ms: {row:?}");
            self.truth.broken.push(broken);
        }
        Ran {
            broken: self.truth.broken,
            digest: self.digest,
            seen: self.truth.seen,
        }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.now_ms >= self.plan.length_ms - self.plan.calm_ms
    }

    pub(super) fn is_planted(&self, planted: Planted) -> bool {
        self.plan.planted == Some(planted)
    }

    pub(super) fn empty_disk(&mut self) -> Disk {
        self.disks += 1;
        Disk {
            number: self.disks,
            ..Disk::default()
        }
    }

    fn moment_ms(&self) -> i64 {
        EPOCH_MS + self.now_ms
    }

    fn clock_ms(&self, node: usize) -> i64 {
        let error_ms = self.nodes[node]
            .life
            .as_ref()
            .map_or(0, |life| life.clock_error_ms);
        self.moment_ms() + error_ms
    }

    pub(super) fn works(&self, node: usize) -> bool {
        self.nodes[node].life.is_some() && self.now_ms >= self.nodes[node].paused_until_ms
    }

    pub(super) fn reaches_the_row(&self, node: usize) -> bool {
        self.works(node) && self.now_ms >= self.nodes[node].cut_until_ms
    }

    fn node_ticks(&mut self, node: usize) {
        if self.nodes[node].life.is_none() && self.now_ms >= self.nodes[node].starts_ms {
            self.starts(node);
        }
        if !self.works(node) {
            return;
        }
        let waits = self.is_planted(Planted::LiftsGoUntold);
        let is_due = |life: &Life| self.now_ms >= life.due_ms || life.cover.is_untold() && !waits;
        let is_due = self.nodes[node].life.as_ref().is_some_and(is_due);
        match self.nodes[node].disk.register {
            None if is_due => self.claims(node),
            Some(generation) => {
                if self.is_calm() || self.rng.chance(self.plan.calls) {
                    self.grants(node, generation);
                }
                if is_due {
                    self.holds(node, generation);
                }
            }
            None => {}
        }
    }

    fn starts(&mut self, node: usize) {
        let clock_error_ms = match self.rng.chance(400) {
            true => self.rng.between(-7_200_000, 7_200_000),
            false => 0,
        };
        let clock_ms = self.moment_ms() + clock_error_ms;
        let forgets = self.is_planted(Planted::LetsGoOfThisLifeAlone);
        let trusts = self.is_planted(Planted::KeptIsTrusted);
        let at = &mut self.nodes[node];
        let cover = Cover::nothing();
        if !forgets {
            let used = [at.disk.voter.fenced_ms(), at.disk.noted_ms, at.disk.t0_ms];
            for t_ms in used.into_iter().flatten() {
                cover.has_used(t_ms, clock_ms);
            }
        }
        if trusts && let Some(kept_ms) = at.disk.kept_ms {
            cover.set(kept_ms.saturating_add(self.plan.hold_ms));
        }
        at.lives += 1;
        let mut time = NodeTime::new(at.disk.noted_ms, clock_ms);
        if let Some(t0_ms) = at.disk.t0_ms {
            time.lift(t0_ms, clock_ms);
        }
        at.life = Some(Life {
            time,
            cover,
            clock_error_ms,
            earlier_ms: at.disk.kept_ms,
            by_kept: false,
            due_ms: self.now_ms,
            unheard_ms: None,
            watch: None,
            told_of: 0,
        });
        self.truth.runs(self.nodes[node].disk.number);
    }

    /// Its register is empty.
    fn claims(&mut self, node: usize) {
        let due_ms = self.now_ms + self.rng.between(TICK_MS, ASKS_MS);
        let (now_ms, moment_ms) = (self.now_ms, self.moment_ms());
        let unwatched = self.is_planted(Planted::FoundsUnwatched);
        let reaches = self.reaches_the_row(node);
        let since_last = self.is_planted(Planted::GivenUpGrantedNothingSince);
        let at = &mut self.nodes[node];
        let Some(life) = &mut at.life else { return };
        life.due_ms = due_ms;
        if !reaches {
            return;
        }
        let watched = match life.watch {
            _ if unwatched => Some(self.row.renewals),
            Some((watch, hold_ms)) => {
                watch.silent_for(hold_ms.saturating_add(unsaid_ms(hold_ms)), now_ms)
            }
            None => None,
        };
        let node_id = id(at.disk.number);
        let by = Claimant {
            node: &node_id,
            name: NAME,
            life: at.lives,
            counted_in: at.disk.counted_in,
            known: life.told_of,
            hold_ms: self.plan.hold_ms,
            watched,
            has_the_file: false,
            moment_ms: match since_last && self.row.reach_ms > 0 {
                true => self.row.said_at_ms,
                false => moment_ms,
            },
        };
        let verdict = self.row.claim(&by);
        life.told_of = life.told_of.max(self.row.generation);
        if self.rng.chance(50) {
            self.truth.seen.once("answer lost");
            return;
        }
        match verdict {
            Verdict::Yours { founding, after_ms } => self.founds(node, &founding, after_ms),
            Verdict::Held => {
                let (renewals, hold_ms) = (self.row.renewals, self.row.hold_ms);
                let new = || (Watch::new(renewals, now_ms), hold_ms);
                let (watch, hold) = life.watch.get_or_insert_with(new);
                if watch.sees(renewals, now_ms) {
                    *hold = hold_ms;
                }
                self.truth.seen.once("held");
            }
            Verdict::Others => {}
        }
    }

    fn founds(&mut self, node: usize, founding: &Founding, after_ms: i64) {
        let clock_ms = self.clock_ms(node);
        let t0_ms = self.moment_ms().max(after_ms).max(clock_ms);
        let at = &mut self.nodes[node];
        let Some(life) = &mut at.life else { return };
        let noted_ms = life.time.noted_ms();
        life.time.lift(t0_ms, clock_ms);
        life.cover.has_used(t0_ms, clock_ms);
        at.disk.t0_ms = Some(t0_ms);
        at.disk.register = Some(founding.generation);
        at.disk.counted_in = founding.generation;
        let of = (founding.generation, at.disk.number);
        let now = (self.now_ms, self.plan.hold_ms);
        self.truth.founded(of, (t0_ms, noted_ms), now);
    }

    fn grants(&mut self, node: usize, generation: u64) {
        let clock_ms = self.clock_ms(node);
        let at = &mut self.nodes[node];
        let Some(life) = &mut at.life else { return };
        if let Some(due) = life.time.due_note(clock_ms) {
            life.time.noted(due);
            at.disk.noted_ms = Some(due);
        }
        let t_ms = life.time.t_ms(clock_ms);
        let founding = Founding {
            generation,
            before: crate::view::Before::Nothing,
        };
        let Some(epoch) = Epoch::new(founding.term() + 1, 1) else {
            return;
        };
        let fence_ms = t_ms.saturating_add(AHEAD_MS);
        let mut voter = at.disk.voter;
        if voter.fence(epoch, fence_ms).is_err() || !life.cover.covers(fence_ms, clock_ms) {
            return;
        }
        at.disk.voter = voter;
        let at_ms = (self.now_ms, life.by_kept);
        self.truth.granted(generation, t_ms, at_ms);
    }

    /// It says that it is there.
    fn holds(&mut self, node: usize, generation: u64) {
        let (clock_ms, now_ms) = (self.clock_ms(node), self.now_ms);
        let (reaches, moment_ms) = (self.reaches_the_row(node), self.moment_ms());
        let hold_ms = self.plan.hold_ms;
        let is_lost = !reaches || self.rng.chance(50);
        let goes_on = self.is_planted(Planted::LiftsGoUntold);
        let at = &mut self.nodes[node];
        let Some(life) = &mut at.life else { return };
        let node_id = id(at.disk.number);
        let ahead_ms = life.cover.ahead_ms();
        let by = Holder {
            life: at.lives,
            generation,
            t_ms: life.cover.wanted_ms(clock_ms, 0),
            reach_ms: life.cover.wanted_ms(clock_ms, hold_ms),
            moment_ms,
            ..holder(&node_id, hold_ms)
        };
        let hold = reaches.then(|| self.row.hold(&by));
        if hold.is_some_and(|hold| hold != Hold::Lost) {
            self.truth.said(at.disk.number, now_ms);
        }
        if is_lost {
            life.due_ms = now_ms + AGAIN_MS;
            let since_ms = *life.unheard_ms.get_or_insert(now_ms);
            if now_ms - since_ms >= PATIENCE_MS
                && let Some(earlier_ms) = life.earlier_ms.take()
            {
                life.cover.set(earlier_ms.max(life.cover.reach_ms()));
                life.by_kept = true;
            }
            return;
        }
        (life.unheard_ms, life.earlier_ms, life.by_kept) = (None, None, false);
        life.due_ms = now_ms + renewal_ms(hold_ms);
        let reach_ms = match hold {
            Some(Hold::Until(reach_ms)) => reach_ms,
            Some(Hold::Free) => i64::MAX,
            Some(Hold::Lost) | None => i64::MIN,
        };
        at.disk.kept_ms = Some(reach_ms);
        let ahead_ms = if goes_on { i64::MAX } else { ahead_ms };
        life.cover.told(reach_ms, ahead_ms);
    }

    /// T of others is ahead of its own.
    pub(super) fn is_lifted(&mut self, node: usize) {
        // Within its hold.
        let (clock_ms, by_ms) = (self.clock_ms(node), self.rng.between(0, self.plan.hold_ms));
        if let Some(life) = &mut self.nodes[node].life {
            let t_ms = life.time.running_ms(clock_ms).saturating_add(by_ms);
            life.time.lift(t_ms, clock_ms);
            self.truth.seen.once("lifted");
        }
    }

    /// It stops in order.
    pub(super) fn lets_go(&mut self, node: usize) {
        let (reaches, moment_ms) = (self.reaches_the_row(node), self.moment_ms());
        let at = &mut self.nodes[node];
        let (Some(life), Some(generation)) = (&at.life, at.disk.register) else {
            return;
        };
        let Some(left) = life.cover.let_go() else {
            return;
        };
        at.disk.kept_ms = Some(left.used_ms);
        let node_id = id(at.disk.number);
        let by = Holder {
            life: at.lives,
            generation,
            t_ms: left.used_ms,
            reach_ms: left.used_ms,
            leaves_from_ms: Some(left.told_ms),
            moment_ms,
            ..holder(&node_id, self.plan.hold_ms)
        };
        if !reaches {
            at.disk.kept_ms = Some(left.told_ms);
            return;
        }
        if self.row.hold(&by) != Hold::Lost && self.row.is_given_up {
            self.truth.let_go(at.disk.number);
        }
    }
}
