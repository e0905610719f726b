//! What the gateways of a ledger's world hear, and what they do as time passes.

use super::Planted;
use super::ledger_world::{Event, Gateway, Message, World, key_of};
use crate::lease::{Applied, Book};
use crate::ledger::{Holder, Recall, Reply};

/// What calls waited for when it was recalled is looked at again after so long, twice as long, and so on, so often.
const LOOK_AGAIN_MS: i64 = 5;
const LOOKS: u32 = 4;
/// Where somebody waits, members tick for so long.
const WAITING_MS: i64 = 500;

// === impl World ===

impl World {
    /// With the planted bug, a reply carries only what is new since the last one.
    pub(super) fn sent(&mut self, mut reply: Reply) -> Reply {
        if self.plan.planted == Some(Planted::ReplyIsIncrement)
            && let Some(window) = reply.window
        {
            let gateway: usize = reply.holder.node.trim_start_matches('g').parse().unwrap();
            let place = (key_of(&reply.cell), window.id.number);
            let last = self.gateways[gateway]
                .sent
                .insert(place, reply.granted)
                .unwrap_or(0);
            reply.granted = reply.granted.saturating_sub(last);
        }
        reply
    }

    pub(super) fn gateway(&mut self, gateway: usize, message: Message) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let planted = self.plan.planted;
        let at = &mut self.gateways[gateway];
        match message {
            Message::Reply(mut reply) => {
                let key = key_of(&reply.cell);
                let Some(book) = at.books.get_mut(&key) else {
                    return;
                };
                if planted == Some(Planted::ReplyIsIncrement)
                    && let Some(window) = reply.window
                {
                    let (known, have) = book.granted();
                    reply.granted += if known == Some(window.id) { have } else { 0 };
                }
                if !matches!(book.apply(&reply), Applied::Nothing | Applied::Retry { .. }) {
                    self.wake(gateway, key);
                }
            }
            Message::Recall(recall)
                if recall.anew && planted != Some(Planted::ResetKeepsItsLease) =>
            {
                self.gateway_begins_anew(gateway, &recall);
            }
            Message::Recall(mut recall) => {
                recall.anew = false;
                self.gateway_gives_back(gateway, recall, 0);
            }
            Message::Reopen(reopen) => {
                let key = key_of(&reopen.cell);
                let waits = at.waiting.contains_key(&key);
                if at
                    .books
                    .get_mut(&key)
                    .is_some_and(|book| book.reopen(&reopen, clock_ms))
                    && waits
                {
                    self.ask(gateway, key);
                }
            }
        }
    }

    /// Gives back what is recalled. Where calls wait for some of it that is looked at again, as gateways do
    /// (`actors::gateway::refiller`), and the last time all of it is given back.
    pub(super) fn gateway_gives_back(&mut self, gateway: usize, recall: Recall, look: u32) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let at = &mut self.gateways[gateway];
        let key = key_of(&recall.cell);
        let waiting = at.waiting.get(&key).map_or(0, Vec::len);
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let is_last = look == LOOKS;
        let known = (at.policies, waiting, is_last);
        let answer = at
            .books
            .get_mut(&key)
            .and_then(|book| book.recall(&recall, known, clock_ms));
        let is_whole = answer.as_ref().is_some_and(|answer| answer.emptied);
        if let Some(ask) = answer {
            self.send_ask(ask);
        }
        if waiting > 0 && !is_whole && !is_last {
            let look_ms = self.now_ms + (LOOK_AGAIN_MS << look);
            let look = look + 1;
            let again = Event::RecalledBefore {
                gateway,
                recall,
                look,
            };
            self.queue.at(look_ms, again);
        }
    }

    /// Its key was reset: it goes on by another lease.
    fn gateway_begins_anew(&mut self, gateway: usize, recall: &Recall) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let at = &mut self.gateways[gateway];
        let key = key_of(&recall.cell);
        at.leases += 1;
        let (next, policies) = (at.leases, at.policies);
        let said = match at.books.get_mut(&key) {
            Some(book) => book.begin_anew(recall, next, policies, clock_ms),
            None if recall.holder.incarnation > at.life => Vec::new(),
            None => {
                let holder = Holder::new(format!("g{gateway}"), at.life, next);
                vec![Book::of_none(holder, recall, policies, clock_ms)]
            }
        };
        if !said.is_empty() {
            for ask in said {
                self.send_ask(ask);
            }
            self.wake(gateway, key);
        }
    }

    /// Asks again for those who wait; now and then returns what is idle and forgets what is over.
    pub(super) fn gateway_tick(&mut self, gateway: usize) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let waiting: Vec<usize> = self.gateways[gateway].waiting.keys().copied().collect();
        for key in waiting {
            self.wake(gateway, key);
        }
        if self.rng.chance(100) {
            let mut asks = Vec::new();
            let Gateway {
                books,
                waiting,
                policies,
                ..
            } = &mut self.gateways[gateway];
            for book in books.values_mut() {
                asks.extend(book.sweep(*policies, clock_ms));
            }
            books.retain(|key, book| {
                let stays = waiting.contains_key(key) || !book.is_over(clock_ms);
                if !stays {
                    asks.extend(book.leave(*policies, clock_ms));
                }
                stays
            });
            for ask in asks {
                self.send_ask(ask);
            }
            if self.is_clustered() {
                self.gateway_looks(gateway);
            }
        }
        self.gateway_says_again(gateway);
        let waits = !self.gateways[gateway].waiting.is_empty();
        if self.plan.cluster.is_sparse && !waits {
            self.gateways[gateway].is_ticking = false;
            return;
        }
        if self.plan.cluster.is_sparse {
            self.stir_for(WAITING_MS);
        }
        self.queue
            .at(self.now_ms + 100, Event::GatewayTick { gateway });
    }

    /// Somebody waits: what is not answered is asked again.
    pub(super) fn gateway_waits(&mut self, gateway: usize) {
        if !self.gateways[gateway].is_ticking {
            self.gateways[gateway].is_ticking = true;
            self.queue
                .at(self.now_ms + 100, Event::GatewayTick { gateway });
        }
    }

    /// It knows of later policies.
    pub(super) fn gateway_hears_policies(&mut self, gateway: usize, applied: u64) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let at = &mut self.gateways[gateway];
        if applied <= at.policies {
            return;
        }
        at.policies = applied;
        let books = at.books.values_mut();
        let asks: Vec<_> = books
            .filter_map(|book| book.policy_changed(applied, clock_ms))
            .collect();
        for ask in asks {
            self.send_ask(ask);
        }
    }
}
