//! Two control planes over one register of followers, three gateways and a traffic manager that follow them: the real
//! machines of who is waited for and fenced, of the change log's followers and of the serving lease.

use super::followers_control::{Control, Found, From, Said};
use super::followers_database::Database;
use super::followers_feed::{LOOK_MS, TICK_MS};
use super::followers_node::{At, Node};
use super::followers_plans::Plan;
use super::followers_truth::{Serves, Truth};
use super::kernel::{Network, Queue, Rng};
use super::plight::Plight;
use super::seeds::Ran;
use crate::change_log::{Applied, Position, Registered};
use crate::serving_lease::{FollowerKind, OVER_MS, WhenCutOff};

pub(super) const CONTROLS: usize = 2;
/// Nothing goes wrong any more.
const CALM_MS: i64 = 28_000;
/// By then everybody is registered whoever lives, and whoever does not is waited for no more.
const SETTLED_MS: i64 = 20_000;
/// What an answer may take beyond the wait that it asks for.
const GRACE_MS: i64 = 2_000;
/// What was said to a control plane while it was held up takes it so long at most.
const BACKLOG_MS: i64 = 8_000;

/// What is asked of the database by a control plane.
#[derive(Debug, Clone)]
pub(super) enum Reads {
    /// A look of the feed, by its number.
    Look(u64),
    Begin,
    Commit,
    Head,
}

/// What comes of that.
#[derive(Debug, Clone)]
pub(super) enum Read {
    Looked(u64, Option<Found>),
    Began(Option<(i64, Vec<Registered>)>),
    Committed(Option<bool>),
    Registered(Option<u64>),
}

/// What happens at a control plane.
#[derive(Debug, Clone)]
pub(super) enum Do {
    Tick,
    Arrives(Said),
    Read(Read),
    /// A change is committed, and that is known here.
    Committed(usize),
    /// Its feed is asked once more who has applied it.
    AsksAgain(usize),
    GivesUp(usize),
    Snapshot(From, u64),
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    Second,
    Change,
    At(usize, u64, At),
    Control(usize, u64, Do),
    /// What a control plane asks is at the database, which stands still for nobody.
    Database(usize, u64, Reads),
}

/// A change that ends an access.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) at: Position,
    control: usize,
    run: u64,
    /// When it was committed, by a clock that does not count how long the control plane stands still.
    ran_ms: i64,
    committed_ms: i64,
    /// When its feed was asked, by the control plane's clock.
    pub(super) asked_ms: i64,
    is_answered: bool,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) queue: Queue<Event>,
    pub(super) now_ms: i64,
    pub(super) database: Database,
    pub(super) controls: Vec<Control>,
    pub(super) nodes: Vec<Node>,
    pub(super) changes: Vec<Change>,
    pub(super) truth: Truth,
}

// === impl World ===

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let third = [WhenCutOff::Serve, WhenCutOff::Refuse][rng.index(2)];
        let ahead_ms = rng.between(-7_200_000, 7_200_000);
        let mut plight = || Plight::drifting(plan.drift, &mut rng);
        let nodes = vec![
            Node::new("gw1", FollowerKind::Calls(WhenCutOff::Serve), plight()),
            Node::new("gw2", FollowerKind::Calls(WhenCutOff::Refuse), plight()),
            Node::new("gw3", FollowerKind::Calls(third), plight()),
            Node::new("tm1", FollowerKind::Policies, plight()),
        ];
        let controls = (0..CONTROLS)
            .map(|_| Control::new(0, plight(), plan.planted))
            .collect();
        let mut world = Self {
            plan,
            rng,
            queue: Queue::new(),
            now_ms: 0,
            database: Database::new(ahead_ms),
            controls,
            nodes,
            changes: Vec::new(),
            truth: Truth::default(),
        };
        for control in 0..CONTROLS {
            let first_ms = world.rng.between(1, TICK_MS);
            let tick = Event::Control(control, 0, Do::Tick);
            world.queue.at(first_ms, tick);
        }
        for node in 0..world.nodes.len() {
            world.begins(node);
        }
        world.queue.at(1_000, Event::Second);
        world.queue.at(2_000, Event::Change);
        world
    }

    pub(super) fn run(mut self) -> Ran {
        let mut count = 0;
        while let Some((time_ms, event)) = self.queue.pop()
            && time_ms <= self.plan.storm_ms + CALM_MS
            && self.truth.broken.is_empty()
        {
            self.now_ms = time_ms;
            count += 1;
            self.truth.digest.fold(time_ms, count, &self.rng);
            self.event(event);
        }
        self.all_serve();
        self.truth.ran()
    }

    pub(super) fn is_calm(&self) -> bool {
        self.now_ms >= self.plan.storm_ms
    }

    pub(super) fn network(&self) -> Network {
        match self.is_calm() {
            true => Network::GOOD,
            false => Network::BAD,
        }
    }

    /// What a follower takes for the time.
    pub(super) fn node_ms(&self, node: usize) -> i64 {
        self.nodes[node].plight.clock_ms(self.now_ms)
    }

    /// And a control plane.
    pub(super) fn control_ms(&self, control: usize) -> i64 {
        self.controls[control].plight.clock_ms(self.now_ms)
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Second => self.second(),
            Event::Change => self.change(),
            Event::At(node, run, at) => {
                let one = &self.nodes[node];
                if one.run != run {
                    return;
                }
                match one.plight.paused_until(self.now_ms) {
                    Some(until_ms) => self.queue.at(until_ms, Event::At(node, run, at)),
                    None => self.at(node, at),
                }
            }
            Event::Control(control, run, told) => {
                let one = &self.controls[control];
                // What is said to a process may find the next one.
                let is_said = matches!(told, Do::Arrives(_) | Do::Snapshot(..));
                if one.starts_ms.is_some() || one.run != run && !is_said {
                    return;
                }
                match one.plight.paused_until(self.now_ms) {
                    Some(until_ms) => self.queue.at(until_ms, Event::Control(control, run, told)),
                    None => self.control(control, told),
                }
            }
            Event::Database(control, run, reads) => self.database(control, run, reads),
        }
    }

    fn control(&mut self, control: usize, told: Do) {
        match told {
            Do::Tick => self.control_ticks(control),
            Do::Arrives(said) => self.said(control, said),
            Do::Read(Read::Looked(look, found)) => self.looked(control, look, found),
            Do::Read(Read::Began(found)) => self.began(control, found),
            Do::Read(Read::Committed(done)) => self.committed(control, done),
            Do::Read(Read::Registered(head)) => self.registered(control, head),
            Do::Committed(change) => self.waits_for(change),
            Do::AsksAgain(change) => {
                if !self.changes[change].is_answered {
                    self.said(control, Said::Wait(change));
                }
            }
            Do::GivesUp(change) => self.answered(change, &Applied::unknown()),
            Do::Snapshot(from, transfer) => {
                let at = self.database.at(self.database.head());
                if self.reaches_database(control) {
                    self.send_down(control, from, &At::Snapshot(transfer, at));
                }
            }
        }
    }

    // --- the database ---

    fn reaches_database(&self, control: usize) -> bool {
        let cut_until_ms = self.controls[control].cut_until_ms;
        self.now_ms >= cut_until_ms.max(self.database.down_until_ms)
    }

    /// How long a way to or from the database takes.
    fn way_ms(&mut self, control: usize, is_write: bool) -> i64 {
        let slow = if is_write {
            self.plan.slow_writes
        } else {
            self.plan.slow
        };
        if self.is_calm() || !self.rng.chance(slow) {
            return self.rng.between(1, 3);
        }
        let way_ms = self.rng.between(20, 1_600);
        if !is_write {
            self.controls[control].held_up_ms = self.now_ms + way_ms.min(LOOK_MS);
        }
        way_ms
    }

    pub(super) fn reads(&mut self, control: usize, reads: Reads) {
        let is_write = !matches!(reads, Reads::Look(_));
        let at_ms = self.now_ms + self.way_ms(control, is_write);
        let run = self.controls[control].run;
        self.queue.at(at_ms, Event::Database(control, run, reads));
    }

    fn database(&mut self, control: usize, run: u64, reads: Reads) {
        if self.controls[control].run != run {
            return;
        }
        let fails = !self.is_calm() && self.rng.chance(self.plan.fails);
        let is_good = !fails && self.reaches_database(control);
        if !is_good {
            self.controls[control].held_up_ms = self.now_ms;
        }
        let is_write = !matches!(reads, Reads::Look(_));
        let way_ms = self.way_ms(control, is_write);
        let read = match reads {
            Reads::Look(look) => {
                let is_good = is_good && way_ms < LOOK_MS;
                let is_it = self.controls[control].look == look;
                let found = if is_good && is_it {
                    self.find(control)
                } else {
                    None
                };
                Read::Looked(look, found)
            }
            Reads::Begin => {
                let moment_ms = self.now_ms + self.database.ahead_ms;
                let rows = || self.database.rows.values().cloned().collect();
                Read::Began(is_good.then(|| (moment_ms, rows())))
            }
            Reads::Commit => {
                // It may be done though nobody hears so.
                let is_done = self.reaches_database(control) && (is_good || self.rng.chance(500));
                let done = is_done.then(|| self.commits(control));
                Read::Committed(done.filter(|_| is_good))
            }
            Reads::Head => Read::Registered(is_good.then(|| self.database.head())),
        };
        let at_ms = self.now_ms
            + if is_write {
                way_ms
            } else {
                way_ms.min(LOOK_MS)
            };
        let event = Event::Control(control, run, Do::Read(read));
        self.queue.at(at_ms, event);
    }

    // --- changes ---

    fn change(&mut self) {
        let pace_ms = match self.rng.chance(200) {
            true => 20,
            false => self.plan.change_pace_ms,
        };
        let next_ms = self.now_ms + self.rng.between(1, pace_ms);
        self.queue.at(next_ms, Event::Change);
        let control = self.rng.index(CONTROLS);
        let one = &self.controls[control];
        let stands = one.plight.paused_until(self.now_ms).is_some();
        if one.starts_ms.is_some() || stands || !self.reaches_database(control) {
            return;
        }
        let change = Change {
            at: self.database.commit(),
            control,
            run: self.controls[control].run,
            ran_ms: 0,
            committed_ms: 0,
            asked_ms: 0,
            is_answered: false,
        };
        let (run, number) = (change.run, self.changes.len());
        self.changes.push(change);
        let at_ms = self.now_ms + self.way_ms(control, false);
        let committed = Event::Control(control, run, Do::Committed(number));
        self.queue.at(at_ms, committed);
    }

    /// Tells the other control plane, and waits for the followers.
    fn waits_for(&mut self, number: usize) {
        let control = self.changes[number].control;
        let one = &self.controls[control];
        let change = &mut self.changes[number];
        change.ran_ms = one.plight.ran_ms(self.now_ms);
        change.committed_ms = self.now_ms;
        let gives_up_ms = self.now_ms + one.plight.lasts_ms(OVER_MS + GRACE_MS);
        let (run, n) = (change.run, change.at.n);
        let event = Event::Control(control, run, Do::GivesUp(number));
        self.queue.at(gives_up_ms, event);
        let (other, network) = (1 - control, self.network());
        for at_ms in network.deliveries(self.now_ms, &mut self.rng) {
            let run = self.controls[other].run;
            let event = Event::Control(other, run, Do::Arrives(Said::Told(n)));
            self.queue.at(at_ms, event);
        }
        self.said(control, Said::Wait(number));
    }

    /// The changes that wait at a feed that begins anew are asked for again.
    pub(super) fn ask_again(&mut self, control: usize) {
        let run = self.controls[control].run;
        for (number, change) in self.changes.iter().enumerate() {
            let is_waiting = change.committed_ms > 0 && !change.is_answered;
            if change.control == control && change.run == run && is_waiting {
                let event = Event::Control(control, run, Do::AsksAgain(number));
                self.queue.at(self.now_ms + TICK_MS, event);
            }
        }
    }

    /// The answer to a change leaves.
    pub(super) fn answered(&mut self, number: usize, applied: &Applied) {
        let change = &mut self.changes[number];
        if std::mem::replace(&mut change.is_answered, true) {
            return;
        }
        let one = &self.controls[change.control];
        let took_ms = one.plight.ran_ms(self.now_ms) - change.ran_ms;
        let is_held_up = one.held_up_ms + BACKLOG_MS >= change.committed_ms;
        let most_ms = OVER_MS + if is_held_up { GRACE_MS } else { LOOK_MS } + 2 * TICK_MS;
        let (at, committed_ms) = (change.at.clone(), change.committed_ms);
        if took_ms > most_ms {
            let late = format!("S3: at {} an answer took {took_ms} ms", self.now_ms);
            self.truth.broken.push(late);
        }
        if committed_ms >= self.plan.storm_ms + SETTLED_MS {
            self.truth.seen.once("answered in the calm");
            if took_ms > 300 || !applied.missing.is_empty() {
                let told = format!(
                    "C6: at {} all is well: {applied}, {took_ms} ms",
                    self.now_ms
                );
                self.truth.broken.push(told);
            }
        }
        // A restored backup has undone the others.
        if self.database.at(at.n) == at {
            let id = at.uuid.parse().unwrap_or(0);
            self.truth.answered(at.n, id, applied);
            for node in 0..self.nodes.len() {
                self.serves(node);
            }
        }
    }

    /// Whoever runs in the end has its lease.
    fn all_serve(&mut self) {
        for node in 0..self.nodes.len() {
            let clock_ms = self.node_ms(node);
            let one = &mut self.nodes[node];
            let is_well = one.serves(clock_ms) == Some(Serves::Current);
            if one.runs() && one.mode().is_some() && !is_well && self.truth.broken.is_empty() {
                let idle = format!("S1: {} serves nobody though all is well", one.name);
                self.truth.broken.push(idle);
            }
        }
    }
}
