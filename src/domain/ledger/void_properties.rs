//! A property of resets (L9): once one is told as done, nothing is used of what a gateway had by a lease when it came, unless
//! the answer named that gateway. In a later pane the same lease may have more: what it had before has ended with its pane. With real accounts of gateways, whatever their owner knows of them: a copy, a
//! disk, or nothing.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::paned_world::taken;
use super::tests::{T, key, policies};
use super::*;
use crate::lease::Book;
use crate::policy::{TimeUnit, WindowKind};
use crate::window::{WindowId, WindowSpec};

const NODES: [&str; 3] = ["g1", "g2", "g3"];
const LIMIT: u64 = 8;

/// A lease, and the pane in which it has what it has.
type Had = (Holder, Option<i64>);

/// What happens next; places in queues count modulo their length.
#[derive(Debug, Clone)]
enum Event {
    Ask(usize, u32),
    /// A call takes a unit, if there is one.
    Use(usize),
    /// An ask comes to the owner, and perhaps once more later.
    Asked(usize, bool),
    /// What the owner said comes to its gateway; so may that.
    Said(usize, bool),
    /// The disk has what it was given.
    Marked,
    Reset,
    Refund(u64),
    /// A gateway loses its account.
    Forget(usize),
    Pass(i64),
    Lift(i64),
    /// Another owner goes on with a copy.
    TakeOver,
    /// Or with what is on disk.
    Restart,
    /// Or with nothing.
    Loss,
}

struct Gateway {
    book: Option<Book>,
    leases: u64,
}

struct World {
    ledger: Ledger,
    window: WindowSpec,
    epoch: u64,
    real_ms: i64,
    ahead_ms: i64,
    gateways: Vec<Gateway>,
    asks: Vec<Ask>,
    said: Vec<Effect>,
    disk: Option<Mark>,
    /// What the disk was given and does not have yet.
    marks: Vec<(Stamp, Option<Mark>)>,
    /// A reset that is not told yet, with the leases that had something when it came.
    reset: Option<(Stamp, WindowId, BTreeSet<Had>)>,
    /// Leases by which nothing may be used any more in these panes.
    void: BTreeSet<Had>,
    /// With the bug resets ask nobody whom the owner does not know.
    asks_strangers: bool,
}

// === impl World ===

impl World {
    fn new(window: WindowSpec, asks_strangers: bool) -> Self {
        let gateway = |_| Gateway {
            book: None,
            leases: 0,
        };
        let policies = policies(1, LIMIT, window);
        let mut world = Self {
            ledger: Ledger::new(2, Recovery::founding(1), policies),
            window,
            epoch: 1,
            real_ms: T,
            ahead_ms: 0,
            gateways: NODES.map(gateway).into(),
            asks: Vec::new(),
            said: Vec::new(),
            disk: None,
            marks: Vec::new(),
            reset: None,
            void: BTreeSet::new(),
            asks_strangers,
        };
        world.passes();
        world
    }

    fn t_ms(&self) -> i64 {
        self.real_ms + self.ahead_ms
    }

    fn passes(&mut self) {
        let t_ms = self.t_ms();
        self.ledger.passes(t_ms, self.real_ms, t_ms);
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        match *event {
            Event::Ask(gateway, want) => {
                let real_ms = self.real_ms;
                let book = self.book(gateway);
                let ask = book.ask(1, (want, want), real_ms);
                self.asks.push(ask);
            }
            Event::Use(gateway) => self.uses(gateway)?,
            Event::Asked(which, again) if !self.asks.is_empty() => {
                let ask = taken(&mut self.asks, which, again);
                self.step(Input::Ask(ask));
            }
            Event::Said(which, again) if !self.said.is_empty() => {
                let said = taken(&mut self.said, which, again);
                self.hears(&said);
            }
            Event::Asked(..) | Event::Said(..) => {}
            Event::Marked => self.marks_lie(),
            Event::Reset => self.is_reset(),
            Event::Refund(units) => {
                let cell = key("a");
                self.step(Input::Refund { cell, units });
            }
            Event::Forget(gateway) => self.gateways[gateway].book = None,
            Event::Pass(ms) => {
                self.real_ms += ms;
                self.step(Input::Tick);
            }
            Event::Lift(ms) => {
                self.ahead_ms += ms;
                self.step(Input::Tick);
            }
            Event::TakeOver => {
                self.passes();
                let image = self.ledger.shard_image();
                self.begins(Recovery::founding(self.epoch + 1));
                self.disk = self.ledger.take(image).pop().or(self.disk.take());
                self.ledger.others_may_prolong();
            }
            Event::Restart => {
                self.begins(Recovery {
                    t0_ms: Some(self.t_ms()),
                    source: Source::Disk,
                    marks: self.disk.clone().into_iter().collect(),
                    ..Recovery::founding(self.epoch + 1)
                });
                self.ledger.goes_on_from_disk(self.epoch, self.epoch);
                self.ledger.fence(self.epoch, Some(self.t_ms()));
            }
            Event::Loss => {
                self.begins(Recovery::founding(self.epoch + 1));
                self.disk = None;
                let t_ms = Some(self.t_ms());
                self.ledger.goes_on_from_nothing(self.epoch);
                self.ledger.fence(self.epoch, t_ms);
                self.ledger.gone(t_ms, self.epoch);
            }
        }
        self.tells();
        Ok(())
    }

    fn book(&mut self, gateway: usize) -> &mut Book {
        let Gateway { book, leases } = &mut self.gateways[gateway];
        book.get_or_insert_with(|| {
            *leases += 1;
            Book::open(Holder::new(NODES[gateway], 1, *leases), key("a"))
        })
    }

    /// Nobody is told of a reset that this view has not done.
    fn begins(&mut self, recovery: Recovery) {
        self.epoch = recovery.epoch;
        self.ledger = Ledger::new(2, recovery, policies(1, LIMIT, self.window));
        self.marks.clear();
        self.reset = None;
        self.passes();
    }

    fn step(&mut self, input: Input) {
        self.passes();
        for effect in self.ledger.step_alone(input, self.t_ms()) {
            match effect {
                Effect::Persist { stamp, marks } => {
                    self.marks.push((stamp, marks.into_iter().last()))
                }
                effect => self.said.push(effect),
            }
        }
    }

    fn marks_lie(&mut self) {
        for (stamp, mark) in std::mem::take(&mut self.marks) {
            self.disk = mark.or(self.disk.take());
            self.step(Input::Marked { stamp });
        }
    }

    fn is_reset(&mut self) {
        let gateways = match self.asks_strangers {
            true => NODES.map(str::to_owned).into(),
            false => BTreeSet::new(),
        };
        self.passes();
        let books = self.gateways.iter().filter_map(|at| at.book.as_ref());
        let window = self.window.at(self.t_ms()).id.number;
        // A lease of a pane that is over for its gateway has nothing, and goes on in the next one. What one has of a fixed window
        // that is over by T counts in none that is reset.
        let lasts = |book: &&Book| {
            let (lease, of) = (book.lease(), had(book).1);
            let counts = self.window.is_paned() || of == Some(window);
            lease.at_hand() > 0 && !lease.has_ended(self.real_ms) && counts
        };
        let of_before = books.filter(lasts).map(had).collect();
        let cell = key("a");
        self.step(Input::Reset { cell, gateways });
        let window = self.ledger.window(&key("a"));
        self.reset = window.map(|window| (self.ledger.stamp(), window.id, of_before));
    }

    /// A reset is told as done as soon as it may be, with the names of those who were not heard. One of a fixed window is done
    /// when that is over.
    fn tells(&mut self) {
        let Some((stamp, of, of_before)) = self.reset.take() else {
            return;
        };
        let window = self.ledger.window(&key("a")).map(|window| window.id);
        if window != Some(of) && !of.spec.is_paned() {
            return;
        }
        if !self.ledger.is_settled(&key("a"), stamp) {
            self.reset = Some((stamp, of, of_before));
            return;
        }
        let unheard = self.ledger.unheard(&key("a"));
        let heard = of_before.into_iter();
        self.void
            .extend(heard.filter(|(holder, _)| !unheard.contains(&holder.node)));
    }

    fn uses(&mut self, gateway: usize) -> Result<(), String> {
        let Some(book) = &self.gateways[gateway].book else {
            return Ok(());
        };
        let real_ms = self.real_ms;
        let is_used = book.lease().take(1, || real_ms).is_ok();
        match is_used && self.void.contains(&had(book)) {
            true => Err(format!("L9: {:?} is used after a reset", book.holder())),
            false => Ok(()),
        }
    }

    fn hears(&mut self, said: &Effect) {
        let node = match said {
            Effect::Reply(Reply { holder, .. })
            | Effect::Recall(Recall { holder, .. })
            | Effect::Reopen(Reopen { holder, .. }) => &holder.node,
            _ => return,
        };
        let real_ms = self.real_ms;
        let Some(place) = NODES.iter().position(|known| known == node) else {
            return;
        };
        let Gateway { book, leases } = &mut self.gateways[place];
        match said {
            Effect::Recall(recall) if recall.anew => {
                *leases += 1;
                let answers = match book {
                    Some(book) => book.begin_anew(recall, *leases, 1, real_ms),
                    None => {
                        let next = Holder::new(&**node, 1, *leases);
                        vec![Book::of_none(next, recall, 1, real_ms)]
                    }
                };
                self.asks.extend(answers);
            }
            Effect::Recall(recall) => {
                let answer = book
                    .as_mut()
                    .and_then(|book| book.recall(recall, (1, 0, true), real_ms));
                self.asks.extend(answer);
            }
            Effect::Reply(reply) => {
                let _ = book.as_mut().map(|book| book.apply(reply));
            }
            _ => {}
        }
    }
}

fn had(book: &Book) -> Had {
    let pane = book.granted().0.map(|window| window.number);
    (book.holder().clone(), pane)
}

fn event() -> impl Strategy<Value = Event> {
    let (which, gateway) = (0..64_usize, 0..NODES.len());
    prop_oneof![
        6 => (gateway.clone(), 1..5_u32).prop_map(|(at, want)| Event::Ask(at, want)),
        6 => gateway.clone().prop_map(Event::Use),
        10 => (which.clone(), any::<bool>()).prop_map(|(which, again)| Event::Asked(which, again)),
        10 => (which, any::<bool>()).prop_map(|(which, again)| Event::Said(which, again)),
        6 => Just(Event::Marked),
        2 => Just(Event::Reset),
        1 => (1..5_u64).prop_map(Event::Refund),
        1 => gateway.prop_map(Event::Forget),
        4 => (1..800_i64).prop_map(Event::Pass),
        1 => (800..65_000_i64).prop_map(Event::Pass),
        1 => (1..40_000_i64).prop_map(Event::Lift),
        1 => Just(Event::TakeOver),
        1 => Just(Event::Restart),
        1 => Just(Event::Loss),
    ]
}

type History = (WindowSpec, Vec<Event>);

/// A gateway has units, its owner is another one or has lost what it knew, and then the key is reset.
fn history() -> impl Strategy<Value = History> {
    let units = [TimeUnit::Min, TimeUnit::Hour].map(|unit| WindowSpec::new(unit, 1));
    let kinds = [WindowKind::Fixed, WindowKind::Sliding, WindowKind::Bucket];
    let windows = units.map(|spec| kinds.map(|kind| spec.counted(kind)));
    let change = proptest::sample::select(vec![
        Event::TakeOver,
        Event::Restart,
        Event::Loss,
        Event::Refund(LIMIT),
        Event::Lift(900),
    ]);
    let before = proptest::collection::vec(event(), 0..20);
    let between = proptest::collection::vec(event(), 0..6);
    let after = proptest::collection::vec(event(), 1..80);
    let window = proptest::sample::select(windows.concat());
    (window, before, (0..NODES.len(), change), between, after).prop_map(
        |(window, mut all, (at, change), between, after)| {
            all.extend([
                Event::Ask(at, 4),
                Event::Asked(63, false),
                Event::Marked,
                Event::Said(63, false),
            ]);
            all.push(change);
            all.extend(between);
            all.push(Event::Reset);
            all.extend(after);
            (window, all)
        },
    )
}

fn keeps((window, events): &History, asks_strangers: bool) -> Result<(), String> {
    let mut world = World::new(*window, asks_strangers);
    events.iter().try_for_each(|event| world.event(event))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn nothing_is_used_of_before_a_reset_that_was_told_unless_its_gateway_was_named(history in history()) {
        prop_assert_eq!(keeps(&history, true), Ok(()));
    }
}

/// Its gateway had lost an account, and a late ask of that was all that the next owner knew.
#[test]
fn a_lease_of_before_a_reset_that_its_owner_meets_later_is_no_answer_to_it() {
    use Event::{Ask, Asked, Forget, Loss, Marked, Pass, Reset, Said, Use};
    let had = [
        Ask(2, 1),
        Forget(2),
        Ask(2, 4),
        Asked(1, false),
        Marked,
        Said(0, false),
    ];
    let lost = [Loss, Asked(0, false), Reset, Marked];
    let goes_on = [Ask(2, 1), Asked(0, false), Pass(800), Marked, Use(2)];
    let events = [&had[..], &lost[..], &goes_on[..]].concat();
    let window = WindowSpec::new(TimeUnit::Hour, 1);
    assert_eq!(keeps(&(window, events), true), Ok(()));
}

#[test]
fn a_reset_that_asks_nobody_whom_its_owner_does_not_know_breaks_the_property() {
    let mut runner = TestRunner::deterministic();
    let mut histories = (0..1_000).map(|_| history().new_tree(&mut runner).unwrap().current());
    assert!(histories.any(|history| keeps(&history, false).is_err()));
}
