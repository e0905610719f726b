//! What gateways know of members: the newest view that somebody told them, late, and whom they reach.

use std::sync::Arc;

use super::Planted;
use super::ledger_world::{Event, Message, WORLD_EPOCH_MS, World, key_of};
use super::view_world::{NodeEvent, Saying, number, rank};
use crate::ledger::{Ask, Holder};
use crate::view::View;

/// A reset's recall is told again within so long.
const TOLD_AGAIN_MS: i64 = 3_000;

// === impl World ===

impl World {
    /// The shard that counts a key.
    pub(super) fn shard_of(&self, key: usize) -> u16 {
        u16::try_from(key % usize::from(self.shards())).unwrap()
    }

    pub(super) fn shards(&self) -> u16 {
        let shards = match self.plan.cluster.shards {
            0 => self.plan.keys.len(),
            shards => shards,
        };
        u16::try_from(shards).unwrap()
    }

    /// A node tells all gateways that it reaches of its view.
    pub(super) fn tell_views(&mut self, node: usize) {
        for gateway in 0..self.plan.gateways {
            self.tell_view(node, gateway);
        }
    }

    fn tell_view(&mut self, node: usize, gateway: usize) {
        if self.nodes.gateway_cut.contains(&(gateway, node)) {
            return;
        }
        for at in self.plan.network.deliveries(self.now_ms, &mut self.rng) {
            let view = Arc::clone(&self.nodes.all[node].view);
            self.queue.at(at, Event::GatewayView { gateway, view });
        }
    }

    /// Now and then a gateway asks anybody for the view.
    pub(super) fn gateway_looks(&mut self, gateway: usize) {
        let node = self.rng.index(self.nodes.all.len());
        if self.works(node) {
            self.tell_view(node, gateway);
        }
    }

    pub(super) fn gateway_follows(&mut self, gateway: usize, view: Arc<View>) {
        if view.is_later(&self.nodes.known[gateway]) {
            self.nodes.known[gateway] = view;
        }
    }

    /// To the owner by the view that the gateway knows. Where more than one thing goes wrong now and then to another, as if
    /// the view were an older one.
    fn send_to_member(&mut self, gateway: usize, ask: Ask) {
        let shard = self.shard_of(key_of(&ask.cell));
        let view = &self.nodes.known[gateway];
        let weight = |node: &usize| rank(shard, &super::view_world::name(*node));
        let members = view.members.iter().map(|life| number(&life.node));
        let owner = members.max_by_key(weight);
        let other = self.rng.index(self.nodes.all.len());
        // What is given back to another than the owner is lost until the next ask.
        let is_stray = self.rng.chance(50) && self.plan.cluster.fault.is_none();
        let to = match owner {
            Some(owner) if !is_stray => owner,
            _ => other,
        };
        if self.nodes.gateway_cut.contains(&(gateway, to)) {
            return;
        }
        let life = self.nodes.all[to].life;
        for at in self.plan.network.deliveries(self.now_ms, &mut self.rng) {
            let hears = NodeEvent::Hears {
                node: to,
                life,
                from: to,
                saying: Box::new(Saying::Ask(ask.clone())),
            };
            self.queue.at(at, Event::Node(hears));
        }
    }

    /// Says what a gateway has to say. What it gives back alone is kept, for nobody may take it.
    pub(super) fn say_to_member(&mut self, ask: Ask) {
        let gateway: usize = ask.holder.node.trim_start_matches('g').parse().unwrap();
        if ask.want == 0 {
            let clock_ms = self.clock_ms(gateway, self.now_ms);
            let shard = self.shard_of(key_of(&ask.cell));
            let unsaid = &mut self.gateways[gateway].unsaid;
            unsaid.keep(shard, vec![ask.clone()], clock_ms);
        }
        self.send_to_member(gateway, ask);
    }

    /// What was given back is said again until an owner takes it, and once more.
    pub(super) fn gateway_says_again(&mut self, gateway: usize) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let t_ms = WORLD_EPOCH_MS + self.now_ms;
        let due = self.gateways[gateway].unsaid.due(clock_ms, t_ms);
        for ask in due.into_iter().flat_map(|(_, asks)| asks) {
            self.send_to_member(gateway, ask);
        }
    }

    /// An owner that grants took what was given back, and says so.
    pub(super) fn takes_back(&mut self, node: usize, ask: Ask) {
        let gateway: usize = ask.holder.node.trim_start_matches('g').parse().unwrap();
        if self.nodes.gateway_cut.contains(&(gateway, node)) {
            return;
        }
        for at in self.plan.network.deliveries(self.now_ms, &mut self.rng) {
            let ask = ask.clone();
            self.queue.at(at, Event::GatewayTaken { gateway, ask });
        }
    }

    pub(super) fn gateway_is_rid_of(&mut self, gateway: usize, ask: Ask) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let shard = self.shard_of(key_of(&ask.cell));
        self.gateways[gateway]
            .unsaid
            .taken(shard, vec![ask], clock_ms);
    }

    /// What an owner says to a gateway.
    pub(super) fn answer(&mut self, node: usize, holder: &Holder, message: &Message) {
        let gateway: usize = holder.node.trim_start_matches('g').parse().unwrap();
        if !self.nodes.gateway_cut.contains(&(gateway, node)) {
            self.tell_gateway(holder, message);
        }
        // A reset's recall that was not heard is told again, as members do (`actors::traffic_manager::news`). Here whether it
        // was heard or not, and by whoever owned the key then.
        if matches!(message, Message::Recall(recall) if recall.anew) {
            let later_ms = self.now_ms + self.rng.between(200, TOLD_AGAIN_MS);
            for at in self.plan.network.deliveries(later_ms, &mut self.rng) {
                let message = message.clone();
                self.queue.at(at, Event::ToGateway { gateway, message });
            }
        }
    }

    /// With the planted bug, what a dead gateway held is given back in its name.
    pub(super) fn refund(&mut self, mut refund: Ask) {
        if self.plan.planted != Some(Planted::RefundDeadGateway) {
            return;
        }
        let shard = self.shard_of(key_of(&refund.cell));
        for node in 0..self.nodes.all.len() {
            let seat = &self.nodes.all[node].seats[usize::from(shard)];
            let image = seat.ledger().image(&refund.cell);
            let count = image.as_ref().and_then(|image| {
                let mut held = image.holders.iter();
                held.find(|(of, _)| *of == refund.holder.node)
            });
            if let (true, Some(image), Some((_, count))) = (seat.grants(), &image, count) {
                refund.window = Some(image.window.id);
                (refund.have, refund.returned) = (count.granted, count.granted);
                self.node_is_asked(node, refund.clone());
            }
        }
    }
}
