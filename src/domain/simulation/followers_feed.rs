//! The feed of a control plane in a followers world, one message after the other, as `actors::change_feed::actor` has it.

use super::Planted;
use super::followers_control::{Beat, Found, Order, Poll, Said, Told, Wait};
use super::followers_node::At;
use super::followers_world::{Do, Event, Reads, World};
use crate::change_log::{Answer, Applied, Heard, Input, Log, Position, Registered, ResyncReason};
use crate::serving_lease::{LIFE_MS, OVER_MS};

pub(super) const TICK_MS: i64 = 50;
const LOOK_EVERY: u32 = 4;
const FENCE_EVERY: u32 = 20;
const STOOD_STILL_MS: i64 = 1_000;
/// A look takes so long at most.
pub(super) const LOOK_MS: i64 = 1_000;

// === impl World ===

impl World {
    pub(super) fn said(&mut self, control: usize, said: Said) {
        self.controls[control].inbox.push_back(said);
        self.feed_goes_on(control);
    }

    /// Takes one message after the other, until one needs a look at the database.
    pub(super) fn feed_goes_on(&mut self, control: usize) {
        while self.controls[control].looks.is_none()
            && let Some(said) = self.controls[control].inbox.pop_front()
        {
            self.take(control, said);
            self.answer_waits(control);
        }
    }

    fn take(&mut self, control: usize, said: Said) {
        let clock_ms = self.control_ms(control);
        let at = &mut self.controls[control];
        match said {
            Said::Beat(beat)
                if !self.nodes[beat.from.0].is_told_apart(beat.from.1, beat.word.incarnation) => {}
            Said::Beat(beat) if beat.leaves => self.order(control, Order::Write(beat)),
            Said::Pull(mut poll) => {
                if poll.until_ms.is_none() {
                    at.followers.pulled(&poll.name, poll.after.n, clock_ms);
                    poll.until_ms = Some(clock_ms + poll.wait_ms);
                }
                self.look(control, Said::Pull(poll));
            }
            Said::Told(n) => {
                let head = at.head.max(n);
                at.has_head(head);
            }
            Said::Tick => self.feed_ticks(control),
            Said::Wait(change) => {
                self.changes[change].asked_ms = clock_ms;
                self.look(control, said);
            }
            Said::Beat(_) | Said::LookAtRegistered | Said::LookAtHead => {
                self.look(control, said);
            }
        }
    }

    fn feed_ticks(&mut self, control: usize) {
        let clock_ms = self.control_ms(control);
        let at = &mut self.controls[control];
        if clock_ms - at.ticked_ms > STOOD_STILL_MS {
            at.followers.forgive(clock_ms);
        }
        at.ticked_ms = clock_ms;
        for poll in std::mem::take(&mut at.polls) {
            at.followers.waits(&poll.name, clock_ms);
            if poll.until_ms.is_some_and(|until_ms| until_ms <= clock_ms) {
                at.inbox.push_front(Said::Pull(poll));
            } else {
                at.polls.push(poll);
            }
        }
        let is_looked_for = !at.polls.is_empty() || !at.followers.is_empty();
        if (at.ticks + 1).is_multiple_of(LOOK_EVERY) && is_looked_for {
            at.inbox.push_front(Said::LookAtHead);
        }
        if at.waits.iter().any(|wait| wait.registered.is_none()) {
            at.inbox.push_front(Said::LookAtRegistered);
        }
        let fences = at.ticks.is_multiple_of(FENCE_EVERY);
        at.ticks = at.ticks.wrapping_add(1);
        if fences {
            self.order(control, Order::Fence { said_ms: clock_ms });
        }
    }

    fn look(&mut self, control: usize, said: Said) {
        let at = &mut self.controls[control];
        at.look += 1;
        let look = at.look;
        at.looks = Some(said);
        self.reads(control, Reads::Look(look));
    }

    /// A look of a feed is at the database.
    pub(super) fn find(&self, control: usize) -> Option<Found> {
        let database = &self.database;
        let rows = || database.rows.values().cloned().collect();
        Some(match self.controls[control].looks.as_ref()? {
            Said::Beat(beat) => {
                let row = database.rows.get(&beat.word.name).cloned();
                Found::Beat(database.log(beat.word.at.n), row)
            }
            Said::Pull(poll) => Found::Entries(database.after(&poll.after), database.head()),
            Said::LookAtHead => Found::Head(self.highest(control)),
            _ => Found::Registered(self.highest(control), rows()),
        })
    }

    /// What the database has of the highest position that a control plane was told of.
    fn highest(&self, control: usize) -> Log {
        let n = self.controls[control].followers.highest();
        self.database.log(n)
    }

    pub(super) fn looked(&mut self, control: usize, look: u64, found: Option<Found>) {
        if self.controls[control].look != look {
            return;
        }
        let Some(said) = self.controls[control].looks.take() else {
            return;
        };
        match (said, found) {
            (Said::Beat(beat), Some(Found::Beat(log, row))) => {
                self.heard(control, beat, &log, row.as_ref());
            }
            (Said::Pull(poll), Some(Found::Entries(entries, head))) => {
                self.serve(control, poll, entries, head);
            }
            (Said::Wait(change), found) => self.wait(control, change, found),
            (Said::LookAtRegistered, Some(Found::Registered(log, registered))) => {
                let clock_ms = self.control_ms(control);
                let at = &mut self.controls[control];
                at.followers.see(&registered, clock_ms);
                for wait in &mut at.waits {
                    wait.registered.get_or_insert_with(|| registered.clone());
                }
                at.compares(&log);
            }
            (Said::LookAtHead, Some(Found::Head(log))) => self.controls[control].compares(&log),
            // It asks another node, or says it again.
            _ => {}
        }
        self.answer_waits(control);
        self.feed_goes_on(control);
    }

    fn heard(&mut self, control: usize, beat: Beat, log: &Log, row: Option<&Registered>) {
        let clock_ms = self.control_ms(control);
        let at = &mut self.controls[control];
        let heard = at.followers.hears(&beat.word, row, log, clock_ms);
        match heard {
            Heard::Stands => {
                at.look_at(log.head);
                self.tell(control, &beat, Told::Head(log.head));
            }
            Heard::Unregistered => self.order(control, Order::Write(beat)),
            Heard::Elsewhere | Heard::Over | Heard::Crowded => {
                if heard == Heard::Over {
                    self.truth.seen.once("disputed");
                }
                let node = beat.from.0;
                self.tell(control, &beat, Told::Said(heard));
                // It speaks, and no word of it counts.
                self.troubled(node);
            }
        }
    }

    /// Answers a pull, or leaves it open while there is nothing to say.
    fn serve(
        &mut self,
        control: usize,
        poll: Poll,
        entries: Result<Vec<Position>, Answer>,
        head: u64,
    ) {
        let clock_ms = self.control_ms(control);
        let at = &mut self.controls[control];
        let after = poll.after.clone();
        let input = match entries {
            Ok(entries) => {
                let head_here = at.head.max(head);
                at.has_head(head_here);
                let waits = poll.until_ms.is_some_and(|until_ms| until_ms > clock_ms);
                if entries.is_empty() && waits {
                    return at.polls.push(poll);
                }
                Input::Entries {
                    after,
                    entries,
                    head,
                }
            }
            Err(Answer::Snapshot { reason }) => {
                at.followers.resync(&poll.name);
                Input::NeedsSnapshot { after, reason }
            }
            Err(_) => Input::NeedsSnapshot {
                after,
                reason: ResyncReason::TooOld,
            },
        };
        self.send_down(control, poll.from, &At::Pulled(input));
    }

    fn wait(&mut self, control: usize, change: usize, found: Option<Found>) {
        let clock_ms = self.control_ms(control);
        let n = self.changes[change].at.n;
        let patience_ms = match self.plan.planted {
            Some(Planted::WaitsAsLongAsALease) => LIFE_MS,
            _ => OVER_MS,
        };
        let asked_ms = self.changes[change].asked_ms;
        let at = &mut self.controls[control];
        let registered = match found {
            Some(Found::Registered(log, registered)) => {
                at.followers.see(&registered, clock_ms);
                at.compares(&log);
                Some(registered)
            }
            _ => None,
        };
        at.waits.push(Wait {
            change,
            n,
            until_ms: asked_ms + patience_ms,
            registered,
        });
        let head = at.head.max(n);
        at.has_head(head);
    }

    pub(super) fn answer_waits(&mut self, control: usize) {
        let clock_ms = self.control_ms(control);
        for wait in std::mem::take(&mut self.controls[control].waits) {
            let at = &mut self.controls[control];
            let (applied, waits) = match &wait.registered {
                Some(registered) => at.followers.applied(registered, wait.n, clock_ms),
                None => (Applied::unknown(), true),
            };
            if !waits || wait.until_ms <= clock_ms {
                self.answered(wait.change, &applied);
            } else {
                at.waits.push(wait);
            }
        }
    }

    /// What a follower is told of what it said.
    pub(super) fn tell(&mut self, control: usize, beat: &Beat, told: Told) {
        self.send_down(control, beat.from, &At::Heard(beat.number, told));
    }

    pub(super) fn control_ticks(&mut self, control: usize) {
        let is_waiting = |said: &Said| matches!(said, Said::Tick);
        if !self.controls[control].inbox.iter().any(is_waiting) {
            self.said(control, Said::Tick);
        }
        let run = self.controls[control].run;
        let at_ms = self.now_ms + self.controls[control].plight.lasts_ms(TICK_MS);
        self.queue.at(at_ms, Event::Control(control, run, Do::Tick));
    }
}
