//! How a gateway of the streams world finds out about a token: of key managers, or of itself while none answers.

use std::sync::Arc;

use super::stream_log::{Token, Verdict, grant, key};
use super::stream_world::{At, TICK_MS, Told, Waiter, World};
use crate::validation_cache::{Asked, Effect, Entry, Hit, Input};

/// What is judged at a gateway lasts so long.
const HERE_MS: i64 = 5_000;

// === impl World ===

impl World {
    pub(super) fn step(&mut self, gateway: usize, input: Told) {
        let clock_ms = self.clock_ms(gateway);
        let effects = self.gateways[gateway].machine.step(input, clock_ms);
        for effect in effects {
            match effect {
                Effect::Send { question, asked } => self.put(gateway, question, asked),
                Effect::Insert { question, entry } => {
                    self.gateways[gateway].cache.insert(question, entry);
                    self.soon(gateway, (0, 20), At::Inserted(question));
                }
                Effect::Remove { question } => {
                    self.gateways[gateway].cache.remove(&question);
                }
                Effect::Answer {
                    question,
                    waiters,
                    entry,
                } => {
                    self.learn(gateway, question, &entry);
                    self.tell(gateway, question, waiters, Some(&entry));
                }
                Effect::Refuse {
                    question, waiters, ..
                } => self.tell(gateway, question, waiters, None),
            }
        }
    }

    fn tell(
        &mut self,
        gateway: usize,
        token: Token,
        waiters: Vec<Waiter>,
        entry: Option<&Arc<Entry<Verdict>>>,
    ) {
        for waiter in waiters {
            self.soon(gateway, (0, 5), At::Wake(token, waiter, entry.cloned()));
        }
    }

    /// To key managers, or to be judged here as long as none answers and the consumer is known.
    fn put(&mut self, gateway: usize, token: Token, asked: Asked) {
        let at = &self.gateways[gateway];
        let consumer = key(self.log.client(token));
        let clock_ms = self.clock_ms(gateway);
        if at.silent && at.consumers.find(&consumer, clock_ms).is_some() {
            let applied = at.applied;
            self.soon(gateway, (1, 30), At::Here(token, asked, applied));
        } else {
            self.soon(gateway, (1, 60), At::Question(token, asked));
        }
    }

    /// Nobody answers, which may show at once and shows after a while.
    pub(super) fn fails(&mut self, gateway: usize, question: Token, asked: Asked) {
        let failed = Input::Failed { question, asked };
        self.soon(gateway, (20, 2_000), At::Told(failed));
    }

    pub(super) fn told(&mut self, gateway: usize, input: Told) {
        match &input {
            Input::Failed { question, asked } => {
                self.gateways[gateway].silent = true;
                let consumer = key(self.log.client(*question));
                let clock_ms = self.clock_ms(gateway);
                let known = self.gateways[gateway].consumers.find(&consumer, clock_ms);
                if known.is_some() {
                    let applied = self.gateways[gateway].applied;
                    let here = At::Here(*question, *asked, applied);
                    return self.soon(gateway, (1, 30), here);
                }
            }
            _ => self.gateways[gateway].silent = false,
        }
        self.step(gateway, input);
    }

    /// Head and data in one snapshot, perhaps of a while ago (V1).
    pub(super) fn question(&mut self, gateway: usize, question: Token, asked: Asked) {
        if self.now_ms < self.silent_until_ms {
            return self.fails(gateway, question, asked);
        }
        let lag = u64::try_from(self.rng.between(0, 2)).unwrap();
        let number = self.log.head().saturating_sub(lag);
        let input = if number < asked.applied() {
            Input::Behind { question, asked }
        } else {
            Input::Reply {
                question,
                asked,
                number,
                subjects: self.log.subjects(question),
                until_ms: self.clock_ms(gateway) + self.rng.between(500, 20_000),
                value: self.log.verdict(question, number),
            }
        };
        self.soon(gateway, (1, 60), At::Answered(question, asked, input));
    }

    /// Judged by what is here now, true at what was applied when it was put here at most.
    pub(super) fn here(&mut self, gateway: usize, question: Token, asked: Asked, applied: u64) {
        let at = &self.gateways[gateway];
        let client = self.log.client(question);
        let clock_ms = self.clock_ms(gateway);
        let Some(consumer) = at.consumers.find(&key(client), clock_ms) else {
            return self.step(gateway, Input::Failed { question, asked });
        };
        let known = consumer.application.as_ref().unwrap();
        let version = known.policy.parse().unwrap();
        let value = Verdict {
            granted: !self.log.is_over(question, at.applied),
            open: known.owner == "open",
            version,
            here: true,
        };
        let newest = self.log.version(client, at.applied);
        self.truth.judges(gateway, client, version, newest);
        let reply = Input::Reply {
            question,
            asked,
            number: asked.applied().min(applied),
            subjects: self.log.subjects(question),
            until_ms: clock_ms + HERE_MS,
            value,
        };
        self.step(gateway, reply);
    }

    /// What a key manager granted and what stood the comparison is known of its consumer.
    fn learn(&mut self, gateway: usize, token: Token, entry: &Entry<Verdict>) {
        let clock_ms = self.clock_ms(gateway);
        if let Hit::Current(verdict) = entry.hit(clock_ms)
            && verdict.granted
            && !verdict.here
        {
            let grant = grant(self.log.client(token), verdict);
            let consumers = &mut self.gateways[gateway].consumers;
            consumers.learn(&grant, entry.number(), clock_ms);
        }
    }

    /// Questions run out of time, and somebody is asked for.
    pub(super) fn tick(&mut self, gateway: usize) {
        self.step(gateway, Input::Tick);
        let is_cut = self.gateways[gateway].plight.is_cut_off(self.now_ms);
        if !is_cut && self.now_ms >= self.silent_until_ms {
            self.gateways[gateway].silent = false;
        }
        self.soon(gateway, (TICK_MS, TICK_MS), At::Tick);
    }
}
