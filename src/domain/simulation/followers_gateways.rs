//! What followers of a followers world say, ask, and do with what they are told.

use super::followers_control::{Beat, From, Poll, Said, Told};
use super::followers_node::At;
use super::followers_world::{CONTROLS, Do, Event, World};
use crate::change_log::{Effect, Heard, Input, Position};
use crate::serving_lease::EVERY_MS;

const TICK_MS: i64 = 100;
/// A pull at the head is open so long.
const LONG_POLL_MS: i64 = 800;

// === impl World ===

impl World {
    /// A process begins: what it does by itself from now on.
    pub(super) fn begins(&mut self, node: usize) {
        self.nodes[node].begins();
        self.troubled(node);
        self.soon(node, 1, At::Round);
        self.soon(node, 2, At::Tick);
        if self.nodes[node].mode().is_none() {
            let clock_ms = self.node_ms(node);
            let effects = self.nodes[node].machine.take_snapshot(clock_ms);
            self.carry_out(node, effects);
        }
    }

    pub(super) fn soon(&mut self, node: usize, after_ms: i64, at: At) {
        let one = &self.nodes[node];
        let at_ms = self.now_ms + one.plight.lasts_ms(after_ms);
        self.queue.at(at_ms, Event::At(node, one.run, at));
    }

    pub(super) fn at(&mut self, node: usize, at: At) {
        self.serves(node);
        match at {
            At::Tick => {
                self.soon(node, TICK_MS, At::Tick);
                self.step(node, Input::Tick);
            }
            At::Round => {
                self.soon(node, EVERY_MS, At::Round);
                self.nodes[node].lease.begin_round();
                self.beat(node, false);
            }
            At::Heard(number, told) => self.told(node, number, told),
            At::Pulled(input) => self.pulled(node, input),
            At::Snapshot(transfer, at) => {
                self.step(node, Input::SnapshotChunk { transfer, index: 0 });
                let chunks = 1;
                self.step(
                    node,
                    Input::SnapshotDone {
                        transfer,
                        at,
                        chunks,
                    },
                );
            }
            At::Stops => self.stopped(node),
        }
        self.serves(node);
    }

    /// Whoever serves now does so by what was promised (S3).
    pub(super) fn serves(&mut self, node: usize) {
        let clock_ms = self.node_ms(node);
        let one = &mut self.nodes[node];
        if one.plight.paused_until(self.now_ms).is_some() {
            return;
        }
        if let (Some(serves), Some(mode)) = (one.serves(clock_ms), one.mode()) {
            let n = self.database.common(&one.visible);
            self.truth.serves((&one.name, mode), serves, n, self.now_ms);
        }
    }

    /// Tells all control planes how far it is, and that it lives.
    pub(super) fn beat(&mut self, node: usize, leaves: bool) {
        if self.nodes[node].has_left && !leaves {
            return;
        }
        let clock_ms = self.node_ms(node);
        let one = &mut self.nodes[node];
        let beat = Beat {
            from: (node, one.run),
            number: one.asks(clock_ms),
            word: one.word(),
            leaves,
        };
        for control in 0..CONTROLS {
            self.send_up(node, control, &Do::Arrives(Said::Beat(beat.clone())));
        }
    }

    fn told(&mut self, node: usize, number: u64, told: Told) {
        let one = &mut self.nodes[node];
        if !one.open.remove(&number) || one.has_left {
            return;
        }
        match told {
            Told::Head(head) => one.lease.answered(number, head),
            Told::Said(Heard::Elsewhere) => one.lease.refused(),
            Told::Said(_) => {}
        }
    }

    fn pulled(&mut self, node: usize, input: Input<Position>) {
        let one = &mut self.nodes[node];
        let Input::Entries { entries, head, .. } = &input else {
            one.head = 0;
            return self.step(node, input);
        };
        one.head = *head;
        let is_idle = entries.is_empty();
        self.step(node, input);
        let one = &self.nodes[node];
        // Long polls follow one another without a pause.
        if !is_idle || one.visible.n >= one.head {
            let n = one.machine.applied().n + 1;
            self.step(node, Input::HeadHint { n });
        }
    }

    fn step(&mut self, node: usize, input: Input<Position>) {
        let clock_ms = self.node_ms(node);
        let effects = self.nodes[node].machine.step(input, clock_ms);
        self.carry_out(node, effects);
    }

    fn carry_out(&mut self, node: usize, effects: Vec<Effect<Position>>) {
        for effect in effects {
            match effect {
                Effect::Pull { after } => self.pull(node, after),
                Effect::Apply(entry) => self.nodes[node].sees(entry),
                Effect::Persist { at } => {
                    self.nodes[node].disk.stored = at.clone();
                    self.step(node, Input::Persisted { at });
                }
                Effect::Acknowledge { .. } => self.beat(node, false),
                Effect::Resync { reason } if reason.is_alarming() => {
                    self.nodes[node].lease.begin_anew();
                }
                Effect::PullSnapshot { transfer } => {
                    let from: From = (node, self.nodes[node].run);
                    let control = self.rng.index(CONTROLS);
                    self.send_up(node, control, &Do::Snapshot(from, transfer));
                }
                Effect::InstallSnapshot { at } => self.nodes[node].sees(at),
                Effect::StoreChunk { .. } | Effect::Resync { .. } => {}
            }
        }
    }

    fn pull(&mut self, node: usize, after: Position) {
        let one = &self.nodes[node];
        let is_at_once = one.head == 0 || after.n < one.head || one.machine.is_failing();
        let poll = Poll {
            from: (node, one.run),
            name: one.name.clone(),
            after,
            wait_ms: if is_at_once { 0 } else { LONG_POLL_MS },
            until_ms: None,
        };
        let control = self.rng.index(CONTROLS);
        self.send_up(node, control, &Do::Arrives(Said::Pull(poll)));
    }

    // --- messages ---

    /// Between a follower and a control plane; lost where the way is cut when it leaves or when it comes.
    fn send_up(&mut self, node: usize, control: usize, told: &Do) {
        if self.now_ms < self.nodes[node].mute_until_ms[control] {
            return;
        }
        let run = self.controls[control].run;
        let network = self.network();
        for at_ms in network.deliveries(self.now_ms, &mut self.rng) {
            if at_ms >= self.nodes[node].mute_until_ms[control] {
                let event = Event::Control(control, run, told.clone());
                self.queue.at(at_ms, event);
            }
        }
    }

    pub(super) fn send_down(&mut self, control: usize, (node, run): From, at: &At) {
        if self.now_ms < self.nodes[node].deaf_until_ms[control] {
            return;
        }
        let network = self.network();
        for at_ms in network.deliveries(self.now_ms, &mut self.rng) {
            if at_ms >= self.nodes[node].deaf_until_ms[control] {
                self.queue.at(at_ms, Event::At(node, run, at.clone()));
            }
        }
    }
}
