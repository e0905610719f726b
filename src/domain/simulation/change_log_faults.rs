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
            self.truth.seen.restores += 1;
            self.database.restore();
        }
        self.queue.at(self.now_ms + 1_000, Event::Second);
    }

    fn hold_up(&mut self, follower: usize) {
        let until_ms = self.now_ms + self.rng.between(100, 6_000);
        if self.rng.chance(self.plan.pauses) {
            self.followers[follower].paused_until_ms = until_ms;
        }
        if self.rng.chance(self.plan.cuts) {
            let way = self.rng.index(3);
            let at = &mut self.followers[follower];
            if way != 0 {
                at.deaf_until_ms = until_ms;
            }
            if way != 1 {
                at.mute_until_ms = until_ms;
            }
        }
    }

    /// The event, if it happens now: whoever stands still meets it later, over a link that is cut it never comes.
    pub(super) fn let_through(&mut self, event: Event) -> Option<Event> {
        let (follower, is_cut) = match &event {
            Event::ToFollower { follower, .. } | Event::Chunk { follower, .. } => (
                *follower,
                self.now_ms < self.followers[*follower].deaf_until_ms,
            ),
            Event::Pull { follower, .. }
            | Event::PullSnapshot { follower, .. }
            | Event::ChunksHere { follower, .. } => {
                let mute_until_ms = self.followers[*follower].mute_until_ms;
                return (self.now_ms >= mute_until_ms).then_some(event);
            }
            Event::FollowerTick { follower } | Event::Written { follower, .. } => {
                (*follower, false)
            }
            _ => return Some(event),
        };
        let paused_until_ms = self.followers[follower].paused_until_ms;
        if is_cut {
            return None;
        }
        if self.now_ms < paused_until_ms {
            self.queue.at(paused_until_ms, event);
            return None;
        }
        Some(event)
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
