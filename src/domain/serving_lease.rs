//! The serving lease of a gateway (S1): until when it may answer calls by what it has applied. A
//! control plane that was asked names the head of the change log as it is after the question came;
//! from when it was sent, the answer is good for [`LIFE_MS`], as soon as that head is applied. So
//! whoever commits a change and waits for an acknowledgement or for longer than that knows that
//! nobody serves without it (S3).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How long a lease lasts from when it was asked for, milliseconds (D).
pub const LIFE_MS: i64 = 2_000;
/// How long a change waits for those who do not answer: D and five hundredths for clocks that
/// differ in pace, milliseconds (S3).
pub const OVER_MS: i64 = LIFE_MS + LIFE_MS / 20;
/// It is asked for anew so often, milliseconds.
pub const EVERY_MS: i64 = 500;
/// So many questions in a row without an answer mean that the gateway is cut off (S5): as long as
/// a lease lasts, counted by questions, because a gateway that stood still has asked nobody.
const MISSES: u32 = 3;
/// And so many since a start: those who start beside it get five seconds to answer.
const MISSES_AT_START: u32 = 10;
/// Questions whose answers may still come.
const UNDER_WAY: usize = 16;

/// What a gateway does while it is cut off from the whole control plane (S5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenCutOff {
    /// It goes on by what it knows, for a bounded time.
    Serve,
    /// It answers nothing.
    Refuse,
}

/// What a node follows the change log for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FollowerKind {
    /// To know what plans grant.
    Policies,
    /// To answer calls.
    Calls(WhenCutOff),
}

/// A gateway's right to serve; time comes in, on its boot clock.
#[derive(Debug)]
pub struct ServingLease {
    /// Oldest first.
    asked: VecDeque<Asked>,
    next: u64,
    applied: u64,
    until_ms: i64,
    /// Whether anybody answered since the last round.
    heard: bool,
    misses: u32,
}

#[derive(Debug)]
struct Asked {
    number: u64,
    sent_ms: i64,
    /// The head that the answer named.
    needs: Option<u64>,
}

impl Default for ServingLease {
    fn default() -> Self {
        Self {
            asked: VecDeque::new(),
            next: 0,
            applied: 0,
            until_ms: i64::MIN,
            heard: true,
            misses: 0,
        }
    }
}

// === impl WhenCutOff ===

impl WhenCutOff {
    /// `serve` or `refuse`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Refuse => "refuse",
        }
    }

    /// The other way round.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Serve, Self::Refuse];
        all.into_iter().find(|one| one.as_str() == text)
    }
}

// === impl FollowerKind ===

impl FollowerKind {
    /// `policies`, or what a gateway does while it is cut off.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policies => "policies",
            Self::Calls(when) => when.as_str(),
        }
    }

    /// The other way round.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "policies" => Some(Self::Policies),
            other => WhenCutOff::parse(other).map(Self::Calls),
        }
    }
}

// === impl ServingLease ===

impl ServingLease {
    /// A round begins: whoever has not answered since the one before counts as silent.
    pub const fn begin_round(&mut self) {
        if self.heard {
            self.misses = 0;
        } else {
            self.misses = self.misses.saturating_add(1);
        }
        self.heard = false;
    }

    /// A question is about to be sent; gives its number.
    pub fn ask(&mut self, now_ms: i64) -> u64 {
        self.asked.retain(|asked| ends(asked.sent_ms) > now_ms);
        if self.asked.len() == UNDER_WAY {
            self.asked.pop_front();
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.asked.push_back(Asked {
            number,
            sent_ms: now_ms,
            needs: None,
        });
        number
    }

    /// A control plane has answered the question `number`: its head is `head`.
    pub fn answered(&mut self, number: u64, head: u64) {
        self.heard = true;
        self.misses = 0;
        let asked = self.asked.iter_mut().find(|asked| asked.number == number);
        if let Some(asked) = asked {
            asked.needs = Some(head);
        }
        self.promote();
    }

    /// A control plane has answered that nothing may be gone by yet: nobody is cut off from it.
    pub const fn refused(&mut self) {
        self.heard = true;
        self.misses = 0;
    }

    /// Everything up to `n` is applied and visible to requests. Less than before, as after a restart
    /// from what was stored, leaves no right that needed more.
    pub fn applied(&mut self, n: u64) {
        if n < self.applied {
            self.begin_anew();
        }
        self.applied = n;
        self.promote();
    }

    /// What is applied is of another history than the one that the answers came from: no right
    /// follows from them.
    pub fn begin_anew(&mut self) {
        self.asked.clear();
        self.until_ms = i64::MIN;
    }

    /// Until when calls may be answered; the lowest time while there is no lease.
    #[must_use]
    pub const fn until_ms(&self) -> i64 {
        self.until_ms
    }

    /// Whether nobody answers.
    #[must_use]
    pub const fn is_cut_off(&self) -> bool {
        let most = if self.until_ms == i64::MIN {
            MISSES_AT_START
        } else {
            MISSES
        };
        self.misses >= most
    }

    /// The newest answer whose head is applied counts: a head that runs ahead with every answer
    /// starves nobody, for older answers are kept while they are good.
    fn promote(&mut self) {
        let applied = self.applied;
        let is_good = |asked: &Asked| asked.needs.is_some_and(|needs| needs <= applied);
        let Some(place) = self.asked.iter().rposition(is_good) else {
            return;
        };
        for good in self.asked.drain(..=place).filter(is_good) {
            self.until_ms = self.until_ms.max(ends(good.sent_ms));
        }
    }
}

const fn ends(sent_ms: i64) -> i64 {
    sent_ms.saturating_add(LIFE_MS)
}

#[cfg(test)]
#[path = "serving_lease_tests.rs"]
mod tests;
