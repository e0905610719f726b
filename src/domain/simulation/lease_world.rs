//! A gateway and a control plane: the real `ServingLease`, with heartbeats and their answers lost, repeated, late and out
//! of order, everybody standing still, and clocks whose paces differ by as much as S3 allows.

use super::Planted;
use super::kernel::{Digest, Rng};
use super::plight::Plight;
use super::seeds::{Ran, Seen};
use crate::serving_lease::{LIFE_MS, OVER_MS, ServingLease};

/// So many messages are on their way at most; beyond that the oldest is lost.
const UNDER_WAY: usize = 4;

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) events: u32,
    /// How far the pace of a clock is off, in thousandths.
    pub(super) drift: i64,
    pub(super) planted: Option<Planted>,
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Time passes, as it does while everything stands still.
    Pass(i64),
    /// A change is committed.
    Commit,
    /// The gateway asks.
    Ask,
    /// A question comes to the control plane, which reads the head; whether it comes again.
    Read(bool),
    /// An answer comes to the gateway; so may that.
    Answer(bool),
    /// The gateway applies the next changes.
    Apply(u64),
    /// A call is answered.
    Serve,
}

/// A question's number, and a head.
type Message = (u64, u64);

pub(super) struct World {
    plan: Plan,
    rng: Rng,
    now_ms: i64,
    gateway: Plight,
    control: Plight,
    lease: ServingLease,
    applied: u64,
    /// When each change was committed by the control plane's clock, by its number less one.
    committed: Vec<i64>,
    /// With the head when it was asked.
    questions: Vec<Message>,
    answers: Vec<Message>,
    digest: Digest,
    seen: Seen,
    broken: Vec<String>,
}

// === impl Plan ===

impl Plan {
    pub(super) fn stormy() -> Self {
        Self {
            events: 10_000,
            // Of two clocks one runs by less than a twentieth faster.
            drift: 24,
            planted: None,
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut plight = || Plight::drifting(plan.drift, &mut rng);
        Self {
            gateway: plight(),
            control: plight(),
            plan,
            rng,
            now_ms: 0,
            lease: ServingLease::default(),
            applied: 0,
            committed: Vec::new(),
            questions: Vec::new(),
            answers: Vec::new(),
            digest: Digest::default(),
            seen: Seen::default(),
            broken: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Ran {
        for _ in 0..self.plan.events {
            let event = self.next();
            self.digest.add(self.now_ms, &event);
            self.event(event);
        }
        Ran {
            broken: self.broken,
            digest: self.digest,
            seen: self.seen,
        }
    }

    fn next(&mut self) -> Event {
        match self.rng.index(54) {
            0..8 => Event::Pass(self.rng.between(1, 60)),
            8..10 => Event::Pass(self.rng.between(60, 700)),
            10 if self.rng.chance(400) => Event::Pass(self.rng.between(700, 40_000)),
            // About as long as a lease lasts, by anybody's clock.
            11..14 => Event::Pass(self.rng.between(1_850, 2_150)),
            14..18 => Event::Commit,
            18..24 => Event::Ask,
            24..34 => Event::Read(self.rng.chance(100)),
            34..44 => Event::Answer(self.rng.chance(100)),
            10 | 44..48 => Event::Apply(1 + self.rng.next() % 3),
            _ => Event::Serve,
        }
    }

    fn head(&self) -> u64 {
        self.committed.len() as u64
    }

    fn ask(&mut self) -> u64 {
        self.lease.ask(self.gateway.clock_ms(self.now_ms))
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Pass(ms) => self.now_ms += ms,
            Event::Commit => self.committed.push(self.control.clock_ms(self.now_ms)),
            Event::Ask => {
                let question = (self.ask(), self.head());
                goes(&mut self.questions, question);
            }
            Event::Read(again) => {
                if let Some((number, head_then)) = comes(&mut self.questions, again, &mut self.rng)
                {
                    let head = match self.plan.planted {
                        Some(Planted::HeadBeforeAsked) => head_then.saturating_sub(1),
                        Some(Planted::LeaseNeedsNothing) => 0,
                        _ => self.head(),
                    };
                    goes(&mut self.answers, (number, head));
                }
            }
            Event::Answer(again) => {
                if let Some((mut number, head)) = comes(&mut self.answers, again, &mut self.rng) {
                    if self.plan.planted == Some(Planted::LeaseFromAnswer) {
                        number = self.ask();
                    }
                    self.lease.answered(number, head);
                }
            }
            Event::Apply(changes) => {
                self.applied = self.head().min(self.applied + changes);
                self.lease.applied(self.applied);
            }
            Event::Serve => self.serve(),
        }
    }

    /// Nobody is served without a change whose answer has left: because it was acknowledged, or waited for long enough.
    fn serve(&mut self) {
        if self.gateway.clock_ms(self.now_ms) >= self.lease.until_ms() {
            return;
        }
        self.seen.once("served");
        let patience_ms = match self.plan.planted {
            Some(Planted::WaitsAsLongAsALease) => LIFE_MS,
            _ => OVER_MS,
        };
        let control_ms = self.control.clock_ms(self.now_ms);
        let missing = (1..).zip(&self.committed).skip(self.applied as usize);
        for (n, at_ms) in missing {
            self.seen.once("served before a change");
            if control_ms >= at_ms + patience_ms {
                self.broken.push(format!(
                    "S3: at {} a call is answered without change {n}, which was answered",
                    self.now_ms
                ));
            }
        }
    }
}

fn goes(way: &mut Vec<Message>, message: Message) {
    if way.len() == UNDER_WAY {
        way.remove(0);
    }
    way.push(message);
}

/// Any of them, if there is one; it may come again.
fn comes(way: &mut Vec<Message>, again: bool, rng: &mut Rng) -> Option<Message> {
    if way.is_empty() {
        return None;
    }
    let which = rng.index(way.len());
    Some(match again {
        true => way[which],
        false => way.remove(which),
    })
}
