//! The registrar of a control plane in a followers world: one write after the other, as
//! `actors::change_feed::registrar` has it.

use super::Planted;
use super::followers_control::{Order, Told, Writing};
use super::followers_world::{Reads, World};
use crate::change_log::{Heard, Registered};

/// A write takes so long at most.
const WRITE_MS: i64 = 3_000;
/// Who is silent is judged by what was said so long ago at most.
const FRESH_MS: i64 = 1_000;

// === impl World ===

impl World {
    pub(super) fn order(&mut self, control: usize, order: Order) {
        self.controls[control].orders.push_back(order);
        self.registrar_goes_on(control);
    }

    fn registrar_goes_on(&mut self, control: usize) {
        let clock_ms = self.control_ms(control);
        while self.controls[control].writing.is_none()
            && let Some(order) = self.controls[control].orders.pop_front()
        {
            if matches!(order, Order::Fence { said_ms } if clock_ms - said_ms > FRESH_MS) {
                continue;
            }
            self.controls[control].writing = Some(Writing {
                order,
                began_ms: clock_ms,
                moment_ms: 0,
                silent: Vec::new(),
            });
            self.reads(control, Reads::Begin);
        }
    }

    /// What a write reads first is here: the database's own moment, and for a fence who is registered.
    pub(super) fn began(&mut self, control: usize, found: Option<(i64, Vec<Registered>)>) {
        let clock_ms = self.control_ms(control);
        let at = &mut self.controls[control];
        let (Some(writing), Some((moment_ms, rows))) = (&mut at.writing, found) else {
            return self.written(control);
        };
        writing.moment_ms = moment_ms;
        if let Order::Fence { said_ms } = writing.order {
            at.followers.see(&rows, clock_ms);
            let silent = at.followers.silent(&rows, said_ms);
            let silent = silent
                .iter()
                .map(|row| (row.name.clone(), row.registered_at_ms));
            writing.silent = silent.collect();
            if writing.silent.is_empty() {
                return self.written(control);
            }
        }
        if clock_ms - writing.began_ms > WRITE_MS {
            return self.written(control);
        }
        self.reads(control, Reads::Commit);
    }

    /// A write is at the database.
    pub(super) fn commits(&mut self, control: usize) -> bool {
        let Some(writing) = &self.controls[control].writing else {
            return false;
        };
        let (database, moment_ms) = (&mut self.database, writing.moment_ms);
        match &writing.order {
            Order::Write(beat)
                if !self.nodes[beat.from.0].is_told_apart(beat.from.1, beat.word.incarnation) =>
            {
                false
            }
            Order::Write(beat) if beat.leaves => database.leave(&beat.word, moment_ms),
            Order::Write(beat) => {
                let is_saved = database.save(&beat.word, moment_ms);
                if is_saved {
                    self.truth.is_known(&beat.word.name, database.count());
                }
                is_saved
            }
            Order::Fence { .. } => {
                for (name, registered_at_ms) in writing.silent.clone() {
                    if self.database.fence(&name, registered_at_ms, moment_ms) {
                        self.is_fenced(control, &name);
                    }
                }
                true
            }
        }
    }

    /// What came of it is here; `done` is none where nobody knows.
    pub(super) fn committed(&mut self, control: usize, done: Option<bool>) {
        let at = &mut self.controls[control];
        let Some(Writing { order, .. }) = &at.writing else {
            return;
        };
        let Order::Write(beat) = order.clone() else {
            return self.written(control);
        };
        match done {
            Some(true) if beat.leaves => {
                at.followers.forget(&beat.word.name);
                self.tell(control, &beat, Told::Head(0));
            }
            // After that: changes that were committed before it was registered do not wait for it.
            Some(true) if self.plan.planted != Some(Planted::HeadBeforeRegistered) => {
                return self.reads(control, Reads::Head);
            }
            Some(true) => {
                let head = at.head;
                self.tell(control, &beat, Told::Head(head));
            }
            Some(false) => self.tell(control, &beat, Told::Said(Heard::Over)),
            None => {}
        }
        self.written(control);
    }

    pub(super) fn registered(&mut self, control: usize, head: Option<u64>) {
        let at = &mut self.controls[control];
        if let (Some(writing), Some(head)) = (&at.writing, head)
            && let Order::Write(beat) = writing.order.clone()
        {
            self.tell(control, &beat, Told::Head(head));
        }
        self.written(control);
    }

    fn written(&mut self, control: usize) {
        self.controls[control].writing = None;
        self.registrar_goes_on(control);
    }
}
