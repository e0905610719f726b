//! What really happened in a run of the streams world, and which promises it broke.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::kernel::Digest;
use super::stream_log::{Log, Token};
use crate::serving_lease::WhenCutOff;

/// A stream ends so long after the answer to a change at most that says itself what it ends, where the gateway has
/// applied it; and else.
const CERTAIN_MS: i64 = 2_000;
const BOUND_MS: i64 = 7_000;

/// How often things happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) opened: u64,
    pub(super) ended: u64,
    pub(super) unsure: u64,
    pub(super) stood: u64,
    pub(super) all_cut: u64,
    pub(super) judged_here: u64,
    pub(super) not_acknowledged: u64,
    pub(super) read_back: u64,
}

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

    pub(super) fn digest(&self) -> Digest {
        self.digest
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
        self.seen.not_acknowledged += u64::from(acknowledged.contains(&false));
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
    pub(super) fn restarted(&mut self, gateway: usize, position: u64) {
        self.applied[gateway].retain(|n, _| *n <= position);
    }

    /// A piece of a stream goes by: nothing may have ended it for longer than the bound.
    pub(super) fn flows(&mut self, gateway: usize, token: Token, log: &Log, now_ms: i64) {
        let bad = log.bad(token, log.head());
        let late = |from: Option<i64>, bound: i64| from.is_some_and(|from| now_ms > from + bound);
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
        self.seen.judged_here += 1;
        if version < newest {
            self.broken.push(format!(
                "V2: gateway {gateway} judges by what consumer {client} was at {version}, which {newest} touched"
            ));
        }
    }
}
