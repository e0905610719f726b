//! Questions to the key manager that are under way (PROTOCOLS V1, V2): concurrent misses for one credential become one
//! question, and an answer reaches those who wait only after it was put into the cache and found current there.
//!
//! The driver is the gateway's validation actor; it owns the cache, sends what [`Effect::Send`] says and answers the
//! waiters.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Entry, Hit, Subject, Touches};

/// How often one question is put before those who wait are told that no answer settles.
const ATTEMPTS: u32 = 4;

/// What the machine may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Different questions under way.
    pub questions: usize,
    /// Waiters on one question.
    pub waiters: usize,
    /// Subjects whose last change is remembered.
    pub subjects: usize,
    /// A question without an answer for so long has failed, milliseconds.
    pub patience_ms: i64,
}

/// Why a waiter gets no entry. All are 503 with `Retry-After`, never 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Too many questions or waiters.
    Overloaded,
    /// No key manager answered.
    Unreachable,
    /// Every answer was overtaken by a change.
    Unsettled,
}

/// What the machine is told. `Q` names a question (the hash of a credential), `W` a waiter.
#[derive(Debug, Clone)]
pub enum Input<Q, W, T> {
    /// A request missed the cache.
    Ask {
        /// Its question.
        question: Q,
        /// Itself.
        waiter: W,
    },
    /// A key manager answered.
    Reply {
        /// The question.
        question: Q,
        /// The change-log number the answer is true at (V1).
        number: u64,
        /// Everything the answer rests on.
        subjects: Vec<Subject>,
        /// The earliest of expiry and cache limit, milliseconds.
        until_ms: i64,
        /// The answer, positive or negative.
        value: T,
    },
    /// The driver has put the entry into the cache: compare now (V2).
    Inserted {
        /// The question.
        question: Q,
    },
    /// The key manager has not applied what this gateway has (V1).
    Behind {
        /// The question.
        question: Q,
    },
    /// No key manager could be reached or answered in time.
    Failed {
        /// The question.
        question: Q,
    },
    /// The gateway applied change `n`, which touched these subjects.
    Applied {
        /// The change's number.
        n: u64,
        /// What it touched.
        subjects: Vec<Subject>,
    },
    /// The gateway's state was replaced by a snapshot true at `n`.
    Installed {
        /// The snapshot's number.
        n: u64,
    },
    /// Time passed.
    Tick,
}

/// What the machine wants done, in this order.
#[derive(Debug, Clone)]
pub enum Effect<Q, W, T> {
    /// Put the question to a key manager that has applied at least `applied` (V1).
    Send {
        /// The question.
        question: Q,
        /// The number this gateway has applied.
        applied: u64,
        /// 0 at first; another key manager may be better at each further attempt.
        attempt: u32,
    },
    /// Put the entry into the cache, then say [`Input::Inserted`].
    Insert {
        /// Where.
        question: Q,
        /// What.
        entry: Arc<Entry<T>>,
    },
    /// Take the entry out of the cache again: a change overtook it.
    Remove {
        /// Where.
        question: Q,
    },
    /// Give the waiters the entry; each tests it once more with [`Entry::hit`] when it wakes.
    Answer {
        /// To whom.
        waiters: Vec<W>,
        /// What.
        entry: Arc<Entry<T>>,
    },
    /// Tell the waiters that there is no answer.
    Refuse {
        /// Whom.
        waiters: Vec<W>,
        /// Why.
        refusal: Refusal,
    },
}

/// The questions under way, and the touches their answers are compared with.
#[derive(Debug)]
pub struct Questions<Q, W, T> {
    bounds: Bounds,
    touches: Touches,
    applied: u64,
    open: BTreeMap<Q, Open<W, T>>,
}

#[derive(Debug)]
struct Open<W, T> {
    waiters: Vec<W>,
    attempt: u32,
    asked_at_ms: i64,
    /// The entry that the driver is putting into the cache.
    inserting: Option<Arc<Entry<T>>>,
}

// === impl Questions ===

impl<Q: Ord + Clone, W, T> Questions<Q, W, T> {
    /// An empty machine of a gateway whose state is true at `applied`.
    pub fn new(bounds: Bounds, applied: u64) -> Self {
        Self {
            bounds,
            touches: Touches::new(bounds.subjects, applied),
            applied,
            open: BTreeMap::new(),
        }
    }

    /// How many questions are under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The touches, to look at.
    pub fn touches(&self) -> &Touches {
        &self.touches
    }

    /// One step; the effects are to be carried out in order.
    pub fn step(&mut self, input: Input<Q, W, T>, now_ms: i64) -> Vec<Effect<Q, W, T>> {
        let mut out = Vec::new();
        match input {
            Input::Ask { question, waiter } => self.ask(question, waiter, now_ms, &mut out),
            Input::Reply {
                question,
                number,
                subjects,
                until_ms,
                value,
            } => {
                // An answer below the floor is not even looked at: it cannot know what was forgotten.
                if number < self.touches.floor() {
                    self.again(&question, now_ms, Refusal::Unsettled, &mut out);
                } else if let Some(open) = self.open.get_mut(&question) {
                    let touches = self.touches.watch(&subjects);
                    let entry = Arc::new(Entry::new(value, number, until_ms, touches));
                    open.inserting = Some(Arc::clone(&entry));
                    out.push(Effect::Insert { question, entry });
                }
            }
            Input::Inserted { question } => self.inserted(question, now_ms, &mut out),
            Input::Behind { question } => {
                self.again(&question, now_ms, Refusal::Unsettled, &mut out)
            }
            Input::Failed { question } => {
                self.again(&question, now_ms, Refusal::Unreachable, &mut out)
            }
            Input::Applied { n, subjects } => {
                for subject in &subjects {
                    self.touches.touch(subject, n);
                }
                self.applied = self.applied.max(n);
            }
            Input::Installed { n } => {
                self.touches.reset(n);
                self.applied = n;
            }
            Input::Tick => self.tick(now_ms, &mut out),
        }
        out
    }

    fn ask(&mut self, question: Q, waiter: W, now_ms: i64, out: &mut Vec<Effect<Q, W, T>>) {
        let crowded = self.open.len() >= self.bounds.questions;
        match self.open.get_mut(&question) {
            Some(open) if open.waiters.len() < self.bounds.waiters => open.waiters.push(waiter),
            None if !crowded => {
                let open = Open {
                    waiters: vec![waiter],
                    attempt: 0,
                    asked_at_ms: now_ms,
                    inserting: None,
                };
                self.open.insert(question.clone(), open);
                out.push(Effect::Send {
                    question,
                    applied: self.applied,
                    attempt: 0,
                });
            }
            _ => out.push(Effect::Refuse {
                waiters: vec![waiter],
                refusal: Refusal::Overloaded,
            }),
        }
    }

    /// The entry is in the cache: from now on every change that touches it is seen there, so compare (V2).
    fn inserted(&mut self, question: Q, now_ms: i64, out: &mut Vec<Effect<Q, W, T>>) {
        let Some(entry) = self
            .open
            .get_mut(&question)
            .and_then(|open| open.inserting.take())
        else {
            return;
        };
        if entry.number() < self.touches.floor() || matches!(entry.hit(i64::MIN), Hit::Touched) {
            out.push(Effect::Remove {
                question: question.clone(),
            });
            self.again(&question, now_ms, Refusal::Unsettled, out);
        } else if let Some(open) = self.open.remove(&question) {
            out.push(Effect::Answer {
                waiters: open.waiters,
                entry,
            });
        }
    }

    /// Puts the question again, or gives up with `refusal`.
    fn again(
        &mut self,
        question: &Q,
        now_ms: i64,
        refusal: Refusal,
        out: &mut Vec<Effect<Q, W, T>>,
    ) {
        let Some(open) = self.open.get_mut(question) else {
            return;
        };
        open.attempt += 1;
        open.inserting = None;
        if open.attempt < ATTEMPTS {
            open.asked_at_ms = now_ms;
            out.push(Effect::Send {
                question: question.clone(),
                applied: self.applied,
                attempt: open.attempt,
            });
        } else if let Some(open) = self.open.remove(question) {
            out.push(Effect::Refuse {
                waiters: open.waiters,
                refusal,
            });
        }
    }

    fn tick(&mut self, now_ms: i64, out: &mut Vec<Effect<Q, W, T>>) {
        let patience = self.bounds.patience_ms;
        let late: Vec<Q> = self
            .open
            .iter()
            .filter(|(_, open)| now_ms.saturating_sub(open.asked_at_ms) >= patience)
            .map(|(question, _)| question.clone())
            .collect();
        for question in late {
            self.again(&question, now_ms, Refusal::Unreachable, out);
        }
    }
}
