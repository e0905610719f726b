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
    heard: BTreeMap<String, Heard>,
    /// The last life of a node that is known to have ended.
    gone: BTreeMap<String, u64>,
    blamed: BTreeMap<String, Blame>,
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
            heard: BTreeMap::new(),
            gone: BTreeMap::new(),
            blamed: BTreeMap::new(),
            gathering_ms: None,
        }
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
        all_reach_each_other(&mut together, view);
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
fn all_reach_each_other(together: &mut Vec<&Heard>, view: &View) {
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
            let is_new = !view.members.contains(&heard.report.life);
            (cut_off(heard), is_new, *place)
        });
        match worst {
            Some((place, heard)) if cut_off(heard) > 0 => together.remove(place),
            _ => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::epoch::Epoch;
    use crate::view::register::Entry;

    const PATIENCE: Patience = Patience {
        fresh_ms: 400,
        join_ms: 5_000,
        gather_ms: 1_000,
        stuck_ms: 2_000,
    };

    fn voters() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    /// A view of these, which all were heard from at 0.
    struct Told {
        reach: Reach,
        view: View,
        voters: Vec<String>,
        now_ms: i64,
    }

    impl Told {
        fn new(members: &[&str]) -> Self {
            let mut view = View::default();
            let lives = members.iter().map(|node| Life::new(*node, 1)).collect();
            let (sources, voters) = (Vec::new(), voters());
            let sync = Entry::Sync {
                members: lives,
                sources,
                voters,
            };
            let at = |index| Epoch::new(1, index).unwrap();
            view.apply(at(1), sync);
            let active = Entry::Active {
                of: at(1),
                t0_ms: None,
                lost: Vec::new(),
                found: Vec::new(),
            };
            view.apply(at(2), active);
            let reach = Reach::new(PATIENCE);
            Self {
                reach,
                view,
                voters: self::voters(),
                now_ms: 0,
            }
        }

        /// All report every 100 ms until then, except over the cuts, in both directions.
        fn until(&mut self, now_ms: i64, lives: &[(&str, u64)], cuts: &[(&str, &str)]) -> String {
            while self.now_ms < now_ms {
                self.now_ms += 100;
                for (node, incarnation) in lives {
                    let heard = lives.iter().map(|(other, _)| *other).filter(|other| {
                        other != node
                            && !cuts.contains(&(node, other))
                            && !cuts.contains(&(other, node))
                    });
                    let report = Report {
                        life: Life::new(*node, *incarnation),
                        hears: heard.map(str::to_owned).collect(),
                        leaving: false,
                    };
                    self.reach.hear(report, self.now_ms);
                }
            }
            let standing = self.reach.standing(&self.view, &self.voters, self.now_ms);
            let names = |lives: &[&Life]| {
                let names: Vec<String> = lives
                    .iter()
                    .map(|life| format!("{}{}", life.node, life.incarnation))
                    .collect();
                names.join(" ")
            };
            let told = format!(
                "{} < {}",
                names(&standing.members),
                names(&standing.sources)
            );
            let gathering_ms = standing.gathering_ms;
            self.reach.gathers(gathering_ms);
            told
        }
    }

    const ALL: &[(&str, u64)] = &[("a", 1), ("b", 1), ("c", 1)];

    #[test]
    fn a_cut_between_two_costs_one_of_them_and_it_stays_a_source() {
        let mut told = Told::new(&["a", "b", "c"]);
        assert_eq!(told.until(500, ALL, &[]), "a1 b1 c1 < ");
        assert_eq!(told.until(600, ALL, &[("a", "b")]), "a1 c1 < b1");
        assert_eq!(
            told.until(700, ALL, &[("c", "b"), ("c", "a")]),
            "a1 b1 < c1"
        );
        assert_eq!(told.until(800, ALL, &[]), "a1 b1 c1 < ");
        assert_eq!(told.until(1_300, &[("a", 1), ("c", 1)], &[]), "a1 c1 < ");
        told.reach.gone(&Life::new("c", 1));
        assert_eq!(told.until(1_300, &[], &[]), "a1 < ");
    }

    #[test]
    fn two_that_cannot_reach_each_other_leave_one() {
        let mut told = Told::new(&["a", "b"]);
        let two = &[("a", 1), ("b", 1), ("c", 1)];
        assert_eq!(told.until(100, two, &[("a", "b")]), "a1 < b1");
    }

    #[test]
    fn who_reaches_no_majority_of_voters_owns_nothing() {
        let mut told = Told::new(&["a", "b", "c"]);
        let cut = [("a", "b"), ("a", "c")];
        assert_eq!(told.until(100, ALL, &cut), "b1 c1 < a1");
    }

    #[test]
    fn who_is_new_owns_nothing_before_it_was_reached_for_a_while() {
        let mut told = Told::new(&["a"]);
        assert_eq!(told.until(4_900, &[("a", 1), ("b", 1)], &[]), "a1 < ");
        assert_eq!(told.until(5_100, &[("a", 1), ("b", 1)], &[]), "a1 b1 < ");
        // Another life is new.
        let mut told = Told::new(&["a", "b"]);
        let again = &[("a", 1), ("b", 2)];
        assert_eq!(told.until(500, again, &[]), "a1 < b2");
        assert_eq!(told.until(5_200, again, &[]), "a1 b2 < ");
    }

    #[test]
    fn where_all_were_started_again_they_wait_for_each_other_a_little() {
        let mut told = Told::new(&["a", "b", "c"]);
        let two = &[("a", 2), ("b", 2)];
        assert_eq!(told.until(500, two, &[]), " < a2 b2");
        assert_eq!(
            told.until(600, &[("a", 2), ("b", 2), ("c", 2)], &[]),
            "a2 b2 c2 < "
        );
        let mut told = Told::new(&["a", "b", "c"]);
        assert_eq!(told.until(500, two, &[]), " < a2 b2");
        assert_eq!(told.until(1_500, two, &[]), "a2 b2 < ");
    }

    #[test]
    fn who_was_alone_when_grants_were_given_waits_for_nobody() {
        let alone = |node: &str| vec![node.to_owned()];
        let mut told = Told::new(&["a"]);
        told.voters = alone("a");
        assert_eq!(told.until(100, &[("a", 2)], &[]), "a2 < ");
        // Another was only in a view that never became active.
        let mut told = Told::new(&["a"]);
        let (members, sources, voters) = (
            vec![Life::new("a", 1), Life::new("b", 1)],
            Vec::new(),
            voters(),
        );
        let both = Entry::Sync {
            members,
            sources,
            voters,
        };
        told.view.apply(Epoch::new(1, 3).unwrap(), both);
        told.voters = alone("a");
        let before = told.view.clone();
        assert_eq!(told.until(100, &[("a", 2)], &[]), "a2 < ");
        let mut told = Told::new(&["a"]);
        (told.view, told.voters) = (before, alone("b"));
        assert_eq!(told.until(900, &[("b", 2)], &[]), " < ", "a has it");
    }

    #[test]
    fn a_first_view_that_never_became_active_is_made_anew_at_once() {
        let mut told = Told::new(&["b"]);
        told.view.last_active = None;
        assert_eq!(told.until(100, &[("a", 1), ("c", 1)], &[]), "a1 < ");
    }

    #[test]
    fn the_first_view_is_of_one() {
        let mut told = Told::new(&["a"]);
        told.view = View::default();
        assert_eq!(told.until(100, ALL, &[]), "a1 < ");
    }

    #[test]
    fn whom_a_view_waited_for_is_left_out_for_a_while_unless_nobody_else_is_there() {
        let mut told = Told::new(&["a", "b"]);
        let two = &[("a", 1), ("b", 1)];
        told.until(100, two, &[]);
        told.reach.blame("b", 100);
        told.reach.blame("b", 200);
        assert_eq!(told.until(200, two, &[]), "a1 < b1");
        assert_eq!(told.until(5_200, two, &[]), "a1 b1 < ");
        told.reach.blame("b", 5_200);
        told.reach.blame("a", 5_200);
        assert_eq!(told.until(15_100, two, &[]), "a1 < b1", "longer each time");
        told.reach.forgive(&[Life::new("b", 1)]);
        assert_eq!(told.until(15_200, two, &[]), "a1 b1 < ");
        told.reach.blame("b", 15_300);
        let again = &[("a", 1), ("b", 2)];
        assert!(
            told.until(15_400, again, &[]).contains("b2"),
            "a later life is not blamed"
        );
    }
}
