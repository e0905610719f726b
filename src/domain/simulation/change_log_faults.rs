//! What goes wrong in a change log's world, once a second by chance: followers crash, the tail is pruned, a backup is
//! restored.

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
        }
        if self.rng.chance(self.plan.prunes) {
            let keep = 1 + self.rng.index(30);
            self.database.stored.prune(keep);
        }
        if self.rng.chance(self.plan.backups) {
            self.database.back_up();
        }
        if self.rng.chance(self.plan.restores) {
            self.truth.seen.restores += 1;
            self.database.restore();
        }
        self.queue.at(self.now_ms + 1_000, Event::Second);
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
        self.truth.seen.restarts += 1;
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
