//! Questions whose answers wait for the standby, the voters or the disk. Each is answered when all its answers are
//! there, or after a while with those that are; what comes later is told to the gateway by itself.
//!
//! A question is about many keys, and a disk may hold up the answer about one of them. An answer about another key, whose
//! units are called back meanwhile, leaves at once: its gateway cannot give back what it has not heard of, and would pass
//! for silent (L9).

use std::time::Duration;

use domain::ledger::{Ask, Effect};

use super::counted::Waits;
use crate::traffic_manager::message::LeaseAnswer;

/// A question waits here so long.
const PATIENCE: Duration = Duration::from_millis(300);

/// One question, which is answered by `R`.
struct Question<R> {
    shard: u16,
    asks: Vec<Ask>,
    answers: Vec<Option<LeaseAnswer>>,
    reply: R,
    until: Duration,
    _waits: Waits,
}

/// All that wait, of one actor.
pub(super) struct Pending<R>(Vec<Question<R>>);

// === impl Pending ===

impl<R> Default for Pending<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R> Pending<R> {
    /// How many questions wait.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// A question about keys of this shard that is to be answered.
    pub(super) fn wait(&mut self, shard: u16, asks: Vec<Ask>, reply: R, now: Duration) {
        let answers = vec![None; asks.len()];
        let until = now.saturating_add(PATIENCE);
        self.0.push(Question {
            shard,
            asks,
            answers,
            reply,
            until,
            _waits: Waits::begin(),
        });
    }

    /// Takes from these effects what answers a question; gives the rest. An answer is for all copies of its question: one
    /// that came by another way may be the only one that is still waited for, and what is said twice is cumulative (L7).
    pub(super) fn take(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let is_left = |effect: &Effect| {
            let questions = self.0.iter_mut();
            questions
                .filter_map(|question| question.takes(effect))
                .count()
                == 0
        };
        effects.into_iter().filter(is_left).collect()
    }

    /// What is complete, or has waited for long enough, or has an answer about units that a round waits for, with what is
    /// there to say. Whether one does is asked with the shard and the ask.
    pub(super) fn due(
        &mut self,
        now: Duration,
        is_awaited: impl Fn(u16, &Ask) -> bool,
    ) -> Vec<(R, Vec<Option<LeaseAnswer>>)> {
        let is_due = |question: &mut Question<R>| {
            question.is_complete() || question.until <= now || question.is_awaited(&is_awaited)
        };
        let due = self.0.extract_if(.., is_due);
        due.map(|question| (question.reply, question.answers))
            .collect()
    }
}

// === impl Question ===

impl<R> Question<R> {
    /// Something if it answers one of its asks. The last answer counts: they are cumulative (L7).
    fn takes(&mut self, effect: &Effect) -> Option<()> {
        let Effect::Reply(reply) = effect else {
            return None;
        };
        let answers = |ask: &Ask| {
            (&ask.cell, &ask.holder, ask.asked_at_ms)
                == (&reply.cell, &reply.holder, reply.asked_at_ms)
        };
        let place = self.asks.iter().position(answers)?;
        *self.answers.get_mut(place)? = Some(LeaseAnswer::of(reply));
        Some(())
    }

    fn is_complete(&self) -> bool {
        let asks = self.asks.iter().zip(&self.answers);
        // What only gives back is not answered.
        asks.into_iter()
            .all(|(ask, answer)| ask.want == 0 || answer.is_some())
    }

    fn is_awaited(&self, is_awaited: impl Fn(u16, &Ask) -> bool) -> bool {
        let mut asks = self.asks.iter().zip(&self.answers);
        asks.any(|(ask, answer)| answer.is_some() && is_awaited(self.shard, ask))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::ledger::{CellKey, Holder, Input, Ledger, Policies, Quota, Recovery};
    use domain::policy::TimeUnit;
    use domain::window::WindowSpec;

    use super::*;

    const T: i64 = 1_700_000_000_000;
    const NOW: Duration = Duration::from_secs(5);

    fn ledger() -> Ledger {
        let mut policies = Policies::new(1);
        for (policy, unit) in [("minute", TimeUnit::Min), ("day", TimeUnit::Day)] {
            let window = WindowSpec::new(unit, 1);
            policies.set("t", policy, Quota { limit: 1, window });
        }
        Ledger::new(9, Recovery::founding(1), Arc::new(policies))
    }

    fn ask(node: &str, policy: &str) -> Ask {
        Ask {
            holder: Holder::new(node, 1, 1),
            cell: CellKey::new("t", policy, "k"),
            policies: 1,
            epoch: 0,
            asked_at_ms: 7,
            window: None,
            have: 0,
            returned: 0,
            want: 1,
            emptied: true,
            due: 0,
        }
    }

    #[test]
    fn an_answer_whose_units_are_called_back_waits_for_the_mark_of_no_other_key() {
        let mut ledger = ledger();
        let mut pending = Pending::default();
        let asks = vec![ask("g1", "day"), ask("g1", "minute")];
        pending.wait(3, asks.clone(), "g1", NOW);
        let mut said = Vec::new();
        for ask in asks {
            said.extend(ledger.step_alone(Input::Ask(ask), T));
        }
        // The day's mark is not on disk.
        pending.take(said);
        let due = |pending: &mut Pending<&'static str>, ledger: &Ledger| {
            let due = pending.due(NOW, |shard, ask| {
                assert_eq!(shard, 3);
                ledger.awaits(&ask.cell, &ask.holder.node)
            });
            let due = due.into_iter();
            let granted = |answer: Option<LeaseAnswer>| answer.map(|answer| answer.granted);
            let due = due.map(|(to, all)| (to, all.into_iter().map(granted).collect::<Vec<_>>()));
            due.collect::<Vec<_>>()
        };
        assert_eq!(due(&mut pending, &ledger), []);
        // Somebody else wants the minute's only unit.
        pending.take(ledger.step_alone(Input::Ask(ask("g2", "minute")), T));
        assert_eq!(due(&mut pending, &ledger), [("g1", vec![None, Some(1)])]);
        assert_eq!(due(&mut pending, &ledger), [], "once");
    }

    #[test]
    fn an_answer_goes_to_every_copy_of_its_question_for_who_asked_first_may_be_gone() {
        let mut ledger = ledger();
        let mut pending = Pending::default();
        let copies = ["given up", "by the standby"];
        let mut said = Vec::new();
        // The owner stood still; it finds both of them when it goes on.
        for copy in copies {
            let ask = ask("g1", "minute");
            pending.wait(3, vec![ask.clone()], copy, NOW);
            said.extend(ledger.step_alone(Input::Ask(ask), T));
        }
        assert_eq!(pending.take(said), []);
        let due = pending.due(NOW, |_, _| false).into_iter();
        let granted = |answer: &Option<LeaseAnswer>| answer.as_ref().map(|answer| answer.granted);
        let due = due.map(|(to, all)| (to, all.iter().map(granted).collect::<Vec<_>>()));
        let expected = copies.map(|copy| (copy, vec![Some(1)]));
        assert_eq!(due.collect::<Vec<_>>(), expected);
    }
}
