//! An operator of the world of the hold, who says that a founder never runs again, rightly or not, as `Orders` takes it.

use super::Planted;
use super::hold_world::{AGAIN_MS, World};
use crate::view::{Watch, Word, unsaid_ms};

/// An operator who is about to give a founder up.
#[derive(Debug)]
pub(super) struct Operator {
    id: String,
    watch: Option<Watch>,
}

fn disk_of(id: &str) -> u64 {
    id[1..].parse().unwrap()
}

// === impl World ===

impl World {
    /// Whether the node of this disk runs, and whether it can say so.
    fn is_there(&self, disk: u64) -> (bool, bool) {
        let of = self.nodes.iter().position(|node| node.disk.number == disk);
        let runs = |node: usize| self.nodes[node].life.is_some();
        of.map_or((false, false), |node| {
            (runs(node), self.reaches_the_row(node))
        })
    }

    pub(super) fn operator_orders(&mut self) {
        let id = self.row.node.clone();
        if self.row.generation > 0 && id.starts_with('n') {
            self.operator = Some(Operator { id, watch: None });
        }
    }

    /// As `Orders` does, twice a second.
    pub(super) fn operator_looks(&mut self) {
        if self.now_ms % AGAIN_MS != 0 {
            return;
        }
        let Some(Operator { id, watch }) = &mut self.operator else {
            return;
        };
        let now_ms = self.now_ms;
        let (renewals, hold_ms) = (self.row.renewals, self.row.hold_ms);
        let for_ms = unsaid_ms(hold_ms).saturating_add(AGAIN_MS);
        let watch = watch.get_or_insert_with(|| Watch::new(renewals, now_ms));
        let is_refused = watch.sees(renewals, now_ms);
        let mut watched = watch.silent_for(for_ms, now_ms);
        if self.plan.planted == Some(Planted::WordIsTakenUnwatched) {
            watched = Some(renewals);
        }
        let disk = disk_of(id);
        let was_given_up = self.row.is_given_up;
        let word = match is_refused && watched.is_none() {
            true => None,
            false => Some(self.row.give_up(id, watched)),
        };
        match word {
            None => self.truth.seen.once("refused"),
            Some(Word::Watch { .. }) => return,
            Some(Word::NotFounder) => {}
            Some(Word::Taken) if was_given_up => {}
            Some(Word::Taken) => {
                let there = self.is_there(disk);
                self.truth.given_up(disk, there, (now_ms, hold_ms));
            }
        }
        self.operator = None;
    }
}
