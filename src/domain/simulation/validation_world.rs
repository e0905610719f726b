//! Gateways that follow a history, and key managers that they ask: the real `Questions`, `Touches` and `Entry`s, with
//! everything between them going wrong: messages, links, validators that restart, gateways that stand still, and clocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Planted;
use super::kernel::{Network, Queue, Rng};
use super::plight::Plight;
use super::validation_history::{History, Place, Verdict, subjects};
use super::validation_truth::{Request, TICK_MS, Truth};
use crate::validation_cache::{Asked, Bounds, Effect, Entry, Hit, Input, Questions};

/// A credential, which is what a question is about.
pub(super) type Question = usize;
pub(super) type Machine = Questions<Question, u64, Verdict>;

pub(super) const BOUNDS: Bounds = Bounds {
    questions: 6,
    waiters: 4,
    subjects: 12,
    patience_ms: 1_000,
};
/// A calm of so long ends every pause and then every question.
const CALM_MS: i64 = 12_000;
/// Clocks of several paces are rounded.
const ROUNDED_MS: i64 = 2;

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) gateways: usize,
    pub(super) credentials: usize,
    pub(super) storm_ms: i64,
    /// Milliseconds between requests of one gateway, between changes, and between a gateway's looks at the log.
    pub(super) request_pace_ms: i64,
    pub(super) change_pace_ms: i64,
    pub(super) follow_pace_ms: i64,
    /// Changes that a gateway applies at one look at most.
    pub(super) most: i64,
    pub(super) network: Network,
    /// A key manager sees so many changes less at most.
    pub(super) lag: i64,
    /// Chances in a thousand: each look's, and of the rest each second's.
    pub(super) snapshots: u64,
    pub(super) restarts: u64,
    pub(super) backups: u64,
    pub(super) restores: u64,
    pub(super) pauses: u64,
    pub(super) cuts: u64,
    /// A gateway learns of no changes, whoever else it reaches.
    pub(super) untold: u64,
    /// How far the pace of a gateway's clock is off at most, in thousandths.
    pub(super) drift: i64,
    pub(super) planted: Option<Planted>,
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    Request {
        gateway: usize,
    },
    /// A request that missed the cache comes out of the mailbox.
    Ask {
        request: u64,
    },
    Question {
        gateway: usize,
        question: Question,
        asked: Asked,
    },
    /// What the planted bug does between the data and the head.
    HeadAfter {
        gateway: usize,
        question: Question,
        asked: Asked,
        verdict: Verdict,
    },
    ToGateway {
        gateway: usize,
        input: Input<Question, u64, Verdict>,
    },
    Inserted {
        gateway: usize,
        life: u64,
        question: Question,
    },
    Wake {
        request: u64,
        entry: Arc<Entry<Verdict>>,
    },
    Change,
    Follow {
        gateway: usize,
    },
    Acknowledged {
        gateway: usize,
        at: Place,
    },
    GatewayTick {
        gateway: usize,
    },
    Second,
}

#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) machine: Machine,
    pub(super) life: u64,
    /// With the verdict as the planted bug reads it.
    pub(super) cache: BTreeMap<Question, (Arc<Entry<Verdict>>, Option<Verdict>)>,
    pub(super) applied: Place,
    pub(super) acknowledged: Place,
    pub(super) plight: Plight,
    /// It learns of no changes until then, whoever else it reaches.
    pub(super) untold_until_ms: i64,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) queue: Queue<Event>,
    pub(super) now_ms: i64,
    pub(super) network: Network,
    pub(super) history: History,
    pub(super) gateways: Vec<Gateway>,
    pub(super) truth: Truth,
}

// === impl Plan ===

impl Plan {
    /// Everything goes wrong, not too often.
    pub(super) fn stormy() -> Self {
        Self {
            gateways: 2,
            credentials: 10,
            storm_ms: 30_000,
            request_pace_ms: 20,
            change_pace_ms: 150,
            follow_pace_ms: 100,
            most: 4,
            network: Network::BAD,
            lag: 2,
            snapshots: 5,
            restarts: 50,
            backups: 200,
            restores: 100,
            pauses: 40,
            cuts: 40,
            untold: 30,
            drift: 100,
            planted: None,
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let gateways = (0..plan.gateways)
            .map(|_| Gateway {
                machine: machine(0, 0, plan.planted),
                life: 0,
                cache: BTreeMap::new(),
                applied: Place::default(),
                acknowledged: Place::default(),
                plight: Plight::new(1_000 + rng.between(-plan.drift, plan.drift)),
                untold_until_ms: 0,
            })
            .collect();
        let mut world = Self {
            network: plan.network,
            plan,
            rng,
            queue: Queue::new(),
            now_ms: 0,
            history: History::new(),
            gateways,
            truth: Truth::default(),
        };
        for gateway in 0..world.plan.gateways {
            world.queue.at(1, Event::Request { gateway });
            world.queue.at(2, Event::Follow { gateway });
            world.queue.at(3, Event::GatewayTick { gateway });
        }
        world.queue.at(1, Event::Change);
        world.queue.at(1_000, Event::Second);
        world
    }

    /// Runs through storm and calm; the truth then knows what was wrong, and a digest of all that happened.
    pub(super) fn run(mut self) -> Truth {
        while let Some((time_ms, event)) = self.queue.pop()
            && time_ms <= self.plan.storm_ms + CALM_MS
        {
            self.now_ms = time_ms;
            self.truth.happened(self.now_ms, &event);
            self.event(event);
        }
        self.truth.at_rest();
        self.truth
    }

    pub(super) fn is_calm(&self) -> bool {
        self.now_ms >= self.plan.storm_ms
    }

    fn event(&mut self, event: Event) {
        let Some(event) = self.let_through(event) else {
            return;
        };
        match event {
            Event::Request { gateway } => self.request(gateway),
            Event::Ask { request } => self.ask(request),
            Event::Question {
                gateway,
                question,
                asked,
            } => self.question(gateway, question, asked),
            Event::HeadAfter {
                gateway,
                question,
                asked,
                verdict,
            } => {
                let number = self.history.head().n;
                self.reply(gateway, question, asked, verdict, number);
            }
            Event::ToGateway { gateway, input } => self.step(gateway, input),
            Event::Inserted {
                gateway,
                life,
                question,
            } => {
                if self.gateways[gateway].life == life {
                    self.step(gateway, Input::Inserted { question });
                }
            }
            Event::Wake { request, entry } => self.wake(request, &entry),
            Event::Change => self.change(),
            Event::Follow { gateway } => self.follow(gateway),
            Event::Acknowledged { gateway, at } => self.gateways[gateway].acknowledged = at,
            Event::GatewayTick { gateway } => {
                self.step(gateway, Input::Tick);
                let next_ms = self.now_ms + self.gateways[gateway].plight.lasts_ms(TICK_MS);
                self.queue.at(next_ms, Event::GatewayTick { gateway });
            }
            Event::Second => self.second(),
        }
    }

    /// What a gateway takes for the time.
    fn clock_ms(&self, gateway: usize) -> i64 {
        let plight = &self.gateways[gateway].plight;
        match self.plan.planted {
            Some(Planted::ClockStandsStill) => plight.ran_ms(self.now_ms),
            _ => plight.clock_ms(self.now_ms),
        }
    }

    // --- requests ---

    fn request(&mut self, gateway: usize) {
        if self.is_calm() {
            return;
        }
        let question = self.rng.index(self.plan.credentials);
        let acknowledged = self.gateways[gateway].acknowledged;
        let request = self.truth.began(gateway, question, acknowledged);
        if !self.hit(request, gateway, question) {
            let at = self.now_ms + self.rng.between(0, 3);
            self.queue.at(at, Event::Ask { request });
        }
        let next_ms = self.now_ms + self.rng.between(1, self.plan.request_pace_ms * 2 - 1);
        self.queue.at(next_ms, Event::Request { gateway });
    }

    /// Whether the cache has an entry that holds; the request then goes on by it.
    fn hit(&mut self, request: u64, gateway: usize, question: Question) -> bool {
        let clock_ms = self.clock_ms(gateway);
        let Some((entry, verdict)) = self.gateways[gateway].cache.get(&question) else {
            return false;
        };
        let current = match (entry.hit(clock_ms), self.plan.planted) {
            (Hit::Current(verdict), _) => Some(*verdict),
            (Hit::Touched, Some(Planted::HitsAreNotCompared)) => *verdict,
            (Hit::Touched | Hit::Expired, _) => None,
        };
        let Some(verdict) = current else {
            return false;
        };
        self.truth.seen.once("hits");
        self.truth
            .settled(request, &verdict, &self.history, self.now_ms);
        true
    }

    fn ask(&mut self, request: u64) {
        let Some(asking) = self.truth.request(request) else {
            return;
        };
        // Answered while it lay in the mailbox.
        if !self.hit(request, asking.gateway, asking.question) {
            let plight = &self.gateways[asking.gateway].plight;
            self.truth.waits(request, plight.ran_ms(self.now_ms));
            let ask = Input::Ask {
                question: asking.question,
                waiter: request,
            };
            self.step(asking.gateway, ask);
        }
    }

    fn wake(&mut self, request: u64, entry: &Entry<Verdict>) {
        let Some(Request { gateway, .. }) = self.truth.request(request) else {
            return;
        };
        match entry.hit(self.clock_ms(gateway)) {
            Hit::Current(verdict) => {
                self.truth.seen.once("answered");
                self.truth
                    .settled(request, verdict, &self.history, self.now_ms);
            }
            Hit::Touched | Hit::Expired => self.truth.gave_up(request),
        }
    }

    // --- gateways ---

    pub(super) fn step(&mut self, gateway: usize, input: Input<Question, u64, Verdict>) {
        let clock_ms = self.clock_ms(gateway);
        let effects = self.gateways[gateway].machine.step(input, clock_ms);
        for effect in effects {
            self.effect(gateway, effect);
        }
        let Gateway {
            machine, plight, ..
        } = &self.gateways[gateway];
        self.truth
            .looks(gateway, machine, plight.ran_ms(self.now_ms));
    }

    fn effect(&mut self, gateway: usize, effect: Effect<Question, u64, Verdict>) {
        let now_ms = self.now_ms;
        let at = &mut self.gateways[gateway];
        match effect {
            Effect::Send { question, asked } => {
                self.truth.sent(gateway, question, &asked);
                self.send(Event::Question {
                    gateway,
                    question,
                    asked,
                });
            }
            Effect::Insert { question, entry } => {
                let verdict = match entry.hit(i64::MIN) {
                    Hit::Current(verdict) => Some(*verdict),
                    Hit::Touched | Hit::Expired => None,
                };
                at.cache.insert(question, (entry, verdict));
                let inserted = Event::Inserted {
                    gateway,
                    life: at.life,
                    question,
                };
                self.queue.at(now_ms + self.rng.between(0, 20), inserted);
            }
            Effect::Remove { question } => {
                self.truth.seen.once("overtaken");
                at.cache.remove(&question);
            }
            Effect::Answer { waiters, entry, .. } => {
                if matches!(entry.hit(i64::MIN), Hit::Touched) {
                    let request = waiters.first().and_then(|first| self.truth.request(*first));
                    self.truth
                        .answered_overtaken(request.map_or(0, |request| request.question));
                }
                self.truth.over(&waiters, None);
                for request in waiters {
                    let entry = Arc::clone(&entry);
                    let wake_ms = now_ms + self.rng.between(0, 5);
                    self.queue.at(wake_ms, Event::Wake { request, entry });
                }
            }
            Effect::Refuse {
                waiters, refusal, ..
            } => {
                self.truth.over(&waiters, Some(refusal));
                for request in waiters {
                    self.truth.seen.once("refused");
                    self.truth.gave_up(request);
                }
            }
        }
    }

    // --- key managers ---

    /// Head and data in one snapshot, perhaps of a while ago (V1).
    fn question(&mut self, gateway: usize, question: Question, asked: Asked) {
        if self.rng.chance(20) {
            let failed = Input::Failed { question, asked };
            return self.send(Event::ToGateway {
                gateway,
                input: failed,
            });
        }
        let head = self.history.head();
        let lag = usize::try_from(self.rng.between(0, self.plan.lag)).unwrap();
        let seen = Place {
            n: head.n.saturating_sub(lag),
            ..head
        };
        let verdict = self.history.verdict(question, seen);
        if self.plan.planted == Some(Planted::HeadAfterData) {
            let later = Event::HeadAfter {
                gateway,
                question,
                asked,
                verdict,
            };
            let at = self.now_ms + self.rng.between(1, 50);
            self.queue.at(at, later);
        } else {
            self.reply(gateway, question, asked, verdict, seen.n);
        }
    }

    fn reply(
        &mut self,
        gateway: usize,
        question: Question,
        asked: Asked,
        mut verdict: Verdict,
        number: usize,
    ) {
        let number = u64::try_from(number).unwrap();
        let exempt = self.plan.planted == Some(Planted::NegativesAreExempt) && !verdict.good;
        let until_ms = self.now_ms + self.rng.between(500, 20_000);
        // By the gateway's clock, as the time that it may be used for is told.
        let plight = &self.gateways[gateway].plight;
        verdict.until_ms = until_ms + ROUNDED_MS;
        let until_ms = match self.plan.planted {
            Some(Planted::EndsByAnothersClock) => until_ms,
            _ => plight.clock_ms(until_ms),
        };
        let input = if number < asked.applied() {
            Input::Behind { question, asked }
        } else {
            Input::Reply {
                question,
                asked,
                number,
                subjects: if exempt {
                    Vec::new()
                } else {
                    subjects(question)
                },
                until_ms,
                value: verdict,
            }
        };
        self.send(Event::ToGateway { gateway, input });
    }

    fn send(&mut self, message: Event) {
        for at in self.network.deliveries(self.now_ms, &mut self.rng) {
            self.queue.at(at, message.clone());
        }
    }
}

pub(super) fn machine(applied: usize, life: u64, planted: Option<Planted>) -> Machine {
    let mut machine = Machine::new(BOUNDS, u64::try_from(applied).unwrap(), life);
    machine.plant(planted);
    machine
}
