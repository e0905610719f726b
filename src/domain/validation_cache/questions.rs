//! Questions to the key manager that are under way (PROTOCOLS V1, V2): concurrent misses for one credential become one
//! question, and an answer reaches those who wait only after it was put into the cache and found current there.
//!
//! The driver is the gateway's validation actor; it owns the cache, sends what [`Effect::Send`] says and answers the
//! waiters.
//!
//! An answer counts as true at what the gateway had applied when it asked, however much more the key manager knew: what
//! lies beyond may be of a history that a restored backup ends without the gateway ever having followed it. And an answer
//! to a question from before a snapshot is not used at all: what the gateway had applied then may be of such a history.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Entry, Hit, Subject, Touches};
#[cfg(test)]
use crate::simulation::Planted;

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

/// What a question was sent with; its answer says it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The life of the machine that asked: a restarted one uses no answer to its predecessor.
    life: u64,
    /// How many snapshots this life had seen.
    epoch: u64,
    /// 0 at first; another key manager may be better at each further attempt.
    attempt: u32,
    /// The number that the gateway had applied; the key manager must have applied it too (V1).
    applied: u64,
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
        /// What it was sent with.
        asked: Asked,
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
        /// What it was sent with.
        asked: Asked,
    },
    /// No key manager could be reached or answered in time.
    Failed {
        /// The question.
        question: Q,
        /// What it was sent with.
        asked: Asked,
    },
    /// The gateway applied change `n`, which touched these subjects.
    Applied {
        /// The change's number.
        n: u64,
        /// What it touched.
        subjects: Vec<Subject>,
    },
    /// The gateway's state was replaced by a snapshot true at `n`, perhaps of another history: nobody can tell whose
    /// own entry is gone.
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
    /// Put the question to a key manager that has applied at least [`Asked::applied`] (V1).
    Send {
        /// The question.
        question: Q,
        /// To be said again with the answer.
        asked: Asked,
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
        /// What they asked; it is closed.
        question: Q,
        /// To whom.
        waiters: Vec<W>,
        /// What.
        entry: Arc<Entry<T>>,
    },
    /// Tell the waiters that there is no answer.
    Refuse {
        /// What they asked; others may still wait for its answer.
        question: Q,
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
    life: u64,
    epoch: u64,
    applied: u64,
    open: BTreeMap<Q, Open<W, T>>,
    #[cfg(test)]
    planted: Option<Planted>,
}

#[derive(Debug)]
struct Open<W, T> {
    waiters: Vec<W>,
    asked: Asked,
    asked_at_ms: i64,
    /// The entry that the driver is putting into the cache, and the question it answers.
    inserting: Option<(Asked, Arc<Entry<T>>)>,
}

// === impl Asked ===

impl Asked {
    /// The number that the gateway had applied; the key manager must have applied it too (V1).
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// 0 at first; another key manager may be better at each further attempt.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

// === impl Questions ===

impl<Q: Ord + Clone, W, T> Questions<Q, W, T> {
    /// An empty machine of a gateway whose state is true at `applied`. `life` is another one for each machine that an
    /// answer can reach.
    pub fn new(bounds: Bounds, applied: u64, life: u64) -> Self {
        Self {
            bounds,
            touches: Touches::new(bounds.subjects, applied),
            life,
            epoch: 0,
            applied,
            open: BTreeMap::new(),
            #[cfg(test)]
            planted: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn plant(&mut self, planted: Option<Planted>) {
        self.planted = planted;
        self.touches.planted = planted;
    }

    /// The number that the gateway has applied, as far as the machine was told.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// How many questions are under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether somebody waits for the answer to this one.
    pub fn is_open(&self, question: &Q) -> bool {
        self.open.contains_key(question)
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
                asked,
                number,
                subjects,
                until_ms,
                value,
            } => {
                if self.counts(&question, &asked) {
                    let number = self.certain(&asked, number);
                    if number < self.touches.floor() {
                        // It cannot know what was forgotten.
                        self.failed(&question, &asked, now_ms, Refusal::Unsettled, &mut out);
                    } else {
                        let touches = self.touches.watch(&subjects);
                        let entry = Arc::new(Entry::new(value, number, until_ms, touches));
                        self.insert(question, asked, entry, &mut out);
                    }
                }
            }
            Input::Inserted { question } => self.inserted(question, now_ms, &mut out),
            Input::Behind { question, asked } => {
                self.failed(&question, &asked, now_ms, Refusal::Unsettled, &mut out)
            }
            Input::Failed { question, asked } => {
                self.failed(&question, &asked, now_ms, Refusal::Unreachable, &mut out)
            }
            Input::Applied { n, subjects } => {
                for subject in &subjects {
                    self.touches.touch(subject, n);
                }
                self.applied = self.applied.max(n);
            }
            Input::Installed { n } => self.installed(n, now_ms, &mut out),
            Input::Tick => self.tick(now_ms, &mut out),
        }
        out
    }

    fn ask(&mut self, question: Q, waiter: W, now_ms: i64, out: &mut Vec<Effect<Q, W, T>>) {
        let crowded = self.open.len() >= self.bounds.questions;
        match self.open.get_mut(&question) {
            Some(open) if open.waiters.len() < self.bounds.waiters => {
                #[cfg(test)]
                if self.planted == Some(Planted::JoiningBeginsAnew) {
                    open.asked_at_ms = now_ms;
                }
                open.waiters.push(waiter);
            }
            None if !crowded => {
                let asked = self.asked(0);
                let open = Open {
                    waiters: vec![waiter],
                    asked,
                    asked_at_ms: now_ms,
                    inserting: None,
                };
                self.open.insert(question.clone(), open);
                out.push(Effect::Send { question, asked });
            }
            _ => out.push(Effect::Refuse {
                question,
                waiters: vec![waiter],
                refusal: Refusal::Overloaded,
            }),
        }
    }

    fn asked(&self, attempt: u32) -> Asked {
        Asked {
            life: self.life,
            epoch: self.epoch,
            attempt,
            applied: self.applied,
        }
    }

    /// Whether an answer to a question sent with `asked` may be used: somebody waits for one, none is being put into the
    /// cache already, and no snapshot came between (V2).
    fn counts(&self, question: &Q, asked: &Asked) -> bool {
        #[cfg(test)]
        let any_epoch = self.planted == Some(Planted::AnswersOutliveSnapshots);
        #[cfg(not(test))]
        let any_epoch = false;
        let waits = |open: &Open<W, T>| open.inserting.is_none();
        self.open.get(question).is_some_and(waits)
            && (any_epoch || (asked.life, asked.epoch) == (self.life, self.epoch))
    }

    /// The number at which the answer is certain to be true in the history that this gateway follows.
    fn certain(&self, asked: &Asked, number: u64) -> u64 {
        #[cfg(test)]
        if self.planted == Some(Planted::AnswersCountInFull) {
            return number;
        }
        number.min(asked.applied)
    }

    fn insert(
        &mut self,
        question: Q,
        asked: Asked,
        entry: Arc<Entry<T>>,
        out: &mut Vec<Effect<Q, W, T>>,
    ) {
        #[cfg(test)]
        if self.planted == Some(Planted::CompareBeforeInsert)
            && matches!(entry.hit(i64::MIN), Hit::Touched)
        {
            return self.failed(&question, &asked, 0, Refusal::Unsettled, out);
        }
        if let Some(open) = self.open.get_mut(&question) {
            open.inserting = Some((asked, Arc::clone(&entry)));
            out.push(Effect::Insert { question, entry });
        }
    }

    /// The entry is in the cache: from now on every change that touches it is seen there, so compare (V2).
    fn inserted(&mut self, question: Q, now_ms: i64, out: &mut Vec<Effect<Q, W, T>>) {
        let Some((asked, entry)) = self
            .open
            .get_mut(&question)
            .and_then(|open| open.inserting.take())
        else {
            return;
        };
        if self.is_overtaken(&entry) {
            out.push(Effect::Remove {
                question: question.clone(),
            });
            self.failed(&question, &asked, now_ms, Refusal::Unsettled, out);
        } else if let Some(open) = self.open.remove(&question) {
            out.push(Effect::Answer {
                question,
                waiters: open.waiters,
                entry,
            });
        }
    }

    fn is_overtaken(&self, entry: &Entry<T>) -> bool {
        #[cfg(test)]
        if self.planted == Some(Planted::CompareBeforeInsert) {
            return false;
        }
        entry.number() < self.touches.floor() || matches!(entry.hit(i64::MIN), Hit::Touched)
    }

    /// Everything starts anew; what was asked before may be answered out of another history, so it is asked again.
    fn installed(&mut self, n: u64, now_ms: i64, out: &mut Vec<Effect<Q, W, T>>) {
        self.touches.reset(n);
        self.applied = n;
        self.epoch += 1;
        let questions: Vec<Q> = self.open.keys().cloned().collect();
        for question in questions {
            let open = self.open.get(&question);
            if open.is_some_and(|open| open.inserting.is_some()) {
                out.push(Effect::Remove {
                    question: question.clone(),
                });
            }
            self.again(&question, now_ms, Refusal::Unsettled, out);
        }
    }

    /// The question that was sent with `asked` has no answer that can be used. News of an attempt that was given up
    /// already changes nothing: the next one is under way.
    fn failed(
        &mut self,
        question: &Q,
        asked: &Asked,
        now_ms: i64,
        refusal: Refusal,
        out: &mut Vec<Effect<Q, W, T>>,
    ) {
        let open = self.open.get(question);
        if open.is_some_and(|open| open.asked == *asked) {
            self.again(question, now_ms, refusal, out);
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
        let Some(attempt) = self.open.get(question).map(|open| open.asked.attempt + 1) else {
            return;
        };
        let asked = self.asked(attempt);
        if attempt >= ATTEMPTS {
            if let Some(open) = self.open.remove(question) {
                out.push(Effect::Refuse {
                    question: question.clone(),
                    waiters: open.waiters,
                    refusal,
                });
            }
        } else if let Some(open) = self.open.get_mut(question) {
            open.inserting = None;
            open.asked = asked;
            open.asked_at_ms = now_ms;
            out.push(Effect::Send {
                question: question.clone(),
                asked,
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
