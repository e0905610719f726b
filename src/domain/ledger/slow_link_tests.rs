//! Recall rounds over links that are slower than a round used to be (L9).

use super::tests::{MINUTE, RETRY, T, ask, key, ledger, replies, step};
use super::*;
use crate::lease::{Applied, Book};

/// What is under way.
enum Letter {
    Ask(Ask),
    Said(Effect),
    /// A recall is looked at again, after so long the next time.
    Look(Recall, i64),
    /// Who waits may ask again.
    Again,
}

/// One gateway with calls that wait.
struct Gateway {
    book: Book,
    waiting: u32,
    used: u64,
    /// Whether it has put a question that was not answered.
    asks: bool,
    refused: bool,
}

/// One owner, and gateways that are so far away.
struct World {
    now_ms: i64,
    one_way_ms: i64,
    ledger: Ledger,
    gateways: Vec<Gateway>,
    /// When, in which order, for whom.
    letters: Vec<(i64, usize, usize, Letter)>,
    sent: usize,
    refusals: u32,
    reopened: u32,
}

// === impl World ===

impl World {
    fn new(limit: u64, one_way_ms: i64, waiting: &[u32]) -> Self {
        let gateway = |(number, waiting): (usize, &u32)| Gateway {
            book: Book::open(Holder::new(format!("g{number}"), 1, 1), key("a")),
            waiting: *waiting,
            used: 0,
            asks: false,
            refused: false,
        };
        Self {
            now_ms: 0,
            one_way_ms,
            ledger: ledger(limit, MINUTE),
            gateways: waiting.iter().enumerate().map(gateway).collect(),
            letters: Vec::new(),
            sent: 0,
            refusals: 0,
            reopened: 0,
        }
    }

    fn send(&mut self, after_ms: i64, whom: usize, letter: Letter) {
        self.sent += 1;
        let at_ms = self.now_ms + after_ms;
        self.letters.push((at_ms, self.sent, whom, letter));
    }

    fn run(&mut self, for_ms: i64) {
        let end_ms = self.now_ms + for_ms;
        while self.now_ms < end_ms {
            self.now_ms += 5;
            self.letters
                .sort_by_key(|(at_ms, order, ..)| (*at_ms, *order));
            let due = self.letters.iter().filter(|one| one.0 <= self.now_ms);
            let due = due.count();
            let due: Vec<_> = self.letters.drain(..due).collect();
            for (_, _, whom, letter) in due {
                self.deliver(whom, letter);
            }
            if self.now_ms % 50 == 0 {
                let said = self.ledger.step_alone(Input::Tick, T + self.now_ms);
                self.say(said);
            }
            for whom in 0..self.gateways.len() {
                self.call(whom);
            }
        }
    }

    fn deliver(&mut self, whom: usize, letter: Letter) {
        let now_ms = self.now_ms;
        match letter {
            Letter::Ask(ask) => {
                let said = self.ledger.step_alone(Input::Ask(ask), T + now_ms);
                self.say(said);
            }
            Letter::Said(Effect::Reply(reply)) => {
                let gateway = &mut self.gateways[whom];
                gateway.asks = false;
                match gateway.book.apply(&reply) {
                    Applied::Closed { .. } if gateway.waiting > 0 && !gateway.refused => {
                        gateway.refused = true;
                        self.refusals += 1;
                    }
                    Applied::Retry { after_ms } => {
                        self.gateways[whom].asks = true;
                        self.send(i64::from(after_ms), whom, Letter::Again);
                    }
                    _ => {}
                }
            }
            Letter::Said(Effect::Recall(recall)) => self.look(whom, recall, 5),
            Letter::Said(Effect::Reopen(reopen)) => {
                self.reopened += 1;
                let gateway = &mut self.gateways[whom];
                gateway.book.reopen(&reopen, now_ms);
                gateway.refused = false;
            }
            Letter::Said(other) => panic!("{other:?}"),
            Letter::Look(recall, again_ms) => self.look(whom, recall, again_ms),
            Letter::Again => self.gateways[whom].asks = false,
        }
    }

    /// As the refiller does it.
    fn look(&mut self, whom: usize, recall: Recall, again_ms: i64) {
        let (now_ms, one_way_ms) = (self.now_ms, self.one_way_ms);
        let gateway = &mut self.gateways[whom];
        let is_last_look = again_ms > 40;
        let known = (1, gateway.waiting, is_last_look);
        let answer = gateway.book.recall(&recall, known, now_ms);
        let is_whole = answer.as_ref().is_some_and(|answer| answer.emptied);
        let is_held_up = gateway.waiting > 0 && !is_whole;
        if let Some(answer) = answer {
            self.send(one_way_ms, whom, Letter::Ask(answer));
        }
        if is_held_up && !is_last_look {
            self.send(again_ms, whom, Letter::Look(recall, again_ms * 2));
        }
    }

    fn say(&mut self, said: Vec<Effect>) {
        for effect in said {
            let holder = match &effect {
                Effect::Reply(reply) => &reply.holder,
                Effect::Recall(recall) => &recall.holder,
                Effect::Reopen(reopen) => &reopen.holder,
                _ => continue,
            };
            let is_it = |gateway: &Gateway| gateway.book.holder() == holder;
            let whom = self.gateways.iter().position(is_it).unwrap();
            self.send(self.one_way_ms, whom, Letter::Said(effect));
        }
    }

    fn call(&mut self, whom: usize) {
        let (now_ms, one_way_ms) = (self.now_ms, self.one_way_ms);
        let gateway = &mut self.gateways[whom];
        while gateway.waiting > 0 && gateway.book.lease().take(1, || now_ms).is_ok() {
            gateway.waiting -= 1;
            gateway.used += 1;
        }
        if gateway.waiting > 0 && !gateway.refused && !gateway.asks {
            gateway.asks = true;
            let waiting = gateway.waiting;
            let ask = gateway.book.ask(1, (waiting, waiting), now_ms);
            self.send(one_way_ms, whom, Letter::Ask(ask));
        }
    }

    fn used(&self) -> u64 {
        self.gateways.iter().map(|gateway| gateway.used).sum()
    }
}

#[test]
fn what_lies_unused_far_away_is_given_out_before_anybody_is_refused() {
    for one_way_ms in [1, 75, 125, 150, 300] {
        let mut world = World::new(10_000, one_way_ms, &[1, 0]);
        world.run(2_000);
        assert_eq!(world.used(), 1);
        let idle = world.gateways[0].book.lease().at_hand();
        assert!(idle > 0, "it has more than it uses");
        world.gateways[1].waiting = 9_999;
        world.run(3_000);
        assert_eq!(world.gateways[1].used, 9_999, "{one_way_ms} ms");
        assert_eq!((world.refusals, world.reopened), (0, 0), "{one_way_ms} ms");
        world.gateways[0].waiting = 1;
        world.run(3_000);
        assert_eq!((world.used(), world.refusals), (10_000, 1));
    }
}

/// Nobody holds more than its calls wait for, so how long a round lasts does not matter here: the test before shows that.
#[test]
fn calls_that_wait_have_the_last_units_or_a_no_in_two_exchanges_however_far_away_they_are() {
    for limit in 1..=7 {
        for one_way_ms in [1, 75, 125, 150, 300] {
            let mut world = World::new(limit, one_way_ms, &[4, 4, 4]);
            world.run(4 * one_way_ms + 50);
            let told = |at: &Gateway| at.waiting == 0 || at.refused;
            assert!(
                world.gateways.iter().all(told),
                "{limit} at {one_way_ms} ms"
            );
            world.run(6_000);
            assert_eq!(world.used(), limit, "{limit} at {one_way_ms} ms");
            assert_eq!(world.reopened, 0, "{limit} at {one_way_ms} ms");
        }
    }
}

#[test]
fn a_gateway_that_is_gone_is_waited_for_once_and_then_for_a_tenth_of_a_second_a_key() {
    let mut ledger = ledger(1, MINUTE);
    let of = |name: &str, node, have| Ask {
        cell: key(name),
        ..ask(node, have, 1)
    };
    let mut now_ms = T;
    for name in ["a", "b", "c"] {
        ledger.step_alone(Input::Ask(of(name, "gone", 0)), now_ms);
    }
    for (name, lasts_ms) in [("a", 700), ("b", 100)] {
        let said = ledger.step_alone(Input::Ask(of(name, "g2", 0)), now_ms);
        assert_eq!(replies(&said), [("g2", 0, RETRY)]);
        assert_eq!(ledger.next_wake_ms(), Some(now_ms + lasts_ms), "{name}");
        now_ms += lasts_ms;
        let said = ledger.step_alone(Input::Tick, now_ms);
        assert_eq!(replies(&said), [("g2", 0, Outcome::Final)]);
    }
    // It was not gone: whatever it says, of whatever key, it is waited for again.
    ledger.step_alone(Input::Ask(of("c", "gone", 1)), now_ms);
    ledger.step_alone(Input::Ask(of("c", "g2", 0)), now_ms);
    assert_eq!(ledger.next_wake_ms(), Some(now_ms + 700));
}

#[test]
fn a_gateway_that_answers_late_is_waited_for_longer_the_next_time() {
    let mut ledger = ledger(1, MINUTE);
    let of = |name: &str, node, want| Ask {
        cell: key(name),
        ..ask(node, 0, want)
    };
    let mut recalled = |name: &str, took_ms, now_ms: i64| {
        ledger.step_alone(Input::Ask(of(name, "far", 1)), now_ms);
        ledger.step_alone(Input::Ask(of(name, "near", 1)), now_ms);
        let lasts_ms = ledger.next_wake_ms().unwrap() - now_ms;
        let gives_back = Ask {
            have: 1,
            returned: 1,
            ..of(name, "far", 0)
        };
        ledger.step_alone(Input::Tick, now_ms + took_ms);
        ledger.step_alone(Input::Ask(gives_back), now_ms + took_ms);
        lasts_ms
    };
    assert_eq!(recalled("a", 10, T), 700);
    assert_eq!(recalled("b", 250, T + 2_000), 100, "it was near");
    assert_eq!(recalled("c", 250, T + 4_000), 700);
}

#[test]
fn what_a_gateway_asked_before_it_was_recalled_says_nothing_of_its_link() {
    let mut ledger = ledger(1, MINUTE);
    step(&mut ledger, ask("far", 0, 1));
    step(&mut ledger, ask("near", 0, 1));
    let crosses = Ask {
        emptied: true,
        ..ask("far", 1, 1)
    };
    step(&mut ledger, crosses);
    let other = |node| Ask {
        cell: key("b"),
        ..ask(node, 0, 1)
    };
    step(&mut ledger, other("far"));
    step(&mut ledger, other("near"));
    let lasts_ms = ledger.next_wake_ms().map(|at_ms| at_ms - T);
    assert_eq!(lasts_ms, Some(700));
}
