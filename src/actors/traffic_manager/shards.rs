//! One actor that serves every sixteenth shard: takes gateways' questions, drives the ledgers, and
//! writes marks before it answers (L5). Asked by gateways through the handle; reads the policies
//! that `policies` publishes, and follows them when it is told. The counts themselves lie in
//! [`super::slot`].
//!
//! What a step says to who did not just ask (recalls, reopenings, answers that had to wait) goes
//! through [`super::news`] (L9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, Asked, BoxError, Clock, Reply};
use domain::ledger::{Ask, CellKey, Effect, Input, Mark, Outcome, SHARED_KEY};
use domain::view::Event;
use storage::{Database, StoreError, broker::ledger};

use super::Published;
use super::handle::GatewayLeases;
use super::message::{LeaseAnswer, LeaseMany, Leased, ThrottleKey};
use super::news;
use super::shard::shard_of;
use super::slot::{Said, Slots};
use super::time;
use super::view::PolicyView;
use crate::ticker::{Ticker, ticker};

/// Recall rounds and ends of windows are looked at so often.
const TICK: Duration = Duration::from_millis(50);

/// What it is started with.
#[derive(Clone)]
pub(super) struct ShardsArguments {
    pub(super) clock: Clock,
    pub(super) broker: Database,
    pub(super) slots: Arc<Slots>,
    pub(super) policies: Published,
    pub(super) gateways: GatewayLeases,
    pub(super) incarnation: u64,
    /// It serves this shard and every `step`-th after it.
    pub(super) first: u16,
    pub(super) step: u16,
}

/// What it is told.
pub(super) enum ShardsMessage {
    Lease(Asked<LeaseMany>),
    /// Other policies were published; answered when its shards go by them.
    Follow(Reply<()>),
    Tick,
}

/// The actor; it can be replaced at any moment.
pub(super) struct Shards {
    arguments: ShardsArguments,
    /// Limits that were asked for and do not exist, each told in the log once.
    unknown: BTreeSet<(String, String)>,
    /// Whether marks could not be written at the last try.
    failing: bool,
    _ticker: Ticker,
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
            unknown: BTreeSet::new(),
            failing: false,
            _ticker: ticker("shard ticks", TICK, me, || ShardsMessage::Tick),
        };
        for shard in shards.mine() {
            shards.recover(shard).await?;
            // What the last incarnation of this actor was about to write.
            let released = shards.write_marks(shard).await?.unwrap_or_default();
            let released = shards.covered(shard, released).await;
            shards.tell(shard, released);
        }
        Ok(shards)
    }

    async fn handle(&mut self, message: ShardsMessage) -> Result<(), BoxError> {
        match message {
            ShardsMessage::Lease(asked) => self.lease(asked).await,
            ShardsMessage::Follow(reply) => {
                self.look(false).await;
                self.unknown.clear();
                reply.send(());
            }
            ShardsMessage::Tick => {
                for shard in self.mine() {
                    self.recover(shard).await?;
                }
                self.look(true).await;
            }
        }
        Ok(())
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

    fn t_ms(&self) -> i64 {
        self.arguments.slots.t_ms(&self.arguments.clock)
    }

    async fn recover(&mut self, shard: u16) -> Result<(), StoreError> {
        let arguments = &self.arguments;
        if arguments.slots.is_ready(shard) {
            return Ok(());
        }
        let now_ms = arguments.slots.t_ms(&arguments.clock);
        let mut read = arguments.broker.read().await?;
        let marks = ledger::list(&mut read, shard, now_ms).await?;
        let slots = &arguments.slots;
        slots.recover(shard, arguments.incarnation, marks, now_ms);
        Ok(())
    }

    async fn lease(&mut self, asked: Asked<LeaseMany>) {
        let Asked { request, reply } = asked;
        let (view, asks) = match self.readable(&request) {
            Ok(readable) => readable,
            Err(refusal) => return reply.send(refusal),
        };
        let said = self.step(request.shard, &asks, &view);
        // While nothing can be written the ticks try, not every ask.
        let effects = if self.failing {
            self.covered(request.shard, said).await
        } else {
            self.settled(request.shard, said).await
        };
        let (answers, rest) = sort_out(&asks, effects);
        for (ask, answer) in asks.iter().zip(&answers) {
            self.note(&ask.cell, answer.as_ref());
        }
        reply.send(Leased::Leases(answers));
        self.tell(request.shard, rest);
    }

    /// The policies in force and the questions, if they may be answered here and now.
    fn readable(&self, request: &LeaseMany) -> Result<(Arc<PolicyView>, Vec<Ask>), Leased> {
        // The keys beyond a shard's bound are counted in that shard, whatever the shared key's own one is (L12).
        let foreign =
            |key: &ThrottleKey| key.subject != SHARED_KEY && shard_of(key) != request.shard;
        let keys = request.keys().ok_or(Leased::NotOwner)?;
        if !self.mine().contains(&request.shard) || keys.iter().any(foreign) {
            return Err(Leased::NotOwner);
        }
        let view = self.arguments.policies.load_full();
        let view = view.ok_or(Leased::Behind { at: 0 })?;
        // What only gives back is welcome under any policies.
        let wants = request.asks.iter().any(|ask| ask.want > 0);
        if wants && request.applied > view.applied {
            return Err(Leased::Behind { at: view.applied });
        }
        let asks = request.asks.iter().zip(keys);
        let asks = asks.map(|(ask, key)| request.ask(ask, key.cell()));
        Ok((view, asks.collect()))
    }

    /// The pure part, under the shard's lock.
    fn step(&self, shard: u16, asks: &[Ask], view: &PolicyView) -> Said {
        let now_ms = self.t_ms();
        let slots = &self.arguments.slots;
        slots.asked();
        let reach_ms = slots.reach_ms(now_ms);
        let said = slots.with(shard, |slot| {
            let mut said = slot.follow(&view.table, now_ms, reach_ms);
            for ask in asks {
                let ask = Event::Ledger(Input::Ask(ask.clone()));
                said = said.and(slot.step(ask, now_ms, reach_ms));
            }
            said
        });
        said.unwrap_or_default()
    }

    /// Goes by the policies in force, and by the time if it `ticks`.
    async fn look(&mut self, ticks: bool) {
        let view = self.arguments.policies.load_full();
        for shard in self.mine() {
            let now_ms = self.t_ms();
            let reach_ms = self.arguments.slots.reach_ms(now_ms);
            let said = self.arguments.slots.with(shard, |slot| {
                let mut said = match &view {
                    Some(view) => slot.follow(&view.table, now_ms, reach_ms),
                    None => Said::default(),
                };
                let wake_ms = slot.ledger().next_wake_ms();
                if ticks && wake_ms.is_some_and(|at| at <= now_ms) {
                    said = said.and(slot.step(Event::Tick, now_ms, reach_ms));
                }
                said
            });
            let effects = self.settled(shard, said.unwrap_or_default()).await;
            self.tell(shard, effects);
        }
    }

    /// What may be said of this and of earlier steps, now that the marks are on disk.
    async fn settled(&mut self, shard: u16, mut said: Said) -> Vec<Effect> {
        match self.write_marks(shard).await {
            Ok(Some(released)) => {
                said = said.and(released);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("marks of long windows are written again");
                }
            }
            Ok(None) => {}
            // Nothing that waits for a mark is released; the next tick tries again. Said once.
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "marks of long windows cannot be written, trying again");
                }
            }
        }
        self.covered(shard, said).await
    }

    /// Nothing is granted that a start after a crash would not know to be granted (L10): gives what may be said once
    /// T is noted.
    async fn covered(&self, shard: u16, said: Said) -> Vec<Effect> {
        let ShardsArguments {
            broker,
            slots,
            clock,
            ..
        } = &self.arguments;
        if said.waits_for_ms.is_none() {
            return said.effects;
        }
        time::cover(broker, slots, clock).await;
        let now_ms = self.t_ms();
        let reach_ms = slots.reach_ms(now_ms);
        let released = slots.with(shard, |slot| slot.step(Event::Tick, now_ms, reach_ms));
        said.and(released.unwrap_or_default()).effects
    }

    /// Writes what has to be on disk before it is said (L5); gives what that releases, none when
    /// there is nothing to write.
    async fn write_marks(&self, shard: u16) -> Result<Option<Said>, StoreError> {
        let slots = &self.arguments.slots;
        let unwritten = slots.with(shard, |slot| slot.unwritten.clone());
        let unwritten = unwritten.unwrap_or_default();
        let Some(stamp) = unwritten.iter().map(|(stamp, _)| *stamp).max() else {
            return Ok(None);
        };
        let marks: Vec<Mark> = unwritten.into_iter().map(|(_, mark)| mark).collect();
        let mut write = self.arguments.broker.write("broker.ledger.mark").await?;
        ledger::save(&mut write, shard, &marks).await?;
        write.commit().await?;
        let now_ms = self.t_ms();
        let reach_ms = slots.reach_ms(now_ms);
        let released = slots.with(shard, |slot| slot.written(stamp, now_ms, reach_ms));
        Ok(Some(released.unwrap_or_default()))
    }

    fn tell(&self, shard: u16, effects: Vec<Effect>) {
        news::tell(
            &self.arguments.gateways,
            &self.arguments.clock,
            shard,
            effects,
        );
    }

    /// What an operator has to know of an answer.
    fn note(&mut self, cell: &CellKey, answer: Option<&LeaseAnswer>) {
        match answer.map(|answer| answer.outcome) {
            Some(Outcome::UnknownPolicy) => {
                let limit = (cell.tenant.clone(), cell.policy.clone());
                if self.unknown.insert(limit) {
                    tracing::warn!(
                        tenant = %cell.tenant, limit = %cell.policy,
                        "calls are counted by a policy that does not exist, they are refused; make it or attach another"
                    );
                }
            }
            Some(Outcome::Shared) => {
                metrics::counter!("headgate_ledger_full_total").increment(1);
            }
            _ => {}
        }
    }
}

/// The last thing that was said to each ask, as replies are cumulative (L7), and the rest.
fn sort_out(asks: &[Ask], effects: Vec<Effect>) -> (Vec<Option<LeaseAnswer>>, Vec<Effect>) {
    let places: BTreeMap<&CellKey, usize> = asks.iter().map(|ask| &ask.cell).zip(0..).collect();
    let mut answers = vec![None; asks.len()];
    let mut rest = Vec::new();
    for effect in effects {
        if let Effect::Reply(reply) = &effect
            && let Some(place) = places.get(&reply.cell).copied()
            && let Some((ask, answer)) = asks.get(place).zip(answers.get_mut(place))
            && (&ask.holder, ask.asked_at_ms) == (&reply.holder, reply.asked_at_ms)
        {
            *answer = Some(LeaseAnswer::of(reply));
        } else {
            rest.push(effect);
        }
    }
    (answers, rest)
}
