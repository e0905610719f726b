//! What goes wrong in a streams world, once a second by chance: key managers fall silent, gateways crash, stand still, are
//! cut off one way or both.

use super::stream_world::{At, Event, World};

// === impl World ===

impl World {
    pub(super) fn second(&mut self) {
        if self.is_calm() {
            return;
        }
        if self.rng.chance(self.plan.silences) {
            self.silent_until_ms = self.now_ms + self.rng.between(1_000, 15_000);
        }
        for gateway in 0..self.gateways.len() {
            self.hold_up(gateway);
            if self.rng.chance(self.plan.crashes) {
                let read = self.gateways[gateway].crash();
                self.truth.seen.times("read_back", read as u64);
                let position = self.gateways[gateway].disk.position;
                self.truth.restarted(gateway, position, self.now_ms);
                self.begins(gateway);
            }
        }
        self.queue.at(self.now_ms + 1_000, Event::Second);
    }

    fn hold_up(&mut self, gateway: usize) {
        let (now_ms, plan) = (self.now_ms, &self.plan);
        let plight = &mut self.gateways[gateway].plight;
        if self.rng.chance(plan.cuts) {
            plight.cut_both_ways(now_ms + self.rng.between(500, 15_000));
        }
        if self.rng.chance(plan.one_way_cuts) {
            self.truth.seen.once("one_way_cuts");
            let until_ms = now_ms + self.rng.between(500, 15_000);
            plight.cut_one_way(until_ms, &mut self.rng);
        }
        if self.rng.chance(plan.stops) {
            self.truth.seen.once("stops");
            let until_ms = now_ms + self.rng.between(100, 9_000);
            plight.stand_still(now_ms, until_ms);
            self.truth.stands_still(gateway, now_ms, until_ms);
        }
    }

    /// The event, if it happens now: whoever stands still meets it later, over a link that is cut it never comes.
    pub(super) fn let_through(&mut self, event: Event) -> Option<Event> {
        let now_ms = self.now_ms;
        let gateway = match &event {
            Event::At(gateway, ..) | Event::Follow(gateway) => &self.gateways[*gateway],
            _ => return Some(event),
        };
        let (deaf, mute) = (
            gateway.plight.is_deaf(now_ms),
            gateway.plight.is_mute(now_ms),
        );
        if let Event::At(of, life, at) = &event {
            if *life != gateway.life {
                return None;
            }
            match at {
                At::Question(token, asked) if mute => {
                    self.fails(*of, *token, *asked);
                    return None;
                }
                At::Answered(token, asked, _) if deaf => {
                    self.fails(*of, *token, *asked);
                    return None;
                }
                At::BeatRead(..) if mute => return None,
                At::BeatAnswered(..) if deaf => return None,
                // These are where the gateway is not.
                At::Question(..) | At::BeatRead(..) => return Some(event),
                _ => {}
            }
        }
        match gateway.plight.paused_until(now_ms) {
            Some(until_ms) => {
                self.queue.at(until_ms, event);
                None
            }
            None => Some(event),
        }
    }
}
