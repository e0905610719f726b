//! Changes and how gateways follow them, and what goes wrong once a second by chance: validators restart, gateways stand
//! still, links are cut, one way or both or to the log alone, a backup is restored.

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
        // Beyond the acknowledgement of this look.
        let next_ms = self.now_ms + 20 + self.rng.between(1, self.plan.follow_pace_ms * 2);
        self.queue.at(next_ms, Event::Follow { gateway });
        let follower = &self.gateways[gateway];
        let is_untold = self.now_ms < follower.untold_until_ms;
        if is_untold || follower.plight.is_cut_off(self.now_ms) {
            return;
        }
        match self.history.followed(follower.applied) {
            Some(at) if !self.rng.chance(self.plan.snapshots) => self.apply(gateway, at),
            _ => self.install(gateway),
        }
        let at = self.gateways[gateway].applied;
        let acknowledged_ms = self.now_ms + self.rng.between(0, 20);
        self.queue
            .at(acknowledged_ms, Event::Acknowledged { gateway, at });
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
                self.truth.seen.once("forgotten");
            }
        }
        self.gateways[gateway].applied = at;
    }

    fn install(&mut self, gateway: usize) {
        let at = self.history.head();
        self.truth.seen.once("installed");
        let n = u64::try_from(at.n).unwrap();
        self.step(gateway, Input::Installed { n });
        let gateway = &mut self.gateways[gateway];
        gateway.cache.clear();
        gateway.applied = at;
    }

    pub(super) fn second(&mut self) {
        if self.is_calm() {
            self.network = Network::GOOD;
            for gateway in &mut self.gateways {
                gateway.plight.relieve();
                gateway.untold_until_ms = 0;
            }
            return;
        }
        for gateway in 0..self.plan.gateways {
            if self.rng.chance(self.plan.restarts) {
                self.restart(gateway);
            }
            self.hold_up(gateway);
        }
        if self.rng.chance(self.plan.backups) {
            self.history.back_up();
        }
        if self.rng.chance(self.plan.restores) {
            self.truth.seen.once("restores");
            self.history.restore();
        }
        self.queue.at(self.now_ms + 1_000, Event::Second);
    }

    fn hold_up(&mut self, gateway: usize) {
        let at = &mut self.gateways[gateway];
        if self.rng.chance(self.plan.pauses) {
            self.truth.seen.once("pauses");
            let until_ms = self.now_ms + self.rng.between(100, 5_000);
            at.plight.stand_still(self.now_ms, until_ms);
        }
        if self.rng.chance(self.plan.cuts) {
            self.truth.seen.once("cuts");
            let until_ms = self.now_ms + self.rng.between(500, 10_000);
            at.plight.cut_off(until_ms, &mut self.rng);
        }
        if self.rng.chance(self.plan.untold) {
            at.untold_until_ms = self.now_ms + self.rng.between(500, 10_000);
        }
    }

    /// The event, if it happens now: whoever stands still meets it later, over a link that is cut it never comes.
    pub(super) fn let_through(&mut self, event: Event) -> Option<Event> {
        let gateway = match &event {
            Event::Question { gateway, .. } => {
                let is_cut = self.gateways[*gateway].plight.is_mute(self.now_ms);
                return (!is_cut).then_some(event);
            }
            Event::ToGateway { gateway, .. } => {
                if self.gateways[*gateway].plight.is_deaf(self.now_ms) {
                    return None;
                }
                *gateway
            }
            Event::Ask { request } | Event::Wake { request, .. } => {
                self.truth.request(*request)?.gateway
            }
            Event::Request { gateway }
            | Event::Inserted { gateway, .. }
            | Event::Follow { gateway }
            | Event::Acknowledged { gateway, .. }
            | Event::GatewayTick { gateway } => *gateway,
            Event::HeadAfter { .. } | Event::Change | Event::Second => return Some(event),
        };
        match self.gateways[gateway].plight.paused_until(self.now_ms) {
            Some(until_ms) => {
                self.queue.at(until_ms, event);
                None
            }
            None => Some(event),
        }
    }

    /// The validator begins anew; who follows the log for it does not.
    fn restart(&mut self, gateway: usize) {
        self.truth.seen.once("restarts");
        self.truth.restarted(gateway);
        let planted = self.plan.planted;
        let gateway = &mut self.gateways[gateway];
        gateway.life += 1;
        gateway.cache.clear();
        gateway.machine = machine(gateway.applied.n, gateway.life, planted);
    }
}
