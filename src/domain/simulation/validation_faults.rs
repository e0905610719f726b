//! Changes and how gateways follow them, and what goes wrong once a second by chance: validators restart, a backup is
//! restored.

use super::kernel::Network;
use super::validation_history::Place;
use super::validation_world::{Event, World, machine};
use crate::validation_cache::Input;

// === impl World ===

impl World {
    pub(super) fn change(&mut self) {
        if self.is_calm() {
            return;
        }
        let subject = self.rng.index(1_000);
        self.history.commit(subject);
        let next_ms = self.now_ms + self.rng.between(1, self.plan.change_pace_ms * 2 - 1);
        self.queue.at(next_ms, Event::Change);
    }

    /// Applies what comes next, or takes a snapshot where that cannot be; then acknowledges.
    pub(super) fn follow(&mut self, gateway: usize) {
        let followed = self.history.followed(self.gateways[gateway].applied);
        match followed {
            Some(at) if !self.rng.chance(self.plan.snapshots) => self.apply(gateway, at),
            _ => self.install(gateway),
        }
        let at = self.gateways[gateway].applied;
        let acknowledged_ms = self.now_ms + self.rng.between(0, 20);
        self.queue
            .at(acknowledged_ms, Event::Acknowledged { gateway, at });
        // Beyond the acknowledgement of this look.
        let next_ms = self.now_ms + 20 + self.rng.between(1, self.plan.follow_pace_ms * 2);
        self.queue.at(next_ms, Event::Follow { gateway });
    }

    fn apply(&mut self, gateway: usize, mut at: Place) {
        for _ in 0..self.rng.between(0, self.plan.most) {
            let Some(subject) = self.history.next(at) else {
                break;
            };
            at.n += 1;
            let floor = self.gateways[gateway].machine.touches().floor();
            let applied = Input::Applied {
                n: u64::try_from(at.n).unwrap(),
                subjects: vec![subject],
            };
            self.step(gateway, applied);
            if self.gateways[gateway].machine.touches().floor() > floor {
                self.truth.seen.forgotten += 1;
            }
        }
        self.gateways[gateway].applied = at;
    }

    fn install(&mut self, gateway: usize) {
        let at = self.history.head();
        self.truth.seen.installed += 1;
        let n = u64::try_from(at.n).unwrap();
        self.step(gateway, Input::Installed { n });
        let gateway = &mut self.gateways[gateway];
        gateway.cache.clear();
        gateway.applied = at;
    }

    pub(super) fn second(&mut self) {
        if self.is_calm() {
            self.network = Network::GOOD;
            return;
        }
        for gateway in 0..self.plan.gateways {
            if self.rng.chance(self.plan.restarts) {
                self.restart(gateway);
            }
        }
        if self.rng.chance(self.plan.backups) {
            self.history.back_up();
        }
        if self.rng.chance(self.plan.restores) {
            self.truth.seen.restores += 1;
            self.history.restore();
        }
        self.queue.at(self.now_ms + 1_000, Event::Second);
    }

    /// The validator begins anew; who follows the log for it does not.
    fn restart(&mut self, gateway: usize) {
        self.truth.seen.restarts += 1;
        self.truth.restarted(gateway);
        let planted = self.plan.planted;
        let gateway = &mut self.gateways[gateway];
        gateway.life += 1;
        gateway.cache.clear();
        gateway.machine = machine(gateway.applied.n, gateway.life, planted);
    }
}
