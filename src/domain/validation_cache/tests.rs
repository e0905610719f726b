//! The rules of V2 and V3, one by one; `simulation` drives them all together.

use std::sync::Arc;

use super::*;

type Machine = Questions<u8, u32, &'static str>;

const BOUNDS: Bounds = Bounds {
    questions: 2,
    waiters: 2,
    subjects: 3,
    patience_ms: 1_000,
};

fn subject(id: &str) -> Subject {
    Subject::new(SubjectKind::Application, "carbon.super", id)
}

fn reply(
    question: u8,
    asked: Asked,
    number: u64,
    subjects: &[&str],
) -> Input<u8, u32, &'static str> {
    let subjects = subjects.iter().map(|id| subject(id)).collect();
    Input::Reply {
        question,
        asked,
        number,
        subjects,
        until_ms: 10_000,
        value: "yes",
    }
}

fn ask(question: u8, waiter: u32) -> Input<u8, u32, &'static str> {
    Input::Ask { question, waiter }
}

/// What the one question among the effects was sent with.
fn sent(effects: &[Effect<u8, u32, &'static str>]) -> Asked {
    let mut all = effects.iter().filter_map(|effect| match effect {
        Effect::Send { asked, .. } => Some(*asked),
        _ => None,
    });
    match (all.next(), all.next()) {
        (Some(asked), None) => asked,
        _ => panic!("not one question: {effects:?}"),
    }
}

fn applied(n: u64, touched: &str) -> Input<u8, u32, &'static str> {
    let subjects = vec![subject(touched)];
    Input::Applied { n, subjects }
}

fn inserted(effects: &[Effect<u8, u32, &'static str>]) -> Arc<Entry<&'static str>> {
    match effects {
        [Effect::Insert { entry, .. }] => Arc::clone(entry),
        other => panic!("not one insert: {other:?}"),
    }
}

#[test]
fn concurrent_misses_are_one_question_and_one_answer() {
    let mut machine = Machine::new(BOUNDS, 5, 0);
    let asked = sent(&machine.step(ask(1, 10), 0));
    assert_eq!((asked.applied(), asked.attempt()), (5, 0));
    assert!(machine.step(ask(1, 11), 0).is_empty());
    let refused = machine.step(ask(1, 12), 0);
    assert!(
        matches!(&refused[..], [Effect::Refuse { question: 1, waiters, refusal: Refusal::Overloaded }] if waiters == &[12])
    );
    let entry = inserted(&machine.step(reply(1, asked, 5, &["a"]), 1));
    assert_eq!(entry.hit(1), Hit::Current(&"yes"));
    assert!(
        machine.step(reply(1, asked, 5, &["a"]), 1).is_empty(),
        "repeated"
    );
    let answered = machine.step(Input::Inserted { question: 1 }, 1);
    assert!(matches!(&answered[..], [Effect::Answer { waiters, .. }] if waiters == &[10, 11]));
    assert!(machine.is_empty());
}

#[test]
fn an_answer_that_a_change_overtook_is_taken_out_and_asked_again() {
    let mut machine = Machine::new(BOUNDS, 5, 0);
    let first = sent(&machine.step(ask(1, 10), 0));
    machine.step(applied(6, "a"), 0);
    inserted(&machine.step(reply(1, first, 5, &["a"]), 1));
    let effects = machine.step(Input::Inserted { question: 1 }, 1);
    assert!(matches!(effects[0], Effect::Remove { question: 1 }));
    let second = sent(&effects);
    assert_eq!((second.applied(), second.attempt()), (6, 1));
    inserted(&machine.step(reply(1, second, 6, &["a"]), 2));
    assert!(matches!(
        machine.step(Input::Inserted { question: 1 }, 2)[..],
        [Effect::Answer { .. }]
    ));
}

#[test]
fn a_change_between_insert_and_compare_is_seen() {
    let mut machine = Machine::new(BOUNDS, 5, 0);
    let asked = sent(&machine.step(ask(1, 10), 0));
    let entry = inserted(&machine.step(reply(1, asked, 5, &["a"]), 1));
    machine.step(applied(6, "a"), 1);
    assert_eq!(entry.hit(1), Hit::Touched);
    assert!(matches!(
        machine.step(Input::Inserted { question: 1 }, 1)[..],
        [Effect::Remove { .. }, Effect::Send { .. }]
    ));
}

#[test]
fn what_the_key_manager_knew_beyond_the_gateway_counts_for_nothing() {
    let mut machine = Machine::new(BOUNDS, 50, 0);
    let asked = sent(&machine.step(ask(1, 10), 0));
    let entry = inserted(&machine.step(reply(1, asked, 100, &["a"]), 0));
    machine.step(Input::Inserted { question: 1 }, 0);
    assert_eq!((entry.number(), entry.hit(0)), (50, Hit::Current(&"yes")));
    // A backup of entry 50 was restored: this is another 60 than the key manager knew, and no snapshot told of it.
    machine.step(applied(60, "a"), 0);
    assert_eq!(entry.hit(0), Hit::Touched);
}

#[test]
fn an_answer_to_a_question_from_before_a_snapshot_is_not_used() {
    let mut machine = Machine::new(BOUNDS, 100, 0);
    let before = sent(&machine.step(ask(1, 10), 0));
    let after = sent(&machine.step(Input::Installed { n: 52 }, 0));
    assert_eq!((after.applied(), after.attempt()), (52, 1));
    machine.step(applied(53, "a"), 0);
    let failed = Input::Failed {
        question: 1,
        asked: before,
    };
    assert!(machine.step(failed, 0).is_empty(), "no news of this one");
    assert!(machine.step(reply(1, before, 100, &["a"]), 0).is_empty());
    inserted(&machine.step(reply(1, after, 53, &["b"]), 0));
    assert!(matches!(
        machine.step(Input::Inserted { question: 1 }, 0)[..],
        [Effect::Answer { .. }]
    ));
}

#[test]
fn an_answer_to_an_earlier_life_is_not_used() {
    let first = sent(&Machine::new(BOUNDS, 5, 0).step(ask(1, 10), 0));
    let mut machine = Machine::new(BOUNDS, 5, 1);
    machine.step(ask(1, 11), 0);
    assert!(machine.step(reply(1, first, 5, &["a"]), 0).is_empty());
    assert_eq!(machine.len(), 1);
}

#[test]
fn a_late_answer_helps_and_a_late_failure_does_no_harm() {
    let mut machine = Machine::new(BOUNDS, 5, 0);
    let first = sent(&machine.step(ask(1, 10), 0));
    sent(&machine.step(Input::Tick, 1_000));
    let failed = Input::Failed {
        question: 1,
        asked: first,
    };
    assert!(machine.step(failed, 1_001).is_empty());
    inserted(&machine.step(reply(1, first, 5, &["a"]), 1_002));
    assert!(matches!(
        machine.step(Input::Inserted { question: 1 }, 1_002)[..],
        [Effect::Answer { .. }]
    ));
}

#[test]
fn a_hit_ends_with_the_change_that_touches_it_or_with_its_time() {
    let mut touches = Touches::new(8, 0);
    let entry = Entry::new("no", 3, 100, touches.watch(&[subject("a"), subject("b")]));
    touches.touch(&subject("c"), 4);
    touches.touch(&subject("b"), 3);
    assert_eq!(entry.hit(99), Hit::Current(&"no"));
    assert_eq!(entry.hit(100), Hit::Expired);
    touches.touch(&subject("b"), 4);
    assert_eq!(entry.hit(99), Hit::Touched);
}

#[test]
fn what_was_forgotten_raises_the_floor_and_kills_what_rests_on_it() {
    let mut touches = Touches::new(2, 1);
    let a = Entry::new("a", 9, 100, touches.watch(&[subject("a")]));
    touches.touch(&subject("b"), 7);
    touches.touch(&subject("c"), 8);
    assert_eq!(touches.len(), 2);
    assert_eq!(a.hit(0), Hit::Touched, "its subject was forgotten");
    touches.touch(&subject("d"), 9);
    assert!(touches.floor() >= 7, "{}", touches.floor());
    let old = Entry::new(
        "x",
        touches.floor() - 1,
        100,
        touches.watch(&[subject("x")]),
    );
    assert_eq!(
        old.hit(0),
        Hit::Touched,
        "an unknown subject may have been touched up to the floor"
    );
}

#[test]
fn an_answer_below_the_floor_is_asked_again_even_without_subjects() {
    let mut machine = Machine::new(BOUNDS, 5, 0);
    let asked = sent(&machine.step(ask(1, 10), 0));
    let again = sent(&machine.step(reply(1, asked, 4, &[]), 0));
    assert_eq!(again.attempt(), 1);
}

#[test]
fn a_snapshot_kills_every_entry_even_without_subjects() {
    for subjects in [&["a"][..], &[]] {
        let mut machine = Machine::new(BOUNDS, 5, 0);
        let asked = sent(&machine.step(ask(1, 10), 0));
        let entry = inserted(&machine.step(reply(1, asked, 5, subjects), 0));
        assert!(matches!(
            machine.step(Input::Installed { n: 3 }, 0)[..],
            [Effect::Remove { .. }, Effect::Send { .. }]
        ));
        assert_eq!(entry.hit(0), Hit::Touched);
        assert!(machine.step(Input::Inserted { question: 1 }, 0).is_empty());
    }
}

#[test]
fn when_a_life_ends_no_entry_of_it_holds_any_longer() {
    let mut touches = Touches::new(8, 0);
    let about = Entry::new("no", 3, 100, touches.watch(&[subject("a")]));
    let nothing = Entry::new("no", 3, 100, touches.watch(&[]));
    assert_eq!(about.hit(1), Hit::Current(&"no"));
    assert_eq!(nothing.hit(1), Hit::Current(&"no"));
    touches.life().end();
    assert_eq!(about.hit(1), Hit::Touched);
    assert_eq!(nothing.hit(1), Hit::Touched);
    let next = Touches::new(8, 3).watch(&[subject("a")]);
    assert_eq!(Entry::new("yes", 3, 100, next).hit(1), Hit::Current(&"yes"));
}

#[test]
fn a_question_that_nobody_answers_ends_with_a_refusal() {
    let mut machine = Machine::new(BOUNDS, 0, 0);
    machine.step(ask(1, 10), 0);
    let mut sent = 0;
    for now in 1..10_000 {
        for effect in machine.step(Input::Tick, now) {
            match effect {
                Effect::Send { .. } => sent += 1,
                Effect::Refuse {
                    waiters, refusal, ..
                } => {
                    assert_eq!(
                        (waiters, refusal, sent),
                        (vec![10], Refusal::Unreachable, 3)
                    );
                    assert!(machine.is_empty());
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("still waiting");
}

#[test]
fn questions_beyond_the_bound_are_refused_at_once() {
    let mut machine = Machine::new(BOUNDS, 0, 0);
    machine.step(ask(1, 10), 0);
    machine.step(ask(2, 11), 0);
    let refused = machine.step(ask(3, 12), 0);
    assert!(matches!(
        refused[..],
        [Effect::Refuse {
            refusal: Refusal::Overloaded,
            ..
        }]
    ));
    assert_eq!(machine.len(), 2);
}
