//! One actor that serves every sixteenth shard: takes gateways' questions, drives the ledgers, and
//! writes marks before it answers (L5). Asked by gateways through the handle; reads the policies
//! that `policies` publishes. The counts themselves lie in [`super::slot`].
//!
//! In the one-node form nobody is pushed anything: a gateway that was told `Retry` asks again, and
//! what came free meanwhile is granted then; a recall round ends by its time (L9).

use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Clock};
use domain::ledger::{Ask, CellKey, Effect, Holder, Input, Outcome, Reply};
use domain::policy::TimeUnit;
use domain::window::{WindowId, WindowSpec};
use storage::{Database, StoreError, broker::ledger};

use super::message::{LeaseAnswer, LeaseAsk, LeaseMany, Leased, Outlook};
use super::shard::shard_of;
use super::slot::Slots;
use super::view::{PolicyView, name_of};
use super::{Published, RETRY_MS};
use crate::ticker::{Ticker, ticker};

/// Recall rounds and ends of windows are looked at so often.
const TICK: Duration = Duration::from_millis(50);
/// A window number that begins so far in the future is of another kind of window, milliseconds.
const NOT_YET_MS: i64 = 60_000;

/// What it is started with.
#[derive(Clone)]
pub(super) struct ShardsArguments {
    pub(super) clock: Clock,
    pub(super) broker: Database,
    pub(super) slots: Arc<Slots>,
    pub(super) policies: Published,
    pub(super) incarnation: u64,
    /// It serves this shard and every `step`-th after it.
    pub(super) first: u16,
    pub(super) step: u16,
}

/// What it is told.
pub(super) enum ShardsMessage {
    Lease(Asked<LeaseMany>),
    Tick,
}

/// The actor; it can be replaced at any moment.
pub(super) struct Shards {
    arguments: ShardsArguments,
    _ticker: Ticker,
}

/// Who asks, and what about.
struct Question<'a> {
    request: &'a LeaseMany,
    node: &'a str,
    incarnation: u64,
}

// === impl Actor ===

impl Actor for Shards {
    type Message = ShardsMessage;
    type Arguments = ShardsArguments;
    const KIND: &'static str = "traffic_manager.shards";

    async fn start(
        arguments: ShardsArguments,
        me: Address<ShardsMessage>,
    ) -> Result<Self, BoxError> {
        let mut shards = Self {
            arguments,
            _ticker: ticker("shard ticks", TICK, me, || ShardsMessage::Tick),
        };
        for shard in shards.mine() {
            shards.recover(shard).await?;
            // What the last incarnation of this actor was about to write.
            shards.write_marks(shard).await?;
        }
        Ok(shards)
    }

    async fn handle(&mut self, message: ShardsMessage) -> Result<(), BoxError> {
        match message {
            ShardsMessage::Lease(asked) => self.lease(asked).await,
            ShardsMessage::Tick => self.tick().await,
        }
    }
}

// === impl Shards ===

impl Shards {
    fn mine(&self) -> Vec<u16> {
        let step = usize::from(self.arguments.step.max(1));
        (self.arguments.first..self.arguments.slots.count())
            .step_by(step)
            .collect()
    }

    async fn recover(&mut self, shard: u16) -> Result<(), StoreError> {
        let arguments = &self.arguments;
        if arguments.slots.is_ready(shard) {
            return Ok(());
        }
        let now_ms = arguments.clock.now_ms();
        let mut read = arguments.broker.read().await?;
        let marks = ledger::list(&mut read, shard, now_ms).await?;
        let slots = &arguments.slots;
        slots.recover(shard, arguments.incarnation, marks, now_ms);
        Ok(())
    }

    async fn lease(&mut self, asked: Asked<LeaseMany>) -> Result<(), BoxError> {
        let answer = self.answer(&asked.request).await;
        asked.reply.send(answer);
        Ok(())
    }

    async fn answer(&mut self, request: &LeaseMany) -> Leased {
        let foreign = |ask: &LeaseAsk| shard_of(&ask.key) != request.shard;
        if !self.mine().contains(&request.shard) || request.asks.iter().any(foreign) {
            return Leased::NotOwner;
        }
        let Some(view) = self.arguments.policies.load_full() else {
            return Leased::Behind { at: 0 };
        };
        if request.applied > view.applied {
            return Leased::Behind { at: view.applied };
        }
        let Some(question) = Question::of(request) else {
            tracing::warn!(gateway = %request.gateway, "lease asked by a gateway without an incarnation");
            return Leased::NotOwner;
        };
        let mut effects = self.step(&question, &view);
        match self.write_marks(request.shard).await {
            Ok(released) => effects.extend(released),
            // Nothing that waits for a mark is released; the gateway asks again.
            Err(error) => tracing::error!(%error, "marks of long windows cannot be written"),
        }
        let now_ms = self.arguments.clock.now_ms();
        let answers = request.asks.iter();
        Leased::Leases(
            answers
                .map(|ask| question.answer(ask, &effects, now_ms))
                .collect(),
        )
    }

    /// The pure part, under the shard's lock.
    fn step(&self, question: &Question<'_>, view: &PolicyView) -> Vec<Effect> {
        let now_ms = self.arguments.clock.now_ms();
        let asked = self.arguments.slots.with(question.request.shard, |slot| {
            slot.follow(&view.table, now_ms);
            let mut effects = Vec::new();
            for ask in &question.request.asks {
                let name = name_of(&ask.key);
                let quota = view.table.get(&ask.key.tenant, &name);
                let spec = quota.map(|quota| quota.window);
                let input = Input::Ask(question.ask(ask, spec, now_ms));
                effects.extend(slot.step(input, now_ms));
            }
            effects
        });
        asked.unwrap_or_default()
    }

    /// Writes what has to be on disk before it is said (L5); gives what that releases.
    async fn write_marks(&self, shard: u16) -> Result<Vec<Effect>, StoreError> {
        let slots = &self.arguments.slots;
        let marks = slots.with(shard, |slot| slot.unwritten.clone());
        let marks = marks.unwrap_or_default();
        if marks.is_empty() {
            return Ok(Vec::new());
        }
        let mut write = self.arguments.broker.write("broker.ledger.mark").await?;
        ledger::save(&mut write, shard, &marks).await?;
        write.commit().await?;
        let now_ms = self.arguments.clock.now_ms();
        let released = slots.with(shard, |slot| slot.written(&marks, now_ms));
        Ok(released.unwrap_or_default())
    }

    async fn tick(&mut self) -> Result<(), BoxError> {
        for shard in self.mine() {
            if !self.arguments.slots.is_ready(shard) {
                self.recover(shard).await?;
            }
            let now_ms = self.arguments.clock.now_ms();
            self.arguments.slots.with(shard, |slot| {
                if slot.ledger.next_wake_ms().is_some_and(|at| at <= now_ms) {
                    slot.step(Input::Tick, now_ms);
                }
            });
        }
        Ok(())
    }
}

// === impl Question ===

impl<'a> Question<'a> {
    fn of(request: &'a LeaseMany) -> Option<Self> {
        let (node, incarnation) = request.gateway.rsplit_once('.')?;
        Some(Self {
            request,
            node,
            incarnation: incarnation.parse().ok()?,
        })
    }

    fn cell(ask: &LeaseAsk) -> CellKey {
        let key = &ask.key;
        CellKey::new(key.tenant.clone(), name_of(key), key.subject.clone())
    }

    fn ask(&self, ask: &LeaseAsk, spec: Option<WindowSpec>, now_ms: i64) -> Ask {
        let number = i64::try_from(ask.window).unwrap_or(i64::MAX);
        let window = spec
            .filter(|spec| {
                // A number of minutes says nothing about hours: the plan changed meanwhile.
                let begins_ms = spec.numbered(number).start_ms;
                ask.window > 0 && begins_ms.saturating_sub(now_ms) < NOT_YET_MS
            })
            .map(|spec| WindowId { spec, number });
        Ask {
            holder: Holder::new(self.node, self.incarnation, 0),
            cell: Self::cell(ask),
            // Compared with the view already, which may be newer than its table (L12).
            policies: 0,
            asked_at_ms: 0,
            // Not carried by the question: the careful reading, as if it had heard of no owner.
            epoch: 0,
            window,
            have: ask.have,
            returned: ask.returned,
            want: ask.want,
            emptied: ask.have == ask.returned,
        }
    }

    /// The last thing that was said to this gateway about the key: replies are cumulative (L7).
    fn answer(&self, ask: &LeaseAsk, effects: &[Effect], now_ms: i64) -> LeaseAnswer {
        let cell = Self::cell(ask);
        let said = effects.iter().rev().find_map(|effect| match effect {
            Effect::Reply(reply) if reply.cell == cell && reply.holder.node == self.node => {
                Some(reply)
            }
            _ => None,
        });
        match said {
            Some(reply) => Self::translate(ask, reply, now_ms),
            // It waits for something, or only gave back.
            None => LeaseAnswer {
                window: ask.window,
                granted: ask.have,
                remaining_ms: 0,
                limit: 0,
                left: 0,
                outlook: if ask.want == 0 {
                    Outlook::Open
                } else {
                    Outlook::Retry(RETRY_MS)
                },
            },
        }
    }

    fn translate(ask: &LeaseAsk, reply: &Reply, now_ms: i64) -> LeaseAnswer {
        let outlook = match reply.outcome {
            Outcome::Granted => Outlook::Open,
            Outcome::Retry { after_ms } => Outlook::Retry(after_ms),
            Outcome::Behind { .. } => Outlook::Retry(RETRY_MS),
            Outcome::Final => Outlook::Exhausted,
            Outcome::UnknownPolicy => {
                tracing::warn!(
                    tenant = %ask.key.tenant, policy = %ask.key.policy, level = ask.key.level.as_str(),
                    "calls are counted by a policy that does not exist, they are refused; make it or attach another"
                );
                Outlook::Exhausted
            }
            Outcome::Shared => {
                metrics::counter!("headgate_ledger_full_total").increment(1);
                Outlook::Exhausted
            }
        };
        let Some(window) = reply.window else {
            // No window of its own: a refusal holds to the end of the minute.
            let minute = WindowSpec::new(TimeUnit::Min, 1).at(now_ms);
            return LeaseAnswer {
                window: ask.window,
                granted: ask.have,
                remaining_ms: unsigned(minute.remaining_ms(now_ms)),
                limit: 0,
                left: 0,
                outlook,
            };
        };
        LeaseAnswer {
            window: unsigned(window.id.number),
            granted: reply.granted,
            remaining_ms: unsigned(reply.remaining_ms),
            limit: reply.limit,
            left: reply.left,
            outlook,
        }
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
