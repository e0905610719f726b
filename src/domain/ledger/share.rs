//! A ledger as one of several that may own its shard (PROTOCOLS L2 to L5): what it gives to others, what it takes from
//! them, and when it grants.

use serde::{Deserialize, Serialize};

use super::answers::Answers;
use super::cell::{Cell, CellImage, Mark};
use super::message::{CellKey, Stamp};
use super::owner::Ledger;
use super::recovery::{Past, PastImage};
use super::steady::CountsUntil;

/// All that is known of a shard, as it travels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardImage {
    /// T, which never goes back.
    pub t_ms: i64,
    /// The steady time, by which windows that slide count (L10).
    pub steady_ms: i64,
    /// The cells.
    pub cells: Vec<CellImage>,
    /// What is known of windows that no cell counts.
    pub past: PastImage,
}

/// Where a part of a [`ShardImage`] begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cursor {
    /// With the first of all.
    #[default]
    Begin,
    /// After this cell.
    Cell(CellKey),
    /// After this key's mark.
    Mark(CellKey),
}

// === impl ShardImage ===

impl ShardImage {
    /// Takes in the next part of what another member has.
    pub fn append(&mut self, part: Self) {
        let mut marks = std::mem::take(&mut self.past.marks);
        self.t_ms = self.t_ms.max(part.t_ms);
        self.steady_ms = part.steady_ms;
        self.cells.extend(part.cells);
        marks.extend(part.past.marks);
        self.past = PastImage { marks, ..part.past };
    }

    /// What it says of long windows, as marks (L5).
    pub fn long_marks(&self) -> Vec<Mark> {
        let past = Past::from_image(PastImage {
            marks: Vec::new(),
            ..self.past
        });
        let is_gone = |window, lag_ms| past.is_gone(window, lag_ms);
        let cells = self.cells.iter();
        let cells: Vec<Mark> = cells.filter_map(|cell| cell.long_mark(is_gone)).collect();
        let marks = self.past.marks.iter();
        let marks = marks.filter(|mark| mark.window.spec.is_long()).cloned();
        marks.chain(cells).collect()
    }

    /// About so many bytes as it travels.
    pub fn weight(&self) -> usize {
        let cells = self.cells.iter().map(CellImage::weight);
        let marks = self.past.marks.iter().map(|mark| mark.cell.weight() + 48);
        cells.chain(marks).sum()
    }
}

// === impl Ledger ===

impl Ledger {
    /// Nothing is granted in this epoch so far, and what was not released before is never released: whoever asked
    /// asks the owner of the new view (L3).
    pub fn stand_by(&mut self, epoch: u64) {
        self.active = false;
        self.standby = false;
        if epoch > self.stamp.epoch {
            self.stamp = Stamp { epoch, seq: 0 };
        }
        self.held.clear();
        self.rounds.clear();
        self.cells.end_rounds();
        self.answers = Answers::default();
    }

    /// This owner grants from now on; all that is older than the view is where it has to be (L4).
    pub fn activate(&mut self, epoch: u64, has_standby: bool) {
        self.stamp = self.stamp.max(Stamp { epoch, seq: 0 });
        self.replicated = self.replicated.max(self.stamp);
        // Whoever becomes the owner has all its marks on disk, by whatever stamps they were asked for.
        self.marked = self.marked.max(self.stamp);
        self.active = true;
        self.standby = has_standby;
    }

    /// The view of this epoch goes on from what a disk had (L5): from its marks, for windows that had begun by the T
    /// that was fenced before it.
    /// The last view in which grants were given is `settled`: a stop in order says something only if it was in that.
    pub fn goes_on_from_disk(&mut self, epoch: u64, settled: u64) {
        self.past.goes_on_from_disk(epoch, settled);
        if self.cells.len() == 0 {
            self.begins_anew();
        }
    }

    /// The view of this epoch goes on from nothing (L6).
    pub fn goes_on_from_nothing(&mut self, epoch: u64) {
        self.take(ShardImage::default());
        self.past.goes_on_from_nothing(epoch);
        self.begins_anew();
    }

    /// Its marks were written by a stop in order in the view of this epoch.
    pub fn stopped_in(&mut self, epoch: u64) {
        self.past.stopped_in(epoch);
    }

    /// The view of this epoch became active, with this T fenced before it. Says nothing to a shard that did not go on
    /// from a disk in it.
    pub fn fence(&mut self, epoch: u64, t0_ms: Option<i64>) {
        if self.past.fence(epoch, t0_ms) {
            self.lift(t0_ms);
            self.is_sewn();
        }
    }

    /// Windows that had begun by this T are full, for nobody knows what was granted of them; none when nothing is
    /// lost, or given up (L6). The view of this epoch was the last that had to begin without: what an operator has opened
    /// since stays open.
    pub fn gone(&mut self, gone_ms: Option<i64>, epoch: u64) {
        self.lift(gone_ms);
        if !self.past.gone(gone_ms, epoch) {
            return;
        }
        for key in self.cells.keys(|cell| cell.lost) {
            let Some(mut cell) = self.cells.get(&key) else {
                continue;
            };
            // It may be lost for another reason as well.
            cell.lost = self.past.is_full(cell.window, cell.lag_ms)
                || self.past.is_ahead(&key, cell.window.id);
            if !cell.lost {
                if let Some(mark) = self.past.claim(&key, cell.window, cell.lag_ms) {
                    cell.found(&mark);
                }
                self.cells.put(&key, cell);
                self.freed.push(key);
            }
        }
    }

    /// What was lost up to this T is found again with these marks of who had it (L6): they count as spent in windows
    /// that are full now, once [`Self::gone`] says that those are not any more. Gives those that have to be on disk
    /// before anybody relies on this copy (L5).
    pub fn find(&mut self, t0_ms: i64, marks: Vec<Mark>) -> Vec<Mark> {
        #[cfg(test)]
        let t0_ms = match self.planted {
            Some(crate::simulation::Planted::FoundWithoutShortWindows) => i64::MIN,
            _ => t0_ms,
        };
        self.past.found(t0_ms);
        let mut due = Vec::new();
        for mark in marks {
            // Also of what had begun later: an administrator may have begun to count anew meanwhile.
            let is_over = !mark.window.spec.is_paned() && mark.end_ms <= self.t_ms;
            if !mark.window.spec.is_long() || is_over {
                continue;
            }
            let cell = self.cells.get(&mark.cell);
            let is_known = cell.is_some_and(|cell| cell.window.id == mark.window && !cell.lost);
            // A cell that is full has it when it is full no more: another loss may be open, and this view may fail.
            if !is_known && self.past.keep(&mark) {
                due.push(mark);
            }
        }
        due
    }

    /// T: at least this, so that windows which are full are not waited for longer than they last (L10).
    pub fn lift(&mut self, t_ms: Option<i64>) {
        self.t_ms = t_ms.map_or(self.t_ms, |t_ms| self.t_ms.max(t_ms));
    }

    /// The T that this shard has come to.
    pub fn t_ms(&self) -> i64 {
        self.t_ms
    }

    /// Short windows that had begun by this T are full, whatever marks say; none where all is known.
    pub fn full_until_ms(&self) -> Option<i64> {
        self.past.full_until_ms()
    }

    /// A stamp for what is done in this epoch.
    pub fn next_stamp(&mut self) -> Stamp {
        self.stamp.seq += 1;
        self.stamp
    }

    /// Everything, for another member.
    pub fn shard_image(&self) -> ShardImage {
        ShardImage {
            t_ms: self.t_ms,
            steady_ms: self.steady_ms(),
            cells: self.images(),
            past: self.past.image(),
        }
    }

    /// A part of everything that is about so many bytes, and where the next one begins; none after the last.
    pub fn part(&self, from: &Cursor, most: usize) -> (ShardImage, Option<Cursor>) {
        let mut part = ShardImage {
            t_ms: self.t_ms,
            steady_ms: self.steady_ms(),
            cells: Vec::new(),
            past: self.past.image_without_marks(),
        };
        let mut weight = 0;
        let after = match from {
            Cursor::Begin => Some(None),
            Cursor::Cell(key) => Some(Some(key)),
            Cursor::Mark(_) => None,
        };
        if let Some(after) = after {
            for (key, cell) in self.cells.after(after) {
                let image = cell.image(&key);
                weight += image.weight();
                part.cells.push(image);
                if weight >= most {
                    return (part, Some(Cursor::Cell(key)));
                }
            }
        }
        let after = match from {
            Cursor::Mark(key) => Some(key),
            _ => None,
        };
        for mark in self.past.marks_after(after) {
            weight += mark.cell.weight() + 48;
            part.past.marks.push(mark.clone());
            if weight >= most {
                return (part, Some(Cursor::Mark(mark.cell.clone())));
            }
        }
        (part, None)
    }

    /// Begins anew with what another member has. Gives the marks that have to be on disk before anybody relies on
    /// this copy (L5).
    pub fn take(&mut self, image: ShardImage) -> Vec<Mark> {
        self.cells.clear();
        self.rounds.clear();
        self.held.clear();
        self.freed.clear();
        self.t_ms = self.t_ms.max(image.t_ms);
        self.keeps_pace(image.steady_ms, image.past.seam_ms);
        let mut marks = image.past.marks.clone();
        self.past = Past::from_image(image.past);
        marks.extend(self.adopt(image.cells));
        marks
    }

    /// Keeps these cells where they are newer. Gives the marks that have to be on disk before anybody relies on it.
    pub fn adopt(&mut self, images: Vec<CellImage>) -> Vec<Mark> {
        let mut marks = Vec::new();
        for image in images {
            let known = self.cells.get(&image.cell);
            let newer = known.as_ref().is_none_or(|cell| cell.stamp < image.stamp);
            #[cfg(test)]
            let newer =
                newer || self.planted == Some(crate::simulation::Planted::OlderReplacesNewer);
            if !newer {
                continue;
            }
            let marked = known.filter(|cell| cell.window == image.window);
            // Of a window that it has nothing of the disk may say more, or nothing, where an operator has opened it.
            let gave_back = (marked.as_ref()).is_none_or(|cell| cell.was_given_back(&image));
            let mark = marked.map_or(0, |cell| cell.mark);
            let until = CountsUntil::of(image.window, image.lag_ms);
            let key = image.cell.clone();
            #[cfg(test)]
            let image = match self.planted {
                Some(crate::simulation::Planted::CopiesForgiveWhatIsCovered) => {
                    image.with_covered_forgiven()
                }
                _ => image,
            };
            self.close(&key);
            let mut cell = Cell::from_image(image);
            cell.mark = mark;
            // Also of a window that is over by this node's T: its clock may be set right before the next start.
            marks.extend(cell.due_mark(&key, gave_back));
            if !until.is_over(self.instant()) {
                self.cells.put(&key, cell);
            }
        }
        marks
    }
}
