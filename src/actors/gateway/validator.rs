//! Asks the key manager about credentials that the cache does not hold: concurrent misses for one
//! credential become one question, misses that meet travel as one batch (V1, V2).
//!
//! Requests and the follower send to it; it alone writes the token cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::{Actor, Address, AskError, BoxError, Reply, Ticker, spawn_named};
use domain::validation::{Credential, Verdict};
use domain::validation_cache::{
    Asked, Bounds, Effect, Entry, Input, Life, Questions, Refusal, Subject,
};
use foldhash::fast::FixedState;

use super::caller::{Caller, Known};
use super::state::State;
use super::token_cache::TokenKey;
use super::under_way::UnderWay;
use crate::key_manager::KeyManagerHandle;
use crate::key_manager::message::Validated;

/// The most credentials of one batch.
const BATCH: usize = 256;
/// Batches under way at most; further misses gather for the next one.
const BATCHES: usize = 4;
/// Longer than a key manager is waited for: the answer to a batch of this age is lost.
const LOST_MS: i64 = 5_000;
pub(super) const BOUNDS: Bounds = Bounds {
    questions: 4_096,
    waiters: 1_024,
    subjects: 200_000,
    patience_ms: 3_000,
};

/// What a waiter gets.
pub(super) type Looked = Result<Arc<Entry<Caller>>, Refusal>;

/// A question and what it was sent with; whichever life of this actor the answer reaches, it can tell.
pub(super) type Sent = (TokenKey, Asked);

pub(super) enum Message {
    /// A request missed the cache.
    Ask(TokenKey, Credential, Reply<Looked>),
    /// The follower applied a change; answered when no cached entry can outlive it.
    Applied(u64, Vec<Subject>, Reply<()>),
    /// The follower replaced its state.
    Installed(u64, Reply<()>),
    /// A key manager answered the batch of this number.
    Answered(u64, Vec<Sent>, Result<Validated, AskError>),
    Tick,
    /// How many credentials are kept.
    #[cfg(test)]
    Kept(Reply<usize>),
}

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) state: Arc<State>,
    pub(super) key_manager: KeyManagerHandle,
    /// What outlives this actor's lives.
    pub(super) lives: Arc<Mutex<Lives>>,
}

/// The lives of the validator.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// How many were begun.
    begun: u64,
    last: Option<Life>,
}

type Machine = Questions<TokenKey, Reply<Looked>, Caller>;

pub(super) struct Validator {
    arguments: Arguments,
    me: Address<Message>,
    questions: Machine,
    /// Of the questions that are open, and of no others: a flood leaves nothing behind.
    credentials: HashMap<TokenKey, Credential, FixedState>,
    /// To be sent with the next batch.
    due: Vec<Sent>,
    under_way: UnderWay,
    _ticker: Ticker,
}

impl Actor for Validator {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.validator";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        let questions = Self::live(&arguments);
        Ok(Self {
            questions,
            arguments,
            credentials: HashMap::default(),
            due: Vec::new(),
            under_way: UnderWay::default(),
            _ticker: Ticker::start(me.clone(), Duration::from_millis(250), || Message::Tick),
            me,
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        match message {
            Message::Ask(question, credential, waiter) => self.ask(question, credential, waiter),
            Message::Applied(n, subjects, done) => {
                self.step(Input::Applied { n, subjects });
                done.send(());
            }
            Message::Installed(n, done) => {
                self.step(Input::Installed { n });
                self.arguments.state.tokens.clear();
                done.send(());
            }
            Message::Answered(batch, sent, answer) => {
                self.under_way.end(batch);
                self.answered(sent, answer);
            }
            Message::Tick => {
                self.under_way.expire(self.boot_ms(), LOST_MS);
                self.step(Input::Tick);
            }
            #[cfg(test)]
            Message::Kept(reply) => reply.send(self.credentials.len()),
        }
        self.send_due();
        Ok(())
    }
}

// === impl Validator ===

impl Validator {
    /// The machine of a new life. What an earlier one cached, or gave to requests that still hold it, rests on touches
    /// that nobody raises any more: it ends here, before a change of this life is acknowledged.
    fn live(arguments: &Arguments) -> Machine {
        let mut lives = arguments
            .lives
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let questions = Questions::new(BOUNDS, arguments.state.applied(), lives.begun);
        lives.begun += 1;
        if let Some(last) = lives.last.replace(questions.touches().life()) {
            last.end();
        }
        arguments.state.tokens.clear();
        questions
    }

    fn now_ms(&self) -> i64 {
        self.arguments.state.clock.now_ms()
    }

    fn boot_ms(&self) -> i64 {
        super::boot_ms(&self.arguments.state.clock)
    }

    fn ask(&mut self, question: TokenKey, credential: Credential, waiter: Reply<Looked>) {
        let now_ms = self.now_ms();
        // Answered while this message lay in the mailbox.
        if let Some(entry) = self.arguments.state.tokens.current(&question, now_ms) {
            return waiter.send(Ok(entry));
        }
        self.step(Input::Ask { question, waiter });
        if self.questions.is_open(&question) {
            self.credentials.entry(question).or_insert(credential);
        }
    }

    fn answered(&mut self, sent: Vec<Sent>, answer: Result<Validated, AskError>) {
        match answer {
            Ok(Validated::Verdicts(verdicts)) if verdicts.len() == sent.len() => {
                for ((question, asked), verdict) in sent.into_iter().zip(verdicts) {
                    self.verdict(question, asked, verdict);
                }
            }
            Ok(Validated::Behind { .. }) => {
                for (question, asked) in sent {
                    self.step(Input::Behind { question, asked });
                }
            }
            Ok(Validated::Verdicts(_) | Validated::Unavailable) | Err(_) => {
                for (question, asked) in sent {
                    self.step(Input::Failed { question, asked });
                }
            }
        }
    }

    fn verdict(&mut self, question: TokenKey, asked: Asked, verdict: Verdict) {
        let Some(credential) = self.credentials.get(&question) else {
            return;
        };
        let known = Known::of(credential, verdict, self.now_ms());
        self.step(Input::Reply {
            question,
            asked,
            number: known.number,
            subjects: known.subjects,
            until_ms: known.until_ms,
            value: known.caller,
        });
    }

    /// One step of the machine with its effects, and the steps that follow from them.
    fn step(&mut self, input: Input<TokenKey, Reply<Looked>, Caller>) {
        let now_ms = self.now_ms();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.questions.step(input, now_ms) {
                match effect {
                    Effect::Send { question, asked } => self.due.push((question, asked)),
                    Effect::Insert { question, entry } => {
                        self.arguments.state.tokens.insert(question, entry);
                        inputs.push(Input::Inserted { question });
                    }
                    Effect::Remove { question } => self.arguments.state.tokens.remove(&question),
                    Effect::Answer {
                        question,
                        waiters,
                        entry,
                    } => {
                        self.forget(&question);
                        for waiter in waiters {
                            waiter.send(Ok(Arc::clone(&entry)));
                        }
                    }
                    Effect::Refuse {
                        question,
                        waiters,
                        refusal,
                    } => {
                        self.forget(&question);
                        for waiter in waiters {
                            waiter.send(Err(refusal));
                        }
                    }
                }
            }
        }
    }

    /// Lets go of a credential that nobody waits for any more.
    fn forget(&mut self, question: &TokenKey) {
        if !self.questions.is_open(question) {
            self.credentials.remove(question);
        }
    }

    /// Sends what is due; while batches are under way, misses gather for the next one.
    fn send_due(&mut self) {
        while !self.due.is_empty() && self.under_way.len() < BATCHES {
            let rest = self.due.split_off(self.due.len().min(BATCH));
            let wanted = std::mem::replace(&mut self.due, rest);
            let (sent, credentials): (Vec<_>, Vec<_>) = wanted
                .into_iter()
                .filter_map(|sent| Some((sent, self.credentials.get(&sent.0)?.clone())))
                .unzip();
            // The key manager must have applied what each of the questions was sent with (V1).
            let Some(applied) = sent.iter().map(|(_, asked)| asked.applied()).max() else {
                continue;
            };
            let batch = self.under_way.begin(self.boot_ms());
            let (me, key_manager) = (self.me.clone(), self.arguments.key_manager.clone());
            spawn_named("validate", async move {
                let answer = key_manager.validate_many(applied, credentials).await;
                if !matches!(answer, Ok(Validated::Verdicts(_))) {
                    // The machine asks again at once; a key manager that is behind needs a moment.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // A full mailbox loses it; then its questions run out of time, and so does the batch.
                let _ = me.tell(Message::Answered(batch, sent, answer));
            });
        }
    }
}
