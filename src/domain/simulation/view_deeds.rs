//! What seats want done: words for other members, marks and T on disk, replies for gateways.

use super::Planted;
use super::ledger_world::{Event, Message, World};
use super::view_plans::Fault;
use super::view_world::{NodeEvent, Saying, name, number};
use crate::ledger::{Effect, Input};
use crate::view::{Deed, Epoch, Event as SeatEvent, Life, Words};

/// A disk that takes nothing for so long hangs.
const STALLED_MS: i64 = 1_000;
/// A part of a copy takes so long over a slow link.
const PART_MS: i64 = 400;

// === impl World ===

impl World {
    /// A voter has fenced.
    pub(super) fn node_is_fenced(&mut self, node: usize, from: usize, epoch: Epoch, t_ms: i64) {
        let fences = &mut self.nodes.all[node].fences;
        if fences.acked(&name(from), epoch, t_ms)
            && let Some(t_ms) = fences.fenced_ms()
        {
            for shard in 0..self.shards() {
                self.seat(node, shard, SeatEvent::Fenced { epoch, t_ms });
            }
        }
    }

    /// A voter is asked to fence.
    pub(super) fn node_fences(&mut self, node: usize, from: usize, epoch: Epoch, t_ms: i64) {
        let unsealed = self.plan.planted == Some(Planted::SealsNothing);
        let answer = match self.nodes.all[node].voter.fence(epoch, t_ms) {
            Ok(()) => Saying::Fenced { epoch, t_ms },
            Err(_) if unsealed => Saying::Fenced { epoch, t_ms },
            Err(at) => Saying::Refused { at },
        };
        self.say(node, from, answer);
    }

    /// Says it to whoever leads the register, as all know.
    pub(super) fn tell_leader(&mut self, from: usize, saying: Saying) {
        if let Some(leader) = self.nodes.register.leader {
            self.say(from, leader, saying);
        }
    }

    pub(super) fn deed(&mut self, node: usize, shard: u16, deed: Deed) {
        match deed {
            Deed::Say { to, words } => {
                if self.goes_over_a_slow_link(node, &words) {
                    return self.say_slowly(node, shard, to, words);
                }
                let (from, at) = (self.life_of(node), number(&to.node));
                let words = Saying::Words {
                    shard,
                    from,
                    to,
                    words,
                };
                self.say(node, at, words);
            }
            Deed::Complete {
                epoch,
                origin,
                found,
            } => {
                self.judge_origin(origin);
                self.tell_leader(
                    node,
                    Saying::Complete {
                        epoch,
                        shard,
                        origin,
                        found,
                    },
                );
            }
            Deed::Moved { epoch, with } => {
                let now_ms = self.now_ms;
                self.nodes.all[node].waits.moves(epoch, &with, now_ms);
            }
            Deed::Stalled { by, .. } => {
                let now_ms = self.now_ms;
                self.nodes.all[node].waits.stalls(by, now_ms);
            }
            Deed::Refused { at } => self.tell_leader(node, Saying::Refused { at }),
            Deed::Fence { t_ms } => {
                let now_ms = self.now_ms;
                let fences = &mut self.nodes.all[node].fences;
                if let Some(t_ms) = fences.need(t_ms, now_ms) {
                    let epoch = self.nodes.all[node].view.epoch;
                    for voter in self.nodes.all[node].view.voters.clone() {
                        self.say(node, number(&voter), Saying::Fence { epoch, t_ms });
                    }
                }
            }
            Deed::Time { t_ms } => self.node_lifts(node, t_ms),
            Deed::Begin { epoch } => self.node_begins(node, epoch),
            Deed::Ledger(effect) => self.effect_of(node, shard, effect),
        }
    }

    fn effect_of(&mut self, node: usize, shard: u16, effect: Effect) {
        match effect {
            Effect::Persist { stamp, marks } => {
                let at = self.written_at(node);
                let life = self.nodes.all[node].life;
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
            Effect::Reply(reply) => {
                self.answer(node, &reply.holder.clone(), &Message::Reply(reply));
            }
            Effect::Recall(recall) => {
                self.answer(node, &recall.holder.clone(), &Message::Recall(recall));
            }
            Effect::Reopen(reopen) => {
                self.answer(node, &reopen.holder.clone(), &Message::Reopen(reopen));
            }
            _ => {}
        }
    }

    /// When the disk has what is given to it now: one thing after another.
    fn written_at(&mut self, node: usize) -> i64 {
        let takes_ms = self.rng.between(1, self.plan.disk_ms);
        let at = (self.now_ms + takes_ms).max(self.nodes.all[node].disk_free_ms);
        self.nodes.all[node].disk_free_ms = at;
        at
    }

    /// The disk takes its time for what it has to have of a first view, if disks are ever lost; else nothing rests on
    /// it.
    fn node_begins(&mut self, node: usize, epoch: Epoch) {
        if self.nodes.all[node].begun.is_some() {
            return;
        }
        if self.plan.cluster.lost_disks == 0 {
            return self.node_has_begun(node, epoch);
        }
        let at = self.written_at(node);
        let life = self.nodes.all[node].life;
        let begun = NodeEvent::Begun { node, life, epoch };
        self.queue.at(at, Event::Node(begun));
    }

    /// The first one counts.
    pub(super) fn node_has_begun(&mut self, node: usize, epoch: Epoch) {
        let epoch = *self.nodes.all[node].begun.get_or_insert(epoch);
        for shard in 0..self.shards() {
            self.seat(node, shard, SeatEvent::Begun { epoch });
        }
    }

    fn node_lifts(&mut self, node: usize, t_ms: i64) {
        let clock_ms = self.clock_of(node);
        self.nodes.all[node].time.lift(t_ms, clock_ms);
        self.node_notes(node);
    }

    /// Writes T ahead, if it is time to.
    pub(super) fn node_notes(&mut self, node: usize) {
        let clock_ms = self.clock_of(node);
        let life = self.nodes.all[node].life;
        if let Some(t_ms) = self.nodes.all[node].time.due_note(clock_ms) {
            let at = self.written_at(node);
            let noted = NodeEvent::Noted { node, life, t_ms };
            self.queue.at(at, Event::Node(noted));
        }
    }

    /// While nobody ticks, what ticks would have noted long ago is noted when it is needed.
    pub(super) fn node_catches_up(&mut self, node: usize) {
        if self.nodes.idle_since_ms.is_none() {
            return;
        }
        let clock_ms = self.clock_of(node);
        if let Some(t_ms) = self.nodes.all[node].time.due_note(clock_ms) {
            self.node_noted(node, t_ms);
        }
    }

    /// Others are to go on without whom its shards wait for, and without a node whose disk takes nothing.
    pub(super) fn tell_of_waits(&mut self, node: usize) {
        let clock_ms = self.clock_of(node);
        let at = &mut self.nodes.all[node];
        let epoch = at.view.epoch;
        let parts = at.waits.parts(epoch);
        let mut stalled = at.waits.take_stalled();
        if at.time.waits_ms(clock_ms) > STALLED_MS {
            stalled.insert(name(node));
        }
        for by in stalled {
            self.tell_leader(node, Saying::Stalled { epoch, by });
        }
        if parts > 0 {
            self.tell_leader(node, Saying::Moved { epoch, parts });
        }
    }

    fn goes_over_a_slow_link(&self, node: usize, words: &Words) -> bool {
        let is_slow = self.plan.cluster.fault == Some(Fault::OneKilledAndLinkSlow);
        let is_part = matches!(words, Words::Copied { .. });
        is_slow && is_part && self.nodes.all[node].leaving_ms.is_some()
    }

    /// One part after the other; what is on its way is not said twice.
    fn say_slowly(&mut self, node: usize, shard: u16, to: Life, words: Words) {
        let Words::Copied { after, .. } = &words else {
            return;
        };
        let (now_ms, after) = (self.now_ms, after.clone());
        let link = &mut self.nodes.all[node].link;
        link.retain(|(at_ms, ..)| *at_ms > now_ms);
        if link
            .iter()
            .any(|(_, of, from)| *of == shard && *from == after)
        {
            return;
        }
        let free_ms = link.iter().map(|(at_ms, ..)| *at_ms).max();
        let at_ms = free_ms.unwrap_or(now_ms) + PART_MS;
        link.push((at_ms, shard, after));
        let (from, at) = (self.life_of(node), number(&to.node));
        let saying = Box::new(Saying::Words {
            shard,
            from,
            to,
            words,
        });
        let life = self.nodes.all[at].life;
        let hears = NodeEvent::Hears {
            node: at,
            life,
            from: node,
            saying,
        };
        self.queue.at(at_ms, Event::Node(hears));
    }

    pub(super) fn node_noted(&mut self, node: usize, t_ms: i64) {
        let time = &mut self.nodes.all[node].time;
        time.noted(t_ms);
        let t_ms = time.noted_ms();
        for shard in 0..self.shards() {
            self.seat(node, shard, SeatEvent::Noted { t_ms });
        }
    }
}
