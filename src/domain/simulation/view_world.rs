//! Several members in place of one owner: the real `Seat`s, `Coordinator`s, `Voter`s and `Fences`, each key a shard of
//! its own, around an abstract register. Gateways and requests are those of [`super::ledger_world`].

use std::collections::{BTreeMap, BTreeSet};

use super::Planted;
use super::ledger_world::{Event, Message, WORLD_EPOCH_MS, World, key_of};
use super::view_register::Register;
use crate::ledger::{Ask, Effect, Input, Mark, Stamp};
use crate::view::{
    Coordinator, Deed, Duty, Epoch, Event as SeatEvent, Fences, Life, News, Origin, Phase, Place,
    Sealed, Seat, View, Voter, Words,
};

/// What nodes say to each other.
#[derive(Debug, Clone)]
pub(super) enum Saying {
    Words {
        shard: u16,
        words: Words,
    },
    Fence {
        epoch: Epoch,
        t_ms: i64,
    },
    Fenced {
        epoch: Epoch,
        t_ms: i64,
    },
    Seal {
        epoch: Epoch,
    },
    Sealed {
        sealed: Sealed,
    },
    Complete {
        epoch: Epoch,
        shard: u16,
        origin: Origin,
    },
    Refused {
        at: Epoch,
    },
    View(View),
    Ask(Ask),
}

/// What happens to nodes.
#[derive(Debug)]
pub(super) enum NodeEvent {
    Hears {
        node: usize,
        life: u64,
        from: usize,
        saying: Saying,
    },
    Written {
        node: usize,
        life: u64,
        shard: u16,
        stamp: Stamp,
        marks: Vec<Mark>,
    },
    Ticks {
        node: usize,
        life: u64,
    },
    Starts {
        node: usize,
    },
}

/// A traffic manager, a voter, or both.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) life: u64,
    pub(super) is_up: bool,
    pub(super) paused_until_ms: i64,
    /// What its T is wrong by.
    pub(super) t_error_ms: i64,
    pub(super) seats: Vec<Seat>,
    pub(super) coordinator: Coordinator,
    pub(super) view: View,
    pub(super) fences: Fences,
    /// On disk, like the marks.
    pub(super) voter: Voter,
    pub(super) disk: Vec<Mark>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) all: Vec<Node>,
    /// How many of the first ones own shards; the others vote only.
    pub(super) members: usize,
    pub(super) register: Register,
    /// From whom to whom nothing comes through.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// When the one last heard the other, by what the register's leader can see.
    pub(super) heard_ms: BTreeMap<(usize, usize), i64>,
}

/// A node that hears nothing for so long is left out of the next view.
const SUSPECT_MS: i64 = 400;
const TICK_MS: i64 = 50;

pub(super) fn name(node: usize) -> String {
    format!("t{node}")
}

pub(super) fn number(name: &str) -> usize {
    name.trim_start_matches('t').parse().unwrap()
}

/// Any hash will do as long as all agree.
pub(super) fn rank(shard: u16, node: &str) -> u64 {
    let seed = u64::from(shard) * 1_000 + u64::try_from(number(node)).unwrap();
    super::kernel::Rng::new(seed).next()
}

// === impl World ===

impl World {
    fn incarnation(&self, node: usize) -> u64 {
        if self.plan.planted == Some(Planted::ReuseIncarnation) {
            1
        } else {
            self.nodes.all[node].life
        }
    }

    pub(super) fn node_event(&mut self, event: NodeEvent) {
        let (node, life) = match &event {
            NodeEvent::Hears { node, life, .. }
            | NodeEvent::Written { node, life, .. }
            | NodeEvent::Ticks { node, life } => (*node, *life),
            NodeEvent::Starts { node } => return self.node_returns(*node),
        };
        let at = &self.nodes.all[node];
        if !at.is_up || at.life != life {
            return;
        }
        if at.paused_until_ms > self.now_ms {
            // It was stopped: everything that reaches it waits, in order.
            let until = at.paused_until_ms;
            return self.queue.at(until, Event::Node(event));
        }
        match event {
            NodeEvent::Hears { from, saying, .. } => self.node_hears(node, from, saying),
            NodeEvent::Written {
                shard,
                stamp,
                marks,
                ..
            } => {
                self.nodes.all[node].disk.extend(marks);
                self.seat(node, shard, SeatEvent::Ledger(Input::Marked { stamp }));
            }
            NodeEvent::Ticks { .. } => self.node_ticks(node),
            NodeEvent::Starts { .. } => {}
        }
    }

    fn node_ticks(&mut self, node: usize) {
        let life = self.nodes.all[node].life;
        for shard in 0..u16::try_from(self.plan.keys.len()).unwrap() {
            self.seat(node, shard, SeatEvent::Tick);
        }
        let leads = self.nodes.register.believes(node);
        self.coordinate(node, News::Leads(leads));
        if leads {
            let members = self.alive_to(node);
            let leaving = Vec::new();
            self.coordinate(node, News::Alive { members, leaving });
        }
        self.queue.at(
            self.now_ms + TICK_MS,
            Event::Node(NodeEvent::Ticks { node, life }),
        );
    }

    /// Who may own shards, as the leader sees it.
    fn alive_to(&self, leader: usize) -> Vec<Life> {
        let nodes = &self.nodes;
        let heard = |node: usize| {
            let last = nodes
                .heard_ms
                .get(&(leader, node))
                .copied()
                .unwrap_or(i64::MIN / 2);
            node == leader || self.now_ms - last <= SUSPECT_MS
        };
        (0..nodes.members)
            .filter(|node| heard(*node))
            .map(|node| Life::new(name(node), self.incarnation(node)))
            .collect()
    }

    /// Both hear each other now.
    pub(super) fn reaches(&self, one: usize, other: usize) -> bool {
        let works = |node: usize| {
            let at = &self.nodes.all[node];
            at.is_up && at.paused_until_ms <= self.now_ms
        };
        let cut = &self.nodes.cut;
        works(one) && works(other) && !cut.contains(&(one, other)) && !cut.contains(&(other, one))
    }

    pub(super) fn t_of(&self, node: usize) -> i64 {
        WORLD_EPOCH_MS + self.now_ms + self.nodes.all[node].t_error_ms
    }

    pub(super) fn say(&mut self, from: usize, to: usize, saying: Saying) {
        if self.nodes.cut.contains(&(from, to)) {
            return;
        }
        let life = self.nodes.all[to].life;
        let arrivals = if from == to {
            vec![self.now_ms]
        } else {
            self.plan.network.deliveries(self.now_ms, &mut self.rng)
        };
        for at in arrivals {
            let saying = saying.clone();
            let node = to;
            let hears = NodeEvent::Hears {
                node,
                life,
                from,
                saying,
            };
            self.queue.at(at, Event::Node(hears));
        }
    }

    fn node_hears(&mut self, node: usize, from: usize, saying: Saying) {
        match saying {
            Saying::Words { shard, words } => {
                let from = name(from);
                self.seat(node, shard, SeatEvent::Heard { from, words });
            }
            Saying::Fence { epoch, t_ms } => {
                let unsealed = self.plan.planted == Some(Planted::SealsNothing);
                let answer = match self.nodes.all[node].voter.fence(epoch, t_ms) {
                    Ok(()) => Saying::Fenced { epoch, t_ms },
                    Err(_) if unsealed => Saying::Fenced { epoch, t_ms },
                    Err(at) => Saying::Refused { at },
                };
                self.say(node, from, answer);
            }
            Saying::Fenced { epoch, t_ms } => {
                let fences = &mut self.nodes.all[node].fences;
                if fences.acked(&name(from), epoch, t_ms)
                    && let Some(t_ms) = fences.fenced_ms()
                {
                    for shard in 0..u16::try_from(self.plan.keys.len()).unwrap() {
                        self.seat(node, shard, SeatEvent::Fenced { epoch, t_ms });
                    }
                }
            }
            Saying::Seal { epoch } => {
                let sealed = self.nodes.all[node].voter.seal(epoch);
                self.say(node, from, Saying::Sealed { sealed });
            }
            Saying::Sealed { sealed } => {
                let voter = name(from);
                self.coordinate(node, News::Sealed { voter, sealed });
            }
            Saying::Complete {
                epoch,
                shard,
                origin,
            } => {
                self.coordinate(
                    node,
                    News::Complete {
                        epoch,
                        shard,
                        origin,
                    },
                );
            }
            Saying::Refused { at } => {
                self.coordinate(node, News::Refused { at });
                if !self.nodes.register.believes(node) {
                    self.tell_leader(node, Saying::Refused { at });
                }
            }
            Saying::View(view) => self.node_follows(node, view),
            Saying::Ask(ask) => self.node_is_asked(node, ask),
        }
    }

    fn node_is_asked(&mut self, node: usize, ask: Ask) {
        let shard = u16::try_from(key_of(&ask.cell)).unwrap();
        let cell = ask.cell.clone();
        if self.nodes.all[node].seats[usize::from(shard)].is_owner() {
            self.seat(node, shard, SeatEvent::Ledger(Input::Ask(ask)));
        }
        let ledger = self.nodes.all[node].seats[usize::from(shard)].ledger();
        if let Some(image) = ledger.image(&cell) {
            self.truth.opened(key_of(&cell), image.window.id);
        }
    }

    pub(super) fn node_follows(&mut self, node: usize, view: View) {
        let at = &mut self.nodes.all[node];
        at.voter.seal(view.epoch);
        if view == at.view || at.view.is_later(&view) {
            return;
        }
        at.view = view.clone();
        if view.phase == Phase::Active || self.plan.planted == Some(Planted::ServeInSync) {
            at.fences.begin(view.epoch, &view.voters);
        }
        for shard in 0..u16::try_from(self.plan.keys.len()).unwrap() {
            let place = Place::of(&view, shard, &name(node), rank);
            self.seat(node, shard, SeatEvent::Place(place));
        }
        self.coordinate(node, News::View(view));
    }

    pub(super) fn seat(&mut self, node: usize, shard: u16, event: SeatEvent) {
        let t_ms = self.t_of(node);
        let deeds = self.nodes.all[node].seats[usize::from(shard)].step(event, t_ms);
        for deed in deeds {
            self.deed(node, shard, deed);
        }
    }

    fn deed(&mut self, node: usize, shard: u16, deed: Deed) {
        match deed {
            Deed::Say { to, words } => self.say(node, number(&to), Saying::Words { shard, words }),
            Deed::Complete { epoch, origin } => {
                self.tell_leader(
                    node,
                    Saying::Complete {
                        epoch,
                        shard,
                        origin,
                    },
                );
            }
            Deed::Refused { at } => self.tell_leader(node, Saying::Refused { at }),
            Deed::Fence { t_ms } => {
                let now_ms = self.now_ms;
                let fences = &mut self.nodes.all[node].fences;
                if let Some(t_ms) = fences.need(t_ms, now_ms) {
                    let epoch = self.nodes.all[node].view.epoch;
                    for voter in 0..self.plan.voters {
                        self.say(node, voter, Saying::Fence { epoch, t_ms });
                    }
                }
            }
            Deed::Ledger(Effect::Persist { stamp, marks }) => {
                let life = self.nodes.all[node].life;
                let at = self.now_ms + self.rng.between(1, self.plan.disk_ms);
                let written = NodeEvent::Written {
                    node,
                    life,
                    shard,
                    stamp,
                    marks,
                };
                self.queue.at(at, Event::Node(written));
                if self.plan.planted == Some(Planted::ReleaseBeforeMark) {
                    self.seat(node, shard, SeatEvent::Ledger(Input::Marked { stamp }));
                }
            }
            Deed::Ledger(Effect::Reply(reply)) => {
                self.tell_gateway(&reply.holder.clone(), &Message::Reply(reply));
            }
            Deed::Ledger(Effect::Recall(recall)) => {
                self.tell_gateway(&recall.holder.clone(), &Message::Recall(recall));
            }
            Deed::Ledger(Effect::Reopen(reopen)) => {
                self.tell_gateway(&reopen.holder.clone(), &Message::Reopen(reopen));
            }
            Deed::Ledger(_) => {}
        }
    }

    fn tell_leader(&mut self, from: usize, saying: Saying) {
        if let Some(leader) = self.nodes.register.leader {
            self.say(from, leader, saying);
        }
    }

    pub(super) fn coordinate(&mut self, node: usize, news: News) {
        let now_ms = self.now_ms;
        let duties = self.nodes.all[node].coordinator.step(news, now_ms);
        for duty in duties {
            match duty {
                Duty::Propose(entry) => self.propose(node, entry),
                Duty::Seal { epoch, voters } => {
                    for voter in voters {
                        self.say(node, number(&voter), Saying::Seal { epoch });
                    }
                }
            }
        }
    }

    /// Where a gateway sends an ask: mostly to the owner of the newest view, now and then to another.
    pub(super) fn member_for(&mut self, key: usize) -> usize {
        let shard = u16::try_from(key).unwrap();
        let view = &self.nodes.register.view;
        let owner = view
            .members
            .iter()
            .max_by_key(|life| (rank(shard, &life.node), life.node.clone()))
            .map(|life| number(&life.node));
        let other = self.rng.index(self.nodes.members);
        match owner {
            Some(owner) if !self.rng.chance(100) => owner,
            _ => other,
        }
    }
}
