//! What really happened in a run of the ledger, and which invariants it broke.

use std::collections::BTreeMap;

use super::kernel::{Digest, Rng};
use super::ledger_world::{TENANT, cell};
use super::seeds::{Ran, Seen};
use crate::ledger::{Ask, CellImage, Policies};
use crate::policy::WindowKind;
use crate::window::{WindowId, WindowSpec};

/// A lease may be in use for so long after its end: whoever took a unit stood still.
const LATE_MS: i64 = 10_000;

/// Counts and verdicts, kept outside of everything that is tested.
#[derive(Debug)]
pub(super) struct Truth {
    /// The highest limit that anybody goes by now.
    limits: BTreeMap<usize, u64>,
    /// All limits of a key, with the number of the policies that they came with.
    history: BTreeMap<usize, Vec<(u64, u64)>>,
    /// The highest limit that a key ever had.
    ever: BTreeMap<usize, u64>,
    /// The highest limit in force since a window began to be used.
    highest: BTreeMap<(usize, i64), u64>,
    admitted: BTreeMap<(usize, i64), u64>,
    /// When units of windows that slide, and of buckets, were used and when they were taken, in real time.
    used_ms: BTreeMap<usize, Vec<(i64, i64)>>,
    /// How often a window began anew: an administrator wanted it so.
    anew: BTreeMap<(usize, i64), u64>,
    /// When a key began anew, and up to when units may have been taken that do not count since, in real time.
    anew_ms: BTreeMap<usize, Vec<(i64, i64)>>,
    /// When a request for a key was last admitted or refused.
    pub(super) answered_ms: BTreeMap<usize, i64>,
    /// Requests that waited for an answer in vain.
    pub(super) gave_up: u64,
    t_ms: i64,
    digest: Digest,
    pub(super) broken: Vec<String>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn new(policies: &Policies) -> Self {
        let limits: BTreeMap<usize, u64> = (0..)
            .map_while(|key| {
                policies
                    .get(TENANT, &cell(key).policy)
                    .map(|quota| (key, quota.limit))
            })
            .collect();
        Self {
            history: BTreeMap::new(),
            ever: limits.clone(),
            limits,
            highest: BTreeMap::new(),
            admitted: BTreeMap::new(),
            used_ms: BTreeMap::new(),
            anew: BTreeMap::new(),
            anew_ms: BTreeMap::new(),
            answered_ms: BTreeMap::new(),
            gave_up: 0,
            t_ms: i64::MIN,
            digest: Digest::default(),
            broken: Vec::new(),
        }
    }

    pub(super) fn happened(&mut self, now_ms: i64, kind: u64, rng: &Rng) {
        self.digest.fold(now_ms, kind, rng);
    }

    /// A window of a key counts from nothing once more.
    pub(super) fn reset(&mut self, key: usize, window: WindowId, now_ms: i64) {
        *self.anew.entry((key, window.number)).or_default() += 1;
        let of_key = self.anew_ms.entry(key).or_default();
        of_key.push((now_ms, now_ms));
    }

    pub(super) fn was_reset(&self, key: usize) -> bool {
        self.anew_ms.contains_key(&key)
    }

    /// What a holder used until now may be forgiven: its owner waits for that since a reset.
    pub(super) fn forgives_until(&mut self, key: usize, now_ms: i64) {
        if let Some((_, until_ms)) = self.anew_ms.get_mut(&key).and_then(|all| all.last_mut()) {
            *until_ms = now_ms.max(*until_ms);
        }
    }

    /// An operator gave up what was granted of windows that had begun by this T. Leases of these windows may be in use yet.
    pub(super) fn given_up(&mut self, key: usize, spec: WindowSpec, t0_ms: i64, now_ms: i64) {
        let window = spec.at(t0_ms);
        self.reset(key, window.id, now_ms);
        self.forgives_until(key, now_ms + window.length_ms() + LATE_MS);
    }

    /// T never goes back, whatever the machine's clock does (L10).
    pub(super) fn highest_t(&mut self, t_ms: i64) -> i64 {
        self.t_ms = self.t_ms.max(t_ms);
        self.t_ms
    }

    pub(super) fn limit(&mut self, key: usize, limit: u64) {
        self.limits.insert(key, limit);
        let ever = self.ever.entry(key).or_default();
        *ever = limit.max(*ever);
        for ((of, _), highest) in &mut self.highest {
            if *of == key {
                *highest = (*highest).max(limit);
            }
        }
    }

    /// The same where some may go by earlier policies for a while, the oldest of them by those of this number.
    pub(super) fn limit_since(&mut self, key: usize, limit: u64, number: u64) {
        let before = self.limits[&key];
        let of_key = self.history.entry(key).or_insert_with(|| vec![(0, before)]);
        of_key.push((number, limit));
        self.limit(key, limit.max(before));
    }

    pub(super) fn all_know(&mut self, number: u64) {
        for (key, limits) in &mut self.history {
            let known = limits.iter().rposition(|(since, _)| *since <= number);
            limits.drain(..known.unwrap_or(0));
            let highest = limits.iter().map(|(_, limit)| *limit).max();
            self.limits.insert(*key, highest.unwrap_or(0));
        }
    }

    /// An owner grants in this window, by the limit of now.
    pub(super) fn opened(&mut self, key: usize, window: WindowId) {
        let limit = self.limits[&key];
        self.highest.entry((key, window.number)).or_insert(limit);
    }

    /// A request was admitted with a unit of this window, at T = `t_ms`.
    pub(super) fn admitted(&mut self, key: usize, window: WindowId, t_ms: i64) {
        let t_ms = self.highest_t(t_ms);
        let end_ms = window.spec.numbered(window.number).end_ms;
        if t_ms >= end_ms {
            self.broken.push(format!(
                "L7: a unit of key {key} was used {} ms after its window",
                t_ms - end_ms
            ));
        }
        let limit = self.limits[&key];
        let place = (key, window.number);
        let highest = *self.highest.entry(place).or_insert(limit);
        let times = 1 + self.anew.get(&place).copied().unwrap_or(0);
        let highest = highest * times;
        let admitted = self.admitted.entry(place).or_default();
        *admitted += 1;
        if *admitted > highest {
            self.broken.push(format!(
                "L2: key {key}, window {}: {admitted} admitted of {highest}",
                window.number
            ));
        }
        if window.spec.is_paned() {
            self.counted_on(key, window);
        }
    }

    /// What panes that were used since this one began admitted, together with those that count in them (L10).
    fn counted_on(&mut self, key: usize, window: WindowId) {
        let spec = window.spec;
        let since = self.admitted.range((key, window.number)..=(key, i64::MAX));
        let later: Vec<i64> = since.map(|((_, number), _)| *number).collect();
        let ever = self.ever[&key];
        for last in later {
            let mut sum = 0;
            for ((_, first), count) in self.admitted.range((key, 0)..=(key, last)).rev() {
                let (pane, end) = (spec.numbered(*first), spec.numbered(last));
                let counts = pane.counts_until_ms() > end.start_ms;
                if spec.kind == WindowKind::Sliding && !counts {
                    break;
                }
                sum += count;
                // A reset counts in whichever pane, also in one in which nobody was let through.
                let anew = self.anew.range((key, *first)..=(key, last));
                let times = 1 + anew.map(|(_, times)| times).sum::<u64>();
                let passed = (end.start_ms - pane.end_ms).max(0).unsigned_abs();
                let filled = match spec.kind {
                    WindowKind::Bucket => ever * passed / spec.span_ms().unsigned_abs(),
                    _ => 0,
                };
                if sum > ever * times + filled {
                    let panes = format!("panes {first} to {last}");
                    self.broken
                        .push(format!("L10: key {key}, {panes}: {sum} admitted of {ever}"));
                    return;
                }
            }
        }
    }

    /// A unit of a window that slides, or of a bucket, was used then, in real time: whatever owners take the time for, none
    /// of the window's length sees more than its limit (L10).
    ///
    /// Where it began anew meanwhile there is one more, and only there.
    pub(super) fn used_at(&mut self, key: usize, spec: WindowSpec, taken_ms: i64, real_ms: i64) {
        if !spec.is_paned() {
            return;
        }
        let anew = self.anew_ms.get(&key).map_or(&[][..], Vec::as_slice);
        let limit = self.ever[&key];
        let used = self.used_ms.entry(key).or_default();
        let place = used.partition_point(|(at_ms, _)| *at_ms <= real_ms);
        used.insert(place, (real_ms, taken_ms));
        let span_ms = spec.span_ms();
        for last in place..used.len() {
            let last_ms = used[last].0;
            let since = used[place..=last].iter().map(|(_, taken_ms)| *taken_ms);
            let mut since_ms = since.min().unwrap_or(taken_ms);
            for first in (0..=place).rev() {
                let passed_ms = last_ms - used[first].0;
                since_ms = since_ms.min(used[first].1);
                let meanwhile = |(from_ms, until_ms): &&(i64, i64)| {
                    *from_ms <= last_ms && *until_ms >= since_ms
                };
                let times = 1 + u64::try_from(anew.iter().filter(meanwhile).count()).unwrap();
                let most = match spec.kind {
                    WindowKind::Bucket => {
                        let filled = limit * passed_ms.unsigned_abs() / span_ms.unsigned_abs();
                        limit * times + filled
                    }
                    _ if passed_ms < span_ms => limit * times,
                    _ => break,
                };
                let count = u64::try_from(last - first + 1).unwrap();
                if count > most {
                    let broken =
                        format!("L10: key {key}: {count} used in {passed_ms} ms of {most}");
                    return self.broken.push(broken);
                }
            }
        }
    }

    /// The owner's step is over: what it granted must lie within the limit in force.
    pub(super) fn granted(
        &mut self,
        key: usize,
        ask: &Ask,
        before: Option<&CellImage>,
        after: Option<&CellImage>,
    ) {
        let Some(after) = after else { return };
        let before = before.filter(|before| before.window == after.window);
        let limit = self.limits[&key];
        self.highest
            .entry((key, after.window.id.number))
            .or_insert(limit);
        let grew = after.holders.iter().any(|(node, count)| {
            let known = before
                .and_then(|before| before.holders.iter().find(|(of, _)| of == node))
                .filter(|(_, old)| (old.incarnation, old.lease) == (count.incarnation, count.lease))
                .map_or(0, |(_, old)| old.granted);
            // What the asking gateway had before this owner began is a fact, not a grant.
            let had = if *node == ask.holder.node && ask.window == Some(after.window.id) {
                ask.have
            } else {
                0
            };
            count.granted > known.max(had)
        });
        let sum = after.spent
            + after
                .holders
                .iter()
                .map(|(_, count)| count.net())
                .sum::<u64>();
        if grew && sum > limit {
            self.broken
                .push(format!("L9: key {key}: {sum} granted of {limit}"));
        }
    }

    /// Admitted in a window.
    pub(super) fn of_window(&self, key: usize, number: i64) -> u64 {
        self.admitted.get(&(key, number)).copied().unwrap_or(0)
    }

    /// Admitted in each window that was used, oldest first; the first and the last are partial.
    pub(super) fn windows(&self, key: usize) -> Vec<u64> {
        self.admitted
            .iter()
            .filter(|((of, _), _)| *of == key)
            .map(|(_, count)| *count)
            .collect()
    }
}

// === impl Ran ===

impl From<Truth> for Ran {
    fn from(truth: Truth) -> Self {
        Self {
            digest: truth.digest,
            seen: Seen::default(),
            broken: truth.broken,
        }
    }
}
