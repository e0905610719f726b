//! What really happened in a run of the validation world, and which invariants it broke.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::kernel::Digest;
use super::seeds::{Ran, Seen};
use super::validation_history::{History, Place, Verdict};
use super::validation_world::{BOUNDS, Question};
use crate::validation_cache::{Asked, Questions, Refusal};

/// The machine puts a question so often at most, and looks at the clock so often; by a clock that runs with it.
const LONGEST_WAIT_MS: i64 = 4 * (BOUNDS.patience_ms + TICK_MS);
pub(super) const TICK_MS: i64 = 250;

/// A request on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) gateway: usize,
    pub(super) question: Question,
    /// What its gateway had acknowledged when it began.
    acknowledged: Place,
    /// When it became a waiter, by a clock of its gateway that stands still with it.
    waits_since_ms: Option<i64>,
}

/// Verdicts on verdicts, kept outside of everything that is tested.
#[derive(Debug, Default)]
pub(super) struct Truth {
    requests: BTreeMap<u64, Request>,
    count: u64,
    /// The attempt under way of each question of each gateway.
    under_way: BTreeMap<(usize, Question), u32>,
    digest: Digest,
    pub(super) seen: Seen,
    pub(super) broken: Vec<String>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn happened(&mut self, now_ms: i64, event: &impl Debug) {
        self.digest.add(now_ms, event);
    }

    pub(super) fn began(&mut self, gateway: usize, question: Question, acknowledged: Place) -> u64 {
        self.count += 1;
        let request = Request {
            gateway,
            question,
            acknowledged,
            waits_since_ms: None,
        };
        self.requests.insert(self.count, request);
        self.count
    }

    pub(super) fn request(&self, id: u64) -> Option<Request> {
        self.requests.get(&id).copied()
    }

    pub(super) fn waits(&mut self, id: u64, ran_ms: i64) {
        if let Some(request) = self.requests.get_mut(&id) {
            request.waits_since_ms = Some(ran_ms);
        }
    }

    /// The request goes on by this verdict, let in or refused: it must know all that was acknowledged before.
    pub(super) fn settled(&mut self, id: u64, verdict: &Verdict, history: &History, now_ms: i64) {
        let Some(request) = self.requests.remove(&id) else {
            self.broken.push(format!("V2: request {id} ended twice"));
            return;
        };
        if !verdict.good {
            self.seen.once("negative");
        }
        let Request {
            gateway,
            question,
            acknowledged,
            ..
        } = request;
        if now_ms > verdict.until_ms {
            self.broken.push(format!(
                "V: gateway {gateway} used an answer to {question} {} ms after its end",
                now_ms - verdict.until_ms
            ));
        }
        if let Some(n) = history.unknown_to(verdict, question, acknowledged) {
            let Place { branch, n: at } = verdict.computed_at;
            self.broken.push(format!(
                "V2: gateway {gateway} used an answer to {question} true at {at} of history {branch} after it \
                 acknowledged {n} of history {}",
                acknowledged.branch
            ));
        }
    }

    /// The request ends without a verdict.
    pub(super) fn gave_up(&mut self, id: u64) {
        if self.requests.remove(&id).is_none() {
            self.broken.push(format!("V2: request {id} ended twice"));
        }
    }

    /// One question is under way per credential and incarnation, in one attempt at a time.
    pub(super) fn sent(&mut self, gateway: usize, question: Question, asked: &Asked) {
        let before = self.under_way.insert((gateway, question), asked.attempt());
        if asked.attempt() != before.map_or(0, |attempt| attempt + 1) {
            self.broken.push(format!(
                "V2: attempt {} of question {question} follows {before:?}",
                asked.attempt()
            ));
        }
    }

    /// These waiters' question is over.
    pub(super) fn over(&mut self, waiters: &[u64], refusal: Option<Refusal>) {
        for id in waiters {
            let Some(request) = self.requests.get_mut(id) else {
                self.broken
                    .push(format!("V2: waiter {id} was answered twice"));
                continue;
            };
            request.waits_since_ms = None;
            if refusal != Some(Refusal::Overloaded) {
                self.under_way.remove(&(request.gateway, request.question));
            }
        }
    }

    pub(super) fn answered_overtaken(&mut self, question: Question) {
        self.broken.push(format!(
            "V2: those who wait for {question} got an answer that a change had overtaken"
        ));
    }

    /// All who wait at a gateway are told by their failing mailbox.
    pub(super) fn restarted(&mut self, gateway: usize) {
        self.requests
            .retain(|_, request| request.gateway != gateway || request.waits_since_ms.is_none());
        self.under_way.retain(|(at, _), _| *at != gateway);
    }

    /// Nobody waits for ever, and nothing outgrows its bounds.
    pub(super) fn looks(
        &mut self,
        gateway: usize,
        machine: &Questions<Question, u64, Verdict>,
        ran_ms: i64,
    ) {
        let waiting = |request: &&Request| request.gateway == gateway;
        let mut per_question: BTreeMap<Question, usize> = BTreeMap::new();
        for request in self.requests.values().filter(waiting) {
            let Some(since_ms) = request.waits_since_ms else {
                continue;
            };
            *per_question.entry(request.question).or_default() += 1;
            if ran_ms - since_ms > LONGEST_WAIT_MS {
                self.broken.push(format!(
                    "V2: a request waits since {} ms",
                    ran_ms - since_ms
                ));
            }
        }
        let waiters = per_question.values().max().copied().unwrap_or(0);
        let subjects = machine.touches().len();
        if machine.len() > BOUNDS.questions
            || waiters > BOUNDS.waiters
            || subjects > BOUNDS.subjects
            || per_question.len() != machine.len()
        {
            self.broken.push(format!(
                "V2: {} questions of {}, {waiters} waiters, {subjects} subjects",
                machine.len(),
                per_question.len()
            ));
        }
    }

    /// The network is calm and nobody asks: nobody waits.
    pub(super) fn at_rest(&mut self) {
        if !self.requests.is_empty() {
            self.broken.push(format!(
                "V2: {} requests without an end",
                self.requests.len()
            ));
        }
    }
}

// === impl Ran ===

impl From<Truth> for Ran {
    fn from(truth: Truth) -> Self {
        Self {
            digest: truth.digest,
            seen: truth.seen,
            broken: truth.broken,
        }
    }
}
