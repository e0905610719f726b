//! A ledger as one of several that may own its shard (PROTOCOLS L2 to L5): what it gives to others, what it takes from
//! them, and when it grants.

use serde::{Deserialize, Serialize};

use super::cell::{Cell, CellImage, Mark};
use super::message::Stamp;
use super::owner::Ledger;
use super::recovery::{Past, PastImage};

/// All that is known of a shard, as it travels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardImage {
    /// T, which never goes back.
    pub t_ms: i64,
    /// The cells.
    pub cells: Vec<CellImage>,
    /// What is known of windows that no cell counts.
    pub past: PastImage,
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
        for cell in self.cells.values_mut() {
            cell.round = None;
        }
    }

    /// This owner grants from now on; all that is older than the view is where it has to be (L4).
    pub fn activate(&mut self, epoch: u64, has_standby: bool) {
        self.stamp = self.stamp.max(Stamp { epoch, seq: 0 });
        self.replicated = self.replicated.max(self.stamp);
        self.active = true;
        self.standby = has_standby;
    }

    /// The view of this epoch goes on from what a disk had (L5): from its marks, for windows that had begun by the T
    /// that was fenced before it.
    /// The last view in which grants were given is `settled`: a stop in order says something only if it was in that.
    pub fn goes_on_from_disk(&mut self, epoch: u64, settled: u64) {
        self.past.goes_on_from_disk(epoch, settled);
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
        }
    }

    /// Windows that had begun by this T are full, for nobody knows what was granted of them; none when nothing is
    /// lost, or given up (L6).
    pub fn gone(&mut self, gone_ms: Option<i64>) {
        self.lift(gone_ms);
        if self.past.gone(gone_ms) {
            for cell in self.cells.values_mut().filter(|cell| cell.lost) {
                // It may be lost for another reason as well.
                cell.lost = self.past.is_full(cell.window);
            }
        }
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
            cells: self.images(),
            past: self.past.image(),
        }
    }

    /// Begins anew with what another member has. Gives the marks that have to be on disk before anybody relies on
    /// this copy (L5).
    pub fn take(&mut self, image: ShardImage) -> Vec<Mark> {
        self.cells.clear();
        self.ends.clear();
        self.rounds.clear();
        self.held.clear();
        self.t_ms = self.t_ms.max(image.t_ms);
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
            let newer = known.is_none_or(|cell| cell.stamp < image.stamp);
            #[cfg(test)]
            let newer =
                newer || self.planted == Some(crate::simulation::Planted::OlderReplacesNewer);
            if !newer {
                continue;
            }
            let marked = known.filter(|cell| cell.window == image.window);
            let mark = marked.map_or(0, |cell| cell.mark);
            let (key, end_ms) = (image.cell.clone(), image.window.end_ms);
            self.close(&key);
            let mut cell = Cell::from_image(image);
            cell.mark = mark;
            // Also of a window that is over by this node's T: its clock may be set right before the next start.
            marks.extend(cell.due_mark(&key));
            if self.t_ms < end_ms {
                self.ends.insert((end_ms, key.clone()));
                self.cells.insert(key, cell);
            }
        }
        marks
    }
}
