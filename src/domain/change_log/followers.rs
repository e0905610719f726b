//! How far each follower is and when it was last heard of (C6, S3): pure, time comes in, on the boot
//! clock. Who is registered lies in API-M, for all nodes of the control plane; this is what one of
//! them has heard.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Applied, How, Log, Missing, Position, Registered, ResyncReason, answer};
use crate::serving_lease::{FollowerKind, OVER_MS, WhenCutOff};
#[cfg(test)]
use crate::simulation::Planted;

/// A follower that was silent for so long is fenced, milliseconds (S3).
const ALIVE_MS: i64 = 10_000;
/// A follower that was silent for so long is forgotten, milliseconds.
const FORGET_MS: i64 = 3_600_000;

/// The most followers that are known at a time; more than a cluster has.
const MOST: usize = 1_024;
/// The most bytes of a follower's name.
const NAME: usize = 128;

/// All followers that were heard of.
#[derive(Debug, Default)]
pub struct Followers {
    known: BTreeMap<String, Follower>,
    /// The head as this node knows it.
    head: u64,
    /// The highest position that anybody acknowledged: as long as the log has it everything that was
    /// acknowledged is of this history.
    highest: Position,
    /// Since when each registration, or its fence, is known here.
    seen: BTreeMap<(String, i64, bool), i64>,
    #[cfg(test)]
    pub(crate) planted: Option<Planted>,
}

#[derive(Debug)]
struct Follower {
    acknowledged: u64,
    heard_ms: i64,
    /// A life before the one that is registered speaks under this name, so that nothing it says is
    /// a word of that one: if that one is silent, it is fenced.
    is_disputed: bool,
}

/// What a follower says of itself, every half second and whenever it has applied more (S1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The name it follows under.
    pub name: String,
    /// What it follows for.
    pub kind: FollowerKind,
    /// The life of its node (W1).
    pub incarnation: u64,
    /// Applied, stored and visible to requests up to here.
    pub at: Position,
}

/// What a word of a follower comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is registered as it says: it may go by the head.
    Stands,
    /// It has to be registered before it may go by any.
    Unregistered,
    /// What it has applied is not of this log, or too old to tell.
    Elsewhere,
    /// A later life of its node is registered.
    Over,
    /// It has no usable name, or there are too many: nobody could wait for it.
    Crowded,
}

// === impl Followers ===

impl Followers {
    /// A follower says how far it is. `known` is its row and `log` what API-M has of its position,
    /// both read since.
    pub fn hears(
        &mut self,
        word: &Word,
        known: Option<&Registered>,
        log: &Log,
        now_ms: i64,
    ) -> Heard {
        let life = word.incarnation;
        let is_over = |known: &Registered| known.incarnation > life && known.fenced_at_ms.is_none();
        if known.is_some_and(is_over) {
            // What it has applied is not what the later life has. Of a node that was put back from a
            // backup the later life is silent, and fenced soon.
            self.dispute(&word.name, now_ms);
            return Heard::Over;
        }
        if let Answer::Snapshot { .. } = answer(log, &word.at, 1) {
            self.resync(&word.name);
            return Heard::Elsewhere;
        }
        if !self.acknowledged(&word.name, word.at.n, log.head, now_ms) {
            return Heard::Crowded;
        }
        if word.at.n > self.highest.n {
            self.highest = word.at.clone();
        }
        let stands = |known: &Registered| {
            let is_same = known.kind == word.kind && known.incarnation == life;
            is_same && known.fenced_at_ms.is_none()
        };
        match known.is_some_and(stands) {
            true => Heard::Stands,
            false => Heard::Unregistered,
        }
    }

    /// A follower pulls from `n`. It says itself what it has applied, so a lower number than the
    /// acknowledged one (a restored data directory) is believed; a higher one is not, nor is that of a
    /// newcomer: it may be of another history, with which nobody has compared it yet (C2).
    pub fn pulled(&mut self, name: &str, n: u64, now_ms: i64) {
        // Whose pull it is nobody can tell.
        if self.known.get(name).is_some_and(|known| known.is_disputed) {
            return;
        }
        #[cfg(test)]
        let first = match self.planted {
            Some(Planted::PullsAcknowledge) => n,
            _ => 0,
        };
        #[cfg(not(test))]
        let first = 0;
        if let Some(follower) = self.heard(name, first, now_ms) {
            follower.acknowledged = follower.acknowledged.min(n);
        }
    }

    /// A follower has applied, stored and published everything up to `n`, which was compared with
    /// this history. What it said before is of another one when that is beyond the head. Whether
    /// there is room to remember it.
    pub fn acknowledged(&mut self, name: &str, n: u64, head: u64, now_ms: i64) -> bool {
        let Some(follower) = self.heard(name, n, now_ms) else {
            return false;
        };
        let is_anew = std::mem::take(&mut follower.is_disputed);
        follower.acknowledged = if is_anew || follower.acknowledged > head {
            n
        } else {
            follower.acknowledged.max(n)
        };
        true
    }

    /// Somebody says that it is an earlier life of this follower than the one that is registered: a
    /// late word, or a node that was put back from a backup.
    fn dispute(&mut self, name: &str, now_ms: i64) {
        #[cfg(test)]
        if self.planted == Some(Planted::DisputeIgnored) {
            return;
        }
        let follower = match self.known.get_mut(name) {
            Some(follower) => Some(follower),
            None => self.heard(name, 0, now_ms),
        };
        if let Some(follower) = follower {
            follower.is_disputed = true;
        }
    }

    /// A follower has to begin anew: what it acknowledged was of another history (C2).
    pub fn resync(&mut self, name: &str) {
        #[cfg(test)]
        if self.planted == Some(Planted::AcknowledgedOutlivesItsHistory) {
            return;
        }
        if let Some(follower) = self.known.get_mut(name) {
            follower.acknowledged = 0;
        }
    }

    /// The head was looked at, and is this now. Whether it is lower than before: then a backup was
    /// restored, and what anybody acknowledged was of another history (C2). This outlives the feed that
    /// looks, as what was acknowledged does.
    pub fn looked_at(&mut self, head: u64) -> bool {
        let is_lower = head < self.head;
        if is_lower {
            self.resync_all();
        }
        self.head = head;
        is_lower
    }

    /// The number that a look at the log has to ask for: its entry tells whether the history is the one
    /// that was acknowledged.
    #[must_use]
    pub const fn highest(&self) -> u64 {
        self.highest.n
    }

    /// The same as [`Followers::looked_at`], with what the log has of [`Followers::highest`]: the head
    /// may be as high as before, or higher, where much was changed since the backup was restored.
    pub fn compared(&mut self, log: &Log) -> bool {
        let reason = match answer(log, &self.highest, 1) {
            Answer::Snapshot { reason } => Some(reason),
            Answer::UpToDate | Answer::Entries { .. } => None,
        };
        // What is not kept any more was of this log.
        let is_another = reason.is_some_and(ResyncReason::is_alarming) && self.compares();
        if is_another {
            self.resync_all();
        }
        self.looked_at(log.head) || is_another
    }

    const fn compares(&self) -> bool {
        #[cfg(test)]
        if matches!(self.planted, Some(Planted::HeadAloneTells)) {
            return false;
        }
        true
    }

    fn resync_all(&mut self) {
        #[cfg(test)]
        if self.planted == Some(Planted::AcknowledgedOutlivesItsHistory) {
            return;
        }
        self.highest = Position::default();
        for follower in self.known.values_mut() {
            follower.acknowledged = 0;
        }
    }

    /// A long poll of this follower is open: it lives.
    pub fn waits(&mut self, name: &str, now_ms: i64) {
        if let Some(follower) = self.known.get_mut(name).filter(|known| !known.is_disputed) {
            follower.heard_ms = now_ms;
        }
    }

    /// What it has applied, and how long it has been silent.
    pub fn standing(&self, name: &str, now_ms: i64) -> Option<(u64, u64)> {
        let follower = self.known.get(name)?;
        let silent_ms = now_ms.saturating_sub(follower.heard_ms);
        Some((follower.acknowledged, silent_ms.max(0).unsigned_abs()))
    }

    /// The head is at least this now; whoever is silent is further behind it.
    pub fn has_head(&mut self, head: u64) {
        self.head = self.head.max(head);
    }

    /// Whether nobody was heard of.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many changes each has yet to apply.
    pub fn behind(&self) -> Vec<(String, u64)> {
        let known = self.known.iter();
        let behind = known.map(|(name, follower)| {
            let behind = self.head.saturating_sub(follower.acknowledged);
            (name.clone(), behind)
        });
        behind.collect()
    }

    /// A follower goes.
    pub fn forget(&mut self, name: &str) {
        self.known.remove(name);
    }

    /// Notes which registrations there are, and since when this node knows of each.
    pub fn see(&mut self, registered: &[Registered], now_ms: i64) {
        let there: BTreeSet<_> = registered.iter().map(key).collect();
        self.seen.retain(|key, _| there.contains(key));
        for key in there {
            self.seen.entry(key).or_insert(now_ms);
        }
        #[cfg(test)]
        if self.planted == Some(Planted::FenceAgeByRow) {
            let fenced = registered.iter().filter(|one| one.fenced_at_ms.is_some());
            let since = fenced.map(|one| (key(one), one.fenced_at_ms.unwrap_or(now_ms)));
            self.seen.extend(since);
        }
    }

    /// Everybody counts as heard of now: it was this node that stood still (W2).
    pub fn forgive(&mut self, now_ms: i64) {
        #[cfg(test)]
        if self.planted == Some(Planted::ForgivesNothing) {
            return;
        }
        for follower in self.known.values_mut() {
            follower.heard_ms = now_ms;
        }
        for since_ms in self.seen.values_mut() {
            *since_ms = now_ms;
        }
    }

    /// Who of these has applied `n`, and whether it is worth waiting for the rest. Whoever was
    /// fenced for as long as a lease lasts is waited for no more. A gateway that serves without
    /// one is named all the same: it may be cut off, and serve.
    pub fn applied(&self, registered: &[Registered], n: u64, now_ms: i64) -> (Applied, bool) {
        let (mut done, mut missing, mut waits) = (0, Vec::new(), false);
        for one in registered.iter().filter(|one| !self.is_gone(one)) {
            // Whoever leaves gives up its lease before it says so.
            let may_serve = self.holds_lease(one, now_ms) && !one.has_left();
            let follower = self.known.get(&one.name);
            if follower.is_some_and(|follower| follower.acknowledged >= n) {
                done += 1;
            } else if may_serve || self.is_named_anyway(one) {
                waits |= may_serve;
                let how = match one.kind {
                    FollowerKind::Policies => How::Behind,
                    FollowerKind::Calls(WhenCutOff::Refuse) => How::Fenced,
                    FollowerKind::Calls(WhenCutOff::Serve) => How::Unreached,
                };
                let name = one.name.clone();
                missing.push(Missing { name, how });
            }
        }
        let all = done + u32::try_from(missing.len()).unwrap_or(u32::MAX);
        (Applied { done, all, missing }, waits)
    }

    /// Whether a lease from before its fence may be good yet, if it is fenced.
    fn holds_lease(&self, one: &Registered, now_ms: i64) -> bool {
        #[cfg(test)]
        if self.planted == Some(Planted::FencedAreNotWaitedFor) {
            return one.fenced_at_ms.is_none();
        }
        one.fenced_at_ms.is_none() || self.age(one, now_ms) < OVER_MS
    }

    fn is_named_anyway(&self, one: &Registered) -> bool {
        #[cfg(test)]
        if self.planted == Some(Planted::ServeIsNotNamed) {
            return false;
        }
        one.kind == FollowerKind::Calls(WhenCutOff::Serve)
    }

    fn is_gone(&self, one: &Registered) -> bool {
        #[cfg(test)]
        if self.planted == Some(Planted::LeftAreForgotten) {
            return one.has_left();
        }
        one.is_gone()
    }

    /// Those that are to be fenced: silent since they registered, or for long.
    pub fn silent<'a>(&self, registered: &'a [Registered], now_ms: i64) -> Vec<&'a Registered> {
        let heard = |one: &Registered| self.known.get(&one.name).map(|known| known.heard_ms);
        let is_silent = |one: &&Registered| {
            let since = heard(one).map_or(i64::MAX, |heard_ms| now_ms.saturating_sub(heard_ms));
            #[cfg(test)]
            if self.planted == Some(Planted::StrangersAreSilent) {
                return since >= ALIVE_MS;
            }
            since.min(self.age(one, now_ms)) >= ALIVE_MS
        };
        let open = registered.iter().filter(|one| one.fenced_at_ms.is_none());
        open.filter(is_silent).collect()
    }

    /// How far the slowest of the living is.
    pub fn slowest(&self, now_ms: i64) -> Option<u64> {
        let known = self.known.values();
        let alive = known.filter(|follower| now_ms.saturating_sub(follower.heard_ms) < ALIVE_MS);
        alive.map(|follower| follower.acknowledged).min()
    }

    /// Forgets who has been silent for an hour.
    pub fn forget_silent(&mut self, now_ms: i64) {
        self.known
            .retain(|_, follower| now_ms.saturating_sub(follower.heard_ms) < FORGET_MS);
    }

    /// How long this registration, or its fence, is known here.
    fn age(&self, one: &Registered, now_ms: i64) -> i64 {
        let seen = self.seen.get(&key(one));
        seen.map_or(0, |since_ms| now_ms.saturating_sub(*since_ms))
    }

    /// None for a name that no follower of ours has, or one too many: what others say takes a
    /// bounded room here, and what they are told.
    fn heard(&mut self, name: &str, n: u64, now_ms: i64) -> Option<&mut Follower> {
        let is_known = self.known.contains_key(name);
        if name.len() > NAME || !is_known && self.known.len() >= MOST {
            return None;
        }
        let follower = self.known.entry(name.to_owned()).or_insert(Follower {
            acknowledged: n,
            heard_ms: now_ms,
            is_disputed: false,
        });
        follower.heard_ms = now_ms;
        Some(follower)
    }
}

fn key(one: &Registered) -> (String, i64, bool) {
    let is_fenced = one.fenced_at_ms.is_some();
    (one.name.clone(), one.registered_at_ms, is_fenced)
}

#[cfg(test)]
#[path = "followers_tests.rs"]
mod tests;
