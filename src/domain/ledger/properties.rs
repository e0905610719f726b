//! Properties of L2, L7 and L9: whatever gateways, administrators and clocks do, in whatever order it comes to the owner
//! of a shard. The gateways here are as simple as the rules allow; `simulation` has the real ones.

#[path = "property_gateways.rs"]
mod gateways;
#[path = "restart_properties.rs"]
mod restarts;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use self::gateways::Gateway;
use super::tests::{T, key, policies};
use super::*;
use crate::policy::TimeUnit;
use crate::simulation::Planted;
use crate::window::{WindowId, WindowSpec};

const GATEWAYS: usize = 3;
const NODES: [&str; GATEWAYS] = ["g1", "g2", "g3"];
/// Who asks for all that is left, when everybody has come to rest.
const LAST: &str = "last";

/// What happens next; places in queues count modulo their length.
#[derive(Debug, Clone)]
enum Event {
    /// A gateway asks for more, after it has used and given back so much of what it holds.
    Ask(usize, u64, u64, u64),
    /// An ask comes to the owner, and stays on its way: it may come again.
    Asked(usize, bool),
    /// What the owner said comes to its gateway; so may that.
    Said(usize, bool),
    /// A gateway forgets its lease: what it held is spent.
    Forget(usize),
    /// The disk has every mark so far.
    Marked,
    Limit(u64),
    Reset,
    Refund(u64),
    Pass(i64),
    /// The owner's clock is set back.
    Back(i64),
}

/// Kept outside of the ledger, of the window that T lies in.
#[derive(Debug, Default)]
struct Truth {
    number: i64,
    /// The highest limit in force in it.
    highest: u64,
    resets: u64,
    /// Units that an administrator gave back.
    refunds: u64,
    /// What the owner said is granted, and what the gateway said is given back, by holder.
    said: BTreeMap<Holder, (u64, u64)>,
    /// The most that each holder asked to have.
    wanted: BTreeMap<Holder, u64>,
}

struct World {
    ledger: Ledger,
    window: WindowSpec,
    clock_ms: i64,
    /// What the owner takes for the time: it never goes back.
    t_ms: i64,
    limit: u64,
    changes: u64,
    gateways: Vec<Gateway>,
    asks: Vec<Ask>,
    said: Vec<Effect>,
    /// Asked for, and on disk.
    marks: Vec<(Stamp, Vec<Mark>)>,
    disk: BTreeMap<CellKey, Mark>,
    /// The owner goes on from that, so it hears of more than it knows.
    is_from_disk: bool,
    truth: Truth,
    /// The newest stamp that spoke of a window, and its number.
    newest: (Stamp, i64),
}

// === impl World ===

impl World {
    fn new(limit: u64, window: WindowSpec, planted: Option<Planted>) -> Self {
        let policies = policies(1, limit, window);
        let mut ledger = Ledger::new(2, Recovery::founding(1), policies);
        ledger.planted = planted;
        let mut world = Self {
            ledger,
            window,
            clock_ms: T,
            t_ms: T,
            limit,
            changes: 1,
            gateways: NODES.iter().map(|node| Gateway::new(node, 1)).collect(),
            asks: Vec::new(),
            said: Vec::new(),
            marks: Vec::new(),
            disk: BTreeMap::new(),
            is_from_disk: false,
            truth: Truth::default(),
            newest: (Stamp::default(), i64::MIN),
        };
        world.pass(0);
        world
    }

    fn pass(&mut self, ms: i64) {
        self.clock_ms += ms;
        self.t_ms = self.t_ms.max(self.clock_ms);
        let number = self.window.at(self.t_ms).id.number;
        if self.truth.number != number {
            self.truth = Truth {
                number,
                highest: self.limit,
                ..Truth::default()
            };
        }
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        match *event {
            Event::Ask(gateway, used, returned, want) => {
                let at = &mut self.gateways[gateway];
                at.used += used.min(at.holds());
                at.returned += returned.min(at.holds());
                self.asks.push(at.ask(want));
            }
            Event::Asked(which, again) => return self.asked(which, again),
            Event::Said(which, again) if !self.said.is_empty() => {
                let which = which % self.said.len();
                let said = match again {
                    true => self.said[which].clone(),
                    false => self.said.remove(which),
                };
                self.hears(&said);
            }
            Event::Said(..) => {}
            Event::Forget(gateway) => {
                let Holder { node, lease, .. } = self.gateways[gateway].holder.clone();
                self.gateways[gateway] = Gateway::new(&node, lease + 1);
            }
            Event::Marked => {
                if let Some(stamp) = self.marks.last().map(|(stamp, _)| *stamp) {
                    let marks = self.marks.drain(..).flat_map(|(_, marks)| marks);
                    let rows = marks.map(|mark| (mark.cell.clone(), mark));
                    self.disk.extend(rows);
                    return self.step(Input::Marked { stamp });
                }
            }
            Event::Limit(limit) => {
                self.changes += 1;
                self.limit = limit;
                self.truth.highest = self.truth.highest.max(limit);
                let policies = policies(self.changes, limit, self.window);
                return self.step(Input::Policies(policies));
            }
            Event::Reset => return self.reset(),
            Event::Refund(units) => {
                let before = self.used();
                self.truth.refunds += units;
                let cell = key("a");
                self.step(Input::Refund { cell, units })?;
                // Who waits may have been served at once, up to the limit and no further.
                let after = self.used();
                if after < before.saturating_sub(units) {
                    return Err(format!("L9: {units} of {before} leave {after}"));
                }
            }
            Event::Pass(ms) => {
                self.pass(ms);
                return self.step(Input::Tick);
            }
            Event::Back(ms) => {
                self.clock_ms -= ms;
                return self.step(Input::Tick);
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), String> {
        self.truth.resets += 1;
        let gateways = NODES.map(str::to_owned).into();
        let cell = key("a");
        self.step(Input::Reset { cell, gateways })
    }

    fn asked(&mut self, which: usize, again: bool) -> Result<(), String> {
        if self.asks.is_empty() {
            return Ok(());
        }
        let which = which % self.asks.len();
        let ask = match again {
            true => self.asks[which].clone(),
            false => self.asks.remove(which),
        };
        let is_current = ask.window.is_some_and(|at| at.number == self.truth.number);
        let (have, returned) = match is_current {
            true => (ask.have, ask.returned),
            false => (0, 0),
        };
        let wanted = self.truth.wanted.entry(ask.holder.clone()).or_default();
        *wanted = (*wanted).max(have + ask.want);
        let said = self.truth.said.entry(ask.holder.clone()).or_default();
        said.1 = said.1.max(returned);
        self.step(Input::Ask(ask))
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        let before = (self.used(), self.ledger.granted_units());
        let effects = self.ledger.step_alone(input, self.clock_ms);
        for effect in effects {
            match &effect {
                Effect::Persist { stamp, marks } => self.marks.push((*stamp, marks.clone())),
                Effect::Reply(reply) => {
                    let window = reply.window.map(|window| window.id);
                    self.goes_on(reply.stamp, window)?;
                    self.grants(&reply.holder, window, reply.granted)?;
                    self.said.push(effect);
                }
                Effect::Recall(recall) => {
                    self.grants(&recall.holder, Some(recall.window), recall.granted)?;
                    self.said.push(effect);
                }
                _ => {}
            }
        }
        self.holds(before)
    }

    /// The number of the window never goes back, whatever the clock does (L10).
    fn goes_on(&mut self, stamp: Stamp, window: Option<WindowId>) -> Result<(), String> {
        if let Some(WindowId { number, .. }) = window
            && stamp >= self.newest.0
        {
            if number < self.newest.1 {
                return Err(format!("L10: window {number} after {}", self.newest.1));
            }
            self.newest = (stamp, number);
        }
        Ok(())
    }

    /// What the owner says is granted: a holder has no more of it than it asked for, however often.
    fn grants(
        &mut self,
        holder: &Holder,
        window: Option<WindowId>,
        granted: u64,
    ) -> Result<(), String> {
        if window.is_none_or(|window| window.number != self.truth.number) {
            return Ok(());
        }
        let wanted = self.truth.wanted.get(holder).copied().unwrap_or(0);
        if granted > wanted {
            return Err(format!(
                "L7: {holder:?} has {granted}, and asked for {wanted}"
            ));
        }
        let said = self.truth.said.entry(holder.clone()).or_default();
        said.0 = said.0.max(granted);
        Ok(())
    }

    /// What counts as used in the window of now.
    fn used(&self) -> u64 {
        let Some(image) = self.image() else { return 0 };
        let held = image.holders.iter().map(|(_, count)| count.net());
        held.sum::<u64>() + image.spent
    }

    fn image(&self) -> Option<CellImage> {
        let image = self.ledger.image(&key("a"))?;
        (image.window.id.number == self.truth.number).then_some(image)
    }

    /// What holds after each step.
    fn holds(&self, (before, granted): (u64, u64)) -> Result<(), String> {
        let (used, limit) = (self.used(), self.limit);
        // Gateways may tell of more than a disk knows; nothing is granted beyond the limit for all that.
        let is_granted = self.ledger.granted_units() > granted;
        let is_more = used > before && !self.is_from_disk;
        if used > limit && (is_granted || is_more) {
            return Err(format!("L9: {used} are used, {before} were, of {limit}"));
        }
        let holders = self.image().map(|image| image.holders).unwrap_or_default();
        let negative = holders
            .iter()
            .find(|(_, count)| count.returned > count.granted || count.forgiven > count.granted);
        if let Some((node, count)) = negative {
            return Err(format!("L2: the balance of {node} is negative: {count:?}"));
        }
        let said = self.truth.said.values();
        let out: u64 = said
            .map(|(granted, back)| granted.saturating_sub(*back))
            .sum();
        // Each reset lets the key use its limit once more.
        let most = self.truth.highest * (1 + self.truth.resets) + self.truth.refunds;
        match out <= most {
            true => Ok(()),
            false => Err(format!("L2: {out} are out, of {most}")),
        }
    }

    fn hears(&mut self, said: &Effect) {
        let (holder, window, granted, stamp) = match said {
            Effect::Reply(reply) => {
                let window = reply.window.map(|window| window.id);
                (&reply.holder, window, reply.granted, reply.stamp)
            }
            Effect::Recall(recall) => (
                &recall.holder,
                Some(recall.window),
                recall.granted,
                recall.stamp,
            ),
            _ => return,
        };
        let mut gateways = self.gateways.iter_mut();
        if let Effect::Recall(recall) = said
            && recall.anew
        {
            let answers = gateways.filter_map(|at| at.begins_anew(recall));
            return self.asks.extend(answers);
        }
        let Some(at) = gateways.find(|at| at.holder == *holder) else {
            return;
        };
        at.epoch = at.epoch.max(stamp.epoch);
        if let Some(window) = window.filter(|_| stamp >= at.begun) {
            at.hears(window, granted);
        }
        if matches!(said, Effect::Recall(_)) {
            at.returned += at.holds();
            let emptied = at.ask(0);
            self.asks.push(emptied);
        }
    }

    /// Everything that is on its way arrives, and disks write.
    fn settles(&mut self) -> Result<(), String> {
        while !(self.asks.is_empty() && self.said.is_empty() && self.marks.is_empty()) {
            self.event(&Event::Said(0, false))?;
            self.event(&Event::Asked(0, false))?;
            self.event(&Event::Marked)?;
        }
        self.event(&Event::Pass(100))
    }

    /// When all have given back what they did not use, somebody who asks for everything gets what is left of the limit,
    /// and all of it.
    fn gives_out_again(&mut self) -> Result<(), String> {
        self.settles()?;
        // A clock that was set back would come to less of the window than it passes.
        self.clock_ms = self.t_ms;
        if self.window.at(self.t_ms).remaining_ms(self.t_ms) < 40_000 {
            self.event(&Event::Pass(40_000))?;
        }
        for gateway in 0..GATEWAYS {
            // So the owner hears of leases that are over, too; what is held is there to be recalled.
            self.event(&Event::Ask(gateway, 0, 0, 0))?;
        }
        self.settles()?;
        self.gateways.push(Gateway::new(LAST, 1));
        let (mut before, mut idle) = (u64::MAX, 0);
        // Whoever is told of a recall, or to ask again, has done so after a few rounds.
        while idle < 8 {
            self.event(&Event::Ask(GATEWAYS, 0, 0, self.limit))?;
            self.settles()?;
            let have = self.gateways[GATEWAYS].have;
            idle = if have == before { idle + 1 } else { 0 };
            before = have;
        }
        self.used_up()
    }

    fn used_up(&self) -> Result<(), String> {
        let is_now = |at: &&Gateway| at.window.is_some_and(|at| at.number == self.truth.number);
        let consumed: u64 = self
            .gateways
            .iter()
            .filter(is_now)
            .map(|at| at.have - at.returned)
            .sum();
        let spent = self.image().map_or(0, |image| image.spent);
        let (all, limit) = (consumed + spent, self.limit);
        // What was used before a reset, or under a higher limit, is used all the same.
        let again = self.truth.resets + self.truth.refunds;
        let exact = again == 0 && self.truth.highest == limit;
        if all < limit || (exact && all > limit) {
            return Err(format!(
                "L9: {all} of {limit} are given out when somebody wants all"
            ));
        }
        Ok(())
    }
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0..64_usize;
    prop_oneof![
        8 => (0..GATEWAYS, 0..6_u64, 0..6_u64, 0..9_u64)
            .prop_map(|(at, used, returned, want)| Event::Ask(at, used, returned, want)),
        8 => (which.clone(), any::<bool>()).prop_map(|(which, again)| Event::Asked(which, again)),
        8 => (which, any::<bool>()).prop_map(|(which, again)| Event::Said(which, again)),
        1 => (0..GATEWAYS).prop_map(Event::Forget),
        3 => Just(Event::Marked),
        1 => (1..40_u64).prop_map(Event::Limit),
        1 => Just(Event::Reset),
        1 => (1..40_u64).prop_map(Event::Refund),
        4 => (1..400_i64).prop_map(Event::Pass),
        1 => (400..90_000_i64).prop_map(Event::Pass),
        1 => (1..90_000_i64).prop_map(Event::Back),
    ]
}

/// The first limit, the window, and what happens.
fn history() -> impl Strategy<Value = (u64, WindowSpec, Vec<Event>)> {
    let windows = [TimeUnit::Min, TimeUnit::Hour].map(|unit| WindowSpec::new(unit, 1));
    let window = proptest::sample::select(windows.to_vec());
    (
        1..40_u64,
        window,
        proptest::collection::vec(event(), 1..120),
    )
}

fn keeps(
    (limit, window, events): &(u64, WindowSpec, Vec<Event>),
    planted: Option<Planted>,
) -> Result<(), String> {
    let mut world = World::new(*limit, *window, planted);
    for event in events {
        world.event(event)?;
    }
    world.gives_out_again()
}

proptest! {
    #[test]
    fn a_window_is_given_out_once_and_whole_whatever_comes_in_whatever_order(history in history()) {
        prop_assert_eq!(keeps(&history, None), Ok(()));
    }
}

#[test]
fn an_old_limit_that_stays_breaks_a_property() {
    let mut runner = TestRunner::deterministic();
    let mut histories = (0..200).map(|_| history().new_tree(&mut runner).unwrap().current());
    assert!(histories.any(|history| keeps(&history, Some(Planted::OldLimitStays)).is_err()));
}
