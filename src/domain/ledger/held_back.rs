//! Messages that wait until what they speak of is replicated (L3) and, for long windows, marked on disk (L5). While the
//! disk takes nothing, who asks again and again leaves one answer here and not many, and a step looks only at what it
//! may release.

use std::collections::BTreeMap;

use super::grant::Message;
use super::message::{CellKey, Holder, Stamp};

/// What waits; released in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    last: u64,
    /// By the stamp that has to be replicated.
    uncopied: BTreeMap<(Stamp, u64), (Stamp, Message)>,
    /// By the stamp whose mark has to be on disk.
    unmarked: BTreeMap<(Stamp, u64), Message>,
    /// The last answer to each holder among them.
    answers: BTreeMap<(CellKey, Holder), Place>,
}

/// What a message waits for, and its number.
#[derive(Debug, Clone, Copy)]
struct Place {
    replicated: Stamp,
    marked: Stamp,
    number: u64,
}

// === impl HeldBack ===

impl HeldBack {
    /// Holds a message back. An answer takes the place of an earlier one to the same holder that waits for the same:
    /// answers are cumulative (L7).
    pub(super) fn hold(&mut self, message: Message, replicated: Stamp, marked: Stamp) {
        self.last += 1;
        let number = self.last;
        if let Message::Reply(reply) = &message {
            let place = Place {
                replicated,
                marked,
                number,
            };
            let to = (reply.cell.clone(), reply.holder.clone());
            if let Some(earlier) = self.answers.insert(to, place)
                && (earlier.replicated, earlier.marked) == (replicated, marked)
            {
                self.uncopied.remove(&(replicated, earlier.number));
                self.unmarked.remove(&(marked, earlier.number));
            }
        }
        let waits = (marked, message);
        self.uncopied.insert((replicated, number), waits);
    }

    /// What no longer waits. A message passes others only if they are about other cells' marks.
    pub(super) fn release(&mut self, replicated: Stamp, marked: Stamp) -> Vec<Message> {
        while let Some(first) = self.uncopied.first_entry()
            && first.key().0 <= replicated
        {
            let ((_, number), (mark, message)) = first.remove_entry();
            self.unmarked.insert((mark, number), message);
        }
        let mut free = Vec::new();
        while let Some(first) = self.unmarked.first_entry()
            && first.key().0 <= marked
        {
            let ((_, number), message) = first.remove_entry();
            self.forget(number, &message);
            free.push((number, message));
        }
        free.sort_unstable_by_key(|(number, _)| *number);
        free.into_iter().map(|(_, message)| message).collect()
    }

    /// Forgets everything: it is never said.
    pub(super) fn clear(&mut self) {
        self.uncopied.clear();
        self.unmarked.clear();
        self.answers.clear();
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.uncopied.len() + self.unmarked.len()
    }

    fn forget(&mut self, number: u64, message: &Message) {
        if let Message::Reply(reply) = message {
            let to = (reply.cell.clone(), reply.holder.clone());
            if self
                .answers
                .get(&to)
                .is_some_and(|last| last.number == number)
            {
                self.answers.remove(&to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{T, ask, ledger, replies};
    use super::super::{Effect, Input, Outcome};
    use crate::policy::TimeUnit;
    use crate::window::WindowSpec;

    #[test]
    fn asks_repeated_while_the_disk_takes_nothing_leave_one_answer_that_is_said_once() {
        let day = WindowSpec::new(TimeUnit::Day, 1);
        let mut ledger = ledger(100, day);
        let mut marks = Vec::new();
        for asked_at_ms in 0..50 {
            for node in ["gw1", "gw2"] {
                let mut ask = ask(node, 0, 1);
                ask.asked_at_ms = asked_at_ms;
                ask.window = Some(day.at(T).id);
                let effects = ledger.step_alone(Input::Ask(ask), T);
                assert_eq!(replies(&effects), []);
                marks.extend(effects.into_iter().filter_map(|effect| match effect {
                    Effect::Persist { stamp, .. } => Some(stamp),
                    _ => None,
                }));
            }
        }
        // What is granted without an answer is granted once, so an answer waits for one of few marks.
        assert!(ledger.held.len() <= 4, "{} wait", ledger.held.len());
        let stamp = marks.into_iter().max().unwrap();
        let said = ledger.step_alone(Input::Marked { stamp }, T);
        let said = replies(&said);
        for node in ["gw1", "gw2"] {
            let last = said.iter().rev().find(|(to, ..)| *to == node);
            assert_eq!(last, Some(&(node, 1, Outcome::Granted)));
        }
        assert_eq!(ledger.held.len(), 0);
        let again = ledger.step_alone(Input::Marked { stamp }, T);
        assert_eq!(replies(&again), []);
    }
}
