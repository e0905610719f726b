//! Gateways with calls that flow while what they rest on ends, key managers that fall silent, links that are cut one way
//! or both, crashes, stops, and clocks whose paces differ by as much as S3 allows: the real machines of validation, of the serving lease, of open calls and of known consumers.

use std::sync::Arc;

use super::Planted;
use super::kernel::{Network, Queue, Rng};
use super::plight::Plight;
use super::stream_gateway::Gateway;
use super::stream_log::{CLIENTS, Change, Log, Token, Verdict};
use super::stream_truth::Truth;
use crate::open_call::{Judged, LOOK_MS};
use crate::serving_lease::{EVERY_MS, LIFE_MS, OVER_MS, WhenCutOff};
use crate::validation_cache::{Asked, Bounds, Entry, Hit, Input, Questions};

pub(super) type Machine = Questions<Token, Waiter, Verdict>;
pub(super) type Told = Input<Token, Waiter, Verdict>;

pub(super) const BOUNDS: Bounds = Bounds {
    questions: 50,
    waiters: 50,
    subjects: 200,
    patience_ms: 3_000,
};
/// Nothing changes any more, and everybody is there.
const CALM_MS: i64 = 12_000;
pub(super) const TICK_MS: i64 = 250;
/// Changes that follow one another faster are looked at together.
pub(super) const PAUSE_MS: i64 = 100;

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) storm_ms: i64,
    pub(super) change_pace_ms: i64,
    pub(super) open_pace_ms: i64,
    /// From a call's judgement to its entry among the open ones it takes so long at most.
    pub(super) entering_ms: i64,
    /// Chance in a thousand that an entry says what it closes.
    pub(super) said: u64,
    /// Chance in a thousand that nothing changes for long.
    pub(super) pauses: u64,
    /// Chances in a thousand, each second's, and a look's at the log.
    pub(super) cuts: u64,
    pub(super) one_way_cuts: u64,
    /// A gateway stands still.
    pub(super) stops: u64,
    pub(super) silences: u64,
    pub(super) crashes: u64,
    pub(super) snapshots: u64,
    /// How far the pace of a clock is off, in thousandths.
    pub(super) drift: i64,
    pub(super) planted: Option<Planted>,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiter {
    /// A new call.
    Call,
    /// A stream, in its judgement of this number.
    Stream(u64, u64),
}

/// What happens at one gateway in one of its lives.
#[derive(Debug, Clone)]
pub(super) enum At {
    Told(Told),
    /// A question is at the key managers.
    Question(Token, Asked),
    /// And its answer here.
    Answered(Token, Asked, Told),
    /// It is judged by what this gateway has, of which so much was applied when that was decided.
    Here(Token, Asked, u64),
    Inserted(Token),
    Wake(Token, Waiter, Option<Arc<Entry<Verdict>>>),
    /// A call was handed on that was judged when so much was applied.
    Register(Token, Arc<Entry<Verdict>>, u64),
    Persisted,
    Save,
    /// Applied changes are looked at.
    Round,
    Judge(u64),
    /// A judgement has taken as long as it may.
    JudgedLate(u64, u64),
    Beat,
    /// A heartbeat is at the control plane, with what the disk has.
    BeatRead(u64, u64),
    BeatAnswered(u64, u64),
    Look,
    Tick,
    Flow,
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    Change,
    /// A change was waited for as long as one is.
    Waited(u64),
    Open,
    Follow(usize),
    Second,
    At(usize, u64, At),
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) queue: Queue<Event>,
    pub(super) now_ms: i64,
    pub(super) log: Log,
    pub(super) gateways: Vec<Gateway>,
    pub(super) silent_until_ms: i64,
    /// The control plane's clock, and which heads it has named to each gateway.
    control: Plight,
    named: Vec<Vec<(i64, u64)>>,
    pub(super) numbers: u64,
    pub(super) truth: Truth,
}

// === impl Plan ===

impl Plan {
    pub(super) fn stormy() -> Self {
        Self {
            storm_ms: 50_000,
            change_pace_ms: 400,
            open_pace_ms: 60,
            entering_ms: 30,
            said: 500,
            pauses: 50,
            cuts: 40,
            one_way_cuts: 30,
            stops: 25,
            silences: 70,
            crashes: 20,
            snapshots: 5,
            // Of two clocks one runs by less than a twentieth faster.
            drift: 24,
            planted: None,
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let modes = vec![WhenCutOff::Serve, WhenCutOff::Refuse, WhenCutOff::Serve];
        let mut rng = Rng::new(seed);
        let mut plight = || Plight::drifting(plan.drift, &mut rng);
        let control = plight();
        let gateway = |mode: &WhenCutOff| Gateway::new(*mode, plan.planted, plight());
        let gateways: Vec<Gateway> = modes.iter().map(gateway).collect();
        let mut world = Self {
            named: vec![Vec::new(); gateways.len()],
            gateways,
            control,
            plan,
            rng,
            queue: Queue::new(),
            now_ms: 0,
            log: Log::default(),
            silent_until_ms: 0,
            numbers: 0,
            truth: Truth::new(modes),
        };
        for gateway in 0..world.gateways.len() {
            world.queue.at(2, Event::Follow(gateway));
            world.begins(gateway);
        }
        world.queue.at(1, Event::Change);
        world.queue.at(5, Event::Open);
        world.queue.at(1_000, Event::Second);
        world
    }

    pub(super) fn run(mut self) -> Truth {
        while let Some((time_ms, event)) = self.queue.pop()
            && time_ms <= self.plan.storm_ms + CALM_MS
        {
            self.now_ms = time_ms;
            self.truth.happened(time_ms, &event);
            self.event(event);
        }
        self.truth
    }

    pub(super) fn is_calm(&self) -> bool {
        self.now_ms >= self.plan.storm_ms
    }

    /// What a gateway takes for the time.
    pub(super) fn clock_ms(&self, gateway: usize) -> i64 {
        self.gateways[gateway].clock_ms(self.now_ms)
    }

    /// What a life of a gateway does by itself.
    pub(super) fn begins(&mut self, gateway: usize) {
        for at in [At::Beat, At::Look, At::Tick, At::Flow, At::Save] {
            self.soon(gateway, (1, TICK_MS), at);
        }
    }

    pub(super) fn soon(&mut self, gateway: usize, (least_ms, most_ms): (i64, i64), at: At) {
        let after_ms = self.rng.between(least_ms, most_ms);
        let at_ms = self.now_ms + self.gateways[gateway].plight.lasts_ms(after_ms);
        let life = self.gateways[gateway].life;
        self.queue.at(at_ms, Event::At(gateway, life, at));
    }

    fn event(&mut self, event: Event) {
        let Some(event) = self.let_through(event) else {
            return;
        };
        match event {
            Event::Change => self.change(),
            Event::Waited(n) => self.waited(n),
            Event::Open => self.open(),
            Event::Follow(gateway) => self.follow(gateway),
            Event::Second => self.second(),
            Event::At(gateway, _, at) => self.at(gateway, at),
        }
    }

    fn at(&mut self, gateway: usize, at: At) {
        match at {
            At::Told(input) | At::Answered(_, _, input) => self.told(gateway, input),
            At::Question(token, asked) => self.question(gateway, token, asked),
            At::Here(token, asked, applied) => self.here(gateway, token, asked, applied),
            At::Inserted(question) => self.step(gateway, Input::Inserted { question }),
            At::Wake(token, waiter, entry) => self.wake(gateway, token, waiter, entry),
            At::Register(token, entry, applied) => self.register(gateway, token, entry, applied),
            At::Persisted => self.persisted(gateway),
            At::Save => {
                if !self.gateways[gateway].persisting {
                    self.gateways[gateway].save();
                }
                self.soon(gateway, (300, 1_000), At::Save);
            }
            At::Round => self.round(gateway),
            At::Judge(stream) => self.judge(gateway, stream),
            At::JudgedLate(stream, judgement) => {
                self.judged(gateway, (stream, judgement), Judged::Unsure(()), None);
            }
            At::Beat => self.beat(gateway),
            At::BeatRead(number, stored) => self.beat_read(gateway, number, stored),
            At::BeatAnswered(number, head) => self.gateways[gateway].lease.answered(number, head),
            At::Look => self.look(gateway),
            At::Tick => self.tick(gateway),
            At::Flow => {
                for stream in self.gateways[gateway].streams.values() {
                    let (log, now_ms) = (&self.log, self.now_ms);
                    self.truth.flows(gateway, stream.token, log, now_ms);
                }
                self.soon(gateway, (200, 300), At::Flow);
            }
        }
    }

    // --- changes ---

    fn change(&mut self) {
        if self.is_calm() {
            return;
        }
        let application = self.rng.index(CLIENTS / 2);
        let change = match self.rng.index(8) {
            0..=2 if self.log.tokens() > 0 => {
                // One of the latest, which streams rest on.
                let back = self.rng.index(self.log.tokens().min(12)) + 1;
                Change::Revoked(self.log.tokens() - back)
            }
            3 => Change::Marked(application),
            4 => Change::Altered(application),
            5 => Change::ClientAltered(self.rng.index(CLIENTS)),
            _ => Change::Closed {
                application,
                closed: self.rng.chance(400),
                said: self.rng.chance(self.plan.said),
            },
        };
        let n = self.log.commit(change);
        let patience_ms = match self.plan.planted {
            Some(Planted::WaitsAsLongAsALease) => LIFE_MS,
            _ => OVER_MS,
        };
        let waited_ms = self.now_ms + self.control.lasts_ms(patience_ms);
        self.queue.at(waited_ms, Event::Waited(n));
        let pace_ms = match self.rng.chance(self.plan.pauses) {
            true => self.plan.change_pace_ms * 20,
            false => self.plan.change_pace_ms,
        };
        let next_ms = self.now_ms + self.rng.between(1, pace_ms);
        self.queue.at(next_ms, Event::Change);
    }

    /// The answer to a change leaves: whoever refuses when cut off has applied it, or has no lease (S3).
    fn waited(&mut self, n: u64) {
        for (gateway, at) in self.gateways.iter().enumerate() {
            let is_served = at.is_served(at.clock_ms(self.now_ms));
            if at.mode == WhenCutOff::Refuse && at.applied < n && is_served {
                self.truth.serves_without(gateway, n, self.now_ms);
            }
        }
        self.truth.waited(n, self.now_ms);
    }

    fn follow(&mut self, gateway: usize) {
        let is_cut = self.gateways[gateway].plight.is_cut_off(self.now_ms);
        if !is_cut && !self.gateways[gateway].persisting {
            if self.rng.chance(self.plan.snapshots) {
                let input = self.gateways[gateway].install(self.log.head());
                self.applied(gateway, input);
            }
            for _ in 0..self.rng.between(1, 4) {
                if self.gateways[gateway].applied < self.log.head() {
                    let input = self.gateways[gateway].apply(&self.log);
                    self.applied(gateway, input);
                }
            }
        }
        let next_ms = self.now_ms + self.rng.between(5, 40);
        self.queue.at(next_ms, Event::Follow(gateway));
    }

    fn applied(&mut self, gateway: usize, input: Told) {
        self.step(gateway, input);
        let n = self.gateways[gateway].applied;
        self.truth.applies(gateway, n, self.now_ms);
        self.soon(gateway, (0, PAUSE_MS), At::Round);
        if !self.gateways[gateway].persisting {
            self.gateways[gateway].persisting = true;
            self.soon(gateway, (1, 30), At::Persisted);
        }
    }

    fn persisted(&mut self, gateway: usize) {
        self.gateways[gateway].persisted();
        self.beat_now(gateway);
    }

    // --- the lease ---

    fn beat(&mut self, gateway: usize) {
        self.gateways[gateway].lease.begin_round();
        self.beat_now(gateway);
        self.soon(gateway, (EVERY_MS, EVERY_MS), At::Beat);
    }

    fn beat_now(&mut self, gateway: usize) {
        let clock_ms = self.clock_ms(gateway);
        let at = &mut self.gateways[gateway];
        let (number, stored) = (at.lease.ask(clock_ms), at.disk.position);
        self.passes(gateway, At::BeatRead(number, stored));
    }

    /// The control plane hears what a gateway has applied, and names the head.
    fn beat_read(&mut self, gateway: usize, number: u64, stored: u64) {
        let head = self.log.head();
        let named = &mut self.named[gateway];
        let long_ago = |(at_ms, _): &&(i64, u64)| *at_ms < self.now_ms - 1_000;
        let told = named.iter().rev().find(long_ago).map_or(0, |(_, n)| *n);
        named.push((self.now_ms, head));
        let acknowledged = match self.plan.planted {
            Some(Planted::HeardIsTold) => stored.max(told),
            _ => stored,
        };
        self.truth.acknowledges(gateway, acknowledged, self.now_ms);
        self.passes(gateway, At::BeatAnswered(number, head));
    }

    /// Goes over the network, if it does.
    fn passes(&mut self, gateway: usize, message: At) {
        let network = if self.is_calm() {
            Network::GOOD
        } else {
            Network::BAD
        };
        let life = self.gateways[gateway].life;
        for at_ms in network.deliveries(self.now_ms, &mut self.rng) {
            let event = Event::At(gateway, life, message.clone());
            self.queue.at(at_ms, event);
        }
    }

    fn look(&mut self, gateway: usize) {
        let clock_ms = self.clock_ms(gateway);
        let at = &mut self.gateways[gateway];
        let is_served = at.is_served(clock_ms);
        let mut is_over = at.unserved.look(is_served);
        if self.plan.planted == Some(Planted::MissedLooksAreMadeUp) {
            for _ in 1..(clock_ms - at.looked_ms) / LOOK_MS {
                is_over = at.unserved.look(is_served);
            }
        }
        at.looked_ms = clock_ms;
        if is_over && self.plan.planted != Some(Planted::FencedStreamsGoOn) {
            let streams = std::mem::take(&mut at.streams);
            self.truth.cuts_all(gateway, streams.len(), self.now_ms);
        }
        if is_served {
            self.truth.serves(gateway, self.now_ms);
        }
        self.soon(gateway, (LOOK_MS, LOOK_MS), At::Look);
    }

    // --- calls ---

    fn open(&mut self) {
        if self.is_calm() {
            return;
        }
        let gateway = self.rng.index(self.gateways.len());
        let token = match self.log.tokens() {
            known if known > 0 && !self.rng.chance(300) => {
                known - 1 - self.rng.index(known.min(12))
            }
            _ => {
                let client = self.rng.index(CLIENTS);
                self.log.issue(client)
            }
        };
        let clock_ms = self.clock_ms(gateway);
        if self.gateways[gateway].is_served(clock_ms) {
            self.look_up(gateway, token, Waiter::Call);
        }
        let next_ms = self.now_ms + self.rng.between(1, self.plan.open_pace_ms * 2);
        self.queue.at(next_ms, Event::Open);
    }

    pub(super) fn look_up(&mut self, gateway: usize, token: Token, waiter: Waiter) {
        let clock_ms = self.clock_ms(gateway);
        let cached = self.gateways[gateway].cache.get(&token);
        let current = cached.filter(|entry| matches!(entry.hit(clock_ms), Hit::Current(_)));
        match current.cloned() {
            Some(entry) => self.wake(gateway, token, waiter, Some(entry)),
            None => {
                let question = token;
                self.step(gateway, Input::Ask { question, waiter });
            }
        }
    }

    fn wake(
        &mut self,
        gateway: usize,
        token: Token,
        waiter: Waiter,
        entry: Option<Arc<Entry<Verdict>>>,
    ) {
        let clock_ms = self.clock_ms(gateway);
        let current = entry.as_ref().and_then(|entry| match entry.hit(clock_ms) {
            Hit::Current(verdict) => Some(*verdict),
            Hit::Touched | Hit::Expired => None,
        });
        match (waiter, current) {
            (Waiter::Call, Some(verdict)) if verdict.is_good() => {
                let at = &self.gateways[gateway];
                if let Some(entry) = entry
                    && at.is_served(clock_ms)
                {
                    self.truth.lets_in(gateway, token, &self.log, self.now_ms);
                    let applied = at.applied;
                    let takes_ms = (0, self.plan.entering_ms);
                    self.soon(gateway, takes_ms, At::Register(token, entry, applied));
                }
            }
            (Waiter::Call, _) => {}
            (Waiter::Stream(stream, judgement), current) => {
                let judged = match current {
                    Some(verdict) if verdict.is_good() => Judged::Stands,
                    Some(_) => Judged::Ended(()),
                    None => Judged::Unsure(()),
                };
                self.judged(gateway, (stream, judgement), judged, entry);
            }
        }
    }
}
