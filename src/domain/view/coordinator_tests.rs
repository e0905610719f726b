//! What the coordinator proposes, and when.

use super::coordinator::*;
use super::epoch::Epoch;
use super::reach::{Patience, Report};
use super::register::{Entry, Life, Loss, Phase, View};
use super::seat::Origin;
use super::voter::Sealed;
use std::collections::BTreeSet;

const SHARDS: u16 = 2;
const PATIENCE: Patience = Patience {
    fresh_ms: 100,
    join_ms: 0,
    gather_ms: 0,
    stuck_ms: 2_000,
};

fn rank(_: u16, node: &str) -> u64 {
    u64::from(node.bytes().next().unwrap_or(0))
}

fn sealed(voter: &str, at: Epoch, fenced_ms: Option<i64>) -> News {
    let voter = voter.to_owned();
    let sealed = Sealed { at, fenced_ms };
    News::Sealed { voter, sealed }
}

fn stalled(epoch: Epoch, from: &str, by: &str) -> News {
    let (from, by) = (from.to_owned(), by.to_owned());
    News::Stalled { epoch, from, by }
}

struct Lead {
    coordinator: Coordinator,
    view: View,
    index: u64,
    now_ms: i64,
}

impl Lead {
    /// It leads, with a view of these.
    fn new(members: &[(&str, u64)]) -> Self {
        let mut lead = Self {
            coordinator: Coordinator::new(SHARDS, rank, PATIENCE),
            view: View::default(),
            index: 0,
            now_ms: 1_000,
        };
        let voters = ["v1", "v2", "v3"].map(str::to_owned).to_vec();
        lead.tell(News::Voters(voters));
        lead.tell(News::Leads(true));
        assert_ne!(lead.alive(&members[..1]), None, "the first is of one");
        if members.len() > 1 {
            lead.now_ms += 1_000;
            assert_ne!(lead.alive(members), None);
        }
        lead
    }

    /// Tells news; a proposal is agreed on at once. Gives what was proposed.
    fn tell(&mut self, news: News) -> Option<Entry> {
        self.now_ms += 1;
        let duties = self.coordinator.step(news, self.now_ms);
        let entry = duties.into_iter().find_map(|duty| match duty {
            Duty::Propose(entry) => Some(entry),
            Duty::Seal { .. } => None,
        })?;
        self.index += 1;
        let at = Epoch::new(1, self.index).unwrap();
        self.view.apply(at, entry.clone());
        let next = self.tell(News::View(self.view.clone()));
        assert_eq!(next, None);
        Some(entry)
    }

    /// Just these report, and hear each other and all voters. Gives what is proposed when the last has.
    fn alive(&mut self, lives: &[(&str, u64)]) -> Option<Entry> {
        let nodes = lives.iter().map(|(node, _)| *node);
        let hears = nodes.chain(["v1", "v2", "v3"]).map(str::to_owned).collect();
        let report = |(node, incarnation): &(&str, u64)| Report {
            life: Life::new(*node, *incarnation),
            hears: BTreeSet::clone(&hears),
            leaving: false,
        };
        let is_over = |life: &&Life| !lives.iter().any(|(node, _)| life.node == *node);
        let over: Vec<Life> = self.view.members.iter().filter(is_over).cloned().collect();
        self.coordinator.leads = false;
        for life in over {
            self.tell(News::Gone(life));
        }
        for life in lives {
            self.tell(News::Report(report(life)));
        }
        self.coordinator.leads = true;
        self.tell(News::Tick)
    }

    fn complete(&mut self, origin: Origin) {
        for shard in 0..SHARDS {
            let epoch = self.view.epoch;
            self.tell(News::Complete {
                epoch,
                shard,
                origin,
                found: Vec::new(),
            });
        }
    }

    fn members(&self) -> Vec<&str> {
        let members = self.view.members.iter();
        members.map(|life| life.node.as_str()).collect()
    }
}

#[test]
fn a_view_is_active_when_all_pairs_are_complete_and_a_majority_told_what_it_fenced() {
    let mut lead = Lead::new(&[("a", 1), ("b", 1)]);
    let first = lead.view.epoch;
    lead.complete(Origin::First);
    assert_eq!(lead.tell(sealed("v1", first, None)), None, "one of three");
    assert_eq!(lead.tell(sealed("x", first, None)), None, "no voter");
    assert!(lead.tell(sealed("v3", first, None)).is_some());
    assert_eq!(lead.view.phase, Phase::Active);
    assert_eq!((lead.view.t0_ms, lead.view.lost.len()), (None, 0));
    // Both are gone, another is there: everything up to the highest fence is lost.
    assert!(lead.alive(&[("c", 1)]).is_some());
    let first = lead.view.last_active.clone().unwrap().epoch;
    let second = lead.view.epoch;
    assert_eq!(lead.tell(sealed("v1", second, Some(40))), None);
    assert_eq!(lead.tell(sealed("v2", second, Some(70))), None);
    lead.complete(Origin::Lost);
    assert_eq!(
        (lead.view.phase, lead.view.t0_ms),
        (Phase::Active, Some(70))
    );
    let holders = vec!["b".to_owned(), "a".to_owned()];
    let shard = 1;
    assert_eq!(
        lead.view.lost[1],
        Loss {
            shard,
            holders,
            t0_ms: 70,
            epoch: second,
            held: first,
            is_mixed: false,
        }
    );
    assert_eq!(lead.alive(&[("c", 1)]), None, "nothing to change");
    assert!(lead.alive(&[("c", 2)]).is_some(), "another life");
    // One of those who had it is back, and the new owner has it from there.
    assert!(lead.alive(&[("c", 2), ("b", 2)]).is_some());
    let third = lead.view.epoch;
    for (shard, found) in [(0, vec![second]), (1, Vec::new())] {
        lead.tell(News::Complete {
            epoch: third,
            shard,
            origin: Origin::Memory,
            found,
        });
    }
    for voter in ["v1", "v2"] {
        lead.tell(sealed(voter, third, Some(80)));
    }
    let lost: Vec<u16> = lead.view.lost.iter().map(|loss| loss.shard).collect();
    assert_eq!((lead.view.phase, lost), (Phase::Active, vec![1]));
}

#[test]
fn who_is_sealed_above_the_view_forces_a_later_one() {
    let mut lead = Lead::new(&[("a", 1)]);
    let first = lead.view.epoch;
    lead.index = 8;
    let above = Epoch::new(1, 5).unwrap();
    assert!(lead.tell(sealed("v1", above, None)).is_some());
    assert!(lead.view.epoch > above && lead.view.epoch > first);
    assert_eq!(lead.tell(News::Refused { at: above }), None, "it is above");
}

#[test]
fn who_does_not_lead_proposes_nothing_and_a_proposal_is_made_once() {
    let mut coordinator = Coordinator::new(SHARDS, rank, PATIENCE);
    let report = Report {
        life: Life::new("v1", 1),
        hears: BTreeSet::new(),
        leaving: false,
    };
    let voters = vec!["v1".to_owned()];
    assert_eq!(coordinator.step(News::Voters(voters), 0), []);
    assert_eq!(coordinator.step(News::Report(report.clone()), 0), []);
    assert_eq!(coordinator.step(News::Leads(true), 0).len(), 1);
    assert_eq!(coordinator.step(News::Leads(true), 900), []);
    assert_eq!(coordinator.step(News::Tick, 999), []);
    assert_eq!(
        coordinator.step(News::Report(report), 1_000).len(),
        1,
        "lost, perhaps"
    );
}

#[test]
fn a_pair_that_does_not_come_to_an_end_goes_on_without_whom_most_wait_for() {
    let three = [("a", 1), ("b", 1), ("c", 1)];
    let mut lead = Lead::new(&three);
    assert_eq!(lead.members(), ["a", "b", "c"]);
    let epoch = lead.view.epoch;
    let (shard, origin) = (0, Origin::First);
    lead.now_ms += 1_990;
    assert_eq!(lead.alive(&three), None);
    lead.tell(News::Complete {
        epoch,
        shard,
        origin,
        found: Vec::new(),
    });
    lead.now_ms += 1_980;
    assert_eq!(lead.alive(&three), None, "it went on");
    lead.now_ms += 30;
    // The owner of all shards here.
    assert_ne!(lead.alive(&three), None);
    assert_eq!(lead.members(), ["a", "b"]);
    let stalled = |epoch| stalled(epoch, "b", "b");
    assert_eq!(lead.tell(stalled(epoch)), None, "of an earlier view");
    assert_ne!(lead.tell(stalled(lead.view.epoch)), None);
    assert_eq!(lead.members(), ["a"]);
}

#[test]
fn of_two_the_one_whose_disk_hangs_is_found_whichever_it_is() {
    let both = [("a", 1), ("b", 1)];
    for hangs in ["a", "b"] {
        let mut lead = Lead::new(&both);
        let mut worked = 0;
        for _ in 0..400 {
            lead.now_ms += 100;
            lead.alive(&both);
            if lead.view.phase == Phase::Sync && !lead.members().contains(&hangs) {
                let epoch = lead.view.epoch;
                lead.complete(Origin::Memory);
                lead.tell(sealed("v1", epoch, None));
                lead.tell(sealed("v2", epoch, None));
            }
            worked += usize::from(lead.view.phase == Phase::Active);
        }
        assert!(worked > 200, "{hangs} hangs: {worked} of 400");
    }
}

impl Lead {
    /// Of a and b, who owned all, only b is left, and leaves; c is there.
    fn one_leaves_with_all_there_is() -> Self {
        let mut lead = Self::new(&[("a", 1), ("b", 1)]);
        let first = lead.view.epoch;
        lead.complete(Origin::First);
        for voter in ["v1", "v2"] {
            lead.tell(sealed(voter, first, None));
        }
        assert_eq!(lead.view.phase, Phase::Active);
        lead.coordinator.leads = false;
        lead.tell(News::Gone(Life::new("a", 1)));
        lead.coordinator.leads = true;
        lead.report("b", true);
        assert!(lead.report("c", false).is_some());
        assert_eq!(lead.members(), ["c"]);
        assert_eq!(lead.view.sources, [Life::new("b", 1)]);
        lead
    }

    /// The same, and d is there as well; it owns all shards now, and c stands by.
    fn one_leaves_two_with_all_there_is() -> Self {
        let mut lead = Self::one_leaves_with_all_there_is();
        assert!(lead.report("d", false).is_some());
        assert_eq!(lead.members(), ["c", "d"]);
        lead
    }

    /// Who leaves, and who is there, say so for so long, and these that b does not answer. Gives what was proposed.
    fn wait_for_b(&mut self, time_ms: i64, there: &[&str], askers: &[&str]) -> Option<Entry> {
        let until_ms = self.now_ms + time_ms;
        while self.now_ms < until_ms {
            self.now_ms += 40;
            let epoch = self.view.epoch;
            let said = self.report("b", true);
            let said = there
                .iter()
                .fold(said, |said, node| said.or(self.report(node, false)));
            let said = askers.iter().fold(said, |said, from| {
                said.or_else(|| self.tell(stalled(epoch, from, "b")))
            });
            if said.is_some() {
                return said;
            }
        }
        None
    }

    /// All hear each other and voters, but e no voter.
    fn report(&mut self, node: &str, leaving: bool) -> Option<Entry> {
        let voters = if node == "e" { 0 } else { 3 };
        let hears = ["v1", "v2", "v3"].iter().take(voters);
        let hears = hears.chain(&["b", "c", "d"]);
        self.tell(News::Report(Report {
            life: Life::new(node, 1),
            hears: hears.map(|node| (*node).to_owned()).collect(),
            leaving,
        }))
    }
}

#[test]
fn a_source_that_has_gone_before_all_had_it_is_not_waited_for() {
    let mut lead = Lead::one_leaves_with_all_there_is();
    assert!(lead.tell(News::Gone(Life::new("b", 1))).is_some());
    assert_eq!((lead.members(), lead.view.sources.len()), (vec!["c"], 0));
    assert_eq!(lead.report("c", false), None, "once");
}

#[test]
fn a_source_that_has_gone_after_all_had_it_is_needed_no_more() {
    let mut lead = Lead::one_leaves_with_all_there_is();
    lead.complete(Origin::Memory);
    assert_eq!(lead.tell(News::Gone(Life::new("b", 1))), None);
    let epoch = lead.view.epoch;
    for voter in ["v1", "v2"] {
        lead.tell(sealed(voter, epoch, None));
    }
    assert_eq!((lead.view.phase, lead.view.epoch), (Phase::Active, epoch));
}

#[test]
fn a_source_that_is_there_and_does_not_answer_is_gone_on_without() {
    let mut lead = Lead::one_leaves_with_all_there_is();
    assert_eq!(
        lead.wait_for_b(1_900, &["c"], &["c"]),
        None,
        "it may answer yet"
    );
    let last = lead.wait_for_b(200, &["c"], &["c"]);
    assert!(last.is_some(), "2 s were enough");
    assert_eq!((lead.members(), lead.view.sources.len()), (vec!["c"], 0));
    // What it has is lost until it is asked again, as a loss of the shard.
    lead.complete(Origin::Lost);
    let epoch = lead.view.epoch;
    for voter in ["v1", "v2"] {
        lead.tell(sealed(voter, epoch, Some(9)));
    }
    assert_eq!(lead.view.lost.len(), usize::from(SHARDS));
}

#[test]
fn a_source_is_not_given_up_because_the_disk_of_who_has_it_all_hangs() {
    let mut lead = Lead::one_leaves_with_all_there_is();
    for _ in 0..10 {
        let epoch = lead.view.epoch;
        assert_eq!(lead.tell(stalled(epoch, "c", "c")), None);
        assert_eq!(
            lead.wait_for_b(1_000, &["c"], &[]),
            None,
            "nobody else is there"
        );
    }
    assert_eq!(lead.view.sources, [Life::new("b", 1)]);
    // The disk of a standby: who stands by is left out, and not what both have.
    let mut lead = Lead::one_leaves_two_with_all_there_is();
    let epoch = lead.view.epoch;
    assert!(lead.tell(stalled(epoch, "c", "c")).is_some());
    assert_eq!(lead.members(), ["d"]);
    assert_eq!(lead.view.sources, [Life::new("b", 1)]);
}

#[test]
fn a_source_that_several_ask_in_vain_is_given_up_and_nobody_else_left_out() {
    let mut lead = Lead::one_leaves_two_with_all_there_is();
    // Another could ask it as well.
    assert!(
        lead.wait_for_b(2_100, &["c", "d", "e"], &["c", "d"])
            .is_some()
    );
    assert_eq!(lead.members(), ["c", "d"]);
    assert_eq!(lead.view.sources, []);
}

#[test]
fn who_alone_asks_a_source_in_vain_is_left_out_and_another_asks_it() {
    let mut lead = Lead::one_leaves_two_with_all_there_is();
    assert!(lead.wait_for_b(2_100, &["c", "d"], &["d"]).is_some());
    assert_eq!(lead.members(), ["c"]);
    assert_eq!(lead.view.sources, [Life::new("b", 1)]);
    assert!(lead.wait_for_b(2_100, &["c", "d"], &["c"]).is_some());
    assert_eq!((lead.members(), lead.view.sources.len()), (vec!["c"], 0));
}

#[test]
fn a_copy_of_which_parts_come_is_waited_for_however_long_all_of_it_takes() {
    let three = [("a", 1), ("b", 1), ("c", 1)];
    let mut lead = Lead::new(&three);
    let epoch = lead.view.epoch;
    let moved = |epoch, parts| News::Moved {
        epoch,
        from: "c".to_owned(),
        parts,
    };
    for parts in 1..9 {
        lead.now_ms += 1_900;
        assert_eq!(lead.tell(moved(epoch, parts)), None);
        assert_eq!(lead.alive(&three), None, "part {parts}");
    }
    // What was said before, or of another view, is nothing new.
    lead.now_ms += 1_900;
    let other = Epoch::new(1, 99).unwrap();
    assert_eq!(lead.tell(moved(epoch, 8)), None);
    assert_eq!(lead.tell(moved(other, 9)), None);
    lead.now_ms += 100;
    assert_ne!(lead.alive(&three), None);
    assert_eq!(lead.members(), ["a", "b"]);
}

#[test]
fn a_member_that_is_asked_in_vain_is_left_out_and_not_the_owner_that_asks_it() {
    let mut lead = Lead::new(&[("a", 1), ("b", 1)]);
    let first = lead.view.epoch;
    lead.complete(Origin::First);
    for voter in ["v1", "v2"] {
        lead.tell(sealed(voter, first, None));
    }
    // b alone has all in memory, and c owns all.
    let three = [("a", 2), ("b", 1), ("c", 1)];
    lead.now_ms += 1_000;
    assert_ne!(lead.alive(&three), None);
    assert_eq!(lead.members(), ["a", "b", "c"]);
    let epoch = lead.view.epoch;
    lead.now_ms += 1_980;
    lead.alive(&three);
    assert_eq!(lead.tell(stalled(epoch, "c", "b")), None);
    lead.now_ms += 20;
    assert_ne!(lead.alive(&three), None);
    assert_eq!(lead.members(), ["a", "c"]);
    assert_eq!(lead.view.sources, [Life::new("b", 1)], "it may answer yet");
}

#[test]
fn who_has_all_there_is_and_is_asked_in_vain_by_the_only_other_goes_on_itself() {
    let mut lead = Lead::new(&[("b", 1)]);
    let first = lead.view.epoch;
    lead.complete(Origin::First);
    for voter in ["v1", "v2"] {
        lead.tell(sealed(voter, first, None));
    }
    let both = [("b", 1), ("c", 1)];
    lead.now_ms += 1_000;
    assert_ne!(lead.alive(&both), None);
    assert_eq!(lead.members(), ["b", "c"]);
    // Nobody can tell which of the two it is: nothing is lost before each was left out.
    for goes_on in ["c", "b"] {
        let epoch = lead.view.epoch;
        while lead.view.epoch == epoch {
            lead.now_ms += 40;
            let entry = lead.alive(&both);
            if entry.is_none() {
                lead.tell(stalled(epoch, "c", "b"));
            }
        }
        assert_eq!(lead.members(), [goes_on]);
    }
    assert_eq!(lead.view.lost, []);
}
