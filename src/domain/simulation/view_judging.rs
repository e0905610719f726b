//! What is asked of several members beside "never over": after one fault nothing is missing, whoever waits is answered,
//! and nothing is given up that somebody still has.

use super::ledger_world::{WORLD_EPOCH_MS, World};
use super::view_plans::Fault;
use crate::view::Origin;

/// When the one fault begins, and when what lasts ends.
const BEGINS_MS: i64 = 20_000;
const ENDS_MS: i64 = 50_000;
/// Whoever leaves waits longer than that.
const HUNG_MS: i64 = 2_500;
/// Longer than a coordinator waits for what makes no progress.
const SLOW_MS: i64 = 2_000;
/// A view is active again within so long.
const AGAIN_MS: i64 = 5_000;
/// A request is answered within so long (L8).
const ANSWERED_MS: i64 = 3_000;

// === impl World ===

impl World {
    /// Whether something may go wrong by chance now; else what was wrong is put right, or the one fault has its time.
    pub(super) fn may_go_wrong(&mut self) -> bool {
        if let Some(fault) = self.plan.cluster.fault {
            self.one_fault(fault);
            return false;
        }
        let calm_ms = self.plan.cluster.calm_ms;
        if calm_ms == 0 || self.now_ms < self.plan.length_ms - calm_ms {
            return true;
        }
        self.all_is_well();
        false
    }

    fn all_is_well(&mut self) {
        self.nodes.cut.clear();
        self.nodes.gateway_cut.clear();
        let now_ms = self.now_ms;
        for node in &mut self.nodes.all {
            node.disk_free_ms = node.disk_free_ms.min(now_ms);
        }
    }

    fn one_fault(&mut self, fault: Fault) {
        if self.now_ms == 1_000 && fault == Fault::Joined {
            self.node_crashes(2, BEGINS_MS);
        }
        if self.now_ms == ENDS_MS {
            self.all_is_well();
        }
        if self.now_ms != BEGINS_MS {
            return;
        }
        let victim = self.rng.index(self.nodes.members);
        let other = (victim + 1 + self.rng.index(2)) % 3;
        match fault {
            Fault::Killed => self.node_crashes(victim, ENDS_MS - BEGINS_MS),
            Fault::Paused => self.nodes.all[victim].paused_until_ms = ENDS_MS,
            Fault::Cut => self.nodes.cut.extend([(victim, other), (other, victim)]),
            Fault::CutOneWay => self.nodes.cut.extend([(victim, other)]),
            Fault::CutOff => {
                for other in (0..self.nodes.all.len()).filter(|other| *other != victim) {
                    self.nodes.cut.extend([(victim, other), (other, victim)]);
                }
            }
            Fault::Left => self.node_leaves(victim),
            Fault::ClockStepped => self.nodes.all[victim].wall_error_ms = 2 * 3_600_000,
            Fault::ActorFailed => self.node_fails(victim),
            Fault::DiskHung => self.nodes.all[victim].disk_free_ms = ENDS_MS,
            Fault::VotersChanged => self.change_voters(),
            Fault::TwoLeftAndDiskHung => {
                self.node_leaves(victim);
                self.node_leaves(other);
                self.nodes.all[3 - victim - other].disk_free_ms = BEGINS_MS + HUNG_MS;
            }
            Fault::OneKilledAndLinkSlow => {
                self.node_crashes(other, ENDS_MS - BEGINS_MS);
                self.node_leaves(victim);
            }
            Fault::Joined => {}
        }
    }

    /// A pair is complete. After one fault, and where all who had something are there, somebody has everything in memory.
    pub(super) fn judge_origin(&mut self, origin: Origin) {
        if let Some(fault) = self.plan.cluster.fault
            && matches!(origin, Origin::Disk | Origin::Lost)
        {
            let broken = format!("L6: {origin:?} after one fault: {fault:?}");
            self.truth.broken.push(broken);
        }
    }

    /// The run is over.
    pub(super) fn judge(&mut self) {
        let Some(fault) = self.plan.cluster.fault else {
            if self.plan.cluster.calm_ms > 0 {
                self.judge_calm();
            }
            return;
        };
        self.judge_calm();
        self.judge_fault(fault);
        if self.truth.gave_up > 0 {
            let broken = format!("L8: {} waited in vain: {fault:?}", self.truth.gave_up);
            self.truth.broken.push(broken);
        }
        for (key, (limit, spec)) in self.plan.keys.clone().into_iter().enumerate() {
            let first = spec.at(WORLD_EPOCH_MS);
            let last = spec.at(WORLD_EPOCH_MS + self.plan.length_ms);
            // The first one begins without a view, the last one is not over.
            let whole = match first.id.number == last.id.number {
                true => first.id.number..=first.id.number,
                false => first.id.number + 1..=last.id.number - 1,
            };
            for number in whole {
                let admitted = self.truth.of_window(key, number);
                if admitted < limit - limit / 100 {
                    let number = number - first.id.number;
                    let broken =
                        format!("{admitted} of {limit} admitted in window {number}: {fault:?}");
                    self.truth.broken.push(broken);
                }
            }
        }
    }

    /// Whether what was to go wrong did: somebody took over from who left while that was held up.
    fn judge_fault(&mut self, fault: Fault) {
        let (sources, until_ms) = match fault {
            Fault::TwoLeftAndDiskHung => (2, BEGINS_MS + HUNG_MS),
            Fault::OneKilledAndLinkSlow => (1, BEGINS_MS + SLOW_MS),
            _ => return,
        };
        let taken = self.nodes.register.taken_over(sources);
        let is_it = |(began_ms, ended_ms)| began_ms < until_ms && ended_ms >= until_ms;
        if !taken.is_some_and(is_it) {
            let broken = format!("no fault: {fault:?} was over at {taken:?}");
            self.truth.broken.push(broken);
        }
    }

    /// Once nothing goes wrong any more, a view is active and requests are answered.
    fn judge_calm(&mut self) {
        let active_ms = self.nodes.register.active_ms;
        if self.now_ms - active_ms > AGAIN_MS {
            let broken = format!("no view was active since {active_ms}");
            self.truth.broken.push(broken);
        }
        for key in 0..self.plan.keys.len() {
            let at_ms = self.truth.answered_ms.get(&key).copied().unwrap_or(0);
            if self.now_ms - at_ms > ANSWERED_MS {
                let broken = format!("key {key} was last answered at {at_ms}");
                self.truth.broken.push(broken);
            }
        }
    }
}
