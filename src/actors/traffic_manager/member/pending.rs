//! Questions whose answers wait for the standby, the voters or the disk. Each is answered when all its answers are
//! there, or after a while with those that are; what comes later is told to the gateway by itself.

use std::time::Duration;

use cluster::Reply;
use domain::ledger::{Ask, Effect};

use super::counted::Waits;
use crate::traffic_manager::message::{LeaseAnswer, Leased};

/// A question waits here so long.
const PATIENCE: Duration = Duration::from_millis(300);

/// One question.
struct Question {
    asks: Vec<Ask>,
    answers: Vec<Option<LeaseAnswer>>,
    reply: Reply<Leased>,
    until: Duration,
    _waits: Waits,
}

/// All that wait, of one actor.
#[derive(Default)]
pub(super) struct Pending(Vec<Question>);

// === impl Pending ===

impl Pending {
    /// A question that is to be answered.
    pub(super) fn wait(&mut self, asks: Vec<Ask>, reply: Reply<Leased>, now: Duration) {
        let answers = vec![None; asks.len()];
        let until = now.saturating_add(PATIENCE);
        self.0.push(Question {
            asks,
            answers,
            reply,
            until,
            _waits: Waits::begin(),
        });
    }

    /// Takes from these effects what answers a question; gives the rest.
    pub(super) fn take(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let is_left = |effect: &Effect| !self.0.iter_mut().any(|question| question.takes(effect));
        effects.into_iter().filter(is_left).collect()
    }

    /// Answers what is complete, or has waited for long enough.
    pub(super) fn answer(&mut self, now: Duration) {
        let (done, waiting): (Vec<Question>, Vec<Question>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|question| question.is_complete() || question.until <= now);
        self.0 = waiting;
        for question in done {
            question.reply.send(Leased::Leases(question.answers));
        }
    }
}

// === impl Question ===

impl Question {
    /// The last answer to an ask counts: they are cumulative (L7).
    fn takes(&mut self, effect: &Effect) -> bool {
        let Effect::Reply(reply) = effect else {
            return false;
        };
        let answers = |ask: &Ask| {
            (&ask.cell, &ask.holder, ask.asked_at_ms)
                == (&reply.cell, &reply.holder, reply.asked_at_ms)
        };
        let place = self.asks.iter().position(answers);
        if let Some(answer) = place.and_then(|place| self.answers.get_mut(place)) {
            *answer = Some(LeaseAnswer::of(reply));
            return true;
        }
        false
    }

    fn is_complete(&self) -> bool {
        let asks = self.asks.iter().zip(&self.answers);
        // What only gives back is not answered.
        asks.into_iter()
            .all(|(ask, answer)| ask.want == 0 || answer.is_some())
    }
}
