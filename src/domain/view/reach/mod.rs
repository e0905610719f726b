//! Which traffic managers may own shards together (PROTOCOLS W2, W5): those that all reach each other and a majority
//! of the voters, as far as they tell the one who asks. What is wrong here costs time, never a unit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::register::{Life, View};

/// How long the coordinator waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A traffic manager that reported nothing for so long is taken for dead.
    pub fresh_ms: i64,
    /// Who is new has to be reached by all for so long before it owns anything (W5).
    pub join_ms: i64,
    /// So long others are waited for where nobody of the last view is left.
    pub gather_ms: i64,
    /// A view whose pairs make no progress for so long goes on without whom it waits for.
    pub stuck_ms: i64,
}

/// What a traffic manager says of itself, a few times a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who says it.
    pub life: Life,
    /// The nodes that it hears.
    pub hears: BTreeSet<String>,
    /// It is about to stop, and hands over (M3).
    pub leaving: bool,
}

/// Who is to be in the next view.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    /// Who owns shards.
    pub(super) members: Vec<&'a Life>,
    /// Who does not, and has what others go on from.
    pub(super) sources: Vec<&'a Life>,
    /// For [`Reach::gathers`].
    pub(super) gathering_ms: Option<i64>,
}

#[derive(Debug, Clone)]
struct Heard {
    report: Report,
    at_ms: i64,
    /// Since when it reports without a gap.
    since_ms: i64,
}

/// Whom a view waited for in vain.
#[derive(Debug, Clone, Copy)]
struct Blame {
    until_ms: i64,
    times: u32,
}

/// What the coordinator has heard of traffic managers.
#[derive(Debug)]
pub(super) struct Reach {
    patience: Patience,
    /// The node that this is known on, where that is known.
    here: Option<String>,
    heard: BTreeMap<String, Heard>,
    /// The last life of a node that is known to have ended.
    gone: BTreeMap<String, u64>,
    blamed: BTreeMap<String, Blame>,
    /// Those who were asked in vain for what they have from before, until then.
    given_up: BTreeMap<Life, i64>,
    /// Those who are heard and did not answer the only one that asked: that may be the one that is cut off.
    doubted: BTreeSet<Life>,
    /// Since when somebody is there and nobody of the last view.
    gathering_ms: Option<i64>,
}

/// Who was waited for in vain is left out for so long, and longer each time.
const BLAME_MS: i64 = 5_000;
const MOST_BLAME_MS: i64 = 300_000;

// === impl Reach ===

impl Reach {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            here: None,
            heard: BTreeMap::new(),
            gone: BTreeMap::new(),
            blamed: BTreeMap::new(),
            given_up: BTreeMap::new(),
            doubted: BTreeSet::new(),
            gathering_ms: None,
        }
    }

    pub(super) fn is_known_on(&mut self, node: &str) {
        self.here = Some(node.to_owned());
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// A traffic manager reports.
    pub(super) fn hear(&mut self, report: Report, now_ms: i64) {
        let Some(known) = self.heard.get_mut(&report.life.node) else {
            let heard = Heard {
                at_ms: now_ms,
                since_ms: now_ms,
                report,
            };
            self.heard.insert(heard.report.life.node.clone(), heard);
            return;
        };
        let (before, now) = (known.report.life.incarnation, report.life.incarnation);
        if before > now {
            return;
        }
        if before < now {
            // What an earlier life was waited for, this one has not done.
            self.blamed.remove(&report.life.node);
        }
        let is_fresh = now_ms.saturating_sub(known.at_ms) <= self.patience.fresh_ms;
        if before < now || !is_fresh {
            known.since_ms = now_ms;
        }
        (known.at_ms, known.report) = (now_ms, report);
    }

    /// Its process has ended, or its connection.
    pub(super) fn gone(&mut self, life: &Life) {
        let known = self.heard.get(&life.node);
        if known.is_some_and(|known| known.report.life <= *life) {
            self.heard.remove(&life.node);
        }
        let gone = self.gone.entry(life.node.clone()).or_default();
        *gone = (*gone).max(life.incarnation);
    }

    /// A view waited for this node in vain. Whoever is left out already is not blamed again: many may have waited for it.
    pub(super) fn blame(&mut self, node: &str, now_ms: i64) {
        if self.is_blamed(node, now_ms) {
            return;
        }
        let times = self.blamed.get(node).map_or(0, |blame| blame.times);
        let wait_ms = BLAME_MS
            .saturating_mul(1 << times.min(8))
            .min(MOST_BLAME_MS);
        let until_ms = now_ms.saturating_add(wait_ms);
        let times = times.saturating_add(1);
        self.blamed
            .insert(node.to_owned(), Blame { until_ms, times });
    }

    /// What this life has from before did not come to these `askers`: it passes for lost for a while, if it is not heard, or
    /// several asked, or nobody else can go on from it, which itself may do, or it was asked in vain before, since a view
    /// was active. Else the only one that asked may be cut off from it, and what is given up is lost. Whether it passes for
    /// lost.
    pub(super) fn gives_up(&mut self, life: &Life, askers: &BTreeSet<String>, now_ms: i64) -> bool {
        let fresh = |heard: &&Heard| self.is_fresh(heard, now_ms);
        let mut there = self.heard.values().filter(fresh);
        let is_heard = there.clone().any(|heard| heard.report.life == *life);
        let others = there.any(|heard| {
            let Report {
                life: other,
                leaving,
                ..
            } = &heard.report;
            !askers.contains(&other.node) && !leaving
        });
        let may_be_cut_off = is_heard && others && askers.len() == 1;
        if may_be_cut_off && self.doubted.insert(life.clone()) {
            return false;
        }
        self.given_up.retain(|_, until_ms| now_ms < *until_ms);
        let until_ms = now_ms.saturating_add(BLAME_MS);
        self.given_up.insert(life.clone(), until_ms);
        true
    }

    /// How often a view waited for this node in vain, since it last did what it was waited for.
    pub(super) fn times_blamed(&self, node: &str) -> u32 {
        self.blamed.get(node).map_or(0, |blame| blame.times)
    }

    /// Whether each of these has said something, or is known to be gone.
    pub(super) fn knows_all(&self, lives: &[Life]) -> bool {
        let known = |life: &Life| {
            let heard = self.heard.get(&life.node);
            heard.is_some_and(|heard| heard.report.life >= *life)
                || self.gone.get(&life.node) >= Some(&life.incarnation)
        };
        lives.iter().all(known)
    }

    /// These did what they were waited for.
    pub(super) fn forgive(&mut self, members: &[Life]) {
        self.doubted.clear();
        self.blamed
            .retain(|node, _| !members.iter().any(|life| life.node == *node));
    }

    /// Since when somebody is there and nobody of the last view, as [`Self::standing`] found.
    pub(super) fn gathers(&mut self, since_ms: Option<i64>) {
        self.gathering_ms = since_ms;
    }

    /// Who is to own shards after `view`, and who has what they go on from. Nobody while it is better to wait.
    pub(super) fn standing(&self, view: &View, voters: &[String], now_ms: i64) -> Standing<'_> {
        let fresh = |heard: &&Heard| self.is_fresh(heard, now_ms);
        let able: Vec<&Heard> = self.heard.values().filter(fresh).collect();
        let mut together = able.clone();
        together.retain(|heard| !heard.report.leaving && reaches_majority(&heard.report, voters));
        let innocent = |heard: &&Heard| !self.is_blamed(&heard.report.life.node, now_ms);
        if together.iter().any(innocent) {
            together.retain(innocent);
        } else if let Some(first) = self.first_to_be_forgiven(&together) {
            // All together were stuck: one of them goes on.
            together.retain(|heard| heard.report.life.node == first);
        }
        all_reach_each_other(&mut together, view, self.here.as_deref());
        let was = |heard: &Heard| view.members.contains(&heard.report.life);
        let has_joined = |heard: &Heard| now_ms - heard.since_ms >= self.patience.join_ms;
        let gathering_ms = if together.iter().any(|heard| was(heard)) {
            together.retain(|heard| was(heard) || has_joined(heard));
            None
        } else {
            self.begins_anew(&mut together, view, now_ms)
        };
        let members: Vec<&Life> = together.iter().map(|heard| &heard.report.life).collect();
        let before = || view.last_active.iter().flat_map(|before| &before.members);
        let lost = || view.lost.iter().flat_map(|loss| &loss.holders);
        let has_something = |life: &&Life| {
            before().any(|held| held.node == life.node) || lost().any(|node| *node == life.node)
        };
        let sources = able
            .iter()
            .map(|heard| &heard.report.life)
            .filter(|life| !members.contains(life))
            .filter(|life| {
                self.given_up
                    .get(life)
                    .is_none_or(|until_ms| *until_ms <= now_ms)
            })
            .filter(has_something)
            .collect();
        Standing {
            members,
            sources,
            gathering_ms,
        }
    }

    /// Nobody of the last view is left: whoever is there, once those who may have what was granted had the time to come
    /// back. Those are the members of the last active view, in whatever life; whoever was only in a view that never
    /// became active holds nothing worth waiting for. So a node that was alone waits for nobody. The first active view
    /// of all is of one, so that there is one history. Gives since when they gather.
    fn begins_anew(&self, together: &mut Vec<&Heard>, view: &View, now_ms: i64) -> Option<i64> {
        if together.is_empty() {
            return None;
        }
        let Some(before) = &view.last_active else {
            together.truncate(1);
            return self.gathering_ms;
        };
        let since_ms = self.gathering_ms.unwrap_or(now_ms);
        let is_back = |life: &Life| {
            let mut there = together.iter();
            there.any(|heard| heard.report.life.node == life.node)
        };
        let all_are_back = before.members.iter().all(is_back);
        if !all_are_back && now_ms - since_ms < self.patience.gather_ms {
            together.clear();
        }
        Some(since_ms)
    }

    fn first_to_be_forgiven(&self, together: &[&Heard]) -> Option<String> {
        let nodes = together.iter().map(|heard| &heard.report.life.node);
        let until = |node: &&String| self.blamed.get(*node).map(|blame| blame.until_ms);
        nodes.min_by_key(until).cloned()
    }

    fn is_fresh(&self, heard: &Heard, now_ms: i64) -> bool {
        now_ms.saturating_sub(heard.at_ms) <= self.patience.fresh_ms
    }

    fn is_blamed(&self, node: &str, now_ms: i64) -> bool {
        let blame = self.blamed.get(node);
        blame.is_some_and(|blame| now_ms < blame.until_ms)
    }
}

/// A member that no majority of voters hears could have nothing fenced (L3).
fn reaches_majority(report: &Report, voters: &[String]) -> bool {
    let reached = voters
        .iter()
        .filter(|voter| **voter == report.life.node || report.hears.contains(*voter));
    reached.count() * 2 > voters.len()
}

/// Leaves out as few as it takes until all that remain hear each other: first whoever is cut off from most, of those
/// whoever was in no view, of those the last.
/// Of two that do not it is rather the one that does not hear the voters' leader, which is `here`: it would not hear of
/// a view either.
fn all_reach_each_other(together: &mut Vec<&Heard>, view: &View, here: Option<&str>) {
    loop {
        let cut_off = |one: &Heard| {
            let both = |other: &&&Heard| {
                let (one, other) = (&one.report, &other.report);
                one.life.node != other.life.node
                    && !(one.hears.contains(&other.life.node)
                        && other.hears.contains(&one.life.node))
            };
            together.iter().filter(both).count()
        };
        let worst = together.iter().enumerate().max_by_key(|(place, heard)| {
            let report = &heard.report;
            let is_new = !view.members.contains(&report.life);
            let is_deaf =
                here.is_some_and(|here| here != report.life.node && !report.hears.contains(here));
            (cut_off(heard), is_new, is_deaf, *place)
        });
        match worst {
            Some((place, heard)) if cut_off(heard) > 0 => together.remove(place),
            _ => return,
        };
    }
}

#[cfg(test)]
mod tests;
