//! Messages that wait until what they speak of is replicated (L3) and, for long windows, marked on disk (L5). While the
//! disk takes nothing, who asks again and again leaves one answer here and not many, and a step looks only at what it
//! may release.

use std::collections::BTreeMap;

use super::grant::Message;
use super::message::{CellKey, Holder, Recall, Stamp};
use super::owner::{Effect, Ledger};
use super::round::Round;

/// What waits; released in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    last: u64,
    /// By the stamp that has to be replicated.
    uncopied: BTreeMap<(Stamp, u64), (Stamp, Message)>,
    /// By the stamp whose mark has to be on disk.
    unmarked: BTreeMap<(Stamp, u64), Message>,
    /// The last of each kind to each holder among them.
    last_to: BTreeMap<(CellKey, Holder, u8), Place>,
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
    /// Holds a message back. It takes the place of an earlier one of its kind to the same holder that waits for the same:
    /// answers and recalls are cumulative (L7).
    pub(super) fn hold(&mut self, message: Message, replicated: Stamp, marked: Stamp) {
        self.last += 1;
        let number = self.last;
        let place = Place {
            replicated,
            marked,
            number,
        };
        if let Some(earlier) = self.last_to.insert(to(&message), place)
            && (earlier.replicated, earlier.marked) == (replicated, marked)
        {
            self.uncopied.remove(&(replicated, earlier.number));
            self.unmarked.remove(&(marked, earlier.number));
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
        self.last_to.clear();
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.uncopied.len() + self.unmarked.len()
    }

    fn forget(&mut self, number: u64, message: &Message) {
        let to = to(message);
        let last = self.last_to.get(&to);
        if last.is_some_and(|last| last.number == number) {
            self.last_to.remove(&to);
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// Releases what no longer waits.
    pub(super) fn release(&mut self, out: &mut Vec<Effect>) {
        for message in self.held.release(self.replicated, self.marked) {
            out.push(match message {
                Message::Reply(reply) => Effect::Reply(reply),
                Message::Recall(recall) => {
                    self.round_lasts_from_now(&recall);
                    Effect::Recall(recall)
                }
                Message::Reopen(reopen) => Effect::Reopen(reopen),
            });
        }
    }

    /// A disk may have kept its recalls back for longer than gateways have to answer them.
    fn round_lasts_from_now(&mut self, recall: &Recall) {
        let is_of = |round: &&mut Round| round.stamp == recall.stamp;
        if let Some(round) = self.cells.round_mut(&recall.cell).filter(is_of) {
            round.since_ms = self.t_ms;
            let until_ms = self.t_ms.saturating_add(round.lasts_ms);
            let before_ms = std::mem::replace(&mut round.until_ms, until_ms);
            self.rounds.remove(&(before_ms, recall.cell.clone()));
            self.rounds.insert((until_ms, recall.cell.clone()));
        }
    }
}

/// About what and to whom it is, and of which kind.
fn to(message: &Message) -> (CellKey, Holder, u8) {
    let (cell, holder, kind) = match message {
        Message::Reply(reply) => (&reply.cell, &reply.holder, 0),
        Message::Recall(recall) => (&recall.cell, &recall.holder, 1),
        Message::Reopen(reopen) => (&reopen.cell, &reopen.holder, 2),
    };
    (cell.clone(), holder.clone(), kind)
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
