//! Keeps the accounts of this gateway's leases (PROTOCOLS L7): opens them, asks the owner of the
//! shard for more before they run out, and wakes who waits.
//!
//! Requests send to it (through the handle) only when a lease is new or runs low. Asks of a shard
//! gather while one is under way and travel as one message.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Actor, Address, AskError, BoxError, Reply, Ticker, spawn_named};
use domain::lease::{Applied, Book};
use domain::ledger::{self, Holder, Outcome, Stamp};
use domain::policy::PolicyLevel;
use domain::window::WindowSpec;
use foldhash::fast::FixedState;
use tokio::sync::Notify;

use super::lease_cache::Slot;
use super::state::State;
use crate::traffic_manager::TrafficManagerHandle;
use crate::traffic_manager::message::{
    LeaseAnswer, LeaseAsk, LeaseMany, Leased, Outlook, ThrottleKey,
};
use crate::traffic_manager::shard_of;

/// Keys counted apart; beyond it new ones share one strict key per policy (L12).
const KEYS: usize = 100_000;
/// A question that failed is put again after so long.
const AGAIN: Duration = Duration::from_millis(100);

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
    Answered(u16, Vec<Question>, Result<Leased, AskError>),
    Tick,
}

/// Tenant, level and name of a policy.
pub(super) type PolicyName = (String, PolicyLevel, String);

#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) state: Arc<State>,
    pub(super) traffic_manager: TrafficManagerHandle,
    /// Stable id and incarnation of this gateway.
    pub(super) gateway: String,
    /// Grows with every start of this actor: an earlier one's leases are lost with its accounts.
    pub(super) lives: Arc<AtomicU64>,
}

/// An ask under way.
#[derive(Debug, Clone)]
pub(super) struct Question {
    key: ThrottleKey,
    ask: ledger::Ask,
}

struct Account {
    slot: Arc<Slot>,
    book: Book,
    /// Units that requests wait for.
    waited_for: u32,
}

#[derive(Default)]
struct Shard {
    due: Vec<ThrottleKey>,
    under_way: bool,
}

pub(super) struct Refiller {
    arguments: Arguments,
    me: Address<Message>,
    holder: String,
    accounts: HashMap<ThrottleKey, Account, FixedState>,
    shards: HashMap<u16, Shard, FixedState>,
    _ticker: Ticker,
}

impl Actor for Refiller {
    type Message = Message;
    type Arguments = Arguments;
    const KIND: &'static str = "gateway.refiller";

    async fn start(arguments: Arguments, me: Address<Message>) -> Result<Self, BoxError> {
        arguments.state.leases.clear();
        let life = arguments.lives.fetch_add(1, Ordering::Relaxed);
        let holder = format!("{}.{life}", arguments.gateway);
        Ok(Self {
            arguments,
            holder,
            accounts: HashMap::default(),
            shards: HashMap::default(),
            _ticker: Ticker::start(me.clone(), Duration::from_secs(1), || Message::Tick),
            me,
        })
    }

    async fn handle(&mut self, message: Message) -> Result<(), BoxError> {
        match message {
            Message::Open(key, window, reply) => reply.send(self.open(key, window)),
            Message::Refill { slot, waited_for } => self.refill(&slot, waited_for),
            Message::LimitsChanged(policy, reply) => {
                self.limits_changed(policy.as_ref());
                reply.send(());
            }
            Message::Answered(shard, questions, answer) => self.answered(shard, questions, answer),
            Message::Tick => self.tick(),
        }
        Ok(())
    }

    async fn stop(&mut self) {
        // Units come back only by our own word (L7); without it they are spent.
        let (applied, now_ms) = (self.arguments.state.applied(), self.now_ms());
        let mut shards: HashMap<u16, Vec<LeaseAsk>, FixedState> = HashMap::default();
        for (key, account) in &mut self.accounts {
            let ask = account.book.give_back(applied, now_ms);
            let asks = shards.entry(shard_of(key)).or_default();
            asks.push(wire(key, &ask));
        }
        for (shard, asks) in shards {
            let gateway = self.holder.clone();
            let request = LeaseMany {
                shard,
                gateway,
                applied,
                asks,
            };
            let returned = self.arguments.traffic_manager.lease(request);
            let _ = tokio::time::timeout(AGAIN, returned).await;
        }
    }
}

// === impl Refiller ===

impl Refiller {
    /// Leases run on the boot clock (L7).
    fn now_ms(&self) -> i64 {
        super::boot_ms(&self.arguments.state.clock)
    }

    fn open(&mut self, key: ThrottleKey, window: WindowSpec) -> Arc<Slot> {
        let key = if self.accounts.len() >= KEYS && !self.accounts.contains_key(&key) {
            metrics::counter!("headgate_throttle_keys_shared_total").increment(1);
            ThrottleKey {
                subject: ledger::SHARED_KEY.to_owned(),
                ..key
            }
        } else {
            key
        };
        if let Some(account) = self.accounts.get(&key)
            && account.slot.window == window
        {
            self.arguments.state.leases.insert(&account.slot);
            return Arc::clone(&account.slot);
        }
        let cell =
            ledger::CellKey::new(key.tenant.clone(), key.policy.clone(), key.subject.clone());
        let book = Book::open(Holder::new(self.holder.clone(), 0, 0), cell);
        let slot = Arc::new(Slot {
            key: key.clone(),
            window,
            lease: Arc::clone(book.lease()),
            changed: Notify::new(),
        });
        let account = Account {
            slot: Arc::clone(&slot),
            book,
            waited_for: 0,
        };
        if let Some(before) = self.accounts.insert(key, account) {
            // Another kind of window: what is owed stays owed.
            slot.lease
                .overrun(before.slot.lease.take_debt(), self.now_ms());
        }
        self.arguments.state.leases.insert(&slot);
        slot
    }

    fn refill(&mut self, slot: &Arc<Slot>, waited_for: u32) {
        let known = self.accounts.get_mut(&slot.key);
        let Some(account) = known.filter(|account| Arc::ptr_eq(&account.slot, slot)) else {
            return self.refill_lost(slot);
        };
        account.waited_for = account.waited_for.saturating_add(waited_for);
        self.due(slot.key.clone());
    }

    /// A lease of an earlier life, or of another kind of window: who waits looks it up anew; what its open streams owe
    /// is owed by the lease that counts the key now (L11).
    fn refill_lost(&mut self, slot: &Arc<Slot>) {
        let debt = slot.lease.take_debt();
        let rules = Arc::clone(&self.arguments.state.rules.load());
        if debt > 0
            && let Some(window) = rules.window_of(&slot.key)
        {
            let now = self.open(slot.key.clone(), window);
            now.lease.overrun(debt, self.now_ms());
            self.due(now.key.clone());
        }
        slot.changed.notify_waiters();
    }

    fn due(&mut self, key: ThrottleKey) {
        let number = shard_of(&key);
        let shard = self.shards.entry(number).or_default();
        if !shard.due.contains(&key) {
            shard.due.push(key);
        }
        self.send(number);
    }

    fn send(&mut self, number: u16) {
        let (applied, now_ms) = (self.arguments.state.applied(), self.now_ms());
        let Some(shard) = self.shards.get_mut(&number) else {
            return;
        };
        if shard.under_way || shard.due.is_empty() {
            return;
        }
        let mut questions = Vec::with_capacity(shard.due.len());
        for key in shard.due.drain(..) {
            if let Some(account) = self.accounts.get_mut(&key) {
                let waited_for = std::mem::take(&mut account.waited_for);
                let ask = account.book.ask(applied, waited_for, now_ms);
                questions.push(Question { key, ask });
            }
        }
        if questions.is_empty() {
            return;
        }
        shard.under_way = true;
        let request = LeaseMany {
            shard: number,
            gateway: self.holder.clone(),
            applied,
            asks: questions
                .iter()
                .map(|question| wire(&question.key, &question.ask))
                .collect(),
        };
        let (me, traffic_manager) = (self.me.clone(), self.arguments.traffic_manager.clone());
        spawn_named("lease", async move {
            let answer = traffic_manager.lease(request).await;
            if !matches!(answer, Ok(Leased::Leases(_))) {
                tokio::time::sleep(AGAIN).await;
            }
            let _ = me.tell(Message::Answered(number, questions, answer));
        });
    }

    fn answered(
        &mut self,
        number: u16,
        questions: Vec<Question>,
        answer: Result<Leased, AskError>,
    ) {
        if let Some(shard) = self.shards.get_mut(&number) {
            shard.under_way = false;
        }
        match answer {
            Ok(Leased::Leases(answers)) if answers.len() == questions.len() => {
                for (question, answer) in questions.into_iter().zip(answers) {
                    self.apply(question, &answer);
                }
            }
            // Nobody could say: ask again for who still waits; they give up by themselves (L8).
            _ => {
                for question in questions {
                    self.due(question.key);
                }
            }
        }
        self.send(number);
    }

    fn apply(&mut self, question: Question, answer: &LeaseAnswer) {
        let Some(account) = self.accounts.get_mut(&question.key) else {
            return;
        };
        let reply = unwire(&question.ask, account.slot.window, answer);
        let applied = account.book.apply(&reply);
        account.slot.changed.notify_waiters();
        let owes = account.slot.lease.debt() > 0;
        let after_ms = match applied {
            Applied::Retry { after_ms } => after_ms,
            Applied::Behind | Applied::UnknownPolicy => 50,
            // It was not enough; the next grant may be.
            Applied::Units if owes => return self.due(question.key),
            _ => return,
        };
        let (me, slot) = (self.me.clone(), Arc::clone(&account.slot));
        spawn_named("lease again", async move {
            tokio::time::sleep(Duration::from_millis(u64::from(after_ms))).await;
            let waited_for = 1;
            let _ = me.tell(Message::Refill { slot, waited_for });
        });
    }

    /// Forgets what is over; gives idle units back; pays in the new window what is owed from the old one (L11).
    fn tick(&mut self) {
        let (applied, now_ms) = (self.arguments.state.applied(), self.now_ms());
        let state = Arc::clone(&self.arguments.state);
        let rules = state.rules.load();
        let (mut idle, mut owing) = (Vec::new(), Vec::new());
        self.accounts.retain(|key, account| {
            if account.book.granted().0.is_none() || !account.book.is_over(now_ms) {
                let ask = account.book.sweep(applied, now_ms);
                let key = key.clone();
                idle.extend(ask.map(|ask| Question { key, ask }));
                return true;
            }
            state.leases.remove(key);
            if account.slot.lease.debt() > 0 && rules.window_of(key).is_some() {
                owing.push(key.clone());
                return true;
            }
            // Streams that are open count on by it.
            Arc::strong_count(&account.slot) > 1
        });
        for question in idle {
            self.give_back(question);
        }
        for key in owing {
            self.due(key);
        }
        self.shards
            .retain(|_, shard| shard.under_way || !shard.due.is_empty());
    }

    fn limits_changed(&mut self, policy: Option<&PolicyName>) {
        let (applied, now_ms) = (self.arguments.state.applied(), self.now_ms());
        let mut returned = Vec::new();
        for (key, account) in &mut self.accounts {
            let concerned = policy.is_none_or(|(tenant, level, name)| {
                key.policy == *name && key.level == *level && key.tenant == *tenant
            });
            if concerned {
                let (ask, key) = (account.book.policy_changed(applied, now_ms), key.clone());
                returned.extend(ask.map(|ask| Question { key, ask }));
                account.slot.changed.notify_waiters();
            }
        }
        for question in returned {
            self.give_back(question);
        }
    }

    fn give_back(&self, question: Question) {
        let shard = shard_of(&question.key);
        let request = LeaseMany {
            shard,
            gateway: self.holder.clone(),
            applied: self.arguments.state.applied(),
            asks: vec![wire(&question.key, &question.ask)],
        };
        let traffic_manager = self.arguments.traffic_manager.clone();
        spawn_named("lease return", async move {
            // The counts are cumulative: what is lost here is said by the next ask.
            let _ = traffic_manager.lease(request).await;
        });
    }
}

fn wire(key: &ThrottleKey, ask: &ledger::Ask) -> LeaseAsk {
    LeaseAsk {
        key: key.clone(),
        window: ask
            .window
            .map_or(0, |window| u64::try_from(window.number).unwrap_or(0)),
        have: ask.have,
        returned: ask.returned,
        want: ask.want,
    }
}

fn unwire(ask: &ledger::Ask, spec: WindowSpec, answer: &LeaseAnswer) -> ledger::Reply {
    let number = i64::try_from(answer.window).unwrap_or(i64::MAX);
    ledger::Reply {
        holder: ask.holder.clone(),
        cell: ask.cell.clone(),
        // A key's window number never decreases (L10), so it orders the answers.
        stamp: Stamp {
            epoch: 0,
            seq: answer.window,
        },
        asked_at_ms: ask.asked_at_ms,
        window: Some(spec.numbered(number)),
        remaining_ms: i64::try_from(answer.remaining_ms).unwrap_or(i64::MAX),
        granted: answer.granted,
        limit: answer.limit,
        left: answer.left,
        outcome: match answer.outlook {
            Outlook::Open => Outcome::Granted,
            Outlook::Retry(after_ms) => Outcome::Retry { after_ms },
            Outlook::Exhausted => Outcome::Final,
        },
    }
}
