//! Who may found the register, and when.

use super::*;
use crate::view::View;

const HOLD: i64 = 60_000;
/// When whoever is there says so, and another asks long after.
const MOMENT: i64 = 1_000_000;
const LATER: i64 = MOMENT + 20_000;

fn by<'a>(node: &'a str, name: &'a str, life: u64) -> Claimant<'a> {
    Claimant {
        node,
        name,
        life,
        counted_in: 0,
        known: 0,
        hold_ms: HOLD,
        watched: None,
        has_the_file: false,
        moment_ms: LATER,
    }
}

fn founded(claim: Verdict) -> (u64, Before) {
    match claim {
        Verdict::Yours { founding, .. } => (founding.generation, founding.before),
        other => panic!("{other:?}"),
    }
}

fn first() -> Founder {
    let mut founder = Founder::default();
    let claim = founder.claim(&by("a", "tm1", 1));
    assert_eq!(founded(claim), (1, Before::Nothing));
    founder
}

/// By a node of the founder's name that has seen nothing of it for long enough.
fn claimed(founder: &mut Founder, node: &str, life: u64) -> (u64, Before) {
    let watched = Some(founder.renewals);
    founded(founder.claim(&Claimant {
        watched,
        ..by(node, "tm1", life)
    }))
}

/// By an operator, after nothing was seen of it for long enough.
fn given_up(founder: &mut Founder, node: &str) -> Word {
    founder.give_up(node, Some(founder.renewals))
}

fn holder(node: &str, generation: u64, reach_ms: i64) -> Holder<'_> {
    Holder {
        node,
        name: "tm1",
        life: 1,
        generation,
        others: Others::None,
        t_ms: reach_ms - HOLD,
        reach_ms,
        hold_ms: HOLD,
        leaves_from_ms: None,
        moment_ms: MOMENT,
    }
}

#[test]
fn nobody_waits_for_a_founder_that_stopped_in_order_unless_it_is_back() {
    let mut founder = first();
    let leaves = Holder {
        leaves_from_ms: Some(70_000),
        ..holder("a", 1, 5_000)
    };
    assert_eq!(founder.hold(&holder("a", 1, 70_000)), Hold::Until(70_000));
    assert_eq!(founder.claim(&by("b", "tm1", 1)), Verdict::Held);
    let there = founder.clone();
    founder.hold(&leaves);
    let Verdict::Yours { after_ms, .. } = founder.clone().claim(&by("b", "tm1", 1)) else {
        panic!("{founder:?}");
    };
    assert_eq!(after_ms, 5_000, "it may have granted up to there");
    // Its next life was told more before this was heard.
    let mut founder = there;
    assert_eq!(founder.hold(&holder("a", 1, 71_000)), Hold::Until(71_000));
    assert_eq!(founder.hold(&leaves), Hold::Until(71_000));
    assert_eq!(founder.claim(&by("b", "tm1", 1)), Verdict::Held);
}

#[test]
fn a_founder_that_stopped_in_order_has_a_moment_to_be_back_before_another_takes_its_place() {
    let mut founder = first();
    founder.hold(&holder("a", 1, 70_000));
    founder.hold(&Holder {
        leaves_from_ms: Some(70_000),
        moment_ms: 100_000,
        ..holder("a", 1, 5_000)
    });
    let at = |moment_ms| Claimant {
        moment_ms,
        ..by("b", "tm1", 1)
    };
    // Whoever waited for it asks at once, also by a clock that was set back.
    let mut waits = founder.clone();
    for moment_ms in [100_000, 114_999] {
        assert_eq!(waits.claim(&at(moment_ms)), Verdict::Held);
    }
    let mut back = waits.clone();
    assert_eq!(back.hold(&holder("a", 1, 80_000)), Hold::Until(80_000));
    assert_eq!(back.claim(&at(115_000)), Verdict::Held, "it is there");
    for moment_ms in [99_999, 115_000] {
        let claim = founder.clone().claim(&at(moment_ms));
        assert!(matches!(claim, Verdict::Yours { .. }), "{claim:?}");
    }
}

#[test]
fn whoever_an_operator_gave_up_may_have_gone_on_until_then_ahead_of_every_clock() {
    const HOUR: i64 = 3_600_000;
    let mut founder = first();
    // By a clock that is two hours ahead; then nobody can be told for four hours.
    founder.hold(&Holder {
        t_ms: 14 * HOUR,
        hold_ms: 24 * HOUR,
        moment_ms: 12 * HOUR,
        ..holder("a", 1, 14 * HOUR + 24 * HOUR)
    });
    assert_eq!(given_up(&mut founder, "a"), Word::Taken);
    let after = |founder: &Founder, hour: i64| {
        let claim = founder.clone().claim(&Claimant {
            moment_ms: hour * HOUR,
            ..by("b", "tm1", 1)
        });
        match claim {
            Verdict::Yours { after_ms, .. } => after_ms,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(after(&founder, 16), 18 * HOUR + 17_000);
    let told = after(&founder, 90);
    assert_eq!(told, 38 * HOUR, "it was told no more than that");
    let set_back = after(&founder, 11);
    assert_eq!(set_back, 14 * HOUR + 17_000, "that clock was set back");
    // Written down by a version that did not say in which T it is.
    (founder.said_ms, founder.said_at_ms) = (0, 0);
    assert_eq!(after(&founder, 12), 38 * HOUR);
}

#[test]
fn the_first_to_claim_founds_and_is_told_the_same_until_it_starts_again() {
    let mut founder = first();
    assert_eq!(claimed(&mut founder, "a", 1), (1, Before::Nothing));
    assert_eq!(founder.claim(&by("b", "tm2", 1)), Verdict::Others);
    let own = Before::Node("a".to_owned());
    // Nobody else has its id, so it waits for nobody.
    assert_eq!(founded(founder.claim(&by("a", "tm1", 2))), (2, own.clone()));
    assert_eq!(claimed(&mut founder, "a", 3), (3, own));
    assert_eq!(founder.claim(&by("b", "tm2", 1)), Verdict::Others);
}

#[test]
fn whoever_has_the_name_of_a_founder_that_is_there_founds_nothing() {
    let mut founder = first();
    let mut watched = None;
    for second in 1..9 {
        let claim = founder.claim(&Claimant {
            watched,
            ..by("b", "tm1", 1)
        });
        assert_eq!(claim, Verdict::Held);
        watched = Some(founder.renewals);
        let reach_ms = second * 1_000 + HOLD;
        assert_eq!(
            founder.hold(&holder("a", 1, reach_ms)),
            Hold::Until(reach_ms)
        );
    }
    assert_eq!((founder.generation, founder.node.as_str()), (1, "a"));
}

#[test]
fn whoever_takes_over_begins_above_all_that_the_founder_may_grant_in_and_that_one_hears_so() {
    let mut founder = first();
    assert_eq!(founder.hold(&holder("a", 1, 70_000)), Hold::Until(70_000));
    let claim = Claimant {
        watched: Some(founder.renewals),
        ..by("b", "tm1", 1)
    };
    // Told again, also where the first answer got lost.
    for _ in 0..2 {
        let Verdict::Yours { founding, after_ms } = founder.claim(&claim) else {
            panic!("{founder:?}");
        };
        assert_eq!((founding.generation, after_ms), (2, 70_000));
    }
    assert_eq!(founder.hold(&holder("a", 1, 90_000)), Hold::Lost);
    assert_eq!(founder.hold(&holder("b", 2, 80_000)), Hold::Until(80_000));
    // One that was cut short before it founded is above it as well.
    let Verdict::Yours { after_ms, .. } = founder.claim(&by("b", "tm1", 2)) else {
        panic!("{founder:?}");
    };
    assert_eq!(after_ms, 70_000);
}

#[test]
fn whoever_an_operator_gave_up_is_replaced_at_once_unless_it_says_that_it_is_there() {
    let mut founder = first();
    founder.hold(&holder("a", 1, 70_000));
    assert_eq!(given_up(&mut founder, "b"), Word::NotFounder);
    assert_eq!(given_up(&mut founder, "a"), Word::Taken);
    founder.hold(&holder("a", 1, 71_000));
    assert_eq!(founder.claim(&by("b", "tm1", 1)), Verdict::Held);
    assert_eq!(given_up(&mut founder, "a"), Word::Taken);
    let Verdict::Yours { after_ms, .. } = founder.claim(&by("b", "tm1", 1)) else {
        panic!("{founder:?}");
    };
    assert_eq!(
        after_ms,
        71_000 - HOLD + (LATER - MOMENT) + 17_000,
        "it was there up to then, and a little longer"
    );
    let before = given_up(&mut founder, "a");
    assert_eq!(before, Word::NotFounder, "it founded the one before");
}

#[test]
fn a_founder_that_says_that_it_is_there_is_not_given_up_by_an_operators_word() {
    let mut founder = first();
    founder.hold(&holder("a", 1, 70_000));
    let before = founder.clone();
    let watch = |renewals, for_ms| Word::Watch { renewals, for_ms };
    let seen = before.renewals;
    assert_eq!(founder.give_up("a", None), watch(seen, 5_000));
    assert_eq!(founder, before, "it was looked at");
    founder.hold(&holder("a", 1, 73_000));
    // What was seen is no more what it says.
    let said = watch(seen + 1, 5_000);
    assert_eq!(founder.give_up("a", Some(seen)), said);
    assert_eq!(founder.claim(&by("b", "tm1", 1)), Verdict::Held);
    assert_eq!(founder.give_up("a", Some(seen + 1)), Word::Taken);
    assert_eq!(founder.give_up("a", None), Word::Taken, "once");
    // One that has nobody to tell cannot be watched.
    founder = first();
    founder.hold_ms = 0;
    assert_eq!(founder.give_up("a", None), watch(founder.renewals, 0));
}

#[test]
fn a_founder_whose_database_nobody_else_has_is_not_waited_for() {
    let mut founder = Founder::default();
    let alone = |node| Claimant {
        hold_ms: 0,
        ..by(node, "tm1", 1)
    };
    founder.claim(&alone("a"));
    let held = founder.hold(&Holder {
        hold_ms: 0,
        ..holder("a", 1, 70_000)
    });
    assert_eq!((held, founder.reach_ms), (Hold::Free, 0));
    // Whoever opens that file from elsewhere knows nothing of who is there.
    let elsewhere = founder.claim(&Claimant {
        watched: Some(founder.renewals),
        ..alone("b")
    });
    assert_eq!(elsewhere, Verdict::Held);
    let in_its_place = founder.claim(&Claimant {
        has_the_file: true,
        ..alone("b")
    });
    assert_eq!(founded(in_its_place).0, 2);
}

#[test]
fn whoever_says_less_is_waited_for_as_long_as_it_was_told_before() {
    let mut founder = first();
    founder.hold(&holder("a", 1, 100_000));
    founder.hold(&Holder {
        hold_ms: 5_000,
        ..holder("a", 1, 50_000)
    });
    assert_eq!((founder.reach_ms, founder.hold_ms), (100_000, 55_000));
}

#[test]
fn what_is_written_down_never_goes_below_what_nodes_know() {
    // Set back to before anybody founded; somebody has heard of a second generation.
    let mut founder = Founder::default();
    let knows = Claimant {
        known: 2,
        ..by("b", "tm1", 1)
    };
    assert_eq!(founder.claim(&knows), Verdict::Held);
    assert_eq!(founder.claim(&by("b", "tm1", 1)), Verdict::Held);
    let unheard = founder.clone();
    // Whoever founded it is there.
    assert_eq!(founder.hold(&holder("a", 2, 70_000)), Hold::Until(70_000));
    assert_eq!((founder.generation, founder.node.as_str()), (2, "a"));
    assert_eq!(founder.claim(&knows), Verdict::Held);
    // Or it is not.
    let mut founder = unheard;
    assert_eq!(claimed(&mut founder, "b", 1), (3, Before::Scattered));
    assert_eq!(founder.hold(&holder("a", 2, 70_000)), Hold::Lost);
}

#[test]
fn a_leader_brings_up_what_was_set_back() {
    let mut founder = first();
    let set_back = founder.clone();
    claimed(&mut founder, "b", 1);
    founder = set_back;
    assert_eq!(founder.hold(&holder("b", 2, 70_000)), Hold::Until(70_000));
    assert_eq!(founder.hold(&holder("a", 1, 70_000)), Hold::Lost);
    assert_eq!(claimed(&mut founder, "b", 2), (3, Before::Scattered));
    // That others decide is known again from whoever leads them.
    let mut founder = first();
    let leads = Holder {
        others: Others::Vote,
        ..holder("c", 1, 0)
    };
    assert_eq!(founder.hold(&leads), Hold::Free);
    let claim = Claimant {
        watched: Some(founder.renewals),
        ..by("b", "tm1", 1)
    };
    assert_eq!(founder.claim(&claim), Verdict::Others);
}

#[test]
fn a_second_log_of_one_generation_is_not_held() {
    let mut founder = first();
    assert_eq!(founder.hold(&holder("b", 1, 70_000)), Hold::Lost);
}

#[test]
fn a_founder_that_never_counted_goes_on_from_nothing() {
    let founding = |founder: &mut Founder, node, life| {
        let watched = Some(founder.renewals);
        let claim = founder.claim(&Claimant {
            watched,
            ..by(node, "tm1", life)
        });
        let (generation, before) = founded(claim);
        Founding { generation, before }
    };
    let mut founder = first();
    let own = founding(&mut founder, "a", 2);
    assert_eq!(own.clone().by("a", false).before, Before::Nothing);
    assert_eq!(own.clone().by("a", true), own);
    let other = founding(&mut founder, "b", 1);
    assert_eq!(
        other.clone().by("b", false),
        other,
        "the one before may have counted"
    );
}

#[test]
fn a_founding_is_above_all_that_the_founders_disk_counted_in() {
    let mut founder = Founder::default();
    let claim = founder.claim(&Claimant {
        counted_in: 3,
        ..by("a", "tm1", 7)
    });
    let (generation, before) = founded(claim);
    assert_eq!(
        (generation, before.clone()),
        (4, Before::Node("a".to_owned()))
    );
    let view = Founding { generation, before }.view("a", 5).unwrap();
    assert_eq!(Founding::generation_of_view(&view), 4);
    let settled = view.last_active.unwrap();
    assert_eq!(Founding::generation_of(settled.epoch), 4);
    assert_eq!(Founding::generation_of_view(&View::default()), 0);
}

#[test]
fn whoever_has_the_founders_name_founds_anew_until_others_decide() {
    let mut founder = first();
    let lost = Before::Node("a".to_owned());
    assert_eq!(claimed(&mut founder, "b", 1), (2, lost));
    // The old one is nobody any more, but for its name.
    assert!(!founder.share("a", Others::Vote));
    assert!(founder.share("b", Others::Vote));
    assert!(founder.share("c", Others::Vote), "one that decides by now");
    let before = founder.clone();
    for node in ["a", "b", "c"] {
        assert_eq!(founder.claim(&by(node, "tm1", 9)), Verdict::Others);
    }
    for node in ["a", "c"] {
        assert_eq!(given_up(&mut founder, node), Word::NotFounder);
    }
    founder.share("b", Others::Own);
    assert_eq!(founder, before, "it never becomes less");
}

/// Others vote with `a`, or did: `leader` says that they are there, in T 50,000.
fn voted(founder: &mut Founder, leader: &str) {
    let leads = Holder {
        others: Others::Vote,
        name: "tm9",
        t_ms: 50_000,
        ..holder(leader, 1, 50_000 + HOLD)
    };
    assert_eq!(founder.hold(&leads), Hold::Free);
}

#[test]
fn those_that_vote_are_given_up_by_an_operators_word_once_none_of_them_says_that_they_are_there() {
    let mut founder = first();
    founder.share("a", Others::Vote);
    voted(&mut founder, "c");
    let seen = founder.renewals;
    let watch = |renewals| Word::Watch {
        renewals,
        for_ms: 17_000,
    };
    for named in ["a", "tm1"] {
        assert_eq!(founder.give_up(named, None), watch(seen));
    }
    for other in ["c", "tm9", ""] {
        assert_eq!(founder.give_up(other, Some(seen)), Word::NotFounder);
    }
    // One of them leads.
    voted(&mut founder, "b");
    assert_eq!(founder.give_up("tm1", Some(seen)), watch(seen + 1));
    assert_eq!(founder.claim(&by("d", "tm1", 1)), Verdict::Others);
    assert_eq!(founder.give_up("tm1", Some(seen + 1)), Word::Taken);
    // Any node may take their place, and none of their disks has everything; also where it is the founder's.
    for (node, name) in [("d", "tm4"), ("a", "tm1")] {
        let mut founder = founder.clone();
        let Verdict::Yours { founding, after_ms } = founder.claim(&by(node, name, 1)) else {
            panic!("{founder:?}");
        };
        assert_eq!(
            (founding.generation, founding.before),
            (2, Before::Scattered)
        );
        assert_eq!(after_ms, 50_000 + (LATER - MOMENT) + 17_000);
        assert_eq!(founder.claim(&by("e", "tm5", 1)), Verdict::Others);
        let late = Holder {
            others: Others::Vote,
            ..holder("c", 1, 90_000)
        };
        assert_eq!(founder.hold(&late), Hold::Lost);
    }
    // Those that are there after all have not been replaced.
    voted(&mut founder, "c");
    let shown = (founder.node.as_str(), founder.name.as_str());
    assert_eq!(shown, ("a", "tm1"), "the founder's, whoever leads");
    let again = founder.renewals;
    assert_eq!(founder.give_up("tm1", None), watch(again));
    assert_eq!(founder.give_up("tm9", Some(again)), Word::NotFounder);
    assert_eq!(founder.claim(&by("d", "tm4", 1)), Verdict::Others);
    assert_eq!(founder.claim(&by("d", "tm9", 1)), Verdict::Others);
}

#[test]
fn those_that_voted_and_never_said_in_which_t_are_taken_to_be_a_day_ahead() {
    const DAY: i64 = 86_400_000;
    // As they were written down before leaders said so.
    let mut founder = first();
    founder.share("a", Others::Vote);
    assert_eq!((founder.said_at_ms, founder.reach_ms), (0, 0));
    assert_eq!(given_up(&mut founder, "tm1"), Word::Taken);
    let Verdict::Yours { after_ms, .. } = founder.claim(&by("d", "tm4", 1)) else {
        panic!("{founder:?}");
    };
    assert_eq!(after_ms, LATER + DAY);
}

#[test]
fn an_operators_word_about_one_that_decided_alone_says_nothing_about_those_that_vote_since() {
    let mut founder = first();
    founder.hold(&holder("a", 1, 70_000));
    assert_eq!(given_up(&mut founder, "a"), Word::Taken);
    founder.share("a", Others::Vote);
    let seen = founder.renewals;
    let watched = founder.give_up("a", None);
    assert!(matches!(watched, Word::Watch { .. }), "{watched:?}");
    assert_eq!(founder.give_up("a", Some(seen)), Word::Taken);
    // Whoever alone is left of them, and is the founder, holds it again.
    let own = holder("a", 1, 80_000);
    assert_eq!(founder.hold(&own), Hold::Until(80_000));
    assert_eq!(founder.claim(&by("d", "tm4", 1)), Verdict::Others);
    assert_eq!(founder.claim(&by("d", "tm1", 1)), Verdict::Held);
}

#[test]
fn no_disk_makes_good_what_several_counted_or_lost() {
    let mut founder = first();
    assert!(founder.share("a", Others::Own));
    assert_eq!(claimed(&mut founder, "a", 2), (2, Before::Scattered));
    assert_eq!(claimed(&mut founder, "a", 3), (3, Before::Scattered));
    let mut founder = first();
    claimed(&mut founder, "b", 1);
    // Cut short, or lost again: nobody knows.
    assert_eq!(claimed(&mut founder, "b", 2), (3, Before::Scattered));
    assert!(!Founder::default().share("a", Others::Own));
}
