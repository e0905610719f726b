//! Who gets what came free in a recall round (L7, L9).

use super::tests::{MINUTE, RETRY, T, ask, goes_on_anew, key, ledger, replies, reset_of, step};
use super::*;
use crate::lease::{Applied, Book};
use crate::policy::TimeUnit;
use crate::window::WindowSpec;

#[test]
fn what_a_lease_waited_for_is_not_granted_to_the_one_after_it() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    assert_eq!(
        replies(&step(&mut ledger, ask("g2", 0, 1))),
        [("g2", 0, RETRY)]
    );
    let began_anew = Ask {
        holder: Holder::new("g2", 1, 2),
        ..ask("g2", 0, 0)
    };
    assert!(step(&mut ledger, began_anew).is_empty());
    let gives_back = Ask {
        returned: 1,
        emptied: true,
        ..ask("g1", 1, 0)
    };
    assert!(replies(&step(&mut ledger, gives_back)).is_empty());
    assert_eq!(
        replies(&step(&mut ledger, ask("g3", 0, 1))),
        [("g3", 1, Outcome::Granted)]
    );
}

#[test]
fn a_lease_that_is_begun_anew_in_a_round_is_not_silent_with_what_it_is_granted() {
    let mut ledger = ledger(2, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    step(&mut ledger, ask("g2", 0, 1));
    // A round calls both back.
    assert_eq!(
        replies(&step(&mut ledger, ask("g3", 0, 1))),
        [("g3", 0, RETRY)]
    );
    let began_anew = Ask {
        holder: Holder::new("g1", 1, 2),
        window: None,
        ..ask("g1", 0, 0)
    };
    step(&mut ledger, began_anew.clone());
    let refund = Input::Refund {
        cell: key("a"),
        units: 2,
    };
    ledger.step_alone(refund, T);
    let wants = Ask {
        want: 1,
        ..began_anew
    };
    assert_eq!(
        replies(&step(&mut ledger, wants)),
        [("g1", 1, Outcome::Granted)]
    );
    ledger.step_alone(Input::Tick, T + 1_000);
    // It holds one unused, which is called back.
    let said = ledger.step_alone(Input::Ask(ask("g2", 1, 1)), T + 1_001);
    let is_called = |effect: &Effect| match effect {
        Effect::Recall(recall) => recall.holder.node == "g1",
        _ => false,
    };
    assert!(said.iter().any(is_called), "{said:?}");
}

#[test]
fn a_reset_forgives_what_a_lease_had_that_is_over_before_it_answers() {
    let mut ledger = ledger(3, MINUTE);
    for have in 0..3 {
        step(&mut ledger, ask("g1", have, 1));
    }
    ledger.step_alone(reset_of(key("a")), T);
    let began_anew = Ask {
        holder: Holder::new("g1", 1, 2),
        ..ask("g1", 0, 1)
    };
    assert_eq!(
        replies(&step(&mut ledger, began_anew)),
        [("g1", 1, Outcome::Granted)]
    );
    let counted = ledger.counted(&key("a")).expect("it is counted");
    assert_eq!((counted.used, counted.left), (1, 2));
}

#[test]
fn calls_that_wait_are_granted_together_and_what_is_asked_ahead_of_them_is_a_lease() {
    let mut ledger = ledger(400, MINUTE);
    let of_calls = Ask {
        due: 20,
        ..ask("g1", 0, 50)
    };
    let said = step(&mut ledger, of_calls);
    assert_eq!(replies(&said), [("g1", 20, Outcome::Granted)]);
    let ahead = step(&mut ledger, ask("g1", 20, 50));
    let [("g1", granted, Outcome::Granted)] = replies(&ahead)[..] else {
        panic!("{ahead:?}")
    };
    assert!(granted < 30, "a lease of 400 is small: {granted}");
    let rest = Ask {
        due: 1_000,
        ..ask("g1", granted, 1_000)
    };
    let said = step(&mut ledger, rest);
    assert_eq!(replies(&said), [("g1", 400, Outcome::Granted)]);
}

/// A gateway at which calls wait.
struct Gateway {
    book: Book,
    waiting: u32,
    used: u64,
    refused: bool,
}

impl Gateway {
    fn new(name: &str) -> Self {
        Self {
            book: Book::open(Holder::new(name, 1, 1), key("a")),
            waiting: 4,
            used: 0,
            refused: false,
        }
    }

    /// Takes in what an owner says at one time, the recalls before the replies: they come by another way.
    fn hear(&mut self, said: &[Effect], now_ms: i64) -> Vec<Ask> {
        let holder = self.book.holder().clone();
        let known = (1, self.waiting, false);
        let recalls = said.iter().filter_map(|effect| match effect {
            Effect::Recall(recall) if recall.holder == holder => Some(recall),
            _ => None,
        });
        let recalls: Vec<&Recall> = recalls.collect();
        let answers = recalls
            .into_iter()
            .filter_map(|recall| self.book.recall(recall, known, now_ms))
            .collect();
        for effect in said {
            let Effect::Reply(reply) = effect else {
                continue;
            };
            if let Applied::Closed { .. } = self.book.apply(reply) {
                self.refused = true;
            }
        }
        while self.waiting > 0 && self.book.lease().take(1, || now_ms).is_ok() {
            self.waiting -= 1;
            self.used += 1;
        }
        answers
    }
}

/// What is used of a limit for which calls wait at three gateways. All say and hear at one time, ten times a second, as over
/// links that are slower than a round.
fn used_of(limit: u64) -> u64 {
    let mut ledger = ledger(limit, MINUTE);
    let mut gateways = ["g1", "g2", "g3"].map(Gateway::new);
    let mut asked: Vec<Ask> = Vec::new();
    for turn in 0..40 {
        let now_ms = turn * 100;
        for gateway in &mut gateways {
            if gateway.waiting > 0 && !gateway.refused {
                asked.push(gateway.book.ask(1, (0, gateway.waiting), now_ms));
            }
        }
        let mut said = Vec::new();
        for ask in asked.drain(..) {
            said.extend(ledger.step_alone(Input::Ask(ask), T + now_ms));
        }
        said.extend(ledger.step_alone(Input::Tick, T + now_ms));
        for gateway in &mut gateways {
            asked.extend(gateway.hear(&said, now_ms));
        }
    }
    let told = |gateway: &Gateway| gateway.waiting == 0 || gateway.refused;
    assert!(gateways.iter().all(told), "somebody waits for ever");
    gateways.iter().map(|gateway| gateway.used).sum()
}

#[test]
fn the_last_units_go_to_who_waits_and_not_round_the_gateways() {
    for limit in 1..=6 {
        assert_eq!(used_of(limit), limit);
    }
}

#[test]
fn what_a_lease_was_granted_after_it_had_answered_a_reset_counts_when_it_is_over() {
    let mut ledger = ledger(2, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    step(&mut ledger, ask("g2", 0, 1));
    ledger.step_alone(reset_of(key("a")), T);
    step(&mut ledger, goes_on_anew("g1"));
    let of_lease = |lease, have, want| Ask {
        holder: Holder::new("g1", 1, lease),
        ..ask("g1", have, want)
    };
    let said = step(&mut ledger, of_lease(2, 0, 1));
    assert_eq!(replies(&said), [("g1", 1, Outcome::Granted)]);
    let anew = |have, want| of_lease(3, have, want);
    // It begins anew while the reset still waits for the other one.
    let mut granted = 0;
    for said in [
        step(&mut ledger, anew(0, 2)),
        step(&mut ledger, goes_on_anew("g2")),
        step(&mut ledger, anew(0, 2)),
        step(&mut ledger, anew(1, 1)),
    ] {
        let all = replies(&said).into_iter().map(|(_, granted, _)| granted);
        granted = all.max().unwrap_or(granted);
    }
    assert_eq!(granted, 1, "one of two was granted since the reset already");
}

#[test]
fn a_reset_forgives_nothing_that_comes_out_after_it_of_a_lease_that_it_recalls() {
    let mut ledger = ledger(2, MINUTE);
    step(&mut ledger, ask("g1", 0, 1));
    ledger.step_alone(reset_of(key("a")), T);
    // An owner before this one granted that as well.
    step(&mut ledger, ask("g1", 2, 0));
    let anew = |have, want| Ask {
        holder: Holder::new("g1", 1, 2),
        ..ask("g1", have, want)
    };
    let said = step(&mut ledger, anew(0, 2));
    assert_eq!(replies(&said), [("g1", 1, Outcome::Granted)]);
    let said = step(&mut ledger, anew(1, 1));
    assert_eq!(replies(&said), [("g1", 1, Outcome::Final)]);
}

#[test]
fn a_reset_waits_for_gateways_as_long_when_a_disk_keeps_its_recalls_back() {
    let day = WindowSpec::new(TimeUnit::Day, 1);
    let of_day = |have, want| Ask {
        window: Some(day.at(T).id),
        ..ask("g1", have, want)
    };
    let mut ledger = ledger(3, day);
    let marked = |ledger: &mut Ledger, said: &[Effect], at_ms| {
        let stamps = said.iter().filter_map(|effect| match effect {
            Effect::Persist { stamp, .. } => Some(*stamp),
            _ => None,
        });
        let stamp = stamps.max().expect("a mark");
        ledger.step_alone(Input::Marked { stamp }, at_ms)
    };
    for have in 0..3 {
        let said = ledger.step_alone(Input::Ask(of_day(have, 1)), T);
        marked(&mut ledger, &said, T);
    }
    let is_called = |said: &[Effect]| said.iter().any(|said| matches!(said, Effect::Recall(_)));
    let cell = key("a");
    let said = ledger.step_alone(reset_of(cell), T);
    assert!(!is_called(&said), "it is not on disk");
    let ticked = ledger.step_alone(Input::Tick, T + 150);
    assert!(!is_called(&ticked));
    let said = marked(&mut ledger, &said, T + 200);
    assert!(is_called(&said));
    ledger.step_alone(Input::Tick, T + 290);
    ledger.step_alone(Input::Ask(goes_on_anew("g1")), T + 295);
    let counted = ledger.counted(&key("a")).expect("it is counted");
    assert_eq!((counted.used, counted.left), (0, 3));
    // And no longer than half as long again as it took of late (95 ms) for who says nothing.
    let cell = key("a");
    let next = Ask {
        holder: goes_on_anew("g1").holder,
        ..of_day(0, 1)
    };
    ledger.step_alone(Input::Ask(next), T + 295);
    let said = ledger.step_alone(reset_of(cell), T + 300);
    marked(&mut ledger, &said, T + 400);
    let stamp = ledger.stamp();
    ledger.step_alone(Input::Tick, T + 541);
    assert!(!ledger.is_settled(&key("a"), stamp));
    ledger.step_alone(Input::Tick, T + 542);
    assert!(ledger.is_settled(&key("a"), stamp));
}
