//! Asks the key manager about credentials that the cache does not hold: concurrent misses for one
//! credential become one question, misses that meet travel as one batch (V1, V2).
//!
//! Requests and the follower send to it; it alone writes the token cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, AskError, BoxError, Reply, Ticker, spawn_named};
use domain::validation::{Credential, Verdict};
use domain::validation_cache::{Asked, Bounds, Effect, Entry, Input, Questions, Refusal, Subject};
use foldhash::fast::FixedState;

use super::caller::{Caller, Known};
use super::state::State;
use super::token_cache::TokenKey;
use crate::key_manager::KeyManagerHandle;
use crate::key_manager::message::Validated;

/// The most credentials of one batch.
const BATCH: usize = 256;
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
    /// A key manager answered a batch.
    Answered(Vec<Sent>, Result<Validated, AskError>),
    Tick,
}

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) state: Arc<State>,
    pub(super) key_manager: KeyManagerHandle,
    /// How many lives this actor has begun.
    pub(super) lives: Arc<AtomicU64>,
}

type Machine = Questions<TokenKey, Reply<Looked>, Caller>;

pub(super) struct Validator {
    arguments: Arguments,
    me: Address<Message>,
    questions: Machine,
    credentials: HashMap<TokenKey, Credential, FixedState>,
    /// To be sent with the next batch.
    due: Vec<Sent>,
    in_flight: usize,
    _ticker: Ticker,
}

impl Actor for Validator {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.validator";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        // What an earlier incarnation cached rests on touches that nobody raises any more.
        arguments.state.tokens.clear();
        let applied = arguments.state.applied();
        let life = arguments.lives.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            questions: Questions::new(BOUNDS, applied, life),
            arguments,
            credentials: HashMap::default(),
            due: Vec::new(),
            in_flight: 0,
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
            Message::Answered(sent, answer) => self.answered(sent, answer),
            Message::Tick => self.step(Input::Tick),
        }
        self.send_due();
        Ok(())
    }
}

// === impl Validator ===

impl Validator {
    fn now_ms(&self) -> i64 {
        self.arguments.state.clock.now_ms()
    }

    fn ask(&mut self, question: TokenKey, credential: Credential, waiter: Reply<Looked>) {
        let now_ms = self.now_ms();
        // Answered while this message lay in the mailbox.
        if let Some(entry) = self.arguments.state.tokens.current(&question, now_ms) {
            return waiter.send(Ok(entry));
        }
        self.credentials.insert(question, credential);
        self.step(Input::Ask { question, waiter });
    }

    fn answered(&mut self, sent: Vec<Sent>, answer: Result<Validated, AskError>) {
        self.in_flight = self.in_flight.saturating_sub(1);
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
                    Effect::Answer { waiters, entry } => {
                        for waiter in waiters {
                            waiter.send(Ok(Arc::clone(&entry)));
                        }
                    }
                    Effect::Refuse { waiters, refusal } => {
                        for waiter in waiters {
                            waiter.send(Err(refusal));
                        }
                    }
                }
            }
        }
        if self.questions.is_empty() {
            self.credentials.clear();
        }
    }

    /// Sends what is due; while batches are under way, misses gather for the next one.
    fn send_due(&mut self) {
        while !self.due.is_empty() && self.in_flight < 4 {
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
            self.in_flight += 1;
            let (me, key_manager) = (self.me.clone(), self.arguments.key_manager.clone());
            spawn_named("validate", async move {
                let answer = key_manager.validate_many(applied, credentials).await;
                if !matches!(answer, Ok(Validated::Verdicts(_))) {
                    // The machine asks again at once; a key manager that is behind needs a moment.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let _ = me.tell(Message::Answered(sent, answer));
            });
        }
    }
}
