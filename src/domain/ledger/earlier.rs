//! What was granted in panes that are over and counts on (PROTOCOLS L10), of cells whose window slides or is a bucket.
//!
//! A unit that was granted in a pane may have been used until the pane's end, and its lease with it. Of a window that
//! slides it counts until the end of the pane and the length of the window: what is used in any time of that length
//! was all counted when the last of it was granted. A bucket is taken to be filled at the end of the pane and to run
//! dry from there on, never before: between the end of one pane and the start of another it cannot have run by more
//! than passed between any two uses in them.
//!
//! Leases end with their pane, used or not. What a gateway says later of a pane that is over gives back what it never
//! used, for as long as the owner knows what that gateway was granted in it.

use serde::{Deserialize, Serialize};

use super::cell::{Cell, Count, Held};
use super::message::Ask;
use super::policy::Quota;
use super::round::Round;
use super::steady::used_until_ms;
use crate::policy::WindowKind;
use crate::window::{Window, WindowSpec};

/// The panes before the current one, as far as they count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Units in the bucket at the start of the current pane, rounded down; nothing of a window that slides.
    pub level: u64,
    /// And so much of another one, in parts of which the window's milliseconds make one.
    pub rest: u64,
    /// Nothing more runs out of the bucket before this, by the steady time.
    pub dry_from_ms: i64,
    /// What a lowered limit cut off the bucket: a limit that is raised again before `cut_until_ms`, by the steady time,
    /// counts it.
    pub cut: u64,
    /// See `cut`.
    pub cut_until_ms: i64,
    /// The panes, the last at the end.
    pub panes: Vec<EndedPane>,
}

/// One pane that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedPane {
    /// Its window's number.
    pub number: i64,
    /// Units of it that count; of a bucket the least that was in it since: no more of them may come back.
    pub used: u64,
    /// Until when they do, by the steady time; of a bucket nothing.
    pub until_ms: i64,
    /// Who may still give back something of it.
    pub holders: Vec<(String, Count)>,
}

/// What the counts of a cell were when its pane ended.
struct Ended {
    window: Window,
    /// When the last lease of it was over, by the steady time.
    ends_ms: i64,
    /// Of that pane alone.
    used: u64,
    holders: Vec<(String, Count)>,
    earlier: Earlier,
}

// === impl Earlier ===

impl Earlier {
    /// Units that count now.
    pub fn total(&self) -> u64 {
        let panes = self.panes.iter().map(|pane| pane.used);
        let panes = panes.fold(0, u64::saturating_add);
        // Of a bucket, panes say what may come back.
        let in_bucket = self.level.saturating_add(u64::from(self.rest > 0));
        if self.is_bucket() { in_bucket } else { panes }
    }

    /// Units that a mark has to speak of.
    pub(super) fn marked(&self) -> u64 {
        self.total().saturating_add(self.cut)
    }

    /// More that counts.
    fn join(&mut self, more: Self) {
        self.level = self.level.saturating_add(more.level);
        // Two parts may make one unit: it counts as one more, which is never too little.
        if self.rest > 0 && more.rest > 0 {
            self.level = self.level.saturating_add(1);
        }
        self.rest = self.rest.max(more.rest);
        self.dry_from_ms = self.dry_from_ms.max(more.dry_from_ms);
        self.cut = self.cut.saturating_add(more.cut);
        self.cut_until_ms = self.cut_until_ms.max(more.cut_until_ms);
        self.panes.extend(more.panes);
    }

    /// So many units of a pane count no more.
    pub(super) fn free(&mut self, number: i64, units: u64) {
        let is_bucket = self.is_bucket();
        if is_bucket {
            self.level = self.level.saturating_sub(units);
        }
        let of_pane = self.panes.iter().find(|pane| pane.number == number);
        let left = of_pane.map_or(0, |pane| pane.used).saturating_sub(units);
        for pane in &mut self.panes {
            if pane.number == number || (is_bucket && pane.number > number) {
                pane.used = pane.used.saturating_sub(units);
            } else if is_bucket {
                // Before that one ended there was as much in the bucket as was ever said.
                pane.used = pane.used.min(left);
            }
        }
    }

    /// Up to so many units count no more; gives how many do not.
    pub(super) fn forgive(&mut self, units: u64) -> u64 {
        if self.is_bucket() {
            let given = self.level.min(units);
            self.level = self.level.saturating_sub(given);
            for pane in &mut self.panes {
                pane.used = pane.used.saturating_sub(given);
            }
            return given;
        }
        let mut rest = units;
        for pane in &mut self.panes {
            let given = pane.used.min(rest);
            pane.used = pane.used.saturating_sub(given);
            rest = rest.saturating_sub(given);
        }
        units.saturating_sub(rest)
    }

    /// About so many bytes as it travels.
    pub(super) fn weight(&self) -> usize {
        let holders = self.panes.iter().flat_map(|pane| &pane.holders);
        let holders = holders.map(|(node, _)| node.len() + 48);
        self.panes.len() * 24 + holders.sum::<usize>() + 32
    }

    fn is_bucket(&self) -> bool {
        self.level > 0 || self.rest > 0 || self.cut > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_bucket() && self.panes.is_empty()
    }

    /// A bucket is never fuller than its limit, however far that was lowered: what it is cut off by counts again only
    /// where the limit is raised before all of it would have run out.
    pub(super) fn fits(&mut self, limit: u64, used_here: u64, now_ms: i64, span_ms: i64) {
        if !self.is_bucket() {
            return;
        }
        if self.cut_until_ms <= now_ms {
            self.cut = 0;
        }
        let all = self.level.saturating_add(self.cut);
        let level = all.min(limit.saturating_sub(used_here));
        if level < self.level {
            // Nor has anything run out of it before the leases of its last pane are over.
            self.cut_until_ms = now_ms.max(self.dry_from_ms).saturating_add(span_ms);
        }
        self.level = level;
        self.cut = all.saturating_sub(level);
        if self.cut > 0 && self.rest > 0 {
            self.rest = 0;
            self.cut = self.cut.saturating_add(1);
        }
        for pane in &mut self.panes {
            pane.used = pane.used.min(level);
        }
    }

    /// When the last lease of a pane is over, by the steady time.
    pub(super) fn ends_ms(&self, pane: &EndedPane, spec: WindowSpec) -> i64 {
        match spec.kind {
            // None of them ends later.
            WindowKind::Bucket => self.dry_from_ms,
            _ => pane.until_ms.saturating_sub(spec.span_ms()),
        }
    }

    /// What a gateway says of a pane that is over: what it never used comes back. Who says that nothing is left is forgotten
    /// with that unless it is to be kept: while leases last what calls hold of it may be put back, of which a reset has to
    /// know.
    fn hear(&mut self, number: i64, ask: &Ask, is_kept: bool) -> bool {
        let Some(pane) = self.panes.iter_mut().find(|pane| pane.number == number) else {
            return false;
        };
        let Some(at) = pane.holders.iter().position(|(node, count)| {
            *node == ask.holder.node
                && (count.incarnation, count.lease) == (ask.holder.incarnation, ask.holder.lease)
        }) else {
            return false;
        };
        let Some((_, count)) = pane.holders.get_mut(at) else {
            return false;
        };
        let before = count.net();
        let returned = ask.returned.min(count.granted);
        let is_news = returned > count.returned;
        count.returned = count.returned.max(returned);
        // It holds nothing of it any more: there is nothing that could still come back.
        let is_done = ask.emptied && ask.have == count.granted && !is_kept;
        let back = before.saturating_sub(count.net()).min(pane.used);
        if is_done {
            pane.holders.remove(at);
        }
        self.free(number, back);
        is_done || is_news
    }
}

// === impl Ended ===

impl Ended {
    /// What of it counts in a later pane of the same window, which began then by the steady time; none where nothing does.
    fn seen_from(self, begins_ms: i64, quota: &Quota) -> Option<Box<Earlier>> {
        let earlier = match self.window.id.spec.kind {
            WindowKind::Fixed => return None,
            WindowKind::Sliding => self.slides(begins_ms),
            WindowKind::Bucket => self.runs_dry(begins_ms, quota),
        };
        (!earlier.is_empty()).then(|| Box::new(earlier))
    }

    fn slides(self, begins_ms: i64) -> Earlier {
        let span_ms = self.window.id.spec.span_ms();
        let mut panes = self.earlier.panes;
        panes.push(EndedPane {
            number: self.window.id.number,
            used: self.used,
            until_ms: self.ends_ms.saturating_add(span_ms),
            holders: self.holders,
        });
        let is_held = |pane: &EndedPane| {
            let ends_ms = pane.until_ms.saturating_sub(span_ms);
            ends_ms > begins_ms && !pane.holders.is_empty()
        };
        panes.retain(|pane| pane.until_ms > begins_ms && (pane.used > 0 || is_held(pane)));
        Earlier {
            panes,
            ..Earlier::default()
        }
    }

    fn runs_dry(self, begins_ms: i64, quota: &Quota) -> Earlier {
        let span_ms = self.window.id.spec.span_ms().max(1);
        let span = u128::from(span_ms.unsigned_abs());
        let dry = |level: u128, ms: i64| {
            let ran = u128::from(quota.limit) * u128::from(ms.max(0).unsigned_abs());
            level.saturating_sub(ran)
        };
        let before = u128::from(self.earlier.level) * span + u128::from(self.earlier.rest);
        // Its own units count as used at its end, and nothing of them has run out by then.
        let ran_until_ms = self.ends_ms.min(begins_ms);
        let low = dry(
            before,
            ran_until_ms.saturating_sub(self.earlier.dry_from_ms),
        );
        let full = low.saturating_add(u128::from(self.used) * span);
        // Its limit may have been lowered.
        let kept = full.min(u128::from(quota.limit) * span);
        let level = dry(kept, begins_ms.saturating_sub(self.ends_ms));
        let units = |level: u128| u64::try_from(level / span).unwrap_or(u64::MAX);
        let mut panes = self.earlier.panes;
        for pane in &mut panes {
            pane.used = pane.used.min(units(low));
        }
        panes.push(EndedPane {
            number: self.window.id.number,
            used: units(level),
            until_ms: 0,
            holders: self.holders,
        });
        for pane in &mut panes {
            pane.used = pane.used.min(units(level));
        }
        let lasts = self.ends_ms > begins_ms;
        panes.retain(|pane| (pane.used > 0 || lasts) && !pane.holders.is_empty());
        let mut earlier = Earlier {
            level: units(level),
            rest: u64::try_from(level % span).unwrap_or(0),
            dry_from_ms: self.ends_ms.max(begins_ms),
            panes,
            ..Earlier::default()
        };
        if self.earlier.cut_until_ms > begins_ms {
            (earlier.cut, earlier.cut_until_ms) = (self.earlier.cut, self.earlier.cut_until_ms);
        }
        if full > kept {
            let cut = units(full.saturating_sub(kept)).saturating_add(1);
            earlier.cut = earlier.cut.saturating_add(cut);
            earlier.cut_until_ms = dry_until(begins_ms, self.ends_ms, span_ms);
        }
        earlier
    }
}

/// By when all that was in the bucket when its pane ended would have run out of it.
fn dry_until(begins_ms: i64, ends_ms: i64, span_ms: i64) -> i64 {
    ends_ms.max(begins_ms).saturating_add(span_ms)
}

// === impl Cell ===

impl Cell {
    /// What counts on of the pane that this one follows. It began then, by the steady time, which now shows `steady_ms`; leases
    /// that the owner does not know last until `others_end_ms`.
    pub(super) fn follow(
        &mut self,
        mut before: Self,
        begins_ms: i64,
        (others_end_ms, steady_ms): (i64, i64),
    ) {
        let spec = self.window.id.spec;
        // Nothing of a fixed window counts on, nor is there anything of it to be forgiven.
        if before.window.id.spec != spec || !spec.is_paned() {
            return;
        }
        let round = before.round.take();
        let unforgiven = before.outlasts(round, others_end_ms, steady_ms);
        let leases_end_ms = before.pane_ends_ms().max(others_end_ms);
        let silent = std::mem::take(&mut before.silent);
        self.silent = silent.follows(leases_end_ms, steady_ms);
        // While leases last, calls may put back what they hold of it.
        let ends_ms = before.pane_ends_ms();
        let lasts = ends_ms > steady_ms;
        let may_hold = |held: &Held| match lasts {
            // Also what counts no more, for it was given back to the key while it was held: a reset recalls it.
            true => held.count.out() > 0,
            false => held.net() > 0 && !held.emptied,
        };
        let holders = before.holders.iter();
        let holders = holders.filter(|(_, held)| may_hold(held));
        let ended = Ended {
            window: before.window,
            ends_ms,
            used: before.used_here(),
            holders: holders
                .map(|(node, held)| (node.clone(), held.count.clone()))
                .collect(),
            earlier: before.earlier.map(|earlier| *earlier).unwrap_or_default(),
        };
        self.go_on_from(ended, begins_ms);
        // Whoever waits asks again, of the pane of now.
        self.round = (!unforgiven.is_empty()).then(|| Round {
            ended: unforgiven,
            ..Round::default()
        });
    }

    /// What a mark says of an earlier pane: when its units were used is not known, so they count as its own, or as used
    /// at the seam.
    pub(super) fn go_on_from_mark(&mut self, window: Window, used: u64, seam_ms: Option<i64>) {
        let begins_ms = self.window.start_ms.saturating_sub(self.lag_ms);
        let ended = Ended {
            window,
            ends_ms: seam_ms.map_or(window.end_ms, |seam_ms| {
                used_until_ms(seam_ms, window.id.spec)
            }),
            used,
            holders: Vec::new(),
            earlier: Earlier::default(),
        };
        self.go_on_from(ended, begins_ms);
    }

    fn go_on_from(&mut self, ended: Ended, begins_ms: i64) {
        // No pane ends before one that it follows.
        let longest_ms = self.window.end_ms.saturating_sub(ended.ends_ms);
        self.lag_ms = self.lag_ms.min(longest_ms);
        let Some(seen) = ended.seen_from(begins_ms, &self.quota) else {
            return;
        };
        match self.earlier.as_mut() {
            // A mark that was found later says at least what this says: both count, which may be too much.
            Some(known) => known.join(*seen),
            None => self.earlier = Some(seen),
        }
    }

    /// What an ask says of a pane before this one. Gives whether that changes anything.
    pub(super) fn hear_late(&mut self, ask: &Ask, steady_ms: i64) -> bool {
        let window = ask.window.filter(|asked| {
            asked.spec == self.window.id.spec && asked.number < self.window.id.number
        });
        let (Some(window), Some(earlier)) = (window, self.earlier.as_mut()) else {
            return false;
        };
        let mut panes = earlier.panes.iter();
        let pane = panes.find(|pane| pane.number == window.number);
        let lasts = pane.is_some_and(|pane| earlier.ends_ms(pane, window.spec) > steady_ms);
        let mut resets = self.round.iter().flat_map(|round| &round.ended);
        let is_reset = resets
            .any(|of| of.number == window.number && of.awaiting.contains_key(&ask.holder.node));
        earlier.hear(window.number, ask, lasts || is_reset)
    }
}
