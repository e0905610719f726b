//! A time that never runs faster than clocks do (PROTOCOLS L10). T is lifted: by a note that was late, by what others
//! have come to. Windows of the calendar begin and end by it. What is used of a window that slides, or of a bucket,
//! counts by this time instead: every lift makes it count as much longer, so that in no real time of a window's length
//! more is used than its limit.
//!
//! It goes on with a copy from where the giver's was, and stands still while nobody has it. Where nothing but disks, or
//! nothing at all, is left of what was granted, it begins anew at a seam: all before counts as used there.

use super::cell::Cell;
use super::owner::Ledger;
use crate::window::{Window, WindowSpec};

/// An owner that others took over from may grant as much longer: its fence reaches so far ahead (L3).
const FENCE_MS: i64 = 1_000;
/// T runs slower than time by one millisecond in so many at most: it may come back to a clock that is set right itself
/// and slewed besides, each by 500 ppm.
const SLOW_ONE_IN: i64 = 500;

/// The steady time of one shard, over the clock of the node that it is on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Steady(Option<Sample>);

/// It and what it was by.
#[derive(Debug, Clone, Copy)]
struct Sample {
    ms: i64,
    t_ms: i64,
    clock_ms: i64,
}

/// A time by T and by the steady time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant {
    pub(super) t_ms: i64,
    pub(super) steady_ms: i64,
}

/// When a cell counts no more: of a fixed window by T, of one that slides by the steady time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CountsUntil {
    is_steady: bool,
    ms: i64,
}

/// Of a pane of this length, how much longer it may last by a T that is slow.
fn slack_ms(pane_ms: i64) -> i64 {
    pane_ms / SLOW_ONE_IN + 1
}

/// What was granted until the seam may be used until then: as long as a lease of it lasts.
pub(super) fn used_until_ms(seam_ms: i64, spec: WindowSpec) -> i64 {
    let pane_ms = spec.pane_ms();
    let lease_ms = pane_ms.saturating_add(slack_ms(pane_ms));
    seam_ms.saturating_add(lease_ms)
}

// === impl Steady ===

impl Steady {
    /// The clock shows this, and T is so far: time passed by as much as both agree on.
    fn passes(&mut self, t_ms: i64, clock_ms: i64) {
        let ms = self.0.map_or(t_ms, |last| {
            let by_t = t_ms.saturating_sub(last.t_ms).max(0);
            let by_clock = clock_ms.saturating_sub(last.clock_ms).max(0);
            last.ms.saturating_add(by_t.min(by_clock))
        });
        // A reading that is late does not count twice what passed since.
        let clock_ms = self.0.map_or(clock_ms, |last| last.clock_ms.max(clock_ms));
        self.0 = Some(Sample { ms, t_ms, clock_ms });
    }

    /// Goes on from there, and never ahead of T.
    fn goes_on_from(&mut self, ms: i64) {
        if let Some(last) = &mut self.0 {
            last.ms = ms.min(last.t_ms);
        }
    }
}

// === impl CountsUntil ===

impl CountsUntil {
    /// The first of those that go by the steady time.
    pub(super) const STEADY: Self = Self {
        is_steady: true,
        ms: i64::MIN,
    };

    /// Of a cell in this window that was opened when the steady time lay so far behind.
    pub(super) fn of(window: Window, lag_ms: i64) -> Self {
        Self {
            is_steady: window.id.spec.is_paned(),
            ms: window.counts_until_ms().saturating_sub(lag_ms),
        }
    }

    pub(super) fn is_over(self, now: Instant) -> bool {
        let now_ms = if self.is_steady {
            now.steady_ms
        } else {
            now.t_ms
        };
        self.ms <= now_ms
    }

    /// In which T that is, if nothing is lifted.
    pub(super) fn at_ms(self, now: Instant) -> i64 {
        if self.is_steady {
            let lag_ms = now.t_ms.saturating_sub(now.steady_ms);
            self.ms.saturating_add(lag_ms)
        } else {
            self.ms
        }
    }
}

// === impl Cell ===

impl Cell {
    /// When the last lease of the pane is over, by the steady time.
    pub(super) fn pane_ends_ms(&self) -> i64 {
        self.window.end_ms.saturating_sub(self.lag_ms)
    }

    /// Leases of its pane that were given before the seam last as long as they can beyond it.
    pub(super) fn lasts_beyond(&mut self, seam_ms: Option<i64>) {
        let spec = self.window.id.spec;
        if let (true, Some(seam_ms)) = (spec.is_paned(), seam_ms) {
            let longest_ms = (self.window.end_ms).saturating_sub(used_until_ms(seam_ms, spec));
            self.lag_ms = self.lag_ms.min(longest_ms);
        }
    }

    /// The steady time lies less behind T than when the pane began, by another owner's T: leases last the longer. Gives
    /// whether it does.
    pub(super) fn lasts_longer(&mut self, lag_ms: i64) -> bool {
        let is_longer = self.window.id.spec.is_paned() && lag_ms < self.lag_ms;
        if is_longer {
            self.lag_ms = lag_ms;
        }
        is_longer
    }
}

// === impl Ledger ===

impl Ledger {
    /// What the node's clock shows, which does not step, its T, and what that would be if it never stood still: to be
    /// told before each step. Who is never told takes T for both.
    pub fn passes(&mut self, t_ms: i64, clock_ms: i64, runs_ms: i64) {
        self.runs_ms = runs_ms;
        #[cfg(test)]
        if self.planted == Some(crate::simulation::Planted::JumpsCount) {
            return;
        }
        self.steady.passes(self.t_ms.max(t_ms), clock_ms);
    }

    /// The steady time.
    pub fn steady_ms(&self) -> i64 {
        self.steady.0.map_or(self.t_ms, |last| last.ms)
    }

    /// What was used before this, by the steady time, counts as used then; none where all is known.
    pub fn seam_ms(&self) -> Option<i64> {
        self.past.seam_ms()
    }

    /// Another member's steady time, and its seam.
    pub fn keeps_pace(&mut self, steady_ms: i64, seam_ms: Option<i64>) {
        self.steady.goes_on_from(steady_ms);
        self.past.seam(seam_ms);
    }

    /// By which leases end, also while T stands still: else they would be prolonged for as long as that lasts, while others
    /// take what is used of them for over, or count in the next window.
    pub(super) fn leases_by_ms(&self) -> i64 {
        #[cfg(test)]
        if self.planted == Some(crate::simulation::Planted::LeasesStandStill) {
            return self.t_ms;
        }
        self.t_ms.max(self.runs_ms)
    }

    /// Another owner, from whom this one has what was granted, may answer on, and its T run slower than time: leases that
    /// it prolongs to the end of their pane last as much longer.
    pub fn others_may_prolong(&mut self) {
        let steady_ms = self.steady_ms();
        for key in self.cells.keys(|cell| cell.window.id.spec.is_paned()) {
            if let Some(mut cell) = self.cells.get(&key) {
                let window = cell.window;
                let slack_ms = slack_ms(window.length_ms());
                // However often the owner changes: its pane has begun, so none lasts longer than one that begins now.
                let longest_ms = used_until_ms(steady_ms, window.id.spec);
                let lag_ms = cell.lag_ms.saturating_sub(slack_ms);
                let lag_ms = lag_ms.max(window.end_ms.saturating_sub(longest_ms));
                cell.lag_ms = cell.lag_ms.min(lag_ms);
                self.cells.put(&key, cell);
            }
        }
    }

    /// How far the steady time lies behind T.
    pub(super) fn lag_ms(&self) -> i64 {
        self.t_ms.saturating_sub(self.steady_ms())
    }

    pub(super) fn instant(&self) -> Instant {
        Instant {
            t_ms: self.t_ms,
            steady_ms: self.steady_ms(),
        }
    }

    /// Nothing is left that says how much time has passed.
    pub(super) fn begins_anew(&mut self) {
        if let Some(last) = &mut self.steady.0 {
            last.ms = last.t_ms;
        }
    }

    /// All before is over now.
    pub(super) fn is_sewn(&mut self) {
        if self.steady.0.is_some() {
            let seam_ms = self.steady_ms().saturating_add(FENCE_MS);
            self.past.seam(Some(seam_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{MINUTE, RETRY, T, ask, key, ledger, policies, replies, step};
    use crate::ledger::{Effect, Input, Outcome, Recovery};
    use crate::policy::{TimeUnit, WindowKind};

    #[test]
    fn nothing_of_a_fixed_window_is_granted_that_is_over_but_for_a_note_of_t() {
        let mut ledger = ledger(10, MINUTE);
        let end_ms = MINUTE.at(T).end_ms;
        ledger.passes(T, 0, end_ms - 1);
        let said = step(&mut ledger, ask("g1", 0, 1));
        let remaining_ms = said.iter().find_map(|effect| match effect {
            Effect::Reply(reply) => Some(reply.remaining_ms),
            _ => None,
        });
        assert_eq!(replies(&said), [("g1", 1, Outcome::Granted)]);
        assert_eq!(remaining_ms, Some(1), "as by a T that does not stand still");
        ledger.passes(T, 1, end_ms);
        let said = step(&mut ledger, ask("g1", 1, 1));
        assert_eq!(replies(&said), [("g1", 0, RETRY)]);
        // The note is there.
        ledger.passes(end_ms, 2, end_ms);
        let said = ledger.step_alone(Input::Ask(ask("g1", 1, 1)), end_ms);
        assert_eq!(replies(&said), [("g1", 1, Outcome::Granted)]);
    }

    #[test]
    fn leases_of_others_last_no_longer_however_often_the_owner_changes() {
        let year = WindowSpec::new(TimeUnit::Year, 1).counted(WindowKind::Sliding);
        let pane = year.at(T);
        let mut ledger = Ledger::new(3, Recovery::founding(1), policies(1, 10, year));
        ledger.passes(T, 0, T);
        let asked = super::super::Ask {
            window: None,
            ..ask("g1", 0, 1)
        };
        ledger.step_alone(Input::Ask(asked), T);
        let ends_ms = |ledger: &Ledger| ledger.cells.get(&key("a")).unwrap().pane_ends_ms();
        assert_eq!(ends_ms(&ledger), pane.end_ms);
        ledger.others_may_prolong();
        assert_eq!(ends_ms(&ledger), pane.end_ms + slack_ms(pane.length_ms()));
        for _ in 0..1_000 {
            ledger.others_may_prolong();
        }
        assert_eq!(ends_ms(&ledger), used_until_ms(T, year));
    }

    #[test]
    fn it_runs_no_faster_than_the_clock_nor_than_t_and_goes_on_from_a_copy() {
        let mut steady = Steady::default();
        let ms = |steady: &Steady| steady.0.map(|last| last.ms);
        steady.passes(10_000, 500);
        assert_eq!(ms(&steady), Some(10_000));
        steady.passes(10_400, 900);
        assert_eq!(ms(&steady), Some(10_400));
        steady.passes(90_000, 1_000);
        assert_eq!(ms(&steady), Some(10_500), "T was lifted");
        steady.passes(90_000, 2_000);
        assert_eq!(ms(&steady), Some(10_500), "T stands still");
        steady.passes(90_100, 2_200);
        assert_eq!(ms(&steady), Some(10_600));
        steady.goes_on_from(7_000);
        steady.passes(90_150, 2_250);
        assert_eq!(ms(&steady), Some(7_050));
        steady.goes_on_from(200_000);
        assert_eq!(ms(&steady), Some(90_150));
    }
}
