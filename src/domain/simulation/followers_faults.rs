//! What goes wrong in a followers world, once a second by chance.

use super::followers_control::Control;
use super::followers_feed::TICK_MS;
use super::followers_node::At;
use super::followers_world::{CONTROLS, Do, Event, World};
use super::plight::Plight;

/// Who is never silent for longer than this is never fenced: as long as silence takes, and what words may be late by.
const WELL_MS: i64 = 15_000;
/// A database that is restored is away for so long at most.
const RESTORED_MS: i64 = 7_000;

// === impl World ===

impl World {
    pub(super) fn second(&mut self) {
        self.queue.at(self.now_ms + 1_000, Event::Second);
        self.starts();
        if self.is_calm() {
            return self.all_is_well();
        }
        for node in 0..self.nodes.len() {
            self.node_suffers(node);
        }
        for control in 0..CONTROLS {
            self.control_suffers(control);
        }
        if self.rng.chance(40) {
            self.database.back_up();
        }
        let is_time = self.now_ms + RESTORED_MS < self.plan.storm_ms;
        if is_time && self.rng.chance(self.plan.restores) {
            self.is_restored();
        }
    }

    /// Whoever is to start does.
    fn starts(&mut self) {
        let now_ms = self.now_ms;
        for node in 0..self.nodes.len() {
            if self.nodes[node].starts_ms.is_some_and(|at| at <= now_ms) {
                self.begins(node);
            }
        }
        for control in 0..CONTROLS {
            if self.controls[control]
                .starts_ms
                .is_some_and(|at| at <= now_ms)
            {
                self.controls[control].starts_ms = None;
                let clock_ms = self.control_ms(control);
                self.controls[control].feed_begins_anew(clock_ms);
                let run = self.controls[control].run;
                let at_ms = now_ms + TICK_MS;
                self.queue.at(at_ms, Event::Control(control, run, Do::Tick));
            }
        }
    }

    /// Often short, sometimes long.
    fn lasts_ms(&mut self, most_ms: i64) -> i64 {
        let most_ms = [most_ms / 8, most_ms][self.rng.index(2)];
        let left_ms = self.plan.storm_ms - self.now_ms;
        self.rng.between(100, most_ms).min(left_ms)
    }

    fn node_suffers(&mut self, node: usize) {
        if self.rng.chance(50) {
            self.nodes[node].backup = self.nodes[node].disk.clone();
        }
        if self.rng.chance(self.plan.pauses) {
            let until_ms = self.now_ms + self.lasts_ms(25_000);
            self.serves(node);
            let now_ms = self.now_ms;
            self.nodes[node].plight.stand_still(now_ms, until_ms);
            self.troubled_until(node, until_ms);
        }
        if self.rng.chance(self.plan.cuts) {
            self.is_cut(node);
        }
        if !self.nodes[node].runs() {
            return;
        }
        if self.rng.chance(self.plan.stops) {
            self.leaves(node);
        } else if self.rng.chance(self.plan.crashes) {
            self.truth.seen.once("crashed");
            self.ends(node);
        }
    }

    /// From one control plane or both, one way or both.
    fn is_cut(&mut self, node: usize) {
        let until_ms = self.now_ms + self.lasts_ms(25_000);
        let (whom, way) = (self.rng.index(3), self.rng.index(3));
        let one = &mut self.nodes[node];
        for control in (0..CONTROLS).filter(|control| whom != *control) {
            if way != 0 {
                one.mute_until_ms[control] = until_ms;
            }
            if way != 1 {
                one.deaf_until_ms[control] = until_ms;
            }
            one.well_since_ms[control] = until_ms.max(one.well_since_ms[control]);
        }
    }

    /// It gives up its lease, says so, and ends a little later.
    fn leaves(&mut self, node: usize) {
        if self.nodes[node].has_left || self.nodes[node].mode().is_none() {
            return;
        }
        self.truth.seen.once("left");
        let one = &mut self.nodes[node];
        one.has_left = true;
        one.lease.begin_anew();
        self.beat(node, true);
        let after_ms = self.rng.between(50, 2_500);
        self.soon(node, after_ms, At::Stops);
    }

    pub(super) fn stopped(&mut self, node: usize) {
        self.ends(node);
    }

    fn ends(&mut self, node: usize) {
        let starts_ms = self.now_ms + self.lasts_ms(20_000);
        let one = &mut self.nodes[node];
        one.ends(starts_ms);
        if self.rng.chance(self.plan.put_back) {
            self.truth.seen.once("put back");
            one.disk = one.backup.clone();
            one.put_back_run = one.run;
            self.truth.excuse(&one.name, self.database.count());
        }
        self.troubled_until(node, starts_ms);
    }

    fn control_suffers(&mut self, control: usize) {
        let now_ms = self.now_ms;
        if self.rng.chance(self.plan.database_cuts) {
            let until_ms = now_ms + self.lasts_ms(9_000);
            self.controls[control].cut_until_ms = until_ms;
            self.held_up(control, until_ms);
        }
        if self.rng.chance(self.plan.control_pauses) {
            let until_ms = now_ms + self.lasts_ms(25_000);
            let one = &mut self.controls[control];
            one.plight.stand_still(now_ms, until_ms);
            one.held_up_ms = until_ms;
        }
        let one = &mut self.controls[control];
        if one.starts_ms.is_some() {
            return;
        }
        if self.rng.chance(self.plan.control_crashes) {
            self.truth.seen.once("control planes crashed");
            let starts_ms = now_ms + self.lasts_ms(8_000);
            let one = &mut self.controls[control];
            let plight = std::mem::replace(&mut one.plight, Plight::new(1_000));
            *one = Control {
                starts_ms: Some(starts_ms),
                cut_until_ms: one.cut_until_ms,
                held_up_ms: starts_ms,
                ..Control::new(one.run + 1, plight, self.plan.planted)
            };
        } else if self.rng.chance(self.plan.feeds_anew) {
            let clock_ms = self.control_ms(control);
            let one = &mut self.controls[control];
            one.feed_begins_anew(clock_ms);
            one.held_up_ms = now_ms;
            self.ask_again(control);
        }
    }

    /// The database is away for longer than any lease lasts, and is then as it was.
    fn is_restored(&mut self) {
        self.truth.seen.once("restored");
        self.database.restore();
        self.truth.restored(self.database.head());
        self.database.down_until_ms = self.now_ms + self.rng.between(2_200, RESTORED_MS);
        for node in &self.nodes {
            if !self.database.rows.contains_key(&node.name) {
                // Whom it does not know it cannot name, until it is heard again.
                self.truth.excuse(&node.name, usize::MAX);
            }
        }
        for control in 0..CONTROLS {
            self.held_up(control, self.database.down_until_ms);
        }
    }

    /// Nobody is heard by it until then.
    fn held_up(&mut self, control: usize, until_ms: i64) {
        let one = &mut self.controls[control];
        one.held_up_ms = until_ms.max(one.held_up_ms);
        for node in &mut self.nodes {
            let since_ms = &mut node.well_since_ms[control];
            *since_ms = until_ms.max(*since_ms);
        }
    }

    pub(super) fn troubled(&mut self, node: usize) {
        self.troubled_until(node, self.now_ms);
    }

    fn troubled_until(&mut self, node: usize, until_ms: i64) {
        for since_ms in &mut self.nodes[node].well_since_ms {
            *since_ms = until_ms.max(*since_ms);
        }
    }

    /// A follower is fenced; not one that this control plane could hear all the time (W2).
    pub(super) fn is_fenced(&mut self, control: usize, name: &str) {
        self.truth.seen.once("fences");
        let Some(node) = self.nodes.iter().find(|node| node.name == name) else {
            return;
        };
        let is_this_life = self.database.rows[name].incarnation == node.disk.incarnation;
        let is_well = self.now_ms - node.well_since_ms[control] > WELL_MS;
        if node.runs() && is_this_life && is_well {
            let fenced = format!("W2: at {} {name} is fenced, which was heard", self.now_ms);
            self.truth.broken.push(fenced);
        }
    }

    fn all_is_well(&mut self) {
        let now_ms = self.now_ms;
        let is_first = now_ms < self.plan.storm_ms + 1_000;
        for node in &mut self.nodes {
            node.mute_until_ms = [0; CONTROLS];
            node.deaf_until_ms = [0; CONTROLS];
            node.starts_ms = node.starts_ms.map(|at| match at {
                i64::MAX => i64::MAX,
                _ => now_ms,
            });
        }
        for control in &mut self.controls {
            control.cut_until_ms = 0;
            control.starts_ms = control.starts_ms.map(|_| now_ms);
        }
        self.database.down_until_ms = 0;
        // Some are gone for ever, without a word.
        if is_first && self.rng.chance(300) {
            for node in [1, 3] {
                self.nodes[node].ends(i64::MAX);
            }
        }
    }
}
