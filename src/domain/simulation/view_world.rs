//! Several members in place of one owner: the real `Seat`s, `Coordinator`s, `Voter`s and `Fences`, each key a shard of
//! its own, around an abstract register. Gateways and requests are those of [`super::ledger_world`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Planted;
use super::ledger_world::{Event, World, key_of};
use super::view_changes::Stopped;
use super::view_register::Register;
use super::view_resets::ResetUnderWay;
use crate::ledger::{Ask, CellKey, Cursor, Input, Mark, Policies, Stamp};
use crate::view::{
    Coordinator, Duty, Epoch, Event as SeatEvent, Fences, Life, News, NodeTime, Now, Origin, Phase,
    Place, Report, Sealed, Seat, View, Voter, Waits, Words,
};

/// What nodes say to each other.
#[derive(Debug, Clone)]
pub(super) enum Saying {
    Words {
        shard: u16,
        from: Life,
        to: Life,
        words: Words,
    },
    Fence {
        epoch: Epoch,
        t_ms: i64,
    },
    Fenced {
        epoch: Epoch,
        t_ms: i64,
    },
    Seal {
        epoch: Epoch,
    },
    Sealed {
        sealed: Sealed,
    },
    Complete {
        epoch: Epoch,
        shard: u16,
        origin: Origin,
        found: Vec<Epoch>,
    },
    Refused {
        at: Epoch,
    },
    View(Arc<View>),
    Voters(Arc<Vec<String>>),
    Stalled {
        epoch: Epoch,
        by: String,
    },
    Moved {
        epoch: Epoch,
        parts: u64,
    },
    Report(Arc<Report>),
    Ask(Ask),
}

/// What happens to nodes.
#[derive(Debug)]
pub(super) enum NodeEvent {
    Hears {
        node: usize,
        life: u64,
        from: usize,
        saying: Box<Saying>,
    },
    Policies {
        node: usize,
        life: u64,
        policies: Arc<Policies>,
    },
    Written {
        node: usize,
        life: u64,
        shard: u16,
        stamp: Stamp,
        marks: Vec<Mark>,
    },
    Noted {
        node: usize,
        life: u64,
        t_ms: i64,
    },
    Begun {
        node: usize,
        life: u64,
        epoch: Epoch,
    },
    Ticks {
        node: usize,
        life: u64,
        round: u64,
    },
    Starts {
        node: usize,
    },
}

/// A traffic manager, a voter, or both.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) life: u64,
    pub(super) is_up: bool,
    pub(super) paused_until_ms: i64,
    /// What its wall clock is wrong by now; a start goes by it.
    pub(super) wall_error_ms: i64,
    /// What the clock of this life is wrong by: it does not step.
    pub(super) clock_error_ms: i64,
    pub(super) time: NodeTime,
    pub(super) seats: Vec<Seat>,
    pub(super) coordinator: Coordinator,
    pub(super) view: Arc<View>,
    /// The policies that it knows.
    pub(super) policies: u64,
    /// Since when it hands over.
    pub(super) leaving_ms: Option<i64>,
    pub(super) fences: Fences,
    pub(super) waits: Waits,
    /// What is on its way from it over a slow link, and when that arrives.
    pub(super) link: Vec<(i64, u16, Cursor)>,
    /// On disk, like the marks.
    pub(super) voter: Voter,
    pub(super) disk: BTreeMap<CellKey, Mark>,
    /// It takes nothing before.
    pub(super) disk_free_ms: i64,
    /// What the last stop in order left of each shard.
    pub(super) stopped: Vec<Stopped>,
    /// The view that the disk took part in first.
    pub(super) begun: Option<Epoch>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) all: Vec<Node>,
    /// How many of the first ones own shards; the others vote only.
    pub(super) members: usize,
    pub(super) register: Register,
    pub(super) resets: Vec<ResetUnderWay>,
    /// From whom to whom nothing comes through.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// When the one last heard the other.
    pub(super) heard: Vec<Vec<Option<i64>>>,
    /// A pair that is cut off with a gateway, and until when.
    pub(super) apart: Option<(i64, [usize; 2])>,
    /// Between which gateway and node nothing comes through.
    pub(super) gateway_cut: BTreeSet<(usize, usize)>,
    /// How fast each one's wall clock is slewed, and its T with it, in parts per million.
    pub(super) slews: Vec<i64>,
    /// What each gateway knows of the view.
    pub(super) known: Vec<Arc<View>>,
    /// Ticks of an earlier round are over.
    pub(super) round: u64,
    /// Until then nobody sleeps; since when all do, and how long that was before.
    pub(super) busy_until_ms: i64,
    pub(super) idle_since_ms: Option<i64>,
    pub(super) idle_ms: i64,
}

/// A node that is not heard for so long is taken for dead.
const SUSPECT_MS: i64 = 400;

const NAMES: [&str; 5] = ["t0", "t1", "t2", "t3", "t4"];

pub(super) fn name(node: usize) -> String {
    NAMES[node].to_owned()
}

pub(super) fn number(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap()
}

/// Any hash will do as long as all agree.
pub(super) fn rank(shard: u16, node: &str) -> u64 {
    let seed = u64::from(shard) * 1_000 + u64::try_from(number(node)).unwrap();
    super::kernel::Rng::new(seed).next()
}

// === impl World ===

impl World {
    /// What a life calls itself.
    pub(super) fn incarnation_of(&self, life: u64) -> u64 {
        match self.plan.planted {
            Some(Planted::ReuseIncarnation) => 1,
            _ => life,
        }
    }

    pub(super) fn life_of(&self, node: usize) -> Life {
        Life::new(name(node), self.incarnation_of(self.nodes.all[node].life))
    }

    pub(super) fn node_event(&mut self, event: NodeEvent) {
        let (node, life) = match &event {
            NodeEvent::Hears { node, life, .. }
            | NodeEvent::Written { node, life, .. }
            | NodeEvent::Noted { node, life, .. }
            | NodeEvent::Begun { node, life, .. }
            | NodeEvent::Policies { node, life, .. }
            | NodeEvent::Ticks { node, life, .. } => (*node, *life),
            NodeEvent::Starts { node } => return self.node_returns(*node),
        };
        let at = &self.nodes.all[node];
        let is_same = self.incarnation_of(at.life) == self.incarnation_of(life);
        let is_own = matches!(event, NodeEvent::Hears { .. }) && is_same;
        if !at.is_up || (at.life != life && !is_own) {
            if let NodeEvent::Written { marks, .. } = event
                && at.is_up
            {
                // Of an actor that failed meanwhile: its words are not taken back.
                self.disk_takes(node, marks);
            }
            return;
        }
        if at.paused_until_ms > self.now_ms {
            // It was stopped: everything that reaches it waits, in order.
            let until = at.paused_until_ms;
            return self.queue.at(until, Event::Node(event));
        }
        match event {
            NodeEvent::Hears { from, saying, .. } => {
                self.node_catches_up(node);
                self.node_hears(node, from, *saying);
            }
            NodeEvent::Policies { policies, .. } => self.node_hears_policies(node, &policies),
            NodeEvent::Written {
                shard,
                stamp,
                marks,
                ..
            } => {
                self.disk_takes(node, marks);
                self.seat(node, shard, SeatEvent::Ledger(Input::Marked { stamp }));
            }
            NodeEvent::Noted { t_ms, .. } => self.node_noted(node, t_ms),
            NodeEvent::Begun { epoch, .. } => self.node_has_begun(node, epoch),
            NodeEvent::Ticks { round, .. } => self.node_ticks(node, round),
            NodeEvent::Starts { .. } => {}
        }
    }

    /// Each row takes the place of its cell's; an earlier writer's comes too late.
    fn disk_takes(&mut self, node: usize, marks: Vec<Mark>) {
        let disk = &mut self.nodes.all[node].disk;
        for mark in marks {
            let known = disk.get(&mark.cell);
            if known.is_none_or(|known| known.stamp <= mark.stamp) {
                disk.insert(mark.cell.clone(), mark);
            }
        }
    }

    fn node_ticks(&mut self, node: usize, round: u64) {
        if round != self.nodes.round {
            return;
        }
        let life = self.nodes.all[node].life;
        self.node_notes(node);
        for shard in 0..self.shards() {
            self.seat(node, shard, SeatEvent::Tick);
        }
        let leads = self.nodes.register.believes(node);
        self.coordinate(node, News::Leads(leads));
        if node < self.nodes.members {
            let report = Arc::new(Report {
                life: self.life_of(node),
                hears: self.heard_by(node),
                leaving: self.nodes.all[node].leaving_ms.is_some(),
            });
            for voter in 0..self.plan.voters {
                self.say(node, voter, Saying::Report(Arc::clone(&report)));
            }
        }
        self.coordinate(node, News::Tick);
        self.tell_of_waits(node);
        self.node_may_stop(node);
        if let Some(pause_ms) = self.tick_ms() {
            let at = self.now_ms + pause_ms;
            self.queue
                .at(at, Event::Node(NodeEvent::Ticks { node, life, round }));
        }
    }

    /// Whom a node has heard lately.
    pub(super) fn heard_by(&self, node: usize) -> BTreeSet<String> {
        let now_ms = self.busy_ms();
        let heard = |other: &usize| {
            let at_ms = self.nodes.heard[node][*other];
            at_ms.is_some_and(|at_ms| now_ms - at_ms <= SUSPECT_MS)
        };
        (0..self.plan.voters).filter(heard).map(name).collect()
    }

    /// Both hear each other now.
    pub(super) fn reaches(&self, one: usize, other: usize) -> bool {
        self.hears(one, other) && self.hears(other, one)
    }

    /// What the other says comes to the one now.
    pub(super) fn hears(&self, one: usize, other: usize) -> bool {
        self.works(one) && self.works(other) && !self.nodes.cut.contains(&(other, one))
    }

    pub(super) fn works(&self, node: usize) -> bool {
        let at = &self.nodes.all[node];
        at.is_up && at.paused_until_ms <= self.now_ms
    }

    pub(super) fn say(&mut self, from: usize, to: usize, saying: Saying) {
        if self.nodes.cut.contains(&(from, to)) {
            return;
        }
        let life = self.nodes.all[to].life;
        let mut arrive = |at: i64, saying: Saying| {
            let hears = NodeEvent::Hears {
                node: to,
                life,
                from,
                saying: Box::new(saying),
            };
            self.queue.at(at, Event::Node(hears));
        };
        if from == to {
            return arrive(self.now_ms, saying);
        }
        let mut arrivals = self.plan.network.deliveries(self.now_ms, &mut self.rng);
        let (first, second) = (arrivals.next(), arrivals.next());
        if let Some(at) = second {
            // Of two copies that arrive together the first one is the first.
            first.into_iter().for_each(|at| arrive(at, saying.clone()));
            arrive(at, saying);
        } else if let Some(at) = first {
            arrive(at, saying);
        }
    }

    fn node_hears(&mut self, node: usize, from: usize, saying: Saying) {
        match saying {
            Saying::Words {
                shard,
                from,
                to,
                words,
            } => {
                // Said to another life of this node.
                if number(&to.node) == node
                    && to.incarnation == self.incarnation_of(self.nodes.all[node].life)
                {
                    self.seat(node, shard, SeatEvent::Heard { from, words });
                }
            }
            Saying::Fence { epoch, t_ms } => self.node_fences(node, from, epoch, t_ms),
            Saying::Fenced { epoch, t_ms } => self.node_is_fenced(node, from, epoch, t_ms),
            Saying::Seal { epoch } => {
                let sealed = self.nodes.all[node].voter.seal(epoch);
                self.say(node, from, Saying::Sealed { sealed });
            }
            Saying::Sealed { sealed } => {
                let voter = name(from);
                self.coordinate(node, News::Sealed { voter, sealed });
            }
            Saying::Complete {
                epoch,
                shard,
                origin,
                found,
            } => {
                let complete = News::Complete {
                    epoch,
                    shard,
                    origin,
                    found,
                };
                self.coordinate(node, complete);
            }
            Saying::Refused { at } => {
                self.coordinate(node, News::Refused { at });
                if !self.nodes.register.believes(node) {
                    self.tell_leader(node, Saying::Refused { at });
                }
            }
            Saying::View(view) => self.node_follows(node, view),
            Saying::Voters(voters) => {
                self.coordinate(node, News::Voters(Arc::unwrap_or_clone(voters)));
            }
            Saying::Stalled { epoch, by } => {
                let from = name(from);
                self.coordinate(node, News::Stalled { epoch, from, by });
            }
            Saying::Moved { epoch, parts } => {
                let from = name(from);
                self.coordinate(node, News::Moved { epoch, from, parts });
            }
            Saying::Report(report) => {
                self.coordinate(node, News::Report(Arc::unwrap_or_clone(report)));
            }
            Saying::Ask(ask) => self.node_is_asked(node, ask),
        }
    }

    pub(super) fn node_is_asked(&mut self, node: usize, ask: Ask) {
        let shard = self.shard_of(key_of(&ask.cell));
        let cell = ask.cell.clone();
        let seat = &self.nodes.all[node].seats[usize::from(shard)];
        let key = key_of(&cell);
        let ledger = seat.ledger();
        let forgives = || ledger.forgives(&cell) || !ledger.unheard(&cell).is_empty();
        if self.truth.was_reset(key) && forgives() {
            self.truth.forgives_until(key, self.now_ms);
        }
        if seat.is_owner() {
            if ask.want == 0 && seat.grants() {
                self.takes_back(node, ask.clone());
            }
            self.seat(node, shard, SeatEvent::Ledger(Input::Ask(ask)));
        } else if self.owns_by_gossip(node, shard) {
            let t_ms = self.t_of(node);
            let seat = &mut self.nodes.all[node].seats[usize::from(shard)];
            for deed in seat.grants_by_gossip(ask, t_ms) {
                self.deed(node, shard, deed);
            }
        }
        let ledger = self.nodes.all[node].seats[usize::from(shard)].ledger();
        if let Some(window) = ledger.window(&cell) {
            self.truth.opened(key, window.id);
        }
    }

    pub(super) fn node_follows(&mut self, node: usize, view: Arc<View>) {
        let at = &mut self.nodes.all[node];
        at.voter.seal(view.epoch);
        if !view.is_later(&at.view) {
            return;
        }
        at.view = Arc::clone(&view);
        if view.phase == Phase::Active || self.plan.planted == Some(Planted::ServeInSync) {
            at.fences.begin(view.epoch, &view.voters);
        }
        let me = self.life_of(node);
        for shard in 0..self.shards() {
            let place = Place::of(&view, shard, &me, rank);
            self.seat(node, shard, SeatEvent::Place(place));
        }
        self.coordinate(node, News::View(View::clone(&view)));
        self.tell_views(node);
    }

    fn t_of(&mut self, node: usize) -> i64 {
        self.now_of(node).t_ms
    }

    fn now_of(&mut self, node: usize) -> Now {
        let clock_ms = self.clock_of(node);
        // The clock that does not slew begins anywhere.
        let steady_ms = self.now_ms;
        let time = &mut self.nodes.all[node].time;
        Now {
            t_ms: time.t_ms(clock_ms),
            clock_ms: steady_ms,
            runs_ms: time.running_ms(clock_ms),
        }
    }

    pub(super) fn seat(&mut self, node: usize, shard: u16, event: SeatEvent) {
        let now = self.now_of(node);
        let at = &mut self.nodes.all[node];
        let deeds = at.seats[usize::from(shard)].step(event, now);
        for deed in deeds {
            self.deed(node, shard, deed);
        }
        self.judge_resets(node, shard);
    }

    pub(super) fn coordinate(&mut self, node: usize, news: News) {
        let now_ms = self.busy_ms();
        let duties = self.nodes.all[node].coordinator.step(news, now_ms);
        for duty in duties {
            match duty {
                Duty::Propose(entry) => self.propose(node, entry),
                Duty::Seal { epoch, voters } => {
                    for voter in voters {
                        self.say(node, number(&voter), Saying::Seal { epoch });
                    }
                }
            }
        }
    }
}
