//! One actor that serves every sixteenth shard of a member: takes gateways' questions and other members' words, drives
//! the seats, and writes marks before what they cover is said (L5). The counts lie in [`super::slots`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Actor, Address, AskError, Asked, BoxError, Clock, Reply, SelfReport, spawn_named};
use domain::ledger::{Ask, Effect, Input, Mark, Outcome, SHARED_KEY};
use domain::view::{Event, Life, Words};
use storage::{Database, StoreError, broker::ledger};

use super::agenda::{Agenda, GoneBy};
use super::changes::Changes;
use super::counted;
use super::message::{ChangeKey, ShardHeard, TellShard};
use super::pending::Pending;
use super::site::Site;
use super::slots::{Said, Slot, Slots};
use super::under_way::UnderWay;
use super::ways::Ways;
use crate::agreed_view::AgreedView;
use crate::ticker::{Ticker, ticker};
use crate::traffic_manager::handle::GatewayLeases;
use crate::traffic_manager::message::{LeaseMany, Leased, ThrottleKey};
use crate::traffic_manager::shard::shard_of;
use crate::traffic_manager::view::PolicyView;
use crate::traffic_manager::{Published, news};

/// Recall rounds, ends of windows, and what may have got lost are looked at so often, where there are any.
const TICK: Duration = Duration::from_millis(50);

/// What it is started with.
#[derive(Clone)]
pub(super) struct ShardsArguments {
    pub(super) clock: Clock,
    pub(super) broker: Database,
    pub(super) slots: Arc<Slots>,
    pub(super) agreed: AgreedView,
    pub(super) policies: Published,
    pub(super) gateways: GatewayLeases,
    pub(super) members: Ways,
    /// It serves this shard and every `step`-th after it.
    pub(super) first: u16,
    pub(super) step: u16,
}

/// What it is told.
pub(super) enum ShardsMessage {
    Lease(Asked<LeaseMany>),
    Words(Asked<TellShard>),
    Change(Asked<ChangeKey>),
    /// What another member answered.
    Answered {
        shard: u16,
        from: Life,
        to: Life,
        words: Vec<Words>,
    },
    /// Other policies were published; answered when its shards go by them.
    Follow(Reply<()>),
    /// Another view, or shards may go further by notes and fences.
    Look,
    Tick,
}

/// The actor; it can be replaced at any moment.
pub(super) struct Shards {
    pub(super) arguments: ShardsArguments,
    me: Address<ShardsMessage>,
    pending: Pending<Reply<Leased>>,
    under_way: UnderWay,
    pub(super) changes: Changes,
    /// Limits that were asked for and do not exist, each told in the log once.
    unknown: BTreeSet<(String, String)>,
    /// Whether marks could not be written at the last try.
    failing: bool,
    /// Which of its shards it looks at when.
    agenda: Agenda,
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
        let step = usize::from(arguments.step.max(1));
        let shards = arguments.first..arguments.slots.count();
        let shards = shards.step_by(step).collect();
        let mut shards = Self {
            arguments,
            pending: Pending::default(),
            under_way: UnderWay::default(),
            changes: Changes::default(),
            unknown: BTreeSet::new(),
            failing: false,
            agenda: Agenda::new(shards),
            _ticker: ticker("shard ticks", TICK, me.clone(), || ShardsMessage::Tick),
            me,
        };
        shards.recover().await?;
        shards.look(false).await;
        Ok(shards)
    }

    async fn handle(&mut self, message: ShardsMessage) -> Result<(), BoxError> {
        match message {
            ShardsMessage::Lease(asked) => self.lease(asked).await,
            ShardsMessage::Words(asked) => self.hear(asked).await,
            ShardsMessage::Change(asked) => self.change(asked).await,
            ShardsMessage::Answered {
                shard,
                from,
                to,
                words,
            } => {
                if to == self.arguments.slots.site.life() {
                    for words in words {
                        let from = from.clone();
                        let said = self
                            .arguments
                            .slots
                            .step(shard, Event::Heard { from, words });
                        self.carry_out(shard, said).await;
                    }
                }
            }
            ShardsMessage::Follow(reply) => {
                self.look(false).await;
                self.unknown.clear();
                reply.send(());
            }
            ShardsMessage::Look => self.look(false).await,
            ShardsMessage::Tick => {
                let now = self.arguments.clock.monotonic();
                let incarnation = self.arguments.slots.site.incarnation_now();
                if self.agenda.is_time_for_all(incarnation, now) {
                    self.recover().await?;
                }
                self.look(true).await;
            }
        }
        self.tell_changes();
        self.answer();
        Ok(())
    }

    fn shows(&self) -> SelfReport {
        let ShardsArguments {
            first, step, slots, ..
        } = &self.arguments;
        let view = self.arguments.agreed.latest().view;
        SelfReport::default()
            .with(
                "shards",
                format!("{first} and every {step} after it, of {}", slots.count()),
            )
            .with("epoch", view.epoch.number())
            .with("questions that wait", self.pending.len())
            .with("shards that speak with other members", self.under_way.len())
            .with("unknown limits asked for", self.unknown.len())
            .with("marks cannot be written", self.failing)
            .linked_all(view.members.iter().map(|life| &life.node))
    }
}

// === impl Shards ===

impl Shards {
    /// Begins from disk what is not in the node's life of now.
    async fn recover(&mut self) -> Result<(), StoreError> {
        let slots = &self.arguments.slots;
        let behind = self.agenda.shards().iter().copied();
        let behind: Vec<u16> = behind.filter(|shard| !slots.is_ready(*shard)).collect();
        if behind.is_empty() {
            return Ok(());
        }
        let mut read = self.arguments.broker.read().await?;
        self.agenda.begin_anew();
        for shard in behind {
            // From the T on that the shard begins with, which lies before what is noted.
            let marks = ledger::list(&mut read, shard, slots.site.t_ms()).await?;
            slots.recover(shard, marks);
        }
        Ok(())
    }

    async fn lease(&mut self, asked: Asked<LeaseMany>) {
        let Asked { request, reply } = asked;
        let (view, asks) = match self.readable(&request) {
            Ok(readable) => readable,
            Err(refusal) => return reply.send(refusal),
        };
        let slots = &self.arguments.slots;
        let said = slots.with(request.shard, |slot| {
            if !slot.is_owner() {
                return None;
            }
            let mut said = slot.go_by(&view.table, &slots.site);
            for ask in &asks {
                let ask = Event::Ledger(Input::Ask(ask.clone()));
                said = said.and(slot.step(ask, &slots.site));
            }
            Some(said)
        });
        let Some(said) = said.flatten() else {
            return reply.send(Leased::NotOwner);
        };
        let now = self.arguments.clock.monotonic();
        self.pending.wait(request.shard, asks, reply, now);
        self.carry_out(request.shard, said).await;
    }

    /// The policies in force and the questions, if they may be answered here and now.
    fn readable(&self, request: &LeaseMany) -> Result<(Arc<PolicyView>, Vec<Ask>), Leased> {
        let foreign =
            |key: &ThrottleKey| key.subject != SHARED_KEY && shard_of(key) != request.shard;
        let keys = request.keys().ok_or(Leased::NotOwner)?;
        if !self.agenda.shards().contains(&request.shard) || keys.iter().any(foreign) {
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

    /// Another member says something; what is said to it at once is the answer.
    async fn hear(&mut self, asked: Asked<TellShard>) {
        let Asked { request, reply } = asked;
        let TellShard {
            shard,
            from,
            to,
            words,
        } = request;
        let mut answer = ShardHeard { words: Vec::new() };
        if to == self.arguments.slots.site.life() {
            // It may know of a view that this shard has not heard of.
            self.follow(shard).await;
            let heard = Event::Heard {
                from: from.clone(),
                words,
            };
            let mut said = self.arguments.slots.step(shard, heard);
            if !self.failing {
                said = said.and(self.written(shard).await);
            }
            let (answers, others) = said.words.into_iter().partition(|(to, _)| *to == from);
            said.words = others;
            let answers: Vec<(Life, Words)> = answers;
            answer.words = answers.into_iter().map(|(_, words)| words).collect();
            self.carry_out(shard, said).await;
        }
        reply.send(answer);
    }

    /// Answers the questions that are due.
    fn answer(&mut self) {
        let slots = &self.arguments.slots;
        let is_awaited = |shard: u16, ask: &Ask| {
            let ledger = |slot: &mut Slot| slot.ledger().awaits(&ask.cell, &ask.holder.node);
            slots.with(shard, ledger).unwrap_or_default()
        };
        let now = self.arguments.clock.monotonic();
        for (reply, answers) in self.pending.due(now, is_awaited) {
            reply.send(Leased::Leases(answers));
        }
    }

    pub(super) async fn follow(&mut self, shard: u16) {
        let view = self.arguments.agreed.latest().view;
        let said = self.arguments.slots.follow(shard, &view);
        self.carry_out(shard, said).await;
    }

    /// Goes by the view, the policies, the notes and the fences of now, and by the time if it `ticks`.
    async fn look(&mut self, ticks: bool) {
        let policies = self.arguments.policies.load_full();
        let view = self.arguments.agreed.latest().view;
        let site = &self.arguments.slots.site;
        let by = GoneBy {
            entries: view.entries,
            incarnation: site.incarnation_now(),
            policies: policies.as_ref().map(|view| Arc::clone(&view.table)),
        };
        let (now, t_ms) = (self.arguments.clock.monotonic(), site.t_ms());
        for shard in self.agenda.at(by, ticks, now, t_ms) {
            let slots = &self.arguments.slots;
            let mut said = slots.follow(shard, &view);
            let looked = slots.with(shard, |slot| {
                let said = match &policies {
                    Some(policies) => slot.go_by(&policies.table, &slots.site),
                    None => Said::default(),
                };
                if ticks || slot.is_behind(&slots.site) {
                    said.and(slot.step(Event::Tick, &slots.site))
                } else {
                    said
                }
            });
            said = said.and(looked.unwrap_or_default());
            if ticks && self.failing {
                said = said.and(self.written(shard).await);
            }
            self.carry_out(shard, said).await;
        }
    }

    /// Says what may be said of this and of earlier steps, now that the marks are on disk.
    pub(super) async fn carry_out(&mut self, shard: u16, said: Said) {
        // While nothing can be written the ticks try, not every message.
        let said = if self.failing {
            said
        } else {
            said.and(self.written(shard).await)
        };
        for (to, words) in said.words {
            self.say(shard, to, words);
        }
        for effect in &said.effects {
            counted::effect(effect);
            self.note(effect);
        }
        let rest = self.pending.take(said.effects);
        let (gateways, clock) = (&self.arguments.gateways, &self.arguments.clock);
        news::tell(gateways, clock, shard, rest);
        let due_ms = self.arguments.slots.with(shard, |slot| slot.due_ms());
        self.agenda.put(shard, due_ms.flatten());
    }

    fn say(&mut self, shard: u16, to: Life, words: Words) {
        let Some(way) = self.under_way.begin(shard, &to, &words) else {
            return;
        };
        let (members, me) = (self.arguments.members.clone(), self.me.clone());
        let site = Arc::clone(&self.arguments.slots.site);
        let from = site.life();
        let told = TellShard {
            shard,
            from: from.clone(),
            to: to.clone(),
            words,
        };
        spawn_named("shard words", async move {
            let heard = members.tell(&to.node, told).await;
            drop(way);
            match heard {
                Ok(heard) => {
                    let _ = me.tell(ShardsMessage::Answered {
                        shard,
                        from: to,
                        to: from,
                        words: heard.words,
                    });
                }
                Err(AskError::Unsupported) => tell_of_the_deaf(&site, &to),
                // What gets lost is said again.
                Err(_) => {}
            }
        });
    }

    /// Writes what has to be on disk before it is said (L5); gives what that releases.
    async fn written(&mut self, shard: u16) -> Said {
        let slots = &self.arguments.slots;
        let unwritten = slots.with(shard, |slot| slot.unwritten.clone());
        let unwritten = unwritten.unwrap_or_default();
        let Some(stamp) = unwritten.iter().map(|(stamp, _)| *stamp).max() else {
            return Said::default();
        };
        let marks: Vec<Mark> = unwritten.into_iter().map(|(_, mark)| mark).collect();
        match write(&self.arguments.broker, shard, &marks).await {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("marks of long windows are written again");
                }
                let said = slots.with(shard, |slot| slot.written(stamp, &slots.site));
                said.unwrap_or_default()
            }
            // Nothing that waits for a mark is released; the next tick tries again. Said once.
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "marks of long windows cannot be written, trying again");
                }
                Said::default()
            }
        }
    }

    /// What an operator has to know of an answer.
    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Reply(reply) if reply.outcome == Outcome::UnknownPolicy => {
                let cell = &reply.cell;
                let limit = (cell.tenant.clone(), cell.policy.clone());
                if self.unknown.insert(limit) {
                    tracing::warn!(
                        tenant = %cell.tenant, limit = %cell.policy,
                        "calls are counted by a policy that does not exist, they are refused; make it or attach another"
                    );
                }
            }
            Effect::Shared { .. } => {
                metrics::counter!("headgate_ledger_full_total").increment(1);
            }
            _ => {}
        }
    }
}

/// Saying it again does not help; the coordinator goes on without whom all wait for.
fn tell_of_the_deaf(site: &Site, to: &Life) {
    if site.is_not_understood_by(to) {
        tracing::warn!(
            node = to.node,
            "a traffic manager does not understand what others tell it about shards, so it can own none: it runs an \
             earlier version or no traffic manager any more; start it with the version of the others, or stop it"
        );
    }
}

async fn write(broker: &Database, shard: u16, marks: &[Mark]) -> Result<(), StoreError> {
    let mut write = broker.write("broker.ledger.mark").await?;
    ledger::save(&mut write, shard, marks).await?;
    write.commit().await
}
