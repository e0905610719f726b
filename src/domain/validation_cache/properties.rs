//! Properties of V2, against a model that remembers everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    questions: 3,
    waiters: 3,
    subjects: 4,
    patience_ms: 100,
};

/// What happens to touches.
#[derive(Debug, Clone)]
enum Happening {
    Touch(u8),
    /// An entry about these, true so many changes ago.
    Enter(Vec<u8>, u64),
    Replace,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..8u8).prop_map(Happening::Touch),
        4 => (prop::collection::vec(0..8u8, 0..4), 0..4u64)
            .prop_map(|(about, ago)| Happening::Enter(about, ago)),
        1 => Just(Happening::Replace),
    ]
}

fn subjects(about: &[u8]) -> Vec<Subject> {
    about
        .iter()
        .map(|id| Subject::new(SubjectKind::Application, "carbon.super", id.to_string()))
        .collect()
}

/// An entry, what it is about, its number, and whether the state was replaced since.
struct Kept {
    entry: Entry<()>,
    about: Vec<u8>,
    number: u64,
    replaced: bool,
}

/// What is told to the machine of questions.
#[derive(Debug, Clone)]
enum Told {
    Ask(u8),
    /// One of the questions sent, the oldest first; repeated and late ones too.
    Reply(usize, u64),
    Behind(usize),
    Failed(usize),
    Inserted(u8),
    Applied(u8),
    Installed(u64),
    Pass(i64),
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        4 => (0..5u8).prop_map(Told::Ask),
        4 => (0..40usize, 0..3u64).prop_map(|(which, beyond)| Told::Reply(which, beyond)),
        1 => (0..40usize).prop_map(Told::Behind),
        1 => (0..40usize).prop_map(Told::Failed),
        4 => (0..5u8).prop_map(Told::Inserted),
        3 => (0..8u8).prop_map(Told::Applied),
        1 => (0..40u64).prop_map(Told::Installed),
        2 => (1..120i64).prop_map(Told::Pass),
    ]
}

/// The machine, and what the world knows of its questions.
struct Watched {
    machine: Questions<u8, usize, ()>,
    sent: Vec<(u8, Asked)>,
    /// How often each waiter was told something.
    told: Vec<u32>,
    entries: Vec<Arc<Entry<()>>>,
    now_ms: i64,
    applied: u64,
}

impl Watched {
    fn input(&mut self, told: Told) -> Option<Input<u8, usize, ()>> {
        let sent = |which: usize| self.sent.get(which % self.sent.len().max(1)).copied();
        Some(match told {
            Told::Ask(question) => {
                self.told.push(0);
                let waiter = self.told.len() - 1;
                Input::Ask { question, waiter }
            }
            Told::Reply(which, beyond) => {
                let (question, asked) = sent(which)?;
                Input::Reply {
                    question,
                    asked,
                    number: asked.applied() + beyond,
                    subjects: subjects(&[question, question + 1]),
                    until_ms: i64::MAX,
                    value: (),
                }
            }
            Told::Behind(which) => {
                let (question, asked) = sent(which)?;
                Input::Behind { question, asked }
            }
            Told::Failed(which) => {
                let (question, asked) = sent(which)?;
                Input::Failed { question, asked }
            }
            Told::Inserted(question) => Input::Inserted { question },
            Told::Applied(id) => {
                self.applied += 1;
                Input::Applied {
                    n: self.applied,
                    subjects: subjects(&[id]),
                }
            }
            Told::Installed(n) => {
                self.applied = n;
                Input::Installed { n }
            }
            Told::Pass(ms) => {
                self.now_ms += ms;
                Input::Tick
            }
        })
    }

    fn step(&mut self, input: Input<u8, usize, ()>) -> Result<(), TestCaseError> {
        for effect in self.machine.step(input, self.now_ms) {
            match effect {
                Effect::Send { question, asked } => {
                    prop_assert_eq!(asked.applied(), self.applied);
                    self.sent.push((question, asked));
                }
                Effect::Insert { entry, .. } => self.entries.push(entry),
                Effect::Remove { .. } => {}
                Effect::Answer { waiters, entry, .. } => {
                    prop_assert_eq!(entry.hit(0), Hit::Current(&()));
                    self.over(&waiters);
                }
                Effect::Refuse { waiters, .. } => self.over(&waiters),
            }
        }
        prop_assert!(self.machine.len() <= BOUNDS.questions);
        prop_assert!(self.machine.touches().len() <= BOUNDS.subjects);
        Ok(())
    }

    fn over(&mut self, waiters: &[usize]) {
        for waiter in waiters {
            self.told[*waiter] += 1;
        }
    }
}

proptest! {
    #[test]
    fn no_entry_outlives_a_change_however_little_is_remembered(
        happenings in prop::collection::vec(happening(), 1..80),
        capacity in 1..6usize,
    ) {
        let mut touches = Touches::new(capacity, 0);
        let mut last: BTreeMap<u8, u64> = BTreeMap::new();
        let mut kept: Vec<Kept> = Vec::new();
        let mut n = 0;
        for happening in happenings {
            match happening {
                Happening::Touch(id) => {
                    n += 1;
                    touches.touch(&subjects(&[id])[0], n);
                    last.insert(id, n);
                }
                Happening::Enter(about, ago) => {
                    let number = n.saturating_sub(ago);
                    let entry = Entry::new((), number, i64::MAX, touches.watch(&subjects(&about)));
                    if number >= touches.floor() {
                        kept.push(Kept { entry, about, number, replaced: false });
                    }
                }
                Happening::Replace => {
                    touches.reset(n);
                    kept.iter_mut().for_each(|kept| kept.replaced = true);
                }
            }
            prop_assert!(touches.len() <= capacity);
            for kept in kept.iter().filter(|kept| kept.entry.hit(0) == Hit::Current(&())) {
                prop_assert!(!kept.replaced);
                for id in &kept.about {
                    prop_assert!(last.get(id).is_none_or(|last| *last <= kept.number));
                }
            }
        }
    }

    #[test]
    fn every_waiter_is_told_once_and_nobody_of_what_a_change_overtook(
        all in prop::collection::vec(told(), 1..120),
    ) {
        let mut watched = Watched {
            machine: Questions::new(BOUNDS, 0, 0),
            sent: Vec::new(),
            told: Vec::new(),
            entries: Vec::new(),
            now_ms: 0,
            applied: 0,
        };
        for told in all {
            if let Some(input) = watched.input(told) {
                watched.step(input)?;
            }
        }
        // Silence ends every question.
        for _ in 0..4 {
            watched.now_ms += BOUNDS.patience_ms;
            watched.step(Input::Tick)?;
        }
        prop_assert!(watched.machine.is_empty());
        prop_assert!(watched.told.iter().all(|times| *times == 1), "{:?}", watched.told);
        watched.step(Input::Installed { n: 0 })?;
        let dead = watched.entries.iter().all(|entry| entry.hit(0) == Hit::Touched);
        prop_assert!(dead, "an entry outlived a snapshot");
    }
}
