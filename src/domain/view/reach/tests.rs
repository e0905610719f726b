//! Who is to own shards, by what traffic managers say.

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

#[test]
fn of_two_that_do_not_reach_each_other_the_one_that_does_not_hear_the_leader_is_left_out() {
    let mut told = Told::new(&["a", "b", "c"]);
    told.reach.is_known_on("b");
    assert_eq!(told.until(500, ALL, &[]), "a1 b1 c1 < ");
    assert_eq!(told.until(600, ALL, &[("a", "b")]), "b1 c1 < a1");
    assert_eq!(told.until(700, ALL, &[("a", "c")]), "a1 b1 < c1");
}

#[test]
fn a_source_that_is_heard_is_given_up_only_when_all_or_several_asked_it_in_vain() {
    let mut told = Told::new(&["a", "b", "c"]);
    let asked_by = |nodes: &[&str]| nodes.iter().map(|node| (*node).to_owned()).collect();
    let (source, asks): (_, BTreeSet<String>) = (Life::new("b", 1), asked_by(&["a"]));
    told.until(500, ALL, &[]);
    assert!(!told.reach.gives_up(&source, &asks, 500), "c may ask it");
    assert!(told.reach.gives_up(&source, &asks, 500));
    told.reach.forgive(&[]);
    assert!(
        !told.reach.gives_up(&source, &asks, 500),
        "a view was active"
    );
    told.reach.forgive(&[]);
    assert!(told.reach.gives_up(&source, &asked_by(&["a", "c"]), 500));
    assert!(told.reach.gives_up(&source, &asks, 901), "it is silent");
}
