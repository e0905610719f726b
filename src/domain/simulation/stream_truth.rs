//! What really happened in a run of the streams world, and which promises it broke. The time that a gateway stands still
//! is not its: nothing flows there meanwhile.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::kernel::Digest;
use super::seeds::{Ran, Seen};
use super::stream_log::{Log, Token};
use crate::serving_lease::WhenCutOff;

/// A stream ends so long after the answer to a change at most that says itself what it ends, where the gateway has
/// applied it; and else.
const CERTAIN_MS: i64 = 2_000;
const BOUND_MS: i64 = 7_000;
/// All calls of a gateway end only where it has run for that long without looking and finding that calls are served.
const UNSERVED_MS: i64 = 1_900;

/// An answer that has left.
#[derive(Debug, Clone)]
struct Answer {
    at_ms: i64,
    acknowledged: Vec<bool>,
}

/// Kept outside of everything that is tested.
#[derive(Debug)]
pub(super) struct Truth {
    modes: Vec<WhenCutOff>,
    acknowledged: Vec<u64>,
    answers: BTreeMap<u64, Answer>,
    /// When each gateway last came to have applied a change.
    applied: Vec<BTreeMap<u64, i64>>,
    /// From when until when each stood still.
    stops: Vec<Vec<(i64, i64)>>,
    /// When each last served calls, or began.
    served: Vec<i64>,
    digest: Digest,
    pub(super) seen: Seen,
    pub(super) broken: Vec<String>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn new(modes: Vec<WhenCutOff>) -> Self {
        Self {
            acknowledged: vec![0; modes.len()],
            applied: vec![BTreeMap::new(); modes.len()],
            stops: vec![Vec::new(); modes.len()],
            served: vec![0; modes.len()],
            modes,
            answers: BTreeMap::new(),
            digest: Digest::default(),
            seen: Seen::default(),
            broken: Vec::new(),
        }
    }

    pub(super) fn happened(&mut self, now_ms: i64, event: &impl Debug) {
        self.digest.add(now_ms, event);
    }

    /// A gateway acknowledges; whoever waited for the last one is answered.
    pub(super) fn acknowledges(&mut self, gateway: usize, n: u64, now_ms: i64) {
        let last = &mut self.acknowledged[gateway];
        *last = (*last).max(n);
        let by_all = self.acknowledged.iter().min().copied().unwrap_or(0);
        let first = self.answers.keys().next_back().map_or(1, |last| last + 1);
        for n in first..=by_all {
            self.answer(n, now_ms);
        }
    }

    /// A change was waited for as long as one is.
    pub(super) fn waited(&mut self, n: u64, now_ms: i64) {
        if !self.answers.contains_key(&n) {
            self.answer(n, now_ms);
        }
    }

    fn answer(&mut self, n: u64, at_ms: i64) {
        let acknowledged: Vec<bool> = self.acknowledged.iter().map(|last| *last >= n).collect();
        self.seen
            .times("not_acknowledged", u64::from(acknowledged.contains(&false)));
        let answer = Answer {
            at_ms,
            acknowledged,
        };
        self.answers.insert(n, answer);
    }

    pub(super) fn applies(&mut self, gateway: usize, n: u64, now_ms: i64) {
        self.applied[gateway].entry(n).or_insert(now_ms);
    }

    /// A gateway begins anew with what its disk has.
    pub(super) fn restarted(&mut self, gateway: usize, position: u64, now_ms: i64) {
        self.served[gateway] = now_ms;
        self.applied[gateway].retain(|n, _| *n <= position);
    }

    pub(super) fn stands_still(&mut self, gateway: usize, from_ms: i64, until_ms: i64) {
        let stops = &mut self.stops[gateway];
        let before_ms = stops.last().map_or(0, |(_, until_ms)| *until_ms);
        stops.push((from_ms.max(before_ms), until_ms.max(before_ms)));
    }

    /// How long a gateway has run since.
    fn ran_since(&self, gateway: usize, since_ms: i64, now_ms: i64) -> i64 {
        let stops = self.stops[gateway].iter().rev();
        let stops = stops.take_while(|(_, until_ms)| *until_ms > since_ms);
        let stood =
            stops.map(|(from_ms, until_ms)| (*until_ms).min(now_ms) - (*from_ms).max(since_ms));
        now_ms - since_ms - stood.sum::<i64>()
    }

    pub(super) fn serves(&mut self, gateway: usize, now_ms: i64) {
        self.served[gateway] = now_ms;
    }

    /// A gateway ends all its calls, because none may be served.
    pub(super) fn cuts_all(&mut self, gateway: usize, calls: usize, now_ms: i64) {
        self.seen.times("all_cut", calls as u64);
        let ran_ms = self.ran_since(gateway, self.served[gateway], now_ms);
        if ran_ms < UNSERVED_MS {
            self.broken.push(format!(
                "S1: at {now_ms} gateway {gateway} ends all calls, and ran for {ran_ms} ms since it served some"
            ));
        }
    }

    /// A gateway may serve calls when the answer to a change leaves that it has not applied.
    pub(super) fn serves_without(&mut self, gateway: usize, n: u64, now_ms: i64) {
        self.broken.push(format!(
            "S3: at {now_ms} gateway {gateway} has a lease, and has not applied {n}"
        ));
    }

    /// A new call is let in: no change may have ended what it rests on, once its answer has left (S3).
    pub(super) fn lets_in(&mut self, gateway: usize, token: Token, log: &Log, now_ms: i64) {
        let bad = log.bad(token, log.head());
        let since = bad.since.and_then(|n| self.counts_from(gateway, n));
        if since.is_some_and(|since| now_ms > since) {
            self.broken.push(format!(
                "S3: at {now_ms} gateway {gateway} lets in a call with token {token}, over since {since:?}, {bad:?}"
            ));
        }
    }

    /// A piece of a stream goes by: nothing may have ended it for longer than the bound.
    pub(super) fn flows(&mut self, gateway: usize, token: Token, log: &Log, now_ms: i64) {
        let bad = log.bad(token, log.head());
        let late = |from: Option<i64>, bound: i64| {
            from.is_some_and(|from| self.ran_since(gateway, from, now_ms) > bound)
        };
        let since = bad.since.and_then(|n| self.counts_from(gateway, n));
        let certain = bad.certain.and_then(|n| {
            let applied = self.applied_at(gateway, n)?;
            Some(self.counts_from(gateway, n)?.max(applied))
        });
        if late(since, BOUND_MS) || late(certain, CERTAIN_MS) {
            self.broken.push(format!(
                "S2: at {now_ms} a stream of token {token} goes on at gateway {gateway}, over since {since:?}, \
                 certainly since {certain:?}, {bad:?}"
            ));
        }
    }

    /// From when the bound counts; none while the answer has not left, or names the gateway and it has not applied the
    /// change.
    fn counts_from(&self, gateway: usize, n: u64) -> Option<i64> {
        let answer = self.answers.get(&n)?;
        if answer.acknowledged[gateway] || self.modes[gateway] == WhenCutOff::Refuse {
            return Some(answer.at_ms);
        }
        Some(self.applied_at(gateway, n)?.max(answer.at_ms))
    }

    fn applied_at(&self, gateway: usize, n: u64) -> Option<i64> {
        let applied = self.applied[gateway].range(n..).next();
        applied.map(|(_, at_ms)| *at_ms)
    }

    /// A gateway judges a token by what it was told of a consumer: nothing that it has applied may be newer.
    pub(super) fn judges(&mut self, gateway: usize, client: usize, version: u64, newest: u64) {
        self.seen.once("judged_here");
        if version < newest {
            self.broken.push(format!(
                "V2: gateway {gateway} judges by what consumer {client} was at {version}, which {newest} touched"
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
