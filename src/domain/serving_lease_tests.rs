//! A gateway and a control plane in a world of random delays, pauses and clocks of different paces: what
//! a change ended is not served once its answer left.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Time passes, as it does while everything stands still.
    Pass(i64),
    /// A change is committed.
    Commit,
    /// The gateway asks.
    Ask,
    /// A question comes to the control plane, which reads the head; whether it may come again.
    Read(usize, bool),
    /// An answer comes to the gateway; so may that.
    Answer(usize, bool),
    /// The gateway applies the next change.
    Apply,
    /// A call is answered.
    Serve,
}

/// What is wrong in a world, so that the test can be seen to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// The control plane names a head that it read before it was asked.
    OldHead,
    /// The lease counts from when its answer came.
    FromTheAnswer,
    /// A lease needs nothing applied.
    Unapplied,
    /// A change waits for as long as a lease lasts.
    Impatient,
}

/// How fast the clocks of the gateway and of the control plane run, in thousandths. Of two one is less
/// than a twentieth faster, which is what a change waits for beyond a lease (S3).
#[derive(Debug, Clone, Copy)]
struct Paces {
    gateway: i64,
    control: i64,
}

const SLOWEST: i64 = 976;
const FASTEST: i64 = 1_024;
const ALIKE: Paces = Paces {
    gateway: 1_000,
    control: 1_000,
};

struct World {
    paces: Paces,
    lease: ServingLease,
    now_ms: i64,
    head: u64,
    applied: u64,
    /// When each change was committed by the control plane's clock, by its number less one.
    committed: Vec<i64>,
    /// On the way to the control plane: numbers, and the head at that time.
    questions: Vec<(u64, u64)>,
    answers: Vec<(u64, u64)>,
}

// === impl World ===

impl World {
    fn new(paces: Paces) -> Self {
        Self {
            paces,
            lease: ServingLease::default(),
            now_ms: 0,
            head: 0,
            applied: 0,
            committed: Vec::new(),
            questions: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn at_gateway_ms(&self) -> i64 {
        self.now_ms * self.paces.gateway / 1_000
    }

    fn at_control_ms(&self) -> i64 {
        self.now_ms * self.paces.control / 1_000
    }

    /// Whether the promise holds after the event.
    fn step(&mut self, event: Event, wrong: Wrong) -> bool {
        match event {
            Event::Pass(ms) => self.now_ms += ms,
            Event::Commit => {
                self.head += 1;
                self.committed.push(self.at_control_ms());
            }
            Event::Ask => {
                let number = self.lease.ask(self.at_gateway_ms());
                self.questions.push((number, self.head));
            }
            Event::Read(which, again) => {
                if which < self.questions.len() {
                    let (number, head_then) = taken(&mut self.questions, which, again);
                    let head = match wrong {
                        Wrong::OldHead => head_then.saturating_sub(1),
                        Wrong::Unapplied => 0,
                        _ => self.head,
                    };
                    self.answers.push((number, head));
                }
            }
            Event::Answer(which, again) => {
                if which < self.answers.len() {
                    let (mut number, head) = taken(&mut self.answers, which, again);
                    if wrong == Wrong::FromTheAnswer {
                        number = self.lease.ask(self.at_gateway_ms());
                    }
                    self.lease.answered(number, head);
                }
            }
            Event::Apply => {
                self.applied = self.head.min(self.applied + 1);
                self.lease.applied(self.applied);
            }
            Event::Serve => return self.keeps_its_word(wrong),
        }
        true
    }

    /// Nobody is served without a change whose answer has left: because it was acknowledged, or
    /// waited for long enough.
    fn keeps_its_word(&self, wrong: Wrong) -> bool {
        let serves = self.at_gateway_ms() < self.lease.until_ms();
        let patience = match wrong {
            Wrong::Impatient => LIFE_MS,
            _ => OVER_MS,
        };
        let missing = self.committed.iter().skip(self.applied as usize);
        let answered = |at_ms: &i64| self.at_control_ms() >= at_ms + patience;
        !serves || !missing.into_iter().any(answered)
    }
}

fn taken(messages: &mut Vec<(u64, u64)>, which: usize, again: bool) -> (u64, u64) {
    match again {
        true => messages[which],
        false => messages.remove(which),
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let again = || proptest::bool::weighted(0.1);
    let one = prop_oneof![
        4 => (1_i64..700).prop_map(Event::Pass),
        1 => (700_i64..40_000).prop_map(Event::Pass),
        // About as long as a lease lasts by anybody's clock.
        1 => (1_850_i64..2_150).prop_map(Event::Pass),
        2 => Just(Event::Commit),
        4 => Just(Event::Ask),
        4 => (0_usize..3, again()).prop_map(|(which, again)| Event::Read(which, again)),
        4 => (0_usize..3, again()).prop_map(|(which, again)| Event::Answer(which, again)),
        3 => Just(Event::Apply),
        4 => Just(Event::Serve),
    ];
    proptest::collection::vec(one, 1..120)
}

fn paces() -> impl Strategy<Value = Paces> {
    let pace = || prop_oneof![Just(SLOWEST), Just(FASTEST), SLOWEST..=FASTEST];
    (pace(), pace()).prop_map(|(gateway, control)| Paces { gateway, control })
}

fn keeps(events: &[Event], paces: Paces, wrong: Wrong) -> bool {
    let mut world = World::new(paces);
    events.iter().all(|event| world.step(*event, wrong))
}

proptest! {
    #[test]
    fn what_a_change_ended_is_not_served_once_its_answer_left(
        events in events(),
        paces in paces(),
    ) {
        prop_assert!(keeps(&events, paces, Wrong::Nothing));
    }
}

/// Worlds in which something is wrong show it, in so many.
fn is_noticed(wrong: Wrong, paces: impl Strategy<Value = Paces>) -> bool {
    let mut runner = TestRunner::deterministic();
    let world = (events(), paces);
    let mut worlds = (0..4_000).map(|_| world.new_tree(&mut runner).unwrap().current());
    worlds.any(|(events, paces)| !keeps(&events, paces, wrong))
}

#[test]
fn each_thing_that_could_be_wrong_is_noticed() {
    for wrong in [
        Wrong::OldHead,
        Wrong::FromTheAnswer,
        Wrong::Unapplied,
        Wrong::Impatient,
    ] {
        assert!(is_noticed(wrong, paces()), "{wrong:?}");
    }
}

#[test]
fn what_is_waited_for_beyond_a_lease_is_for_clocks_of_different_paces() {
    assert!(!is_noticed(Wrong::Impatient, Just(ALIKE)));
}

#[test]
fn a_steady_stream_of_changes_starves_nobody() {
    let mut lease = ServingLease::default();
    // Each head is applied 800 ms after it was named; by then newer ones were.
    for round in 0..20_u64 {
        let now_ms = i64::try_from(round).unwrap() * EVERY_MS;
        lease.applied(round.saturating_sub(2) * 10);
        let number = lease.ask(now_ms);
        lease.answered(number, round * 10);
        assert!(round < 2 || now_ms < lease.until_ms(), "round {round}");
    }
}

#[test]
fn whoever_stood_still_is_cut_off_only_when_nobody_answers_after() {
    let mut lease = ServingLease::default();
    let mut now_ms = 0;
    let mut round = |lease: &mut ServingLease, answered: bool, pause: i64| {
        now_ms += pause;
        lease.begin_round();
        let number = lease.ask(now_ms);
        if answered {
            lease.answered(number, 0);
        }
        (lease.is_cut_off(), now_ms < lease.until_ms())
    };
    assert_eq!(round(&mut lease, true, 0), (false, true));
    // A question goes unanswered because the process stood still for half a minute.
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    assert_eq!(round(&mut lease, true, 30_000), (false, true));
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    assert_eq!(round(&mut lease, false, EVERY_MS), (false, true));
    // As long as the lease lasts.
    assert_eq!(round(&mut lease, false, EVERY_MS), (true, false));
    assert_eq!(round(&mut lease, true, EVERY_MS), (false, true));
}

#[test]
fn whoever_forgets_what_it_had_applied_has_no_lease_that_needed_it() {
    let mut lease = ServingLease::default();
    lease.applied(7);
    let number = lease.ask(0);
    lease.answered(number, 7);
    assert_eq!(lease.until_ms(), LIFE_MS);
    lease.applied(6);
    assert_eq!(lease.until_ms(), i64::MIN);
    lease.applied(7);
    assert_eq!(lease.until_ms(), i64::MIN, "it asks anew");
}

#[test]
fn whoever_is_told_to_begin_anew_is_not_cut_off_and_has_no_lease() {
    let mut lease = ServingLease::default();
    for round in 0..20 {
        lease.begin_round();
        lease.ask(round * EVERY_MS);
        lease.refused();
    }
    assert!(!lease.is_cut_off());
    assert_eq!(lease.until_ms(), i64::MIN);
}

#[test]
fn nothing_follows_from_answers_of_another_history() {
    let mut lease = ServingLease::default();
    let number = lease.ask(0);
    lease.answered(number, 0);
    let other = lease.ask(1);
    lease.begin_anew();
    assert_eq!(lease.until_ms(), i64::MIN);
    lease.answered(other, 0);
    assert_eq!(lease.until_ms(), i64::MIN);
}
