//! What goes wrong in a change log's world, once a second by chance: followers crash, stand still, are cut off one way
//! or both, the tail is pruned, a backup is restored.

use super::Planted;
use super::change_log_world::{Event, World, machine};
use super::kernel::Network;

/// Nothing overtakes anything, as on one connection: chunks that do are sent again only after a while.
const IN_ORDER: Network = Network {
    usual_ms: 1,
    slow_ms: 1,
    ..Network::GOOD
};

// === impl World ===

impl World {
    pub(super) fn second(&mut self) {
        if self.is_calm() {
            self.network = IN_ORDER;
            return;
        }
        for follower in 0..self.plan.followers {
            if self.rng.chance(self.plan.crashes) {
                self.crash(follower);
            }
            self.hold_up(follower);
        }
        if self.rng.chance(self.plan.prunes) {
            let keep = 1 + self.rng.index(30);
            self.database.stored.prune(keep);
        }
        if self.rng.chance(self.plan.backups) {
            self.database.back_up();
        }
        if self.rng.chance(self.plan.restores) {
            self.truth.seen.once("restores");
            self.database.restore();
        }
        self.queue.at(self.now_ms + 1_000, Event::Second);
    }

    fn hold_up(&mut self, follower: usize) {
        let until_ms = self.now_ms + self.rng.between(100, 6_000);
        let plight = &mut self.followers[follower].plight;
        if self.rng.chance(self.plan.pauses) {
            plight.stand_still(self.now_ms, until_ms);
        }
        if self.rng.chance(self.plan.cuts) {
            plight.cut_off(until_ms, &mut self.rng);
        }
    }

    /// The event, if it happens now: whoever stands still meets it later, over a link that is cut it never comes.
    pub(super) fn let_through(&mut self, event: Event) -> Option<Event> {
        let (follower, is_cut) = match &event {
            Event::ToFollower { follower, .. } | Event::Chunk { follower, .. } => (
                *follower,
                self.followers[*follower].plight.is_deaf(self.now_ms),
            ),
            Event::Pull { follower, .. }
            | Event::PullSnapshot { follower, .. }
            | Event::ChunksHere { follower, .. } => {
                let is_cut = self.followers[*follower].plight.is_mute(self.now_ms);
                return (!is_cut).then_some(event);
            }
            Event::FollowerTick { follower } | Event::Written { follower, .. } => {
                (*follower, false)
            }
            _ => return Some(event),
        };
        if is_cut {
            return None;
        }
        match self.followers[follower].plight.paused_until(self.now_ms) {
            Some(until_ms) => {
                self.queue.at(until_ms, event);
                None
            }
            None => Some(event),
        }
    }

    /// All that was not on the disk is lost; what was on its way there may have arrived.
    fn crash(&mut self, follower: usize) {
        let at = &mut self.followers[follower];
        let Some(machine) = at.machine.take() else {
            return;
        };
        at.was_at = machine.applied().clone();
        at.life += 1;
        if let Some(written) = at.writing.take()
            && self.rng.chance(500)
        {
            at.disk = written;
        }
        at.queued.clear();
        let up_ms = self.now_ms + self.rng.between(1, 2_000);
        self.queue.at(up_ms, Event::Restart { follower });
    }

    pub(super) fn restart(&mut self, follower: usize) {
        self.truth.seen.once("restarts");
        let at = &mut self.followers[follower];
        let (mut position, rows) = at.disk.clone();
        if self.plan.planted == Some(Planted::ResumeUnpersisted) {
            position.clone_from(&at.was_at);
        }
        at.rows = rows;
        at.seen = at.disk.0.clone();
        at.aside.clear();
        at.machine = Some(machine(position, at.life, &self.plan));
    }
}
