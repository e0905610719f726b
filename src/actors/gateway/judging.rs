//! Signed tokens that wait to be judged here while no key manager answers. Judging is done off the
//! validator's own task, by few at a time: a signature costs more than everything else about a
//! question, and whoever sends many that are wrong must not hold up the changes that the validator
//! acknowledges.

use std::collections::VecDeque;

use domain::validation::Verdict;

use super::under_way::UnderWay;
use super::validator::Sent;

/// Tokens of one lot.
const LOT: usize = 32;
/// Lots that are judged at once, each on a thread of its own.
const LOTS: usize = 2;

/// A question about a signed token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) sent: Sent,
    /// Whether key managers were asked already; else they are, where it cannot be told here.
    pub(super) was_asked: bool,
}

/// What came of a lot.
pub(super) struct Lot {
    pub(super) number: u64,
    /// How often the follower had resumed when it began.
    pub(super) resumed: u64,
    /// None where it cannot be told here.
    pub(super) judged: Vec<(Waiting, Option<Verdict>)>,
}

/// The questions that wait, and how many lots are under way.
#[derive(Debug, Default)]
pub(super) struct Judging {
    waiting: VecDeque<Waiting>,
    under_way: UnderWay,
}

// === impl Judging ===

impl Judging {
    /// One more, behind the others.
    pub(super) fn wait(&mut self, sent: Sent, was_asked: bool) {
        self.waiting.push_back(Waiting { sent, was_asked });
    }

    /// The next lot, unless as many as may are under way.
    pub(super) fn begin(&mut self, now_ms: i64) -> Option<(u64, Vec<Waiting>)> {
        if self.waiting.is_empty() || self.under_way.len() >= LOTS {
            return None;
        }
        let most = self.waiting.len().min(LOT);
        let lot = self.waiting.drain(..most).collect();
        Some((self.under_way.begin(now_ms), lot))
    }

    /// A lot is done.
    pub(super) fn end(&mut self, number: u64) {
        self.under_way.end(number);
    }

    /// Gives up lots whose word was lost.
    pub(super) fn expire(&mut self, now_ms: i64, patience_ms: i64) {
        self.under_way.expire(now_ms, patience_ms);
    }
}
