//! Properties of windows that slide and of buckets (L10): whenever units are used, wherever the owner moves and
//! whatever restarts, no time of the window's length sees more than the limit, and no time at all more than a bucket
//! held and was filled with.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::tests::{T, key, policies};
use super::*;
use crate::policy::{TimeUnit, WindowKind};
use crate::simulation::Planted;
use crate::window::{Window, WindowSpec};

const NODES: [&str; 3] = ["g1", "g2", "g3"];

/// What happens next; places in queues count modulo their length.
#[derive(Debug, Clone)]
enum Event {
    /// A gateway uses so many of the units that it holds, if their lease lasts.
    Use(usize, u64),
    Ask(usize, u64),
    /// It asks, is heard and answered, and uses all that it has.
    Gets(usize, u64),
    /// It gives back all that it holds, of a lease that is over as well.
    Back(usize),
    /// An ask comes to the owner, and perhaps once more later.
    Asked(usize, bool),
    /// What the owner said comes to its gateway; so may that.
    Said(usize, bool),
    Marked,
    Limit(u64),
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
struct Before {
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
struct Gateway {
    holder: Holder,
    epoch: u64,
    window: Option<Window>,
    /// When its lease ends, in real time.
    until_ms: i64,
    have: u64,
    returned: u64,
    used: u64,
}

struct World {
    ledger: Ledger,
    policies: Arc<Policies>,
    window: WindowSpec,
    real_ms: i64,
    /// How far the owner's T lies ahead of that.
    ahead_ms: i64,
    /// How long T has stood still for a note.
    late_ms: i64,
    planted: Option<Planted>,
    epoch: u64,
    highest: u64,
    gateways: Vec<Gateway>,
    asks: Vec<Ask>,
    said: Vec<Effect>,
    unmarked: Vec<(Stamp, Mark)>,
    disk: Option<Mark>,
    before: Option<Before>,
    /// What was lost up to this T stays so.
    gone_ms: Option<i64>,
    /// When units were used, in real time, and how many.
    uses: Vec<(i64, u64)>,
}

// === impl Gateway ===

impl Gateway {
    fn holds(&self) -> u64 {
        self.have - self.returned - self.used
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
            owed: 0,
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
        (self.have, self.returned, self.used) = (0, 0, 0);
        self.until_ms = i64::MIN;
        self.window = Some(window);
        left
    }
}

// === impl World ===

impl World {
    fn new(limit: u64, window: WindowSpec, planted: Option<Planted>) -> Self {
        let policies = policies(1, limit, window);
        let gateway = |node: &&str| Gateway {
            holder: Holder::new(*node, 1, 1),
            epoch: 0,
            window: None,
            until_ms: i64::MIN,
            have: 0,
            returned: 0,
            used: 0,
        };
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
            uses: Vec::new(),
        };
        world.begins(Recovery::founding(1));
        world
    }

    fn t_ms(&self) -> i64 {
        self.real_ms + self.ahead_ms
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        match *event {
            Event::Use(gateway, units) => return self.uses(gateway, units),
            Event::Ask(gateway, want) => {
                let ask = self.gateways[gateway].ask(want, self.real_ms);
                self.asks.push(ask);
            }
            Event::Gets(gateway, want) => return self.gets(gateway, want),
            Event::Back(gateway) => {
                let at = &mut self.gateways[gateway];
                at.returned += at.holds();
                self.asks.push(at.ask(0, self.real_ms));
            }
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
            Event::Limit(limit) => {
                self.highest = self.highest.max(limit);
                self.policies = policies(self.policies.applied + 1, limit, self.window);
                self.step(Input::Policies(Arc::clone(&self.policies)));
            }
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
            Event::TakeOver(ahead_ms, after_ms) => {
                self.passes();
                let image = self.ledger.shard_image();
                (self.real_ms, self.ahead_ms) = (self.real_ms + after_ms, ahead_ms);
                self.begins(Recovery::founding(self.epoch + 1));
                self.disk = self.ledger.take(image).pop().or(self.disk.take());
            }
            Event::Restart(lift_ms) => {
                self.ahead_ms += lift_ms;
                let t0_ms = Some(self.t_ms());
                self.begins(Recovery {
                    t0_ms,
                    source: Source::Disk,
                    marks: self.disk.clone().into_iter().collect(),
                    ..Recovery::founding(self.epoch + 1)
                });
                self.ledger.goes_on_from_disk(self.epoch, self.epoch);
                self.ledger.fence(self.epoch, t0_ms);
                self.ledger.gone(self.gone_ms);
            }
        }
        Ok(())
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
            let t0_ms = Some(t_ms + FENCE_MS);
            self.disk = None;
            self.ledger.goes_on_from_nothing(self.epoch);
            self.ledger.fence(self.epoch, t0_ms);
            self.gone_ms = self.gone_ms.max(t0_ms);
            self.ledger.gone(self.gone_ms);
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

    fn step(&mut self, input: Input) {
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
        if let Some(window) = window {
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
        self.uses.push((self.real_ms, units));
        let (span_ms, t_ms) = (self.window.span_ms(), self.real_ms);
        let mut sum = 0;
        for (at_ms, units) in self.uses.iter().rev() {
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

fn taken<T: Clone>(queue: &mut Vec<T>, which: usize, again: bool) -> T {
    let which = which % queue.len();
    if again {
        queue[which].clone()
    } else {
        queue.remove(which)
    }
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0..64_usize;
    let gateway = 0..NODES.len();
    prop_oneof![
        8 => (gateway.clone(), 1..9_u64).prop_map(|(at, units)| Event::Use(at, units)),
        8 => (gateway.clone(), 1..9_u64).prop_map(|(at, want)| Event::Ask(at, want)),
        6 => (gateway.clone(), 1..9_u64).prop_map(|(at, want)| Event::Gets(at, want)),
        2 => gateway.prop_map(Event::Back),
        10 => (which.clone(), any::<bool>()).prop_map(|(which, again)| Event::Asked(which, again)),
        10 => (which, any::<bool>()).prop_map(|(which, again)| Event::Said(which, again)),
        4 => Just(Event::Marked),
        1 => (1..12_u64).prop_map(Event::Limit),
        4 => (1..700_i64).prop_map(Event::Pass),
        2 => (700..65_000_i64).prop_map(Event::Pass),
        1 => (65_000..4_000_000_i64).prop_map(Event::Pass),
        1 => (1..1_500_i64).prop_map(Event::Stand),
        2 => (1..1_500_i64).prop_map(Event::Lift),
        1 => (-3_000..3_000_i64, 0..3_000_i64).prop_map(|(ahead, after)| Event::TakeOver(ahead, after)),
        1 => prop_oneof![3 => 0..1_000_i64, 1 => 1_000..1_000_000_i64].prop_map(Event::Restart),
        1 => (-3_000..3_000_i64, any::<bool>(), any::<bool>())
            .prop_map(|(ahead, is_lost, stands)| Event::Apart(ahead, is_lost, stands)),
        4 => (0..64_usize, any::<bool>()).prop_map(|(which, again)| Event::AskedBefore(which, again)),
    ]
}

fn window() -> impl Strategy<Value = WindowSpec> {
    let lengths = [(TimeUnit::Sec, 1), (TimeUnit::Min, 1), (TimeUnit::Hour, 1)];
    let kinds = [WindowKind::Sliding, WindowKind::Bucket];
    let of = |(unit, count)| kinds.map(|kind| WindowSpec::new(unit, count).counted(kind));
    proptest::sample::select(lengths.map(of).concat())
}

/// The first limit, the window, and what happens.
type History = (u64, WindowSpec, Vec<Event>);

fn history() -> impl Strategy<Value = History> {
    let events = proptest::collection::vec(event(), 1..200);
    (1..12_u64, window(), events)
}

/// What is done wrong.
#[derive(PartialEq)]
enum Wrong {
    Nothing,
    /// A unit is lost whenever time passes.
    Forgets,
    /// One of the machine's own mistakes.
    Planted(Planted),
}

/// Whether no time sees too much.
fn keeps((limit, window, events): &History, wrong: &Wrong) -> Result<(), String> {
    let planted = match wrong {
        Wrong::Planted(bug) => Some(*bug),
        _ => None,
    };
    let mut world = World::new(*limit, *window, planted);
    for event in events {
        world.event(event)?;
        if *wrong == Wrong::Forgets && matches!(event, Event::Pass(_)) {
            let (cell, units) = (key("a"), 1);
            world.step(Input::Refund { cell, units });
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_real_time_sees_more_than_a_window_that_slides_or_a_bucket_allows_whose_t_ever_is_lifted(history in history()) {
        prop_assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
    }
}

#[test]
fn a_time_that_is_lifted_and_counts_as_passed_breaks_the_property_of_each_kind() {
    breaks(&Wrong::Planted(Planted::JumpsCount));
}

#[test]
fn a_unit_that_is_forgotten_too_early_breaks_the_property_of_each_kind() {
    breaks(&Wrong::Forgets);
}

fn breaks(wrong: &Wrong) {
    let mut runner = TestRunner::deterministic();
    let histories = (0..1_000).map(|_| history().new_tree(&mut runner).unwrap().current());
    let broken: Vec<WindowKind> = histories
        .filter(|history| keeps(history, wrong).is_err())
        .map(|(_, window, _)| window.kind)
        .collect();
    assert!(broken.contains(&WindowKind::Sliding));
    assert!(broken.contains(&WindowKind::Bucket));
}

fn sliding(unit: TimeUnit) -> WindowSpec {
    WindowSpec::new(unit, 1).counted(WindowKind::Sliding)
}

/// A gateway has the only unit.
fn holds_it() -> Vec<Event> {
    vec![
        Event::Ask(0, 1),
        Event::Asked(0, false),
        Event::Marked,
        Event::Said(0, false),
    ]
}

/// An owner that is cut off with its disk hanging goes on in the T of its last note.
fn in_a_time_that_stands_still(is_lost: bool) -> Vec<Event> {
    let mut events = if is_lost { Vec::new() } else { holds_it() };
    events.extend([
        Event::Apart(0, is_lost, true),
        Event::Pass(65_000),
        Event::Ask(0, 1),
        Event::AskedBefore(0, false),
        Event::Said(0, false),
        Event::Use(0, 1),
        Event::Gets(1, 1),
    ]);
    events
}

#[test]
fn a_pair_that_is_cut_off_while_its_disk_hangs_gives_out_nothing_beside_the_next_view() {
    for is_lost in [false, true] {
        let history = (
            1,
            sliding(TimeUnit::Min),
            in_a_time_that_stands_still(is_lost),
        );
        assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
        let stands_still = Wrong::Planted(Planted::LeasesStandStill);
        assert!(keeps(&history, &stands_still).is_err(), "{is_lost}");
    }
}

/// Milliseconds from the worlds' beginning to the end of the pane after the first one of an hour.
fn to_the_next_panes_end() -> (i64, i64) {
    let first = sliding(TimeUnit::Hour).at(T);
    (first.end_ms - T, first.length_ms())
}

#[test]
fn a_unit_of_a_lease_from_before_a_start_from_disks_counts_from_when_it_may_be_used_last() {
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    // T is lifted within the pane, and beyond many.
    for lift_ms in [900, 600_000] {
        let mut events = vec![Event::Pass(begins_ms)];
        events.extend(holds_it());
        events.extend([
            Event::Restart(lift_ms),
            Event::Pass(pane_ms - 2),
            Event::Use(0, 1),
            Event::Pass(3_599_500),
            Event::Gets(1, 1),
        ]);
        let history = (1, sliding(TimeUnit::Hour), events);
        assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()), "{lift_ms}");
    }
}

#[test]
fn a_lease_that_an_owner_prolongs_whose_t_is_slow_counts_as_long_at_the_one_that_took_over() {
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    let mut events = vec![Event::Pass(begins_ms)];
    events.extend(holds_it());
    events.extend([
        Event::Apart(0, false, false),
        Event::Pass(pane_ms - 10),
        Event::Ask(0, 1),
        Event::AskedBefore(0, false),
        Event::Said(0, false),
        Event::Pass(30),
        Event::Use(0, 1),
        Event::Pass(3_599_990),
        Event::Gets(1, 1),
    ]);
    let history = (1, sliding(TimeUnit::Hour), events);
    assert_eq!(keeps(&history, &Wrong::Nothing), Ok(()));
}

#[test]
fn a_copy_that_goes_on_as_what_a_disk_had_keeps_the_pace_of_the_copy() {
    let mut world = World::new(1, sliding(TimeUnit::Hour), None);
    let (begins_ms, pane_ms) = to_the_next_panes_end();
    world
        .event(&Event::Pass(begins_ms + pane_ms - 5_000))
        .unwrap();
    world.event(&Event::Gets(0, 1)).unwrap();
    // A note was late, and the other one is all that is left.
    for event in [Event::Lift(10_000), Event::TakeOver(10_000, 0)] {
        world.event(&event).unwrap();
    }
    world.ledger.goes_on_from_disk(world.epoch, world.epoch);
    let t0_ms = Some(world.t_ms());
    world.ledger.fence(world.epoch, t0_ms);
    world.event(&Event::Pass(3_595_000)).unwrap();
    assert_eq!(world.event(&Event::Gets(1, 1)), Ok(()));
}
