//! A gateway and a control plane in a world of random delays and pauses: what a change ended is not
//! served once its answer left.

use proptest::prelude::*;

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
    /// A question comes to the control plane, which reads the head.
    Read(usize),
    /// An answer comes to the gateway.
    Answer(usize),
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
    /// A change waits for half as long.
    Impatient,
}

#[derive(Default)]
struct World {
    lease: ServingLease,
    now_ms: i64,
    head: u64,
    applied: u64,
    /// When each change was committed, by its number less one.
    committed: Vec<i64>,
    /// On the way to the control plane: numbers, and the head at that time.
    questions: Vec<(u64, u64)>,
    answers: Vec<(u64, u64)>,
}

// === impl World ===

impl World {
    /// Whether the promise holds after the event.
    fn step(&mut self, event: Event, wrong: Wrong) -> bool {
        match event {
            Event::Pass(ms) => self.now_ms += ms,
            Event::Commit => {
                self.head += 1;
                self.committed.push(self.now_ms);
            }
            Event::Ask => {
                let number = self.lease.ask(self.now_ms);
                self.questions.push((number, self.head));
            }
            Event::Read(which) => {
                if which < self.questions.len() {
                    let (number, head_then) = self.questions.remove(which);
                    let head = match wrong {
                        Wrong::OldHead => head_then.saturating_sub(1),
                        Wrong::Unapplied => 0,
                        _ => self.head,
                    };
                    self.answers.push((number, head));
                }
            }
            Event::Answer(which) => {
                if which < self.answers.len() {
                    let (mut number, head) = self.answers.remove(which);
                    if wrong == Wrong::FromTheAnswer {
                        number = self.lease.ask(self.now_ms);
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
        let serves = self.now_ms < self.lease.until_ms();
        let patience = match wrong {
            Wrong::Impatient => OVER_MS / 2,
            _ => OVER_MS,
        };
        let missing = self.committed.iter().skip(self.applied as usize);
        let answered = |at_ms: &i64| self.now_ms >= at_ms + patience;
        !serves || !missing.into_iter().any(answered)
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = prop_oneof![
        4 => (1_i64..700).prop_map(Event::Pass),
        1 => (700_i64..40_000).prop_map(Event::Pass),
        2 => Just(Event::Commit),
        4 => Just(Event::Ask),
        4 => (0_usize..3).prop_map(Event::Read),
        4 => (0_usize..3).prop_map(Event::Answer),
        3 => Just(Event::Apply),
        4 => Just(Event::Serve),
    ];
    proptest::collection::vec(one, 1..120)
}

fn keeps(events: &[Event], wrong: Wrong) -> bool {
    let mut world = World::default();
    events.iter().all(|event| world.step(*event, wrong))
}

proptest! {
    #[test]
    fn what_a_change_ended_is_not_served_once_its_answer_left(events in events()) {
        prop_assert!(keeps(&events, Wrong::Nothing));
    }
}

#[test]
fn each_thing_that_could_be_wrong_is_noticed() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    for wrong in [
        Wrong::OldHead,
        Wrong::FromTheAnswer,
        Wrong::Unapplied,
        Wrong::Impatient,
    ] {
        let mut runner = TestRunner::deterministic();
        let mut worlds = (0..20_000).map(|_| events().new_tree(&mut runner).unwrap().current());
        assert!(worlds.any(|events| !keeps(&events, wrong)), "{wrong:?}");
    }
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
