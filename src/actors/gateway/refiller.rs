//! Keeps the accounts of this gateway's leases (PROTOCOLS L7, L9): opens them, asks the owner of the
//! shard for more before they run out, wakes who waits, and hears what owners say unasked.
//!
//! Requests send to it (through the handle) only when a lease is new or runs low. Asks of a shard
//! gather while one is under way and travel as one message; what gives back travels at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cluster::{Actor, Address, AskError, Asked, BoxError, Reply, SelfReport, Ticker, spawn_named};
use domain::lease::Unsaid;
use domain::ledger::{Ask, Recall};
use domain::policy::PolicyLevel;
use domain::window::WindowSpec;
use foldhash::fast::FixedState;

use super::accounts::{Accounts, Next};
use super::given_back::taken_and_left;
use super::lease_cache::Slot;
use super::state::State;
use super::under_way::UnderWay;
use super::unowned::grants;
use crate::traffic_manager::message::{LeaseMany, Leased, TellLeases, ThrottleKey, Told};
use crate::traffic_manager::{Tidings, TrafficManagerHandle};

/// Keys of one shard that have an account at most: beyond it the one that was of no use for longest
/// gives back what it has, and is opened anew when it is needed.
const KEYS: usize = 512;
/// A question that failed is put again after so long.
pub(super) const AGAIN: Duration = Duration::from_millis(100);
/// Longer than an owner is waited for: the answer to a question of this age is lost.
const LOST_MS: i64 = 2_500;
/// After which pauses what is given back is said again, when no owner has taken it; less often from then on.
const SAID_AGAIN: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
/// When calls that wait have taken what a recall is about, mostly: looked at again after it, twice as long, and so on,
/// until a round is over.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// As long as somebody may still wait for its answer (L8), milliseconds.
const HELD_MS: i64 = 3_000;

pub(super) enum Message {
    /// A request found no lease for a key.
    Open(ThrottleKey, WindowSpec, Reply<Arc<Slot>>),
    /// A lease is empty, runs low or owes something; so many units are waited for.
    Refill {
        slot: Arc<Slot>,
        waited_for: u32,
    },
    /// The limits of a policy changed, or of all.
    LimitsChanged(Option<PolicyName>, Reply<()>),
    /// The owner of a shard answered what it was asked under this number.
    Answered((u16, u64), Vec<Question>, Result<Leased, AskError>),
    /// An owner says something unasked.
    Told(Asked<TellLeases>),
    /// What calls waited for when it was recalled may have been taken by now.
    RecalledBefore(Recalled),
    /// What was given back of a shard's keys, and no owner has taken.
    Untaken(u16, Vec<Ask>),
    /// What was said again, and taken.
    Taken(u16, Vec<Ask>),
    Tick,
}

/// Tenant, level and name of a policy.
pub(super) type PolicyName = (String, PolicyLevel, String);

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) state: Arc<State>,
    pub(super) traffic_manager: TrafficManagerHandle,
    /// Stable id of this gateway.
    pub(super) node: String,
    /// Its incarnation (W1).
    pub(super) incarnation: u64,
    /// The number of the last lease that any start of this actor opened.
    pub(super) leases: Arc<AtomicU64>,
}

/// An ask under way.
#[derive(Debug, Clone)]
pub(super) struct Question {
    key: ThrottleKey,
    ask: Ask,
    /// Units that were waited for, and since when.
    waited_for: u32,
    since_ms: i64,
}

/// Units that an owner wants back.
pub(super) struct Recalled {
    shard: u16,
    key: ThrottleKey,
    recall: Recall,
    /// After which time it is looked at again, should calls wait for them.
    again: Duration,
}

/// What is due to be asked of a shard's owner.
#[derive(Default)]
struct Due {
    /// Keys, and since when somebody has waited for their answer.
    keys: Vec<(ThrottleKey, i64)>,
    under_way: UnderWay,
}

pub(super) struct Refiller {
    arguments: Arguments,
    me: Address<Message>,
    accounts: Accounts,
    due: HashMap<u16, Due, FixedState>,
    unsaid: Unsaid,
    _ticker: Ticker,
}

impl Actor for Refiller {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.refiller";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        arguments.state.leases.clear();
        let accounts = Accounts::new(
            Arc::clone(&arguments.state),
            (&arguments.node, arguments.incarnation),
            Arc::clone(&arguments.leases),
            KEYS,
        );
        Ok(Self {
            arguments,
            accounts,
            due: HashMap::default(),
            unsaid: Unsaid::default(),
            _ticker: Ticker::start(me.clone(), Duration::from_secs(1), || Message::Tick),
            me,
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        match message {
            Message::Open(key, window, reply) => {
                let slot = self.open(&key, window);
                reply.send(slot);
            }
            Message::Refill { slot, waited_for } => self.refill(&slot, waited_for),
            Message::LimitsChanged(policy, reply) => {
                for (shard, asks) in self.accounts.limits_changed(policy.as_ref(), self.now_ms()) {
                    self.give_back(shard, &asks);
                }
                reply.send(());
            }
            Message::Answered((shard, number), questions, answer) => {
                if let Some(due) = self.due.get_mut(&shard) {
                    let _ = due.under_way.end(number);
                }
                self.answered(shard, questions, answer);
            }
            Message::Told(asked) => {
                // Who hears nothing tells again what has to be heard.
                if let Some(told) = self.told(&asked.request) {
                    asked.reply.send(told);
                }
            }
            Message::RecalledBefore(recalled) => {
                let shard = recalled.shard;
                let answer = self.recall(recalled);
                self.give_back(shard, answer.as_slice());
            }
            Message::Untaken(shard, asks) => self.unsaid.keep(shard, asks, self.now_ms()),
            Message::Taken(shard, asks) => self.unsaid.taken(shard, asks, self.now_ms()),
            Message::Tick => self.tick(),
        }
        Ok(())
    }

    async fn stop(&mut self) {
        // Units come back only by our own word (L7); without it they are spent.
        let unsaid = self.unsaid.take_all();
        let all = self.accounts.give_all_back(self.now_ms());
        for (shard, asks) in all.into_iter().chain(unsaid) {
            if let Some(request) = LeaseMany::of(shard, &asks) {
                let returned = self.arguments.traffic_manager.lease(request);
                let _ = tokio::time::timeout(AGAIN, returned).await;
            }
        }
    }

    fn shows(&self) -> SelfReport {
        let under_way = self.due.values().filter(|due| !due.under_way.is_empty());
        SelfReport::default()
            .with("incarnation", self.arguments.incarnation)
            .with("accounts", self.accounts.len())
            .with("shards with a question under way", under_way.count())
            .linked("the owners of shards")
    }
}

// === impl Refiller ===

impl Refiller {
    /// Leases run on the steady clock (L7).
    fn now_ms(&self) -> i64 {
        super::steady_ms(&self.arguments.state.clock)
    }

    fn refill(&mut self, slot: &Arc<Slot>, waited_for: u32) {
        let now_ms = self.now_ms();
        if self.accounts.part(slot, now_ms) {
            return;
        }
        match self.accounts.get_mut(slot.shard, &slot.key) {
            Some(account) if Arc::ptr_eq(&account.slot, slot) => {
                account.waited_for = account.waited_for.saturating_add(waited_for);
                self.put(slot.shard, slot.key.clone(), now_ms);
                self.send(slot.shard);
            }
            _ => self.refill_lost(slot, now_ms),
        }
    }

    /// A lease of an earlier account: who waits looks it up anew; what its open streams owe is owed by the lease that
    /// counts the key now (L11).
    fn refill_lost(&mut self, slot: &Arc<Slot>, now_ms: i64) {
        let debt = slot.lease.take_debt();
        let rules = Arc::clone(&self.arguments.state.rules.load());
        if debt > 0
            && let Some(window) = rules.window_of(&slot.key)
        {
            let now = self.open(&slot.key, window);
            now.lease.overrun(debt, now_ms);
            self.put(now.shard, now.key.clone(), now_ms);
            self.send(now.shard);
        }
        slot.changed.notify_waiters();
    }

    /// The slot of a key; an account that made room for it gives back what it had.
    fn open(&mut self, key: &ThrottleKey, window: WindowSpec) -> Arc<Slot> {
        let (slot, left) = self.accounts.open(key, window, self.now_ms());
        if let Some((shard, ask)) = left {
            self.give_back(shard, &[ask]);
        }
        slot
    }

    fn put(&mut self, shard: u16, key: ThrottleKey, since_ms: i64) {
        let due = self.due.entry(shard).or_default();
        if !due.keys.iter().any(|(known, _)| *known == key) {
            due.keys.push((key, since_ms));
        }
    }

    fn send(&mut self, shard: u16) {
        let now_ms = self.now_ms();
        let Some(due) = self
            .due
            .get_mut(&shard)
            .filter(|due| due.under_way.is_empty())
        else {
            return;
        };
        let mut questions = Vec::with_capacity(due.keys.len());
        for (key, since_ms) in due.keys.drain(..) {
            if let Some((ask, waited_for)) = self.accounts.ask(shard, &key, now_ms) {
                questions.push(Question {
                    key,
                    ask,
                    waited_for,
                    since_ms,
                });
            }
        }
        let asks: Vec<Ask> = questions
            .iter()
            .map(|question| question.ask.clone())
            .collect();
        let Some(request) = LeaseMany::of(shard, &asks) else {
            return;
        };
        let number = due.under_way.begin(now_ms);
        let (me, traffic_manager) = (self.me.clone(), self.arguments.traffic_manager.clone());
        spawn_named("lease", async move {
            let answer = traffic_manager.lease(request).await;
            if !matches!(answer, Ok(Leased::Leases(_))) {
                tokio::time::sleep(AGAIN).await;
            }
            // A full mailbox loses it; then the tick gives it up, and who still waits asks again.
            let _ = me.tell(Message::Answered((shard, number), questions, answer));
        });
    }

    fn answered(&mut self, shard: u16, questions: Vec<Question>, answer: Result<Leased, AskError>) {
        let now_ms = self.now_ms();
        let unowned = &self.arguments.state.unowned;
        let wants = questions.iter().map(|question| question.ask.want > 0);
        match grants(wants, &answer) {
            Some(true) => unowned.answers(shard),
            Some(false) if unowned.is_silent(shard, now_ms) => self.accounts.wake(shard),
            Some(false) | None => {}
        }
        match answer {
            Ok(Leased::Leases(answers)) if answers.len() == questions.len() => {
                for (question, answer) in questions.into_iter().zip(answers) {
                    let Question { key, ask, .. } = question;
                    if let Some(answer) = answer {
                        let reply = answer.reply(ask.holder, ask.cell, ask.asked_at_ms);
                        self.apply(shard, &key, &reply, now_ms);
                    }
                }
            }
            // Nobody could say, or the owner is behind (L12): ask again for who still waits; they give up by
            // themselves (L8).
            _ => {
                for question in questions {
                    self.put_again(shard, question, now_ms);
                }
            }
        }
        self.send(shard);
    }

    fn put_again(&mut self, shard: u16, question: Question, now_ms: i64) {
        let held = now_ms.saturating_sub(question.since_ms) < HELD_MS;
        if question.waited_for == 0 || !held {
            return;
        }
        if let Some(account) = self.accounts.get_mut(shard, &question.key) {
            account.waited_for = account.waited_for.saturating_add(question.waited_for);
            self.put(shard, question.key, question.since_ms);
        }
    }

    fn apply(&mut self, shard: u16, key: &ThrottleKey, reply: &domain::ledger::Reply, now_ms: i64) {
        match self.accounts.apply(shard, key, reply, now_ms) {
            Next::Nothing => {}
            Next::Ask => self.put(shard, key.clone(), now_ms),
            Next::Wake { slot, after_ms } => {
                spawn_named("lease again", async move {
                    tokio::time::sleep(Duration::from_millis(u64::from(after_ms))).await;
                    // Who still waits asks again; where nobody does, nothing is asked for.
                    slot.changed.notify_waiters();
                });
            }
        }
    }

    /// What an owner says unasked (L9). None where it recalls for a reset as of a view that is not known here yet: such a
    /// recall names no lease, so any member could say it, and an account that went by a stamp of no view would hear no owner
    /// any more.
    fn told(&mut self, news: &TellLeases) -> Option<Told> {
        let is_of_this_life = self.accounts.are_of(&news.node, news.incarnation);
        let (shard, now_ms) = (news.shard, self.now_ms());
        let epoch = self.arguments.traffic_manager.epoch();
        let (mut returned, mut is_early) = (Vec::new(), false);
        for (key, tidings) in news.tidings() {
            match tidings {
                Tidings::Recall(recall) if recall.anew && recall.stamp.epoch > epoch => {
                    is_early = true;
                }
                // Nobody but the life that followed it can say that nothing of one that is over is used.
                Tidings::Recall(recall) if recall.anew => {
                    returned.extend(self.begin_anew(shard, key, &recall, now_ms));
                }
                _ if !is_of_this_life => {}
                Tidings::Answer(reply) => self.apply(shard, &key, &reply, now_ms),
                Tidings::Recall(recall) => {
                    let recalled = Recalled {
                        shard,
                        key,
                        recall,
                        again: LOOK_AGAIN,
                    };
                    returned.extend(self.recall(recalled));
                }
                Tidings::Reopen(reopen) => self.accounts.reopen(shard, &key, &reopen, now_ms),
            }
        }
        self.give_back(shard, &returned);
        self.send(shard);
        let told = match is_of_this_life {
            true => Told::Taken,
            false => Told::Elsewhere,
        };
        (!is_early).then_some(told)
    }

    /// A key was reset: what is said of the lease that ends, and by the one that follows it.
    fn begin_anew(
        &mut self,
        shard: u16,
        key: ThrottleKey,
        recall: &Recall,
        now_ms: i64,
    ) -> Vec<Ask> {
        let (answers, asks) = self.accounts.begin_anew(shard, &key, recall, now_ms);
        if asks {
            self.put(shard, key, now_ms);
        }
        answers
    }

    /// What is given back of a lease. Where calls hold some of it up, it is looked at again: the owner waits for the
    /// answer for as long as a round lasts.
    fn recall(&mut self, recalled: Recalled) -> Option<Ask> {
        let Recalled {
            shard,
            key,
            recall,
            again,
        } = &recalled;
        let now_ms = self.now_ms();
        let again = *again;
        let is_last_look = again > LOOK_AGAIN * 8;
        let recall = (recall, is_last_look);
        let (answer, is_held_up) = self.accounts.recall(*shard, key, recall, now_ms);
        if is_held_up && !is_last_look {
            let me = self.me.clone();
            spawn_named("recall again", async move {
                tokio::time::sleep(again).await;
                let again = again * 2;
                let _ = me.tell(Message::RecalledBefore(Recalled { again, ..recalled }));
            });
        }
        answer
    }

    /// Forgets what is over; gives idle units back; pays in the new window what is owed from the old one (L11).
    fn tick(&mut self) {
        let now_ms = self.now_ms();
        let gateways = self.arguments.traffic_manager.gateways();
        self.arguments.state.unowned.sees_gateways(gateways);
        let swept = self.accounts.sweep(now_ms);
        for (shard, asks) in swept.idle {
            self.give_back(shard, &asks);
        }
        let t_ms = self.arguments.state.clock.now_ms();
        for (shard, asks) in self.unsaid.due(now_ms, t_ms) {
            self.say_again(shard, asks);
        }
        for (shard, key) in swept.owing {
            self.put(shard, key, now_ms);
            self.send(shard);
        }
        let shards = self.due.iter_mut();
        let lost: Vec<u16> = shards
            .filter_map(|(shard, due)| due.under_way.expire(now_ms, LOST_MS).then_some(*shard))
            .collect();
        for shard in lost {
            self.send(shard);
        }
        self.due
            .retain(|_, due| !due.under_way.is_empty() || !due.keys.is_empty());
    }

    /// Says what was given back, beside the questions: a round waits for it.
    fn give_back(&self, shard: u16, asks: &[Ask]) {
        let mut asks = asks.to_vec();
        let (me, traffic_manager) = (self.me.clone(), self.arguments.traffic_manager.clone());
        spawn_named("lease return", async move {
            // The counts are cumulative, so it may be said twice, and what is lost here is said by the next ask. That may be
            // a while: whoever is told no asks for nothing.
            for pause in SAID_AGAIN {
                let Some(request) = LeaseMany::of(shard, &asks) else {
                    return;
                };
                let answer = traffic_manager.lease(request).await;
                let (taken, left) = taken_and_left(asks, &answer);
                if !taken.is_empty() {
                    let _ = me.tell(Message::Taken(shard, taken));
                }
                asks = left;
                if asks.is_empty() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
            // No view is active, or nobody is reached. A full mailbox loses it: it is spent then.
            let _ = me.tell(Message::Untaken(shard, asks));
        });
    }

    /// Says once more what no owner has taken.
    fn say_again(&self, shard: u16, asks: Vec<Ask>) {
        let Some(request) = LeaseMany::of(shard, &asks) else {
            return;
        };
        let (me, traffic_manager) = (self.me.clone(), self.arguments.traffic_manager.clone());
        spawn_named("lease return", async move {
            let (taken, _) = taken_and_left(asks, &traffic_manager.lease(request).await);
            let _ = me.tell(Message::Taken(shard, taken));
        });
    }
}
