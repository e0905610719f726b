//! Why a view came about, in the words of the one line that the log has of it. What voters were told decides nothing
//! here: it is only remembered to be said.

use std::collections::BTreeSet;

use domain::view::{Epoch, Life, Phase, View};

use super::message::TellVoter;

/// What was heard of traffic managers since the last view became active.
#[derive(Debug, Default)]
pub(super) struct Signs {
    leaving: BTreeSet<Life>,
    stalled: BTreeSet<String>,
    refused: Option<Epoch>,
}

// === impl Signs ===

impl Signs {
    /// A traffic manager told this.
    pub(super) fn hear(&mut self, told: &TellVoter) {
        if told.report.leaving {
            self.leaving.insert(told.report.life.clone());
        }
        self.stalled.extend(told.stalled.iter().cloned());
        self.refused = self.refused.max(told.refused);
    }

    /// Another view is active: what was heard before has had its effect.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Why `view` came after `before`; `gone` are the lives that have ended, `name` is what people call a node.
    pub(super) fn why(
        &self,
        (before, view): (&View, &View),
        gone: &[Life],
        name: &dyn Fn(&str) -> String,
    ) -> String {
        if view.phase == Phase::Active && view.epoch == before.epoch {
            return "owners and standbys have what was granted before".to_owned();
        }
        let mut reasons = Vec::new();
        if before.entries == 0 {
            reasons.push("it is the first that is known here".to_owned());
        }
        let is_of = |lives: &[Life], node: &str| lives.iter().any(|life| life.node == node);
        for life in missing(&before.members, &view.members) {
            let node = name(&life.node);
            let has_ended = |gone: &Life| gone.node == life.node && gone >= &life;
            reasons.push(if is_of(&view.members, &life.node) {
                format!("{node} was started again")
            } else if self.leaving.contains(&life) {
                format!("{node} is leaving")
            } else if gone.iter().any(has_ended) {
                format!("{node} went down")
            } else if self.stalled.contains(&life.node) {
                format!("{node} stalled")
            } else {
                format!("{node} is not heard by all others")
            });
        }
        for life in missing(&view.members, &before.members) {
            if !is_of(&before.members, &life.node) {
                reasons.push(format!("{} came", name(&life.node)));
            }
        }
        if before.entries > 0 && before.voters != view.voters {
            let voters: Vec<String> = view.voters.iter().map(|voter| name(voter)).collect();
            reasons.push(format!("{} vote now", voters.join(" ")));
        }
        for life in missing(&view.sources, &before.sources) {
            if !is_of(&before.members, &life.node) {
                let node = name(&life.node);
                reasons.push(format!("{node} is back with what was granted before"));
            }
        }
        if reasons.is_empty() && self.refused > Some(before.epoch) {
            reasons.push("somebody refused, for it knew of a later view".to_owned());
        }
        if reasons.is_empty() {
            reasons.push("the one before came to nothing".to_owned());
        }
        reasons.join(", ")
    }
}

/// Whether the log has a line of this value: what a register is founded with is no view of anybody yet.
pub(super) fn is_told_of(view: &View) -> bool {
    !view.members.is_empty()
}

/// Those of `of` that `from` has not, in this life.
pub(super) fn missing(of: &[Life], from: &[Life]) -> Vec<Life> {
    let others = of.iter().filter(|life| !from.contains(life));
    others.cloned().collect()
}

#[cfg(test)]
mod tests {
    use domain::view::{Before, Entry, Founding, Report};

    use super::*;

    fn at(index: u64) -> Epoch {
        Epoch::new(1, index).unwrap()
    }

    /// Lives as `a1 b2`.
    fn lives(text: &str) -> Vec<Life> {
        let life = |word: &str| Life::new(&word[..1], word[1..].parse().unwrap());
        text.split_whitespace().map(life).collect()
    }

    fn views(before: &str, after: &str, sources: &str, voters: [&str; 2]) -> (View, View) {
        let sync = |members: &str, sources: &str, voters: &str| Entry::Sync {
            members: lives(members),
            sources: lives(sources),
            voters: voters.split_whitespace().map(str::to_owned).collect(),
        };
        let mut view = View::default();
        view.apply(at(1), sync(before, "", voters[0]));
        let mut next = view.clone();
        next.apply(at(2), sync(after, sources, voters[1]));
        (view, next)
    }

    fn why(signs: &Signs, gone: &str, views: &(View, View)) -> String {
        signs.why((&views.0, &views.1), &lives(gone), &str::to_uppercase)
    }

    fn told(of: &str, leaving: bool, stalled: &str) -> TellVoter {
        TellVoter {
            report: Report {
                life: lives(of).remove(0),
                hears: BTreeSet::new(),
                leaving,
            },
            epoch: at(1),
            entries: 1,
            complete: Vec::new(),
            refused: None,
            stalled: stalled.split_whitespace().map(str::to_owned).collect(),
            parts: 0,
        }
    }

    #[test]
    fn the_reason_of_a_view_names_who_came_or_went_and_how() {
        let mut signs = Signs::default();
        signs.hear(&told("b1", true, ""));
        signs.hear(&told("a1", false, "c"));
        let same = ["v", "v"];
        let cases = [
            ("a1 b1", "a1", "", "", "B is leaving"),
            ("a1 c1", "a1", "c5", "", "C went down"),
            ("a1 c5", "a1", "c4", "", "C stalled"),
            ("a1 c1", "a1", "", "c1", "C stalled"),
            ("a1 d1", "a1", "", "", "D is not heard by all others"),
            ("a1 d1", "a1 d2", "d1", "", "D was started again"),
            ("a1", "a1 d1 e1", "", "", "D came, E came"),
            ("a1 b1", "a1 d1", "", "", "B is leaving, D came"),
            (
                "a1",
                "a1",
                "",
                "d1",
                "D is back with what was granted before",
            ),
            ("a1", "a1", "", "", "the one before came to nothing"),
        ];
        for (before, after, gone, sources, wanted) in cases {
            let views = views(before, after, sources, same);
            assert_eq!(why(&signs, gone, &views), wanted, "{before} {after}");
        }
        let others = views("a1", "a1", "", ["v", "v w x"]);
        assert_eq!(why(&signs, "", &others), "V W X vote now");
    }

    #[test]
    fn nothing_is_said_of_a_register_that_nobody_is_in_yet() {
        let founding = |generation, before| Founding { generation, before };
        for founding in [founding(1, Before::Nothing), founding(2, Before::Scattered)] {
            let mut view = founding.view("a", 5).unwrap();
            assert!(!is_told_of(&view));
            let sync = Entry::Sync {
                members: lives("a1"),
                sources: Vec::new(),
                voters: vec!["a".to_owned()],
            };
            view.apply(at(1), sync);
            assert!(is_told_of(&view));
        }
    }

    #[test]
    fn the_first_view_a_refusal_and_an_active_view_say_so() {
        let mut signs = Signs::default();
        let (first, next) = views("a1", "a1", "", ["v", "v"]);
        let anew = (View::default(), first.clone());
        assert_eq!(
            why(&signs, "", &anew),
            "it is the first that is known here, A came"
        );
        signs.refused = Some(at(7));
        let refused = why(&signs, "", &(first.clone(), next));
        assert_eq!(refused, "somebody refused, for it knew of a later view");
        let mut active = first.clone();
        let (t0_ms, lost, found) = (None, Vec::new(), Vec::new());
        let entry = Entry::Active {
            of: at(1),
            t0_ms,
            lost,
            found,
        };
        active.apply(at(3), entry);
        let reason = why(&signs, "", &(first, active));
        assert_eq!(reason, "owners and standbys have what was granted before");
        signs.clear();
        assert!(signs.refused.is_none());
    }
}
