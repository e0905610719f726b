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

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cell::{Cell, Count, Held, Round, RoundsPane};
use super::message::Ask;
use super::policy::Quota;
use super::steady::used_until_ms;
use crate::policy::WindowKind;
use crate::window::Window;

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
    /// Units of it that count; of a bucket the most of them that may come back: the least that was in it since.
    pub used: u64,
    /// Until when they do, by the steady time; of a bucket nothing.
    pub until_ms: i64,
    /// Who may still give back something of it.
    pub holders: Vec<(String, Count)>,
}

/// What a late word of a pane that is over comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    /// It was said before.
    Nothing,
    /// More comes back.
    News,
    /// And nothing else will.
    Done,
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

    /// What of a pane a holder had been granted when a reset came counts no more.
    fn forgive_holder(&mut self, number: i64, node: &str, granted_before: u64) {
        let Some(pane) = self.panes.iter_mut().find(|pane| pane.number == number) else {
            return;
        };
        let Some((_, count)) = pane.holders.iter_mut().find(|(of, _)| of == node) else {
            return;
        };
        let forgiven = count.forgive(granted_before).min(pane.used);
        self.free(number, forgiven);
    }

    /// So many units of a pane count no more.
    fn free(&mut self, number: i64, units: u64) {
        let is_bucket = self.is_bucket();
        if is_bucket {
            self.level = self.level.saturating_sub(units);
        }
        for pane in &mut self.panes {
            if is_bucket || pane.number == number {
                pane.used = pane.used.saturating_sub(units);
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

    fn is_empty(&self) -> bool {
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
            self.cut_until_ms = now_ms.saturating_add(span_ms);
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

    /// What a gateway says of a pane that is over: what it never used comes back. Had it been granted so much when a reset
    /// came that still waits, that counts no more once it holds nothing of the pane.
    fn hear(&mut self, number: i64, ask: &Ask, granted_before: Option<u64>) -> Late {
        let Some(pane) = self.panes.iter_mut().find(|pane| pane.number == number) else {
            return Late::Nothing;
        };
        let Some(at) = pane.holders.iter().position(|(node, count)| {
            *node == ask.holder.node
                && (count.incarnation, count.lease) == (ask.holder.incarnation, ask.holder.lease)
        }) else {
            return Late::Nothing;
        };
        let Some((_, count)) = pane.holders.get_mut(at) else {
            return Late::Nothing;
        };
        let before = count.net();
        let returned = ask.returned.min(count.granted);
        let is_news = returned > count.returned;
        count.returned = count.returned.max(returned);
        // It holds nothing of it any more: there is nothing that could still come back.
        let is_done = ask.emptied && ask.have == count.granted;
        if let Some(granted_before) = granted_before.filter(|_| is_done) {
            count.forgive(granted_before);
        }
        let back = before.saturating_sub(count.net()).min(pane.used);
        if is_done {
            pane.holders.remove(at);
        }
        self.free(number, back);
        match (is_done, is_news) {
            (true, _) => Late::Done,
            (false, true) => Late::News,
            (false, false) => Late::Nothing,
        }
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
        panes.retain(|pane| pane.used > 0 && pane.until_ms > begins_ms);
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
            used: self.used,
            until_ms: 0,
            holders: self.holders,
        });
        for pane in &mut panes {
            pane.used = pane.used.min(units(level));
        }
        panes.retain(|pane| pane.used > 0 && !pane.holders.is_empty());
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
    /// What counts on of the pane that this one follows. It began then, by the steady time, which now shows `steady_ms`.
    pub(super) fn follow(&mut self, mut before: Self, begins_ms: i64, steady_ms: i64) {
        if before.window.id.spec != self.window.id.spec {
            return;
        }
        let resets = before.round.take().filter(|round| round.resetting);
        let resets = resets.map(|round| before.ends_in(round, steady_ms));
        let may_return = |held: &Held| held.net() > 0 && !held.emptied;
        let holders = before.holders.iter();
        let holders = holders.filter(|(_, held)| may_return(held));
        let ended = Ended {
            window: before.window,
            ends_ms: before.pane_ends_ms(),
            used: before.used_here(),
            holders: holders
                .map(|(node, held)| (node.clone(), held.count.clone()))
                .collect(),
            earlier: before.earlier.map(|earlier| *earlier).unwrap_or_default(),
        };
        self.go_on_from(ended, begins_ms);
        self.round = resets.map(|(round, ended)| Round {
            // They ask again, of the pane of now.
            waiting: Vec::new(),
            ended: Some(ended),
            ..round
        });
    }

    /// The pane is over before all have confirmed what they used of it before a reset. Once none of its leases lasts, it
    /// is certain that nothing else of it will be used, and it is forgiven (L9); until then it is not.
    fn ends_in(&mut self, mut round: Round, steady_ms: i64) -> (Round, RoundsPane) {
        if let Some(ended) = round.ended {
            return (round, ended);
        }
        let ended = RoundsPane {
            number: self.window.id.number,
            ends_ms: self.pane_ends_ms(),
        };
        if ended.ends_ms <= steady_ms {
            for (node, granted_before) in std::mem::take(&mut round.awaiting) {
                self.forgive(&node, granted_before);
            }
        }
        (round, ended)
    }

    /// What these had been granted of an earlier pane when a reset came counts no more.
    pub(super) fn forgive_earlier(&mut self, number: i64, granted_before: BTreeMap<String, u64>) {
        let Some(earlier) = self.earlier.as_mut() else {
            return;
        };
        for (node, granted_before) in granted_before {
            earlier.forgive_holder(number, &node, granted_before);
        }
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
    pub(super) fn hear_late(&mut self, ask: &Ask) -> bool {
        let window = ask.window.filter(|asked| {
            asked.spec == self.window.id.spec && asked.number < self.window.id.number
        });
        let (Some(window), Some(earlier)) = (window, self.earlier.as_mut()) else {
            return false;
        };
        let is_of = |round: &&mut Round| {
            let ended = round.ended.filter(|ended| ended.number == window.number);
            ended.is_some()
        };
        let resets = self.round.as_mut().filter(is_of);
        let node = &ask.holder.node;
        let granted_before = resets.as_ref().and_then(|round| round.awaiting.get(node));
        let late = earlier.hear(window.number, ask, granted_before.copied());
        if let Some(round) = resets.filter(|_| late == Late::Done) {
            round.awaiting.remove(node);
        }
        late != Late::Nothing
    }
}
