//! What an owner knows of windows that began before it did (PROTOCOLS L5, L6): nothing, the high-water marks of long
//! windows, or, after a clean stop, the marks of all.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::cell::{Cell, Mark};
use super::message::CellKey;
use super::policy::Quota;
use super::steady::{Instant, used_until_ms};
use crate::window::{Window, WindowId};

/// How far the marks reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The disk of a holder of the last view: its marks are all that was granted in long windows; short windows that
    /// began at or before t0 are full.
    Disk,
    /// The marks of a clean stop, of all windows, long and short.
    #[default]
    CleanStop,
}

/// What a new owner starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The view's epoch; in the one-node form the node's incarnation. Higher than that of anything in `marks`.
    pub epoch: u64,
    /// The highest T that was fenced before, none if nothing was ever granted (a new cluster). In the one-node form
    /// the T at the start of a node that has run before.
    pub t0_ms: Option<i64>,
    /// How far `marks` reach.
    pub source: Source,
    /// Short windows that began at or before this are full whatever `source` and `marks` say: a run before the last
    /// clean stop ended without one, and what it granted is not known (L6).
    pub lost_ms: Option<i64>,
    /// The rows of the Broker DB; of several for one cell the highest stamp counts.
    pub marks: Vec<Mark>,
}

/// The marks not claimed by a cell yet.
#[derive(Debug)]
pub(super) struct Past {
    t0_ms: Option<i64>,
    source: Source,
    lost_ms: Option<i64>,
    /// All windows that had begun by this are full: nobody is left who knows of them (L6).
    gone_ms: Option<i64>,
    /// The last view that had to begin without it. A lost window writes no mark, so one of since is of a window that an
    /// operator opened (L9), and says all that counts of it. Nothing is, as long as nobody has said which view it was.
    gone_epoch: u64,
    /// It comes from a disk, and the T up to which the view of this epoch was fenced is still to be said.
    unfenced: Option<u64>,
    /// The view in which the marks of a stop in order were written.
    stopped: Option<u64>,
    /// See [`PastImage::seam_ms`].
    seam_ms: Option<i64>,
    marks: BTreeMap<CellKey, Mark>,
}

/// What a member knows of windows that began before it counted, as it travels (PROTOCOLS L4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastImage {
    /// See [`Recovery::t0_ms`].
    pub t0_ms: Option<i64>,
    /// See [`Recovery::source`].
    pub source: Source,
    /// See [`Recovery::lost_ms`].
    pub lost_ms: Option<i64>,
    /// All windows that had begun by this are full.
    pub gone_ms: Option<i64>,
    /// It comes from a disk for the view of this epoch, and counts up to the T that was fenced before that view.
    pub unfenced: Option<u64>,
    /// The view in which the marks of a stop in order were written.
    pub stopped: Option<u64>,
    /// By the steady time: what was used before, and is known from disks alone or not at all, counts as used then in windows
    /// that slide (L10).
    pub seam_ms: Option<i64>,
    /// Marks that no cell has claimed.
    pub marks: Vec<Mark>,
}

// === impl Recovery ===

impl Recovery {
    /// The start of a cluster that has never granted anything.
    pub fn founding(epoch: u64) -> Self {
        Self {
            epoch,
            t0_ms: None,
            source: Source::CleanStop,
            lost_ms: None,
            marks: Vec::new(),
        }
    }
}

// === impl Past ===

impl Past {
    pub(super) fn new(recovery: Recovery) -> Self {
        let mut marks: BTreeMap<CellKey, Mark> = BTreeMap::new();
        for mark in recovery.marks {
            // Perhaps of a clean stop before what is lost.
            let lost = is_lost(
                recovery.lost_ms,
                mark.window.spec.numbered(mark.window.number),
            );
            let newer = marks
                .get(&mark.cell)
                .is_none_or(|known| known.stamp < mark.stamp);
            if newer && !lost {
                marks.insert(mark.cell.clone(), mark);
            }
        }
        Self {
            t0_ms: recovery.t0_ms,
            source: recovery.source,
            lost_ms: recovery.lost_ms,
            gone_ms: None,
            gone_epoch: u64::MAX,
            unfenced: None,
            stopped: None,
            seam_ms: None,
            marks,
        }
    }

    /// It is what a disk had, for the view of this epoch.
    pub(super) fn goes_on_from_disk(&mut self, epoch: u64, settled: u64) {
        self.unfenced = Some(epoch);
        if self.source == Source::CleanStop && self.stopped != Some(settled) {
            // Others granted since: short windows are known no more, and long ones by marks that a standby wrote.
            self.source = Source::Disk;
            self.marks.retain(|_, mark| mark.window.spec.is_long());
        }
    }

    pub(super) fn stopped_in(&mut self, epoch: u64) {
        self.stopped = Some(epoch);
    }

    /// The view of this epoch became active, with this T fenced before it. If that is the view that went on from a
    /// disk, what was granted up to there and is not on disk is lost.
    /// Gives whether it is.
    pub(super) fn fence(&mut self, epoch: u64, t0_ms: Option<i64>) -> bool {
        let is_that = self.unfenced == Some(epoch);
        if is_that {
            self.unfenced = None;
            self.t0_ms = self.t0_ms.max(t0_ms);
        }
        is_that
    }

    /// It is what nobody had, for the view of this epoch.
    pub(super) fn goes_on_from_nothing(&mut self, epoch: u64) {
        self.unfenced = Some(epoch);
    }

    /// See [`PastImage::seam_ms`].
    pub(super) fn seam_ms(&self) -> Option<i64> {
        self.seam_ms
    }

    /// All before is over by then.
    pub(super) fn seam(&mut self, seam_ms: Option<i64>) {
        self.seam_ms = seam_ms;
    }

    /// Whether what was used up to this T may count in a window that was opened when the steady time lay so far behind.
    fn counts_by(&self, t_ms: Option<i64>, window: Window, lag_ms: i64) -> bool {
        let by_ms = match (t_ms, self.seam_ms) {
            (Some(t_ms), Some(seam_ms)) if window.id.spec.is_paned() => {
                Some(t_ms.max(used_until_ms(seam_ms, window.id.spec)))
            }
            (t_ms, _) => t_ms,
        };
        by_ms.is_some_and(|by_ms| window.counts_from_ms().saturating_sub(lag_ms) <= by_ms)
    }

    /// Whether a window of which no mark says anything counts as full.
    pub(super) fn is_full(&self, window: Window, lag_ms: i64) -> bool {
        let is_long = window.id.spec.is_long();
        let from_disk = self.source == Source::Disk && self.counts_by(self.t0_ms, window, lag_ms);
        let is_lost = from_disk || self.counts_by(self.lost_ms, window, lag_ms);
        self.is_gone(window, lag_ms) || (is_lost && !is_long)
    }

    /// Whether what a mark says counts in this window: it is of that, or of a pane before it that counts on.
    fn counts(&self, mark: &Mark, window: Window, lag_ms: i64) -> bool {
        let of = mark.window;
        let is_before =
            of.spec == window.id.spec && of.spec.is_paned() && of.number < window.id.number;
        let counts_on = match self.seam_ms {
            Some(_) => self.counts_by(self.seam_ms, window, lag_ms),
            None => window.start_ms < of.spec.numbered(of.number).counts_until_ms(),
        };
        of == window.id || (is_before && counts_on)
    }

    /// Short windows that had begun by this T are full.
    pub(super) fn full_until_ms(&self) -> Option<i64> {
        let from_disk = self.t0_ms.filter(|_| self.source == Source::Disk);
        self.lost_ms.max(self.gone_ms).max(from_disk)
    }

    /// Windows that had begun by this T are full, none if nothing was lost with all its holders (L6); the view of this
    /// epoch was the last that began without. Gives whether that is less than before: something was found again, or an
    /// operator gave it up.
    pub(super) fn gone(&mut self, gone_ms: Option<i64>, epoch: u64) -> bool {
        let is_less = gone_ms < self.gone_ms;
        self.gone_ms = gone_ms;
        self.gone_epoch = epoch;
        is_less
    }

    /// What was lost up to this T is known again as far as marks go (L6): nobody knows how much of short windows was
    /// granted.
    pub(super) fn found(&mut self, t0_ms: i64) {
        let lost_ms = self.lost_ms.max(Some(t0_ms));
        self.lost_ms = lost_ms;
        let window = |mark: &Mark| mark.window.spec.numbered(mark.window.number);
        self.marks.retain(|_, mark| !is_lost(lost_ms, window(mark)));
    }

    /// What a mark says of a key's window, once.
    pub(super) fn claim(&mut self, key: &CellKey, window: Window, lag_ms: i64) -> Option<Mark> {
        let mark = self.marks.get(key);
        mark.filter(|mark| self.counts(mark, window, lag_ms))?;
        self.marks.remove(key)
    }

    /// Whether a window is full because nobody is left who knows of it.
    pub(super) fn is_gone(&self, window: Window, lag_ms: i64) -> bool {
        self.counts_by(self.gone_ms, window, lag_ms)
    }

    /// Keeps a mark that was found. Gives whether nothing newer is known.
    pub(super) fn keep(&mut self, mark: &Mark) -> bool {
        let known = self.marks.get(&mark.cell);
        let is_newer = known.is_none_or(|known| known.stamp < mark.stamp);
        if is_newer {
            self.marks.insert(mark.cell.clone(), mark.clone());
        }
        is_newer
    }

    /// For another member.
    pub(super) fn image(&self) -> PastImage {
        PastImage {
            marks: self.marks.values().cloned().collect(),
            ..self.image_without_marks()
        }
    }

    /// The same without what may be large.
    pub(super) fn image_without_marks(&self) -> PastImage {
        PastImage {
            t0_ms: self.t0_ms,
            source: self.source,
            lost_ms: self.lost_ms,
            gone_ms: self.gone_ms,
            unfenced: self.unfenced,
            stopped: self.stopped,
            seam_ms: self.seam_ms,
            marks: Vec::new(),
        }
    }

    /// The marks of keys after this one, all without one.
    pub(super) fn marks_after(&self, key: Option<&CellKey>) -> impl Iterator<Item = &Mark> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let marks = self.marks.range::<CellKey, _>((from, Bound::Unbounded));
        marks.map(|(_, mark)| mark)
    }

    pub(super) fn from_image(image: PastImage) -> Self {
        let marks = image.marks.into_iter();
        Self {
            t0_ms: image.t0_ms,
            source: image.source,
            lost_ms: image.lost_ms,
            gone_ms: image.gone_ms,
            gone_epoch: u64::MAX,
            unfenced: image.unfenced,
            stopped: image.stopped,
            seam_ms: image.seam_ms,
            marks: marks.map(|mark| (mark.cell.clone(), mark)).collect(),
        }
    }

    /// The cell of a key at the start of its use in this window.
    pub(super) fn open(
        &mut self,
        key: &CellKey,
        window: Window,
        quota: Quota,
        lag_ms: i64,
    ) -> Cell {
        let cell = self.view(key, window, quota, lag_ms);
        if !cell.lost {
            // What counts of a mark is in it.
            let lag_ms = if quota.window.is_paned() { lag_ms } else { 0 };
            let _ = self.claim(key, window, lag_ms);
        }
        cell
    }

    /// The same, which stays unopened.
    pub(super) fn view(&self, key: &CellKey, window: Window, quota: Quota, lag_ms: i64) -> Cell {
        let mut cell = Cell::new(window, quota);
        cell.lag_ms = if quota.window.is_paned() { lag_ms } else { 0 };
        let lag_ms = cell.lag_ms;
        let mark = self.marks.get(key);
        let mark = mark.filter(|mark| self.counts(mark, window, lag_ms));
        let was_opened = mark.is_some_and(|mark| mark.stamp.epoch >= self.gone_epoch);
        if self.is_gone(window, lag_ms) && !was_opened {
            cell.lost = true;
        } else if let Some(mark) = mark {
            if mark.window == window.id {
                cell.found(mark);
                cell.lasts_beyond(self.seam_ms);
            } else {
                let marked = mark.window.spec.numbered(mark.window.number);
                cell.go_on_from_mark(marked, mark.used, self.seam_ms);
            }
        } else {
            // T went back over what was granted before (L10), or a crash did: nobody knows how much of it is used.
            cell.lost = self.is_ahead(key, window.id) || self.is_full(window, lag_ms);
        }
        cell
    }

    /// Whether a key has a mark of a later window of the same kind.
    pub(super) fn is_ahead(&self, key: &CellKey, window: WindowId) -> bool {
        self.marks.get(key).is_some_and(|mark| {
            mark.window.spec == window.spec && mark.window.number > window.number
        })
    }

    /// Whether a key has a mark in the window that holds `now_ms`; of one that slides, as long as it is kept.
    pub(super) fn knows(&self, key: &CellKey, now_ms: i64) -> bool {
        let counts = |mark: &Mark| mark.window.spec.is_paned() || now_ms < mark.end_ms;
        self.marks.get(key).is_some_and(counts)
    }

    /// An operator says that what is lost is to be forgotten (L6).
    pub(super) fn forget_lost(&mut self) {
        self.t0_ms = None;
        self.lost_ms = None;
        self.gone_ms = None;
    }

    /// Windows that ended need no marks. Those that slide go by the seam: T may have been lifted over them.
    pub(super) fn drop_ended(&mut self, now: Instant) {
        let seam_ms = self.seam_ms;
        self.marks.retain(|_, mark| {
            let spec = mark.window.spec;
            if spec.is_paned() {
                let over_ms = spec.span_ms().saturating_mul(2);
                seam_ms.is_none_or(|seam_ms| now.steady_ms < seam_ms.saturating_add(over_ms))
            } else {
                now.t_ms < mark.end_ms
            }
        });
    }

    /// T never lies before what was fenced (L10).
    pub(super) fn t0_ms(&self) -> Option<i64> {
        self.t0_ms
    }

    /// Marks that no cell has claimed, for the next clean stop.
    pub(super) fn unclaimed(&self) -> impl Iterator<Item = &Mark> {
        self.marks.values()
    }
}

/// Whether a window is a short one that had begun when counts were lost.
fn is_lost(lost_ms: Option<i64>, window: Window) -> bool {
    !window.id.spec.is_long() && lost_ms.is_some_and(|lost| window.counts_from_ms() <= lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{T, ask, key, ledger, policies, reset_of};
    use crate::ledger::{Ask, Effect, Input, Ledger, Stamp};
    use crate::policy::TimeUnit;
    use crate::window::WindowSpec;

    #[test]
    fn a_window_before_one_that_has_a_mark_is_full() {
        let minute = WindowSpec::new(TimeUnit::Min, 1);
        let marked = minute.numbered(100);
        let key = CellKey::new("t", "p", "k");
        let quota = Quota {
            limit: 5,
            window: minute,
        };
        let mark = Cell::new(marked, quota).mark_of(&key, 3);
        let mut past = Past::new(Recovery {
            marks: vec![mark],
            ..Recovery::founding(1)
        });
        assert!(past.open(&key, minute.numbered(99), quota, 0).lost);
        let other_kind = WindowSpec::new(TimeUnit::Sec, 1);
        assert!(!past.open(&key, other_kind.numbered(99), quota, 0).lost);
        let claimed = past.open(&key, marked, quota, 0);
        assert_eq!((claimed.lost, claimed.spent), (false, 3));
    }

    #[test]
    fn what_a_crash_lost_stays_lost_over_a_clean_stop_of_a_run_that_nobody_asked() {
        let (minute, hour) = (
            WindowSpec::new(TimeUnit::Min, 1),
            WindowSpec::new(TimeUnit::Hour, 1),
        );
        let (key, other) = (CellKey::new("t", "p", "k"), CellKey::new("t", "p", "other"));
        let window = minute.numbered(100);
        let quota = |window| Quota { limit: 5, window };
        // The mark of a clean stop before the crash.
        let mark = Cell::new(window, quota(minute)).mark_of(&key, 3);
        let mut past = Past::new(Recovery {
            t0_ms: Some(window.start_ms + 50_000),
            lost_ms: Some(window.start_ms + 40_000),
            marks: vec![mark],
            ..Recovery::founding(3)
        });
        assert!(past.open(&key, window, quota(minute), 0).lost);
        assert!(past.open(&other, window, quota(minute), 0).lost);
        assert!(!past.open(&key, minute.numbered(101), quota(minute), 0).lost);
        let long = hour.at(window.start_ms);
        assert!(!past.open(&other, long, quota(hour), 0).lost);
    }

    #[test]
    fn a_clean_stop_writes_what_the_disk_does_not_say_already() {
        let mut ledger = ledger(10_000, WindowSpec::new(TimeUnit::Day, 1));
        let mut asking = ask("g1", 0, 50);
        asking.window = None;
        let effects = ledger.step_alone(Input::Ask(asking.clone()), T);
        let stamp = effects.iter().find_map(|effect| match effect {
            Effect::Persist { stamp, .. } => Some(*stamp),
            _ => None,
        });
        assert_eq!(ledger.unsaved_marks(), ledger.final_marks());
        let stamp = stamp.expect("a mark");
        let told = ledger.step_alone(Input::Marked { stamp }, T);
        assert_eq!(ledger.unsaved_marks(), []);
        assert_eq!(ledger.final_marks().len(), 1);
        let window = told.iter().find_map(|effect| match effect {
            Effect::Reply(reply) => reply.window,
            _ => None,
        });
        // Some comes back: the mark says more than is used.
        let back = Ask {
            window: window.map(|window| window.id),
            have: 50,
            returned: 10,
            want: 0,
            ..asking
        };
        ledger.step_alone(Input::Ask(back), T);
        let unsaved = ledger.unsaved_marks();
        assert_eq!(unsaved.len(), 1);
        assert_eq!(unsaved[0].used, 40);
    }

    #[test]
    fn a_clean_stop_does_not_undo_a_reset() {
        let day = WindowSpec::new(TimeUnit::Day, 1);
        let marked = Mark {
            cell: key("a"),
            window: day.at(T).id,
            end_ms: day.at(T).end_ms,
            used: 50,
            stamp: Stamp { epoch: 1, seq: 9 },
            forgiven: 0,
        };
        let recovery = Recovery {
            marks: vec![marked],
            ..Recovery::founding(2)
        };
        let mut ledger = Ledger::new(3, recovery, policies(1, 100, day));
        // Somebody asks, and nobody has told of what the mark stands for when it is reset.
        let mut asking = ask("g1", 0, 0);
        asking.window = None;
        ledger.step_alone(Input::Ask(asking), T);
        assert_eq!(ledger.final_marks()[0].used, 50);
        ledger.step_alone(reset_of(key("a")), T);
        // The disk still says 50.
        let unsaved = ledger.unsaved_marks();
        assert_eq!(unsaved.len(), 1);
        assert_eq!(unsaved[0].used, 0);
    }
}
