//! How far each follower is and when it was last heard of (C6, S3): pure, time comes in, on the boot
//! clock. Who is registered lies in API-M, for all nodes of the control plane; this is what one of
//! them has heard.

use std::collections::{BTreeMap, BTreeSet};

use domain::serving_lease::{FollowerKind, OVER_MS, WhenCutOff};
use storage::apim::followers::Follower as Registered;

use super::message::{Applied, How, Missing};

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
pub(super) struct Followers {
    known: BTreeMap<String, Follower>,
    /// The head as this node knows it.
    head: u64,
    /// Since when each registration, or its fence, is known here.
    seen: BTreeMap<(String, i64, bool), i64>,
}

#[derive(Debug)]
struct Follower {
    acknowledged: u64,
    heard_ms: i64,
    /// A life before the one that is registered speaks under this name, so that nothing it says is
    /// a word of that one: if that one is silent, it is fenced.
    is_disputed: bool,
}

// === impl Followers ===

impl Followers {
    /// A follower pulls from `n`. It says itself what it has applied, so a lower number than the
    /// acknowledged one (a restored data directory) is believed; a higher one only of a newcomer.
    pub(super) fn pulled(&mut self, name: &str, n: u64, now_ms: i64) {
        // Whose pull it is nobody can tell.
        if self.known.get(name).is_some_and(|known| known.is_disputed) {
            return;
        }
        if let Some(follower) = self.heard(name, n, now_ms) {
            follower.acknowledged = follower.acknowledged.min(n);
        }
    }

    /// A follower has applied, stored and published everything up to `n`, which was compared with
    /// this history. What it said before is of another one when that is beyond the head. Whether
    /// there is room to remember it.
    pub(super) fn acknowledged(&mut self, name: &str, n: u64, head: u64, now_ms: i64) -> bool {
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
    pub(super) fn dispute(&mut self, name: &str, now_ms: i64) {
        let follower = match self.known.get_mut(name) {
            Some(follower) => Some(follower),
            None => self.heard(name, 0, now_ms),
        };
        if let Some(follower) = follower {
            follower.is_disputed = true;
        }
    }

    /// A follower has to begin anew: what it acknowledged was of another history (C2).
    pub(super) fn resync(&mut self, name: &str) {
        if let Some(follower) = self.known.get_mut(name) {
            follower.acknowledged = 0;
        }
    }

    /// A backup was restored: what anybody acknowledged was of another history (C2).
    pub(super) fn resync_all(&mut self) {
        for follower in self.known.values_mut() {
            follower.acknowledged = 0;
        }
    }

    /// A long poll of this follower is open: it lives.
    pub(super) fn waits(&mut self, name: &str, now_ms: i64) {
        if let Some(follower) = self.known.get_mut(name).filter(|known| !known.is_disputed) {
            follower.heard_ms = now_ms;
        }
    }

    /// What it has applied, and how long it has been silent.
    pub(super) fn standing(&self, name: &str, now_ms: i64) -> Option<(u64, u64)> {
        let follower = self.known.get(name)?;
        let silent_ms = now_ms.saturating_sub(follower.heard_ms);
        Some((follower.acknowledged, silent_ms.max(0).unsigned_abs()))
    }

    /// The head is this now, lower than before where a backup was restored; whoever is silent is further behind it.
    pub(super) fn has_head(&mut self, head: u64) {
        self.head = head;
    }

    /// Whether nobody was heard of.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many changes each has yet to apply.
    pub(super) fn behind(&self) -> Vec<(String, u64)> {
        let known = self.known.iter();
        let behind = known.map(|(name, follower)| {
            let behind = self.head.saturating_sub(follower.acknowledged);
            (name.clone(), behind)
        });
        behind.collect()
    }

    /// A follower goes.
    pub(super) fn forget(&mut self, name: &str) {
        self.known.remove(name);
    }

    /// Notes which registrations there are, and since when this node knows of each.
    pub(super) fn see(&mut self, registered: &[Registered], now_ms: i64) {
        let there: BTreeSet<_> = registered.iter().map(key).collect();
        self.seen.retain(|key, _| there.contains(key));
        for key in there {
            self.seen.entry(key).or_insert(now_ms);
        }
    }

    /// Everybody counts as heard of now: it was this node that stood still (W2).
    pub(super) fn forgive(&mut self, now_ms: i64) {
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
    pub(super) fn applied(
        &self,
        registered: &[Registered],
        n: u64,
        now_ms: i64,
    ) -> (Applied, bool) {
        let (mut done, mut missing, mut waits) = (0, Vec::new(), false);
        for one in registered.iter().filter(|one| !one.is_gone()) {
            // Whoever leaves gives up its lease before it says so.
            let holds_lease = one.fenced_at_ms.is_none() || self.age(one, now_ms) < OVER_MS;
            let may_serve = holds_lease && !one.has_left();
            let follower = self.known.get(&one.name);
            if follower.is_some_and(|follower| follower.acknowledged >= n) {
                done += 1;
            } else if may_serve || one.kind == FollowerKind::Calls(WhenCutOff::Serve) {
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

    /// Those that are to be fenced: silent since they registered, or for long.
    pub(super) fn silent<'a>(
        &self,
        registered: &'a [Registered],
        now_ms: i64,
    ) -> Vec<&'a Registered> {
        let heard = |one: &Registered| self.known.get(&one.name).map(|known| known.heard_ms);
        let is_silent = |one: &&Registered| {
            let since = heard(one).map_or(i64::MAX, |heard_ms| now_ms.saturating_sub(heard_ms));
            since.min(self.age(one, now_ms)) >= ALIVE_MS
        };
        let open = registered.iter().filter(|one| one.fenced_at_ms.is_none());
        open.filter(is_silent).collect()
    }

    /// How far the slowest of the living is.
    pub(super) fn slowest(&self, now_ms: i64) -> Option<u64> {
        let known = self.known.values();
        let alive = known.filter(|follower| now_ms.saturating_sub(follower.heard_ms) < ALIVE_MS);
        alive.map(|follower| follower.acknowledged).min()
    }

    /// Forgets who has been silent for an hour.
    pub(super) fn forget_silent(&mut self, now_ms: i64) {
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
mod tests {
    use super::*;

    fn registered(name: &str, kind: FollowerKind, fenced_at_ms: Option<i64>) -> Registered {
        Registered {
            name: name.to_owned(),
            kind,
            incarnation: 1,
            registered_at_ms: 1,
            fenced_at_ms,
            left_at_ms: None,
        }
    }

    const SERVE: FollowerKind = FollowerKind::Calls(WhenCutOff::Serve);
    const REFUSE: FollowerKind = FollowerKind::Calls(WhenCutOff::Refuse);

    #[test]
    fn whoever_is_registered_is_waited_for_and_told_by_what_its_silence_means() {
        let mut followers = Followers::default();
        let all = [
            registered("gw1", SERVE, None),
            registered("gw2", SERVE, None),
            registered("gw3", REFUSE, None),
            registered("tm1", FollowerKind::Policies, None),
        ];
        followers.see(&all, 0);
        followers.acknowledged("gw1", 5, 99, 0);
        followers.acknowledged("nobody", 5, 99, 0);
        followers.pulled("gw2", 3, 0);
        followers.pulled("gw2", 9, 1);
        let told = |followers: &Followers| followers.applied(&all, 5, 100).0.to_string();
        assert_eq!(
            told(&followers),
            "1/4; behind=tm1; fenced=gw3; unreached=gw2"
        );
        assert_eq!(followers.slowest(100), Some(3));
        for name in ["gw2", "gw3", "tm1"] {
            followers.acknowledged(name, 5, 99, 100);
        }
        assert_eq!(told(&followers), "4/4");
    }

    #[test]
    fn whoever_is_silent_is_fenced_and_waited_for_until_its_lease_is_over() {
        let mut followers = Followers::default();
        let open = [
            registered("gw1", REFUSE, None),
            registered("gw2", REFUSE, None),
        ];
        // One was heard of, the other only ever registered with another node.
        followers.see(&open, 0);
        followers.acknowledged("gw1", 5, 99, 3_000);
        let silent = |followers: &Followers, now_ms| {
            let silent = followers.silent(&open, now_ms);
            silent
                .iter()
                .map(|one| one.name.clone())
                .collect::<Vec<_>>()
        };
        assert!(silent(&followers, ALIVE_MS - 1).is_empty());
        assert_eq!(silent(&followers, ALIVE_MS), ["gw2"]);
        assert_eq!(silent(&followers, 3_000 + ALIVE_MS), ["gw1", "gw2"]);
        let fenced = [registered("gw2", REFUSE, Some(7))];
        followers.see(&fenced, 20_000);
        let applied = |now_ms| followers.applied(&fenced, 5, now_ms).0.to_string();
        assert_eq!(applied(20_000 + OVER_MS - 1), "0/1; fenced=gw2");
        assert_eq!(applied(20_000 + OVER_MS), "0/0");
        // One that serves without a lease may do so now.
        let serving = [registered("gw3", SERVE, Some(7))];
        followers.see(&serving, 40_000);
        let (told, waits) = followers.applied(&serving, 5, 40_000 + OVER_MS);
        assert_eq!(
            (told.to_string().as_str(), waits),
            ("0/1; unreached=gw3", false)
        );
        assert!(followers.applied(&serving, 5, 40_000).1);
    }

    #[test]
    fn whoever_left_is_waited_for_no_more_and_named_only_where_it_may_serve_by_itself() {
        let left = |name: &str, kind| Registered {
            left_at_ms: Some(7),
            ..registered(name, kind, Some(7))
        };
        let all = [
            left("gw1", REFUSE),
            left("gw2", SERVE),
            left("tm1", FollowerKind::Policies),
        ];
        let mut followers = Followers::default();
        followers.see(&all, 0);
        for now_ms in [0, OVER_MS] {
            let (applied, waits) = followers.applied(&all, 5, now_ms);
            let told = (applied.to_string(), waits);
            assert_eq!(told, ("0/1; unreached=gw2".to_owned(), false));
        }
        let (applied, waits) = followers.applied(&all[..1], 5, 0);
        assert_eq!((applied.to_string().as_str(), waits), ("0/0", false));
    }

    #[test]
    fn whoever_is_silent_falls_behind_as_the_head_rises() {
        let mut followers = Followers::default();
        assert!(followers.is_empty());
        followers.has_head(5);
        followers.acknowledged("gw1", 5, 5, 0);
        followers.has_head(9);
        assert_eq!(followers.behind(), [("gw1".to_owned(), 4)]);
        // A backup was restored.
        followers.has_head(3);
        assert_eq!(followers.behind(), [("gw1".to_owned(), 0)]);
    }

    #[test]
    fn names_without_end_are_not_remembered() {
        let mut followers = Followers::default();
        followers.acknowledged("gw1", 5, 99, 0);
        for n in 0..5_000 {
            followers.acknowledged(&format!("follower {n}"), 1, 99, 0);
            followers.pulled(&"long".repeat(n), 1, 0);
        }
        assert_eq!(followers.known.len(), MOST);
        let longest = followers.known.keys().map(String::len).max();
        assert!(longest <= Some(NAME), "{longest:?}");
        assert!(
            followers.acknowledged("gw1", 6, 99, 0),
            "who is known goes on"
        );
        assert!(!followers.acknowledged("gw2", 6, 99, 0));
    }

    #[test]
    fn a_life_that_another_speaks_for_is_silent_until_one_of_them_is_heard() {
        let mut followers = Followers::default();
        let one = [registered("gw1", SERVE, None)];
        followers.see(&one, 0);
        followers.acknowledged("gw1", 9, 99, 0);
        for now_ms in [1_000, ALIVE_MS / 2, ALIVE_MS] {
            followers.dispute("gw1", now_ms);
            followers.pulled("gw1", 3, now_ms);
            followers.waits("gw1", now_ms);
        }
        assert_eq!(followers.silent(&one, ALIVE_MS).len(), 1);
        followers.acknowledged("gw1", 3, 99, ALIVE_MS);
        assert!(followers.silent(&one, ALIVE_MS).is_empty());
        assert!(followers.applied(&one, 4, ALIVE_MS).1, "it is what it says");
    }

    #[test]
    fn what_was_acknowledged_beyond_the_head_was_of_another_history() {
        let mut followers = Followers::default();
        let one = [registered("gw1", SERVE, None)];
        followers.acknowledged("gw1", 50, 50, 0);
        // A late word takes nothing back, a restored backup does.
        followers.acknowledged("gw1", 40, 50, 1);
        assert_eq!(followers.applied(&one, 50, 1).0.to_string(), "1/1");
        followers.acknowledged("gw1", 40, 40, 2);
        assert!(followers.applied(&one, 41, 2).1);
    }

    #[test]
    fn a_follower_of_another_history_has_acknowledged_nothing() {
        let mut followers = Followers::default();
        let one = [registered("gw1", SERVE, None)];
        followers.acknowledged("gw1", 50, 99, 0);
        followers.resync("gw1");
        let applied = followers.applied(&one, 7, 0).0.to_string();
        assert_eq!(applied, "0/1; unreached=gw1");
    }
}
