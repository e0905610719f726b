//! The owner of a shard (PROTOCOLS L): one `step` for everything it is told. Messages to gateways are released only
//! when the state they speak of is replicated (L3) and, for long windows, marked on disk (L5).
//!
//! In the one-node form the driver answers every [`Effect::Replicate`] at once with [`Input::Replicated`];
//! [`Ledger::step_alone`] does that.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::answers::Answers;
use super::cell::{Cell, CellImage, Mark};
use super::cells::Cells;
use super::grant::{Message, RETRY_MS, Step};
use super::held_back::HeldBack;
use super::message::{Ask, CellKey, Outcome, Recall, Reopen, Reply, Stamp};
use super::policy::{Policies, Quota};
use super::recovery::{Past, Recovery};
use super::steady::Steady;
#[cfg(test)]
use crate::window::Window;
use crate::window::WindowId;

/// What the owner is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A gateway asks or gives back.
    Ask(Ask),
    /// The throttling policies changed.
    Policies(Arc<Policies>),
    /// An administrator resets a key: it may use its limit once more in this window.
    Reset {
        /// The key.
        cell: CellKey,
        /// All gateways that the node knows, whether they can be told something now or not: where disks alone knew of grants,
        /// or nobody, any of them may have a lease that the owner does not know.
        gateways: BTreeSet<String>,
    },
    /// An administrator gives back units that a key has used in this window: as many less count, none at least.
    Refund {
        /// The key.
        cell: CellKey,
        /// How many.
        units: u64,
    },
    /// An administrator gives up what is lost: lost windows count from nothing (L6).
    ForgetLost,
    /// Standby and a majority of voters have everything up to this stamp (L3).
    Replicated {
        /// Echo of the highest stamp acknowledged.
        stamp: Stamp,
    },
    /// All marks up to this stamp are durable (L5).
    Marked {
        /// Echo of the highest stamp written.
        stamp: Stamp,
    },
    /// Time passed; due at [`Ledger::next_wake_ms`].
    Tick,
}

/// What the owner wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write the marks to the Broker DB in one transaction, then say [`Input::Marked`].
    Persist {
        /// For the report.
        stamp: Stamp,
        /// The rows; each replaces the row of its cell.
        marks: Vec<Mark>,
    },
    /// Give the cells to the standby and the fence to the voters, then say [`Input::Replicated`]. Several may be
    /// joined: the highest stamp and T count.
    Replicate {
        /// For the report.
        stamp: Stamp,
        /// T that the voters are to remember (L3).
        fence_ms: i64,
        /// What changed; empty without a standby.
        cells: Vec<CellImage>,
    },
    /// Send to the gateway.
    Reply(Reply),
    /// Send to the gateway.
    Recall(Recall),
    /// Send to the gateway.
    Reopen(Reopen),
    /// A key was turned to the shared bucket: count it in a metric (L12).
    Shared {
        /// The key's policy.
        policy: String,
    },
}

/// The state of one shard's owner.
#[derive(Debug)]
pub struct Ledger {
    /// Cells at most (L12).
    capacity: usize,
    pub(super) stamp: Stamp,
    /// T, which never goes back (L10).
    pub(super) t_ms: i64,
    /// What the node's T would be, did it never stand still.
    pub(super) runs_ms: i64,
    pub(super) steady: Steady,
    pub(super) active: bool,
    pub(super) standby: bool,
    policies: Arc<Policies>,
    pub(super) cells: Cells,
    pub(super) rounds: BTreeSet<(i64, CellKey)>,
    pub(super) answers: Answers,
    pub(super) past: Past,
    pub(super) held: HeldBack,
    pub(super) replicated: Stamp,
    pub(super) marked: Stamp,
    /// Keys that are full no more: whoever was told no is told so with the next step.
    pub(super) freed: Vec<CellKey>,
    pub(super) granted_units: u64,
    #[cfg(test)]
    pub(crate) planted: Option<crate::simulation::Planted>,
}

// === impl Ledger ===

impl Ledger {
    /// An active owner without a standby, with at most `capacity` cells.
    pub fn new(capacity: usize, recovery: Recovery, policies: Arc<Policies>) -> Self {
        let stamp = Stamp {
            epoch: recovery.epoch,
            seq: 0,
        };
        let past = Past::new(recovery);
        Self {
            capacity,
            stamp,
            t_ms: past.t0_ms().unwrap_or(i64::MIN),
            runs_ms: i64::MIN,
            steady: Steady::default(),
            active: true,
            standby: false,
            policies,
            cells: Cells::default(),
            rounds: BTreeSet::new(),
            answers: Answers::default(),
            past,
            held: HeldBack::default(),
            replicated: stamp,
            marked: stamp,
            freed: Vec::new(),
            granted_units: 0,
            #[cfg(test)]
            planted: None,
        }
    }

    /// One step at T = `now_ms`; the effects are to be carried out in order.
    pub fn step(&mut self, input: Input, now_ms: i64) -> Vec<Effect> {
        self.t_ms = self.t_ms.max(now_ms);
        let mut out = Vec::new();
        if self.active {
            for key in std::mem::take(&mut self.freed) {
                self.change(&key, &mut out, |cell, key, step| {
                    cell.stamp = step.stamp;
                    cell.reopen(key, step);
                });
            }
        }
        match input {
            Input::Ask(ask) => self.ask(ask, &mut out),
            Input::Policies(policies) => self.set_policies(policies, &mut out),
            Input::Reset { cell, gateways } => self.reset(&cell, gateways, &mut out),
            Input::Refund { cell, units } => {
                self.open_known(&cell, false);
                self.roll(&cell);
                self.change(&cell, &mut out, |cell, key, step| {
                    cell.refund(key, units, step);
                });
            }
            Input::ForgetLost => self.forget_lost(&mut out),
            Input::Replicated { stamp } => self.replicated = self.replicated.max(stamp),
            Input::Marked { stamp } => self.marked = self.marked.max(stamp),
            Input::Tick => self.tick(&mut out),
        }
        self.release(&mut out);
        out
    }

    /// One step of a node that is alone: it is its own majority, so replication is done when it is asked for (L3).
    /// [`Effect::Persist`] still has to be answered.
    pub fn step_alone(&mut self, input: Input, now_ms: i64) -> Vec<Effect> {
        let mut out = self.step(input, now_ms);
        let asked = |effect: &Effect| match effect {
            Effect::Replicate { stamp, .. } => Some(*stamp),
            _ => None,
        };
        if let Some(stamp) = out.iter().filter_map(asked).max() {
            out.retain(|effect| !matches!(effect, Effect::Replicate { .. }));
            out.extend(self.step(Input::Replicated { stamp }, now_ms));
        }
        out
    }

    /// When [`Input::Tick`] is due next, milliseconds of T; none while nothing runs.
    pub fn next_wake_ms(&self) -> Option<i64> {
        let round = self.rounds.first().map(|(at, _)| *at);
        round
            .into_iter()
            .chain(self.cells.first_end_ms(self.instant()))
            .min()
    }

    /// All cells, for a standby, a new owner or an inspection.
    pub fn images(&self) -> Vec<CellImage> {
        self.cells
            .iter()
            .map(|(key, cell)| cell.image(&key))
            .collect()
    }

    /// One cell, for an inspection.
    pub fn image(&self, cell: &CellKey) -> Option<CellImage> {
        self.cells.get(cell).map(|found| found.image(cell))
    }

    /// The window that a cell counts in.
    #[cfg(test)]
    pub(crate) fn window(&self, cell: &CellKey) -> Option<Window> {
        self.cells.window(cell)
    }

    fn next_step(&mut self) -> Step {
        self.stamp.seq += 1;
        Step {
            now_ms: self.t_ms,
            steady_ms: self.steady_ms(),
            leases_by_ms: self.leases_by_ms(),
            stamp: self.stamp,
            messages: Vec::new(),
            answers: Answers::default(),
            granted: 0,
            gave_back: false,
        }
    }

    fn ask(&mut self, ask: Ask, out: &mut Vec<Effect>) {
        let refused = match self.policies.get(&ask.cell.tenant, &ask.cell.policy) {
            _ if !self.active => Err(Outcome::Retry { after_ms: RETRY_MS }),
            // The owner's limit decides, but not an older one than the gateway's (L12).
            _ if ask.policies > self.policies.applied => Err(Outcome::Behind {
                applied: self.policies.applied,
            }),
            None => Err(Outcome::UnknownPolicy),
            Some(_) if self.must_share(&ask.cell) => Err(Outcome::Shared),
            Some(quota) => Ok(quota),
        };
        let quota = match refused {
            Ok(quota) => quota,
            Err(outcome) => {
                if outcome == Outcome::Shared {
                    out.push(Effect::Shared {
                        policy: ask.cell.policy.clone(),
                    });
                }
                return self.hold(
                    Message::bare(&ask, self.stamp, outcome),
                    Stamp::default(),
                    Stamp::default(),
                );
            }
        };
        let key = ask.cell.clone();
        let window = self.open(&key, quota);
        let end_ms = window.spec.numbered(window.number).end_ms;
        let stands_still = end_ms <= self.leases_by_ms();
        if stands_still
            || ask
                .window
                .is_some_and(|asked| asked.spec == window.spec && asked.number > window.number)
        {
            // Its window has not begun here: nothing of an earlier one may be granted to it (L10). Nor of one that is over
            // but for a note of T: others may count in the next one already.
            let retry = Outcome::Retry { after_ms: RETRY_MS };
            return self.hold(
                Message::bare(&ask, self.stamp, retry),
                Stamp::default(),
                Stamp::default(),
            );
        }
        #[cfg(test)]
        self.plant_in_asks(&key, &ask);
        self.change(&key, out, |cell, key, step| cell.ask(key, ask, step));
    }

    /// Whether a key without a cell has to use the shared one (L12): beyond the bound, and as long as the shared one
    /// counts anybody in its window, so that nobody gets a limit of its own after it used the shared one.
    fn must_share(&self, key: &CellKey) -> bool {
        let shared = key.shared();
        if *key == shared || self.cells.contains(key) || self.past.knows(key, self.t_ms) {
            return false;
        }
        let in_use = self
            .cells
            .counts_until(&shared)
            .is_some_and(|until| !until.is_over(self.instant()));
        in_use || self.past.knows(&shared, self.t_ms) || self.cells.len() >= self.capacity
    }

    /// Makes sure that the key has a cell, and that it is in the window of now. Its number never decreases, because T
    /// does not (L10).
    fn open(&mut self, key: &CellKey, quota: Quota) -> WindowId {
        if let Some(window) = self.cells.window(key)
            && self.t_ms < window.end_ms
        {
            return window.id;
        }
        let before = self.close(key);
        let (window, lag_ms) = (quota.window.at(self.t_ms), self.lag_ms());
        let mut cell = self.past.open(key, window, quota, lag_ms);
        #[cfg(test)]
        let before = before.map(|before| self.with_bugs_of_resets(before));
        if let Some(before) = before {
            // Somebody who granted began it anew, this owner or one that it copied: its window counts from there, and not
            // only its pane.
            let is_same = before.window.id.spec == window.id.spec && window.id.spec.is_paned();
            cell.lost &= before.lost || !is_same;
            let begins_ms = window.start_ms.saturating_sub(lag_ms);
            let others_end_ms = self.others_end_ms(window.id.spec);
            cell.follow(before, begins_ms, (others_end_ms, self.steady_ms()));
            if let Some(round) = cell.round.as_mut() {
                // To be looked at at once: its leases may be over.
                round.until_ms = self.t_ms;
                self.rounds.insert((self.t_ms, key.clone()));
            }
        }
        let id = cell.window.id;
        self.cells.put(key, cell);
        id
    }

    /// Counts a key that nobody has asked for since the start from marks, if anything of it is known: an administrator has
    /// something to give back of it. For a reset also if it is lost, or gateways may have units of it that count no more.
    pub(super) fn open_known(&mut self, key: &CellKey, is_reset: bool) {
        if let Some(cell) = self.unopened(key)
            && (cell.used() > 0 || (is_reset && (cell.lost || cell.coverage > 0)))
        {
            let quota = cell.quota;
            self.open(key, quota);
        }
    }

    /// The cell that a key without one would have now.
    pub(super) fn unopened(&self, key: &CellKey) -> Option<Cell> {
        let quota = self.policies.get(&key.tenant, &key.policy)?;
        if self.cells.contains(key) || self.must_share(key) {
            return None;
        }
        let (window, lag_ms) = (quota.window.at(self.t_ms), self.lag_ms());
        Some(self.past.view(key, window, quota, lag_ms))
    }

    /// Brings a cell whose window slides into the pane of now.
    pub(super) fn roll(&mut self, key: &CellKey) {
        if let Some(cell) = self.cells.get(key)
            && cell.window.id.spec.is_paned()
            && cell.window.end_ms <= self.t_ms
        {
            let quota = cell.quota;
            self.open(key, quota);
        }
    }

    pub(super) fn close(&mut self, key: &CellKey) -> Option<Cell> {
        let cell = self.cells.remove(key)?;
        if let Some(round) = &cell.round {
            self.rounds.remove(&(round.until_ms, key.clone()));
        }
        Some(cell)
    }

    /// Runs a change of one cell, keeps the timers in step, and holds back what it says until it may be said.
    pub(super) fn change(
        &mut self,
        key: &CellKey,
        out: &mut Vec<Effect>,
        change: impl FnOnce(&mut Cell, &CellKey, &mut Step),
    ) {
        let mut step = self.next_step();
        let Some(mut cell) = self.cells.get(key) else {
            return;
        };
        if cell.stamp == Stamp::default() {
            // A cell that has just been opened is itself a change.
            cell.stamp = step.stamp;
        }
        if cell.lasts_longer(self.lag_ms()) {
            cell.stamp = step.stamp;
        }
        let round_before = cell.round.as_ref().map(|round| round.until_ms);
        std::mem::swap(&mut self.answers, &mut step.answers);
        change(&mut cell, key, &mut step);
        std::mem::swap(&mut self.answers, &mut step.answers);
        let round_after = cell.round.as_ref().map(|round| round.until_ms);
        self.granted_units = self.granted_units.saturating_add(step.granted);
        if cell.stamp == step.stamp {
            // Nothing that a message says may be lost by whoever takes over: disk (L5) and copies (L3) first.
            if let Some(mark) = cell.due_mark(key, step.gave_back) {
                out.push(Effect::Persist {
                    stamp: step.stamp,
                    marks: vec![mark],
                });
            }
            let cells = if self.standby {
                vec![cell.image(key)]
            } else {
                Vec::new()
            };
            out.push(Effect::Replicate {
                stamp: step.stamp,
                fence_ms: step.now_ms,
                cells,
            });
        }
        let (replicated, marked) = (cell.stamp, cell.mark_stamp);
        self.cells.put(key, cell);
        if round_before != round_after {
            round_before.map(|until| self.rounds.remove(&(until, key.clone())));
            round_after.map(|until| self.rounds.insert((until, key.clone())));
        }
        for message in step.messages {
            self.hold(message, replicated, marked);
        }
    }

    fn hold(&mut self, message: Message, replicated: Stamp, marked: Stamp) {
        self.held.hold(message, replicated, marked);
    }

    fn set_policies(&mut self, policies: Arc<Policies>, out: &mut Vec<Effect>) {
        self.policies = Arc::clone(&policies);
        #[cfg(test)]
        if self.planted == Some(crate::simulation::Planted::OldLimitStays) {
            return;
        }
        let changed = self.cells.keys(|cell| {
            let quota = policies.get(cell.tenant, cell.policy);
            quota.is_some_and(|quota| quota != cell.quota)
        });
        for key in changed {
            let quota = policies.get(&key.tenant, &key.policy);
            let before = self.cells.get(&key).map(|cell| cell.quota);
            let (Some(quota), Some(before)) = (quota, before) else {
                continue;
            };
            if quota.window != before.window {
                // Another kind of window is another count: it starts anew.
                self.change(&key, out, |cell, key, step| cell.reopen(key, step));
                self.close(&key);
            } else {
                self.roll(&key);
                self.change(&key, out, |cell, key, step| {
                    cell.set_limit(key, quota.limit, step)
                });
            }
        }
    }

    fn forget_lost(&mut self, out: &mut Vec<Effect>) {
        self.past.forget_lost();
        for key in self.cells.keys(|cell| cell.lost) {
            self.change(&key, out, |cell, key, step| {
                cell.lost = false;
                cell.stamp = step.stamp;
                cell.reopen(key, step);
            });
        }
    }

    fn tick(&mut self, out: &mut Vec<Effect>) {
        while let Some((until, key)) = self.rounds.first().cloned()
            && until <= self.t_ms
        {
            self.rounds.remove(&(until, key.clone()));
            self.roll(&key);
            self.change(&key, out, Cell::end_round);
        }
        for round in self.cells.end(self.instant()) {
            self.rounds.remove(&round);
        }
        self.past.drop_ended(self.instant());
    }
}
