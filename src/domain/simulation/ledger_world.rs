//! One owner and several gateways: the real `Ledger` and the real `Book`s and `Lease`s, with everything between them
//! going wrong. Time is milliseconds of the world; T and every gateway's clock are derived from it.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Planted;
use super::kernel::{Network, Queue, Rng};
use super::ledger_truth::Truth;
use super::view_plans::Cluster;
use super::view_world::{NodeEvent, Nodes};
use crate::lease::{Book, Lease, Receipt, Refused, Unsaid};
use crate::ledger::{
    Ask, CellKey, Effect, Holder, Input, Ledger, Mark, Policies, Quota, Recall, Recovery, Reopen,
    Reply,
};
use crate::view::View;
use crate::window::WindowSpec;

pub(super) const TENANT: &str = "carbon.super";
const POLICY: &str = "subscription:";
pub(super) const WORLD_EPOCH_MS: i64 = 1_700_000_000_000;
/// T may stand still for as long as the disk takes to note it.
const LATE_MS: i64 = 200;
/// Where requests come in bursts those last so long.
const BURST_MS: i64 = 7_000;
/// A request without a unit waits so long at most (L8).
const PATIENCE_MS: i64 = 3_000;

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) gateways: usize,
    /// One key each: limit and window.
    pub(super) keys: Vec<(u64, WindowSpec)>,
    pub(super) length_ms: i64,
    /// Milliseconds between the requests for a key at all gateways together.
    pub(super) pace_ms: i64,
    pub(super) network: Network,
    /// Chances in a thousand, each second.
    pub(super) gateway_crashes: u64,
    pub(super) owner_restarts: u64,
    pub(super) limit_changes: u64,
    pub(super) clock_steps_back: u64,
    /// Chances in a thousand, each request.
    pub(super) pauses: u64,
    pub(super) put_backs: u64,
    /// Traffic managers; none where one owner stands for all of them.
    pub(super) members: usize,
    /// Voters of the view register, the members first.
    pub(super) voters: usize,
    /// Chances in a thousand, each second.
    pub(super) node_crashes: u64,
    pub(super) node_pauses: u64,
    pub(super) cuts: u64,
    pub(super) splits: u64,
    pub(super) blackouts: u64,
    /// Milliseconds that a write takes at most.
    pub(super) disk_ms: i64,
    pub(super) planted: Option<Planted>,
    pub(super) cluster: Cluster,
}

#[derive(Debug, Clone)]
pub(super) enum Message {
    Reply(Reply),
    Recall(Recall),
    Reopen(Reopen),
}

#[derive(Debug)]
pub(super) enum Event {
    Request {
        gateway: usize,
        key: usize,
    },
    PutBack {
        lease: Arc<Lease>,
        receipt: Receipt,
    },
    ToOwner(Ask),
    ToGateway {
        gateway: usize,
        message: Message,
    },
    RecalledBefore {
        gateway: usize,
        recall: Recall,
        look: u32,
    },
    /// The owner's disk has the rows.
    Written {
        epoch: u64,
        effect: Effect,
    },
    OwnerTick,
    Second,
    Node(NodeEvent),
    Register {
        round: u64,
    },
    GatewayView {
        gateway: usize,
        view: Arc<View>,
    },
    GatewayPolicies {
        gateway: usize,
        applied: u64,
    },
    GatewayTick {
        gateway: usize,
    },
    /// An owner took what it gave back.
    GatewayTaken {
        gateway: usize,
        ask: Ask,
    },
}

#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) life: u64,
    pub(super) leases: u64,
    /// The policies that it knows.
    pub(super) policies: u64,
    pub(super) is_ticking: bool,
    pub(super) offset_ms: i64,
    /// Its clock's error in parts per million.
    pub(super) drift_ppm: i64,
    pub(super) books: BTreeMap<usize, Book>,
    pub(super) unsaid: Unsaid,
    /// Requests that wait: when each came.
    pub(super) waiting: BTreeMap<usize, Vec<i64>>,
    /// What a planted bug has to remember: the last count sent by key and window.
    pub(super) sent: BTreeMap<(usize, i64), u64>,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) queue: Queue<Event>,
    pub(super) now_ms: i64,
    pub(super) owner: Ledger,
    pub(super) epoch: u64,
    /// What T lies before the world's time, after steps of the clock.
    pub(super) t_step_ms: i64,
    pub(super) disk: Vec<Mark>,
    pub(super) policies: Policies,
    pub(super) gateways: Vec<Gateway>,
    pub(super) nodes: Nodes,
    pub(super) truth: Truth,
}

// === impl World ===

impl World {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut policies = Policies::new(1);
        for (key, (limit, window)) in plan.keys.iter().enumerate() {
            policies.set(
                TENANT,
                &policy(key),
                Quota {
                    limit: *limit,
                    window: *window,
                },
            );
        }
        let gateways = (0..plan.gateways)
            .map(|_| Gateway {
                life: 1,
                leases: 0,
                policies: 1,
                is_ticking: true,
                offset_ms: rng.between(-2 * 3_600_000, 2 * 3_600_000),
                drift_ppm: rng.between(-250, 250),
                books: BTreeMap::new(),
                unsaid: Unsaid::default(),
                waiting: BTreeMap::new(),
                sent: BTreeMap::new(),
            })
            .collect();
        let mut owner = Ledger::new(64, Recovery::founding(1), Arc::new(policies.clone()));
        owner.planted = plan.planted;
        let truth = Truth::new(&policies);
        let mut world = Self {
            plan,
            rng,
            queue: Queue::new(),
            now_ms: 0,
            owner,
            epoch: 1,
            t_step_ms: 0,
            disk: Vec::new(),
            policies,
            gateways,
            nodes: Nodes::default(),
            truth,
        };
        world.start_nodes();
        world.schedule();
        world
    }

    /// Runs to the end; the truth then knows what was wrong, and a digest of all that happened.
    pub(super) fn run(mut self) -> Truth {
        while let Some((time_ms, event)) = self.queue.pop()
            && time_ms <= self.plan.length_ms
        {
            self.now_ms = self.now_ms.max(time_ms);
            let kind = std::mem::discriminant(&event);
            let kind = FixedState::default().hash_one(kind);
            self.truth.happened(self.now_ms, kind, &self.rng);
            self.event(event);
        }
        self.now_ms = self.plan.length_ms;
        if self.is_clustered() {
            self.judge();
        }
        self.truth
    }

    fn schedule(&mut self) {
        for key in 0..self.plan.keys.len() {
            let mut at = 0;
            while at < self.plan.length_ms {
                let gateway = self.rng.index(self.plan.gateways);
                // Few come, then none, then all.
                let is_asked = match (self.plan.cluster.bursts, (at / BURST_MS) % 3) {
                    (false, _) | (true, 2) => true,
                    (true, 0) => self.rng.chance(150),
                    _ => false,
                };
                if is_asked {
                    self.queue.at(at, Event::Request { gateway, key });
                }
                at += self.rng.between(1, self.plan.pace_ms * 2 - 1);
            }
        }
        if !self.is_clustered() {
            self.queue.at(10, Event::OwnerTick);
        }
        self.queue.at(1_000, Event::Second);
        for gateway in 0..self.plan.gateways {
            self.queue.at(50, Event::GatewayTick { gateway });
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Request { gateway, key } => {
                let patience = self.now_ms;
                self.request(gateway, key, patience);
            }
            Event::PutBack { lease, receipt } => lease.put_back(receipt),
            Event::ToOwner(ask) => self.owner(Input::Ask(ask)),
            Event::ToGateway { gateway, message } => self.gateway(gateway, message),
            Event::RecalledBefore {
                gateway,
                recall,
                look,
            } => self.gateway_gives_back(gateway, recall, look),
            Event::Written { epoch, effect } => {
                if epoch == self.epoch
                    && let Effect::Persist { stamp, marks } = effect
                {
                    self.disk.extend(marks);
                    self.owner(Input::Marked { stamp });
                }
            }
            Event::OwnerTick => {
                self.owner(Input::Tick);
                self.queue.at(self.now_ms + 10, Event::OwnerTick);
            }
            Event::GatewayTick { gateway } => self.gateway_tick(gateway),
            Event::GatewayTaken { gateway, ask } => self.gateway_is_rid_of(gateway, ask),
            Event::Second => self.second(),
            Event::Node(event) => self.node_event(event),
            Event::Register { round } => self.register_ticks(round),
            Event::GatewayView { gateway, view } => self.gateway_follows(gateway, view),
            Event::GatewayPolicies { gateway, applied } => {
                self.gateway_hears_policies(gateway, applied);
            }
        }
    }

    // --- clocks ---

    /// T as the owner's machine gives it; the ledger keeps it from going back.
    pub(super) fn t_ms(&self) -> i64 {
        WORLD_EPOCH_MS + self.now_ms - self.t_step_ms
    }

    /// T as the truth is told it. Among several members there is none that all agree on; what each window admits
    /// counts there, whenever.
    fn t_admitted(&self) -> i64 {
        if !self.is_clustered() {
            self.t_ms()
        } else if self.plan.cluster.is_on_time {
            self.t_ms() - LATE_MS
        } else {
            i64::MIN
        }
    }

    pub(super) fn clock_ms(&self, gateway: usize, world_ms: i64) -> i64 {
        let at = &self.gateways[gateway];
        at.offset_ms + world_ms + world_ms * at.drift_ppm / 1_000_000
    }

    // --- requests ---

    fn request(&mut self, gateway: usize, key: usize, came_ms: i64) {
        self.open(gateway, key);
        let pause_ms = if self.rng.chance(self.plan.pauses) {
            self.rng.between(1, 5_000)
        } else {
            0
        };
        // A thread that is paused between taking and reading the clock reads a later time, however it takes; with the
        // planted bug the unit is taken when the pause is over, by a clock that was read before it.
        let read_at_ms = match self.plan.planted {
            Some(Planted::ClockBeforeTake) => self.now_ms - pause_ms,
            _ => self.now_ms + pause_ms,
        };
        let clock_ms = self.clock_ms(gateway, read_at_ms);
        let Some(book) = self.gateways[gateway].books.get(&key) else {
            return;
        };
        match book.lease().take(1, || clock_ms) {
            Ok(receipt) => {
                let window = book.granted().0.unwrap();
                let lease = Arc::clone(book.lease());
                if receipt.ask {
                    self.ask(gateway, key);
                }
                if self.rng.chance(self.plan.put_backs) {
                    // Another level refused it.
                    let later = self.now_ms + self.rng.between(0, 500);
                    self.queue.at(later, Event::PutBack { lease, receipt });
                } else {
                    let t_ms = self.t_admitted();
                    self.truth.admitted(key, window, t_ms);
                    if self.is_clustered() {
                        let taken_ms = self.now_ms.min(read_at_ms);
                        self.truth.used_at(key, window.spec, taken_ms, read_at_ms);
                    }
                    self.truth.answered_ms.insert(key, self.now_ms);
                }
            }
            Err(Refused::Empty { ask }) => {
                self.gateways[gateway]
                    .waiting
                    .entry(key)
                    .or_default()
                    .push(came_ms);
                self.gateway_waits(gateway);
                if ask {
                    self.ask(gateway, key);
                }
            }
            Err(Refused::Closed { .. }) => {
                self.truth.answered_ms.insert(key, self.now_ms);
            }
        }
    }

    fn open(&mut self, gateway: usize, key: usize) {
        let at = &mut self.gateways[gateway];
        if !at.books.contains_key(&key) {
            at.leases += 1;
            let holder = Holder::new(format!("g{gateway}"), at.life, at.leases);
            at.books.insert(key, Book::open(holder, cell(key)));
        }
    }

    pub(super) fn ask(&mut self, gateway: usize, key: usize) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let at = &mut self.gateways[gateway];
        let waiting = at
            .waiting
            .get(&key)
            .map_or(0, |waiting| u32::try_from(waiting.len()).unwrap());
        if let Some(book) = at.books.get_mut(&key) {
            let ask = book.ask(at.policies, (waiting, waiting), clock_ms);
            self.send_ask(ask);
        }
    }

    pub(super) fn wake(&mut self, gateway: usize, key: usize) {
        let waiting = self.gateways[gateway]
            .waiting
            .remove(&key)
            .unwrap_or_default();
        for came_ms in waiting {
            if self.now_ms - came_ms <= PATIENCE_MS {
                self.request(gateway, key, came_ms);
            } else {
                self.truth.gave_up += 1;
            }
        }
    }

    // --- the owner ---

    pub(super) fn send_ask(&mut self, ask: Ask) {
        if self.is_clustered() {
            self.say_to_member(ask);
            return;
        }
        for at in self.plan.network.deliveries(self.now_ms, &mut self.rng) {
            self.queue.at(at, Event::ToOwner(ask.clone()));
        }
    }

    pub(super) fn owner(&mut self, input: Input) {
        let touched = match &input {
            Input::Ask(ask) => Some(ask.clone()),
            _ => None,
        };
        let before = touched.as_ref().and_then(|ask| self.owner.image(&ask.cell));
        let effects = self.owner.step_alone(input, self.t_ms());
        if let Some(ask) = touched {
            let after = self.owner.image(&ask.cell);
            self.truth
                .granted(key_of(&ask.cell), &ask, before.as_ref(), after.as_ref());
        }
        for effect in effects {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        let (holder, message) = match effect {
            Effect::Persist { stamp, .. } => {
                let at = self.now_ms + self.rng.between(1, 50);
                self.queue.at(
                    at,
                    Event::Written {
                        epoch: self.epoch,
                        effect,
                    },
                );
                if self.plan.planted == Some(Planted::ReleaseBeforeMark) {
                    self.owner(Input::Marked { stamp });
                }
                return;
            }
            Effect::Reply(reply) => (reply.holder.clone(), Message::Reply(self.sent(reply))),
            Effect::Recall(recall) => (recall.holder.clone(), Message::Recall(recall)),
            Effect::Reopen(reopen) => (reopen.holder.clone(), Message::Reopen(reopen)),
            Effect::Replicate { .. } | Effect::Shared { .. } => return,
        };
        self.tell_gateway(&holder, &message);
    }

    pub(super) fn tell_gateway(&mut self, holder: &Holder, message: &Message) {
        let gateway: usize = holder.node.trim_start_matches('g').parse().unwrap();
        for at in self.plan.network.deliveries(self.now_ms, &mut self.rng) {
            let message = message.clone();
            self.queue.at(at, Event::ToGateway { gateway, message });
        }
    }
}

pub(super) fn policy(key: usize) -> String {
    format!("{POLICY}{key}")
}

pub(super) fn cell(key: usize) -> CellKey {
    CellKey::new(TENANT, policy(key), "k")
}

pub(super) fn key_of(cell: &CellKey) -> usize {
    let key = cell.policy.strip_prefix(POLICY).unwrap();
    key.parse().unwrap()
}
