//! A world of one key whose windows slide, or whose bucket fills: gateways that use units, owners that move, restart
//! and go on apart.

#[path = "paned_resets.rs"]
mod resets;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tests::{T, key, policies};
use super::*;
use crate::policy::WindowKind;
use crate::simulation::Planted;
use crate::window::{Window, WindowSpec};

pub(super) const NODES: [&str; 3] = ["g1", "g2", "g3"];

/// What happens next; places in queues count modulo their length.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A gateway uses so many of the units that it holds, if their lease lasts.
    Use(usize, u64),
    Ask(usize, u64),
    /// It asks, is heard and answered, and uses all that it has.
    Gets(usize, u64),
    /// It gives back all that it holds, of a lease that is over as well.
    Back(usize),
    /// Calls take so many units and wait elsewhere.
    Hold(usize, u64),
    /// They are refused there.
    PutBack(usize),
    /// An ask comes to the owner, and perhaps once more later.
    Asked(usize, bool),
    /// What the owner said comes to its gateway; so may that.
    Said(usize, bool),
    Marked,
    Limit(u64),
    /// Not while a lease may be in use that the cell does not know: those are over for a reset.
    Reset,
    Pass(i64),
    /// So long T stands still.
    Stand(i64),
    /// T is lifted.
    Lift(i64),
    /// Another owner, whose T lies so far ahead, goes on with a copy; ticks come so much later.
    TakeOver(i64, i64),
    /// And with nothing but what is on disk.
    Restart(i64),
    /// Another one, whose T lies so far ahead, goes on with a copy or, where all is lost, with nothing; the one before goes
    /// on as well, in a T that stands still or is slow.
    Apart(i64, bool, bool),
    /// An ask comes to that one.
    AskedBefore(usize, bool),
}

/// An owner that others took over from, and that nobody has told.
pub(super) struct Before {
    ledger: Ledger,
    since_ms: i64,
    t_ms: i64,
    stands_still: bool,
    /// What it grants by that is released; none where it has no standby to know of it.
    fence_ms: Option<i64>,
}

/// So far ahead fences reach (L3).
const FENCE_MS: i64 = 1_000;

#[derive(Debug, Clone)]
pub(super) struct Gateway {
    holder: Holder,
    epoch: u64,
    /// The stamp of the last recall of a reset that it answered.
    begun: Stamp,
    window: Option<Window>,
    /// When its lease ends, in real time.
    until_ms: i64,
    have: u64,
    returned: u64,
    used: u64,
    /// Units that calls have taken which wait elsewhere.
    taken: u64,
}

pub(super) struct World {
    pub(super) ledger: Ledger,
    policies: Arc<Policies>,
    window: WindowSpec,
    real_ms: i64,
    /// How far the owner's T lies ahead of that.
    ahead_ms: i64,
    /// How long T has stood still for a note.
    late_ms: i64,
    planted: Option<Planted>,
    pub(super) epoch: u64,
    highest: u64,
    gateways: Vec<Gateway>,
    asks: Vec<Ask>,
    said: Vec<Effect>,
    unmarked: Vec<(Stamp, Mark)>,
    disk: Option<Mark>,
    before: Option<Before>,
    /// What was lost up to this T stays so.
    gone_ms: Option<i64>,
    gone_epoch: u64,
    /// When units were used, in real time, how many, and by whose lease; what a reset may have made up for is left out.
    uses: Vec<(i64, u64, Holder)>,
    /// What the owner had granted when it was told to reset the key and waits for that.
    reset_at: Option<u64>,
    /// Whether what that leaves is known.
    judges_reset: bool,
    /// It was told as done.
    reset_is_told: bool,
    /// Of whom was not heard until then, what was out of its lease when it came.
    unheard: BTreeMap<String, (Holder, u64)>,
    /// Something is known from a disk alone, or was lost. An operator who resets that says so (L9): it is forgiven at once,
    /// whoever may have leases of it.
    is_from_disk: bool,
}

// === impl Gateway ===

impl Gateway {
    fn holds(&self) -> u64 {
        self.have - self.returned - self.used - self.taken
    }

    fn begins(holder: Holder) -> Self {
        Self {
            holder,
            epoch: 0,
            begun: Stamp::default(),
            window: None,
            until_ms: i64::MIN,
            have: 0,
            returned: 0,
            used: 0,
            taken: 0,
        }
    }

    /// The key was reset: the lease of before is over, with what calls have taken of it.
    fn begins_anew(&mut self, recall: &Recall, now_ms: i64) -> Option<Ask> {
        let (mine, of) = (&self.holder, &recall.holder);
        if mine.node != of.node || mine < of {
            return None;
        }
        if mine == of || (of.is_any() && recall.stamp > self.begun) {
            let next = Holder::new(&*mine.node, mine.incarnation, mine.lease + 1);
            *self = Self {
                epoch: self.epoch.max(recall.stamp.epoch),
                begun: self.begun.max(recall.stamp),
                ..Self::begins(next)
            };
        }
        Some(self.ask(0, now_ms))
    }

    fn ask(&self, want: u64, asked_at_ms: i64) -> Ask {
        Ask {
            holder: self.holder.clone(),
            cell: key("a"),
            policies: 0,
            epoch: self.epoch,
            asked_at_ms,
            window: self.window.map(|window| window.id),
            have: self.have,
            returned: self.returned,
            want,
            emptied: self.holds() == 0,
            due: want / 2,
        }
    }

    /// Goes to a later pane; gives what it says of the one before.
    fn enter(&mut self, window: Window, now_ms: i64) -> Option<Ask> {
        let own = self.window.map(|own| own.id.number);
        if own.is_some_and(|own| own >= window.id.number) {
            return None;
        }
        self.returned += self.holds();
        let left = self.window.map(|_| self.ask(0, now_ms));
        (self.have, self.returned, self.used, self.taken) = (0, 0, 0, 0);
        self.until_ms = i64::MIN;
        self.window = Some(window);
        left
    }
}

// === impl World ===

impl World {
    pub(super) fn new(limit: u64, window: WindowSpec, planted: Option<Planted>) -> Self {
        let policies = policies(1, limit, window);
        let gateway = |node: &&str| Gateway::begins(Holder::new(*node, 1, 1));
        let mut world = Self {
            ledger: Ledger::new(2, Recovery::founding(1), Arc::clone(&policies)),
            policies,
            window,
            real_ms: T,
            ahead_ms: 0,
            late_ms: 0,
            planted,
            epoch: 1,
            highest: limit,
            gateways: NODES.iter().map(gateway).collect(),
            asks: Vec::new(),
            said: Vec::new(),
            unmarked: Vec::new(),
            disk: None,
            before: None,
            gone_ms: None,
            gone_epoch: 0,
            uses: Vec::new(),
            reset_at: None,
            judges_reset: true,
            reset_is_told: false,
            unheard: BTreeMap::new(),
            is_from_disk: false,
        };
        world.begins(Recovery::founding(1));
        world
    }

    pub(super) fn t_ms(&self) -> i64 {
        self.real_ms + self.ahead_ms
    }

    pub(super) fn event(&mut self, event: &Event) -> Result<(), String> {
        match *event {
            Event::Use(gateway, units) => self.uses(gateway, units)?,
            Event::Ask(gateway, want) => {
                let ask = self.gateways[gateway].ask(want, self.real_ms);
                self.asks.push(ask);
            }
            Event::Gets(gateway, want) => self.gets(gateway, want)?,
            Event::Back(gateway) => {
                let at = &mut self.gateways[gateway];
                at.returned += at.holds();
                self.asks.push(at.ask(0, self.real_ms));
            }
            Event::Hold(gateway, units) => {
                let at = &mut self.gateways[gateway];
                at.taken += units.min(at.holds());
            }
            Event::PutBack(gateway) => self.gateways[gateway].taken = 0,
            Event::Asked(which, again) if !self.asks.is_empty() => {
                let ask = taken(&mut self.asks, which, again);
                self.step(Input::Ask(ask));
            }
            Event::Said(which, again) if !self.said.is_empty() => {
                let said = taken(&mut self.said, which, again);
                self.hears(&said);
            }
            Event::Asked(..) | Event::Said(..) => {}
            Event::Marked => self.marked(),
            Event::Limit(limit) => self.is_limited(limit),
            Event::Reset => self.is_reset(),
            Event::Pass(ms) => {
                self.real_ms += ms;
                self.step(Input::Tick);
            }
            Event::Stand(ms) => {
                (self.real_ms, self.ahead_ms) = (self.real_ms + ms, self.ahead_ms - ms);
                self.late_ms += ms;
                self.step(Input::Tick);
            }
            Event::Lift(ms) => {
                self.ahead_ms += ms;
                self.late_ms = (self.late_ms - ms).max(0);
                self.step(Input::Tick);
            }
            Event::Apart(ahead_ms, is_lost, stands_still) => {
                self.goes_apart(ahead_ms, is_lost, stands_still);
            }
            Event::AskedBefore(which, again) => {
                if self.before.is_some() && !self.asks.is_empty() {
                    let ask = taken(&mut self.asks, which, again);
                    self.said_before(ask);
                }
            }
            Event::TakeOver(ahead_ms, after_ms) => self.is_taken_over(ahead_ms, after_ms),
            Event::Restart(lift_ms) => self.restarts(lift_ms),
        }
        self.resets()
    }

    fn is_limited(&mut self, limit: u64) {
        if self.window.kind == WindowKind::Bucket {
            // What a lowered limit cuts off a bucket is forgiven by nobody.
            self.judges_reset = false;
        }
        self.highest = self.highest.max(limit);
        self.policies = policies(self.policies.applied + 1, limit, self.window);
        self.step(Input::Policies(Arc::clone(&self.policies)));
    }

    fn is_taken_over(&mut self, ahead_ms: i64, after_ms: i64) {
        self.passes();
        let image = self.ledger.shard_image();
        (self.real_ms, self.ahead_ms) = (self.real_ms + after_ms, ahead_ms);
        self.begins(Recovery::founding(self.epoch + 1));
        self.disk = self.ledger.take(image).pop().or(self.disk.take());
    }

    fn restarts(&mut self, lift_ms: i64) {
        self.ahead_ms += lift_ms;
        self.is_from_disk = true;
        let t0_ms = Some(self.t_ms());
        self.begins(Recovery {
            t0_ms,
            source: Source::Disk,
            marks: self.disk.clone().into_iter().collect(),
            ..Recovery::founding(self.epoch + 1)
        });
        self.ledger.goes_on_from_disk(self.epoch, self.epoch);
        self.ledger.fence(self.epoch, t0_ms);
        self.ledger.gone(self.gone_ms, self.gone_epoch);
    }

    fn goes_apart(&mut self, ahead_ms: i64, is_lost: bool, stands_still: bool) {
        self.passes();
        let (image, t_ms) = (self.ledger.shard_image(), self.ledger.t_ms());
        let next = Ledger::new(2, Recovery::founding(1), Arc::clone(&self.policies));
        self.before = Some(Before {
            ledger: std::mem::replace(&mut self.ledger, next),
            since_ms: self.real_ms,
            t_ms,
            stands_still,
            fence_ms: is_lost.then_some(t_ms + FENCE_MS),
        });
        self.ahead_ms = ahead_ms;
        let before = self.before.take();
        self.begins(Recovery::founding(self.epoch + 1));
        self.before = before;
        if is_lost {
            self.is_from_disk = true;
            let t0_ms = Some(t_ms + FENCE_MS);
            self.disk = None;
            self.ledger.goes_on_from_nothing(self.epoch);
            self.ledger.fence(self.epoch, t0_ms);
            (self.gone_ms, self.gone_epoch) = (self.gone_ms.max(t0_ms), self.epoch);
            self.ledger.gone(self.gone_ms, self.gone_epoch);
        } else {
            self.disk = self.ledger.take(image).pop().or(self.disk.take());
            self.ledger.others_may_prolong();
        }
    }

    fn said_before(&mut self, ask: Ask) {
        let Some(before) = self.before.as_mut() else {
            return;
        };
        let passed_ms = self.real_ms - before.since_ms;
        let runs_ms = before.t_ms + passed_ms - passed_ms / 1_000;
        let t_ms = match before.stands_still {
            true => before.t_ms,
            false => runs_ms,
        };
        before.ledger.passes(t_ms, self.real_ms, runs_ms);
        let input = Input::Ask(ask);
        let effects = match before.fence_ms {
            Some(fence_ms) if t_ms <= fence_ms => before.ledger.step_alone(input, t_ms),
            _ => before.ledger.step(input, t_ms),
        };
        self.said.extend(effects);
    }

    fn begins(&mut self, recovery: Recovery) {
        self.before = None;
        self.reset_is_given_up();
        self.late_ms = 0;
        self.epoch = recovery.epoch;
        self.ledger = Ledger::new(2, recovery, Arc::clone(&self.policies));
        self.unmarked.clear();
        self.ledger.planted = self.planted;
        self.passes();
    }

    /// Each owner's clock has another origin.
    fn clock_ms(&self) -> i64 {
        self.real_ms + i64::try_from(self.epoch).unwrap() * 10_007
    }

    fn passes(&mut self) {
        let (t_ms, clock_ms) = (self.t_ms(), self.clock_ms());
        self.ledger.passes(t_ms, clock_ms, t_ms + self.late_ms);
    }

    fn marked(&mut self) {
        if let Some((stamp, mark)) = self.unmarked.drain(..).max_by_key(|(stamp, _)| *stamp) {
            self.disk = Some(mark);
            self.step(Input::Marked { stamp });
        }
    }

    pub(super) fn step(&mut self, input: Input) {
        self.passes();
        for effect in self.ledger.step_alone(input, self.t_ms()) {
            match effect {
                Effect::Persist { stamp, marks } => {
                    self.unmarked
                        .extend(marks.into_iter().map(|mark| (stamp, mark)));
                }
                effect => self.said.push(effect),
            }
        }
    }

    fn hears(&mut self, said: &Effect) {
        if let Effect::Recall(recall) = said
            && recall.anew
            && self.planted != Some(Planted::ResetKeepsItsLease)
        {
            let gateways = self.gateways.iter_mut();
            let answers = gateways.filter_map(|at| at.begins_anew(recall, self.real_ms));
            return self.asks.extend(answers);
        }
        let (holder, window, granted, stamp) = match said {
            Effect::Reply(reply) => (&reply.holder, reply.window, reply.granted, reply.stamp),
            Effect::Recall(recall) => {
                let window = recall.window.spec.numbered(recall.window.number);
                (&recall.holder, Some(window), recall.granted, recall.stamp)
            }
            _ => return,
        };
        let at = self.gateways.iter_mut().find(|at| at.holder == *holder);
        let Some(at) = at else { return };
        at.epoch = at.epoch.max(stamp.epoch);
        if let Some(window) = window.filter(|_| stamp >= at.begun) {
            self.asks.extend(at.enter(window, self.real_ms));
            if at.window == Some(window) {
                at.have = at.have.max(granted);
                if let Effect::Reply(reply) = said {
                    let until_ms = reply.asked_at_ms + reply.remaining_ms;
                    at.until_ms = at.until_ms.max(until_ms);
                }
            }
        }
        if matches!(said, Effect::Recall(_)) {
            at.returned += at.holds();
            self.asks.push(at.ask(0, self.real_ms));
        }
    }

    fn gets(&mut self, gateway: usize, want: u64) -> Result<(), String> {
        let ask = self.gateways[gateway].ask(want, self.real_ms);
        self.step(Input::Ask(ask));
        self.marked();
        for said in std::mem::take(&mut self.said) {
            self.hears(&said);
        }
        self.resets()?;
        self.uses(gateway, want)
    }

    fn uses(&mut self, gateway: usize, units: u64) -> Result<(), String> {
        let at = &mut self.gateways[gateway];
        let lasts = self.real_ms < at.until_ms;
        let units = units.min(at.holds());
        if !lasts || units == 0 {
            return Ok(());
        }
        at.used += units;
        self.uses.push((self.real_ms, units, at.holder.clone()));
        let (span_ms, t_ms) = (self.window.span_ms(), self.real_ms);
        let mut sum = 0;
        for (at_ms, units, _) in self.uses.iter().rev() {
            sum += units;
            let most = match self.window.kind {
                WindowKind::Bucket => {
                    let filled = u64::try_from(t_ms - at_ms).unwrap() * self.highest;
                    self.highest + filled / u64::try_from(span_ms).unwrap()
                }
                _ if t_ms - at_ms < span_ms => self.highest,
                _ => break,
            };
            if sum > most {
                return Err(format!(
                    "L10: {sum} are used in {} ms, of {most}",
                    t_ms - at_ms
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn taken<T: Clone>(queue: &mut Vec<T>, which: usize, again: bool) -> T {
    let which = which % queue.len();
    if again {
        queue[which].clone()
    } else {
        queue.remove(which)
    }
}
