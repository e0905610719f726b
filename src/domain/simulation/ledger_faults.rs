//! What goes wrong in a ledger's world, once a second by chance: gateways crash, clocks step back, limits change, the
//! owner dies.

use std::sync::Arc;

use super::Planted;
use super::ledger_world::{Event, TENANT, World, policy};
use crate::lease::Book;
use crate::ledger::{Ask, Input, Ledger, Quota, Recovery, Source};

// === impl World ===

impl World {
    pub(super) fn second(&mut self) {
        if self.is_clustered() && !self.may_go_wrong() {
            return self.next_second();
        }
        for gateway in 0..self.plan.gateways {
            if self.rng.chance(self.plan.gateway_crashes) {
                self.crash_gateway(gateway);
            }
        }
        if self.rng.chance(self.plan.clock_steps_back) {
            self.t_step_ms += self.rng.between(1, 3_000);
        }
        if self.rng.chance(self.plan.limit_changes) {
            self.change_limit();
        }
        if self.is_clustered() {
            self.node_faults();
            self.node_changes();
            self.stir();
        } else if self.rng.chance(self.plan.owner_restarts) {
            self.restart_owner();
        }
        self.next_second();
    }

    fn next_second(&mut self) {
        let pause_ms = self.plan.cluster.faults_ms.max(1_000);
        self.queue.at(self.now_ms + pause_ms, Event::Second);
    }

    fn crash_gateway(&mut self, gateway: usize) {
        let at = &mut self.gateways[gateway];
        if self.plan.planted != Some(Planted::ReuseIncarnation) {
            at.life += 1;
        }
        at.leases = 0;
        at.waiting.clear();
        at.sent.clear();
        let dead = std::mem::take(&mut at.books);
        if self.plan.planted != Some(Planted::RefundDeadGateway) {
            return;
        }
        if self.is_clustered() {
            for book in dead.into_values() {
                if let Some(window) = book.granted().0 {
                    self.refund(book_report(&book, window));
                }
            }
            return;
        }
        for book in dead.into_values() {
            let image = self.owner.image(book.cell());
            let count = image.as_ref().and_then(|image| {
                image
                    .holders
                    .iter()
                    .find(|(node, _)| *node == book.holder().node)
            });
            if let (Some((_, count)), Some(image)) = (count, &image) {
                let mut refund = book_report(&book, image.window.id);
                refund.have = count.granted;
                refund.returned = count.granted;
                self.owner(Input::Ask(refund));
            }
        }
    }

    fn change_limit(&mut self) {
        let key = self.rng.index(self.plan.keys.len());
        let (first, window) = self.plan.keys[key];
        let limit = u64::try_from(self.rng.between(1, i64::try_from(first).unwrap() * 2)).unwrap();
        self.policies
            .set(TENANT, &policy(key), Quota { limit, window });
        if self.is_clustered() {
            self.policies.applied += 1;
            let number = self.policies.applied;
            self.truth.limit_since(key, limit, number);
            return self.publish();
        }
        self.truth.limit(key, limit);
        let policies = Arc::new(self.policies.clone());
        self.owner(Input::Policies(policies));
    }

    /// The owner dies with all it knew, and comes back with its disk.
    fn restart_owner(&mut self) {
        self.epoch += 1;
        let forgets = self.plan.planted == Some(Planted::RestartForgets);
        let recovery = Recovery {
            epoch: self.epoch,
            // Every T it has ever used lies behind it (L10).
            t0_ms: if forgets {
                None
            } else {
                Some(self.truth.highest_t(self.t_ms()))
            },
            lost_ms: None,
            source: Source::Disk,
            marks: self.disk.clone(),
        };
        self.owner = Ledger::new(64, recovery, Arc::new(self.policies.clone()));
        self.owner.planted = self.plan.planted;
    }
}

fn book_report(book: &Book, window: crate::window::WindowId) -> Ask {
    Ask {
        holder: book.holder().clone(),
        cell: book.cell().clone(),
        policies: 1,
        epoch: 0,
        asked_at_ms: 0,
        window: Some(window),
        have: 0,
        returned: 0,
        want: 0,
        emptied: true,
        due: 0,
    }
}
