//! Asks the key manager about credentials that the cache does not hold: concurrent misses for one
//! credential become one question, misses that meet travel as one batch (V1, V2). While no key
//! manager answers it judges signed tokens itself, as far as it can.
//!
//! Requests and the follower send to it; it alone writes the token cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{
    Actor, Address, AskError, BoxError, MAILBOX_LIMIT, Reply, SelfReport, Ticker, spawn_named,
};
use domain::validation::{Credential, Secret, Verdict};
use domain::validation_cache::{
    Asked, Bounds, Effect, Entry, Hit, Input, Life, Questions, Refusal, Subject,
};
use foldhash::fast::FixedState;

use super::caller::{Caller, Known};
use super::judging::{Judging, Lot};
use super::reach::Reach;
use super::state::State;
use super::token_cache::TokenKey;
use super::under_way::UnderWay;
use super::{local, locked};
use crate::key_manager::KeyManagerHandle;
use crate::key_manager::message::Validated;

/// The most credentials of one batch.
const BATCH: usize = 256;
/// Batches under way at most; further misses gather for the next one.
const BATCHES: usize = 4;
/// What was judged here is asked of a key manager after so long.
const LOCAL_FOR_MS: i64 = 5_000;
/// Longer than a key manager is waited for: the answer to a batch of this age is lost.
const LOST_MS: i64 = 5_000;
/// What a request waits for a validation at most.
const VALIDATION: Duration = Duration::from_secs(5);
/// Questions that may lie in the mailbox. There is room for more, which is that of the changes that
/// are acknowledged by this actor: no flood of calls takes it from them.
const QUESTIONS: u64 = MAILBOX_LIMIT / 2;
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
    /// The follower has read what Carbon has, and goes on from there.
    Resumed(u64, Reply<()>),
    /// A lot of signed tokens was judged here.
    Judged(Lot),
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
    /// To be judged here.
    judging: Judging,
    reach: Reach,
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
            judging: Judging::default(),
            reach: Reach::default(),
            _ticker: Ticker::start(me.clone(), Duration::from_millis(250), || Message::Tick),
            me,
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        match message {
            Message::Ask(question, credential, waiter) => self.ask(question, credential, waiter),
            Message::Applied(n, subjects, done) => {
                locked(&self.arguments.state.consumers).touch(&subjects, n);
                self.step(Input::Applied { n, subjects });
                done.send(());
            }
            Message::Installed(n, done) => {
                locked(&self.arguments.state.consumers).clear();
                self.step(Input::Installed { n });
                self.arguments.state.tokens.clear();
                done.send(());
            }
            Message::Resumed(n, done) => {
                // After another life of the follower alone everything here is as new, or newer.
                if self.questions.applied() < n {
                    self.step(Input::Installed { n });
                }
                done.send(());
            }
            Message::Answered(batch, sent, answer) => {
                let sent_ms = self.under_way.end(batch);
                self.heard(sent_ms, &answer);
                self.answered(sent, answer);
            }
            Message::Judged(lot) => self.judged(lot),
            Message::Tick => {
                self.under_way.expire(self.steady_ms(), LOST_MS);
                self.judging.expire(self.steady_ms(), LOST_MS);
                self.step(Input::Tick);
                self.knock();
            }
            #[cfg(test)]
            Message::Kept(reply) => reply.send(self.credentials.len()),
        }
        self.judge_waiting();
        self.send_due();
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        SelfReport::default()
            .with("credentials asked about", self.credentials.len())
            .with("to be sent", self.due.len())
            .with("batches under way", self.under_way.len())
            .linked("key managers")
            .linked("gateway/follower")
    }
}

// === impl Validator ===

impl Validator {
    /// The machine of a new life. What an earlier one cached, or gave to requests that still hold it, rests on touches
    /// that nobody raises any more: it ends here, before a change of this life is acknowledged.
    fn live(arguments: &Arguments) -> Machine {
        let mut lives = locked(&arguments.lives);
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

    fn steady_ms(&self) -> i64 {
        super::steady_ms(&self.arguments.state.clock)
    }

    fn ask(&mut self, question: TokenKey, credential: Credential, waiter: Reply<Looked>) {
        let now_ms = self.now_ms();
        // Answered while this message lay in the mailbox.
        if let Some(entry) = self.arguments.state.tokens.current(&question, now_ms) {
            return waiter.send(Ok(entry));
        }
        self.credentials.entry(question).or_insert(credential);
        self.step(Input::Ask { question, waiter });
        self.forget(&question);
    }

    /// Notes whether key managers answer.
    fn heard(&mut self, sent_ms: Option<i64>, answer: &Result<Validated, AskError>) {
        match answer {
            Ok(Validated::Verdicts(_) | Validated::Behind { .. }) => {
                if self.reach.answered(self.steady_ms()) {
                    tracing::info!("key managers answer again");
                    tell_of_silence(false);
                }
            }
            // There is somebody.
            Err(AskError::Overloaded | AskError::Unsupported) => {}
            Ok(Validated::Unavailable) | Err(_) => {
                if sent_ms.is_some_and(|sent_ms| self.reach.failed(sent_ms)) {
                    self.fell_silent();
                }
            }
        }
    }

    /// Asks whether there is somebody again; whatever else is under way asks as well.
    fn knock(&mut self) {
        if self.reach.is_silent() && self.under_way.is_empty() {
            self.send(self.questions.applied(), Vec::new(), Vec::new());
        }
    }

    /// No key manager answers any more: what gathered for them waits no longer than it has to.
    fn fell_silent(&mut self) {
        tell_of_silence(true);
        for (question, asked) in std::mem::take(&mut self.due) {
            self.put(question, asked);
        }
    }

    /// Puts a question to key managers or, while none answers, has it judged here where that is
    /// possible.
    fn put(&mut self, question: TokenKey, asked: Asked) {
        if !self.arguments.key_manager.is_there() && self.reach.is_alone() {
            self.fell_silent();
        }
        if self.reach.is_silent() && self.is_signed(&question) {
            self.judging.wait((question, asked), false);
        } else {
            self.due.push((question, asked));
        }
    }

    fn is_signed(&self, question: &TokenKey) -> bool {
        let credential = self.credentials.get(question);
        credential.is_some_and(|known| matches!(known.secret, Secret::Jwt(_)))
    }

    /// Has what waits for it judged here, off this task.
    fn judge_waiting(&mut self) {
        while let Some((number, lot)) = self.judging.begin(self.steady_ms()) {
            let state = Arc::clone(&self.arguments.state);
            // In this order: what was published before the follower went back is not read as newer
            // than what it goes back to.
            let (resumed, applied) = (state.resumed(), state.applied());
            let with_text = lot.into_iter().filter_map(|waiting| {
                match self
                    .credentials
                    .get(&waiting.sent.0)
                    .map(|known| &known.secret)
                {
                    Some(Secret::Jwt(text)) => Some((waiting, text.clone())),
                    // Nobody waits for it any more.
                    _ => None,
                }
            });
            let lot: Vec<_> = with_text.collect();
            let (me, key_manager) = (self.me.clone(), self.arguments.key_manager.clone());
            drop(tokio::task::spawn_blocking(move || {
                let judged = lot.into_iter().map(|(waiting, text)| {
                    let at = waiting.sent.1.applied().min(applied);
                    let verdict = local::judge(&state, &key_manager.issuer().text(), &text, at);
                    (waiting, verdict)
                });
                let judged = judged.collect();
                let _ = me.tell(Message::Judged(Lot {
                    number,
                    resumed,
                    judged,
                }));
            }));
        }
    }

    /// Answers what was judged here: as long as no change touches it, and for a short while (V2).
    fn judged(&mut self, lot: Lot) {
        self.judging.end(lot.number);
        let is_whole = lot.resumed == self.arguments.state.resumed();
        for (waiting, verdict) in lot.judged {
            let (question, asked) = waiting.sent;
            let Some(credential) = self.credentials.get(&question) else {
                continue;
            };
            match verdict.filter(|_| is_whole) {
                Some(verdict) => {
                    metrics::counter!("headgate_gateway_local_verifications_total").increment(1);
                    let now_ms = self.now_ms();
                    let known = Known::of(credential, verdict, now_ms);
                    self.step(Input::Reply {
                        question,
                        asked,
                        number: known.number,
                        subjects: known.subjects,
                        until_ms: known.until_ms.min(now_ms.saturating_add(LOCAL_FOR_MS)),
                        value: known.caller,
                    });
                }
                None if is_whole && !waiting.was_asked => self.due.push((question, asked)),
                None => drop(self.step(Input::Failed { question, asked })),
            }
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
                    if self.reach.is_silent() && self.is_signed(&question) {
                        self.judging.wait((question, asked), true);
                    } else {
                        self.step(Input::Failed { question, asked });
                    }
                }
            }
        }
    }

    fn verdict(&mut self, question: TokenKey, asked: Asked, verdict: Verdict) {
        let Some(credential) = self.credentials.get(&question) else {
            return;
        };
        let now_ms = self.now_ms();
        let known = Known::of(credential, verdict, now_ms);
        let answered = self.step(Input::Reply {
            question,
            asked,
            number: known.number,
            subjects: known.subjects,
            until_ms: known.until_ms,
            value: known.caller,
        });
        // It stood the comparison, so it is true at what is applied here.
        if let Some(entry) = answered
            && let Hit::Current(Caller::Granted(granted)) = entry.hit(now_ms)
        {
            let mut consumers = locked(&self.arguments.state.consumers);
            consumers.learn(&granted.grant, entry.number(), now_ms);
        }
    }

    /// One step of the machine with its effects, and the steps that follow from them; gives what
    /// was answered last.
    fn step(
        &mut self,
        input: Input<TokenKey, Reply<Looked>, Caller>,
    ) -> Option<Arc<Entry<Caller>>> {
        let now_ms = self.now_ms();
        let mut inputs = vec![input];
        let mut answered = None;
        while let Some(input) = inputs.pop() {
            for effect in self.questions.step(input, now_ms) {
                match effect {
                    Effect::Send { question, asked } => self.put(question, asked),
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
                        answered = Some(entry);
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
        answered
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
            self.send(applied, sent, credentials);
        }
    }

    /// Sends a batch.
    fn send(&mut self, applied: u64, sent: Vec<Sent>, credentials: Vec<Credential>) {
        metrics::counter!("headgate_gateway_validation_asks_total").increment(1);
        let batch = self.under_way.begin(self.steady_ms());
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

/// Asks the validator about a credential that the cache does not hold.
pub(super) async fn ask(
    validator: &Address<Message>,
    question: TokenKey,
    credential: Credential,
) -> Looked {
    if validator.depth() >= QUESTIONS {
        return Err(Refusal::Overloaded);
    }
    let ask = |reply| Message::Ask(question, credential, reply);
    match validator.ask(VALIDATION, ask).await {
        Ok(looked) => looked,
        Err(AskError::Overloaded) => Err(Refusal::Overloaded),
        Err(_) => Err(Refusal::Unreachable),
    }
}

fn tell_of_silence(is_silent: bool) {
    metrics::gauge!("headgate_gateway_key_managers_silent").set(f64::from(u8::from(is_silent)));
    if is_silent {
        tracing::error!(
            "no key manager answers, verifying here the signed tokens of consumers that are known"
        );
    }
}
