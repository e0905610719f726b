//! What seats want done: words for other members, marks and T on disk, replies for gateways.

use super::Planted;
use super::ledger_world::{Event, Message, World};
use super::view_world::{NodeEvent, Saying, number};
use crate::ledger::{Effect, Input};
use crate::view::{Deed, Event as SeatEvent};

// === impl World ===

impl World {
    pub(super) fn deed(&mut self, node: usize, shard: u16, deed: Deed) {
        match deed {
            Deed::Say { to, words } => {
                let (from, at) = (self.life_of(node), number(&to.node));
                let words = Saying::Words {
                    shard,
                    from,
                    to,
                    words,
                };
                self.say(node, at, words);
            }
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
            Deed::Time { t_ms } => self.node_lifts(node, t_ms),
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
            let at = self.now_ms + self.rng.between(1, self.plan.disk_ms);
            let noted = NodeEvent::Noted { node, life, t_ms };
            self.queue.at(at, Event::Node(noted));
        }
    }

    pub(super) fn node_noted(&mut self, node: usize, t_ms: i64) {
        let time = &mut self.nodes.all[node].time;
        time.noted(t_ms);
        let t_ms = time.noted_ms();
        for shard in 0..self.shards() {
            self.seat(node, shard, SeatEvent::Noted { t_ms });
        }
    }

    pub(super) fn shards(&self) -> u16 {
        u16::try_from(self.plan.keys.len()).unwrap()
    }
}
