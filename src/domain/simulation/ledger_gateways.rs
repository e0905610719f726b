//! What the gateways of a ledger's world hear, and what they do as time passes.

use super::Planted;
use super::ledger_world::{Event, Gateway, Message, World, key_of};
use crate::lease::Applied;

// === impl World ===

impl World {
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
            Message::Recall(recall) => {
                let answer = at
                    .books
                    .get_mut(&key_of(&recall.cell))
                    .and_then(|book| book.recall(&recall, 1, clock_ms));
                if let Some(ask) = answer {
                    self.send_ask(ask);
                }
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

    /// Asks again for those who wait; now and then returns what is idle and forgets what is over.
    pub(super) fn gateway_tick(&mut self, gateway: usize) {
        let clock_ms = self.clock_ms(gateway, self.now_ms);
        let waiting: Vec<usize> = self.gateways[gateway].waiting.keys().copied().collect();
        for key in waiting {
            self.wake(gateway, key);
        }
        if self.rng.chance(100) {
            let mut asks = Vec::new();
            let Gateway { books, waiting, .. } = &mut self.gateways[gateway];
            for book in books.values_mut() {
                asks.extend(book.sweep(1, clock_ms));
            }
            books.retain(|key, book| waiting.contains_key(key) || !book.is_over(clock_ms));
            for ask in asks {
                self.send_ask(ask);
            }
        }
        self.queue
            .at(self.now_ms + 100, Event::GatewayTick { gateway });
    }
}
