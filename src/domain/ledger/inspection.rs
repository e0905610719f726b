//! What operators see of a ledger; reads only.

use super::cell::{Cell, CellImage};
use super::message::{CellKey, Stamp};
use super::owner::Ledger;

/// One key as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its counts.
    pub image: CellImage,
    /// Units of its window that are used or held; what is lost is not among them.
    pub used: u64,
    /// Units that may still be granted in it.
    pub left: u64,
}

// === impl Ledger ===

impl Ledger {
    /// How many keys it counts.
    pub fn keys(&self) -> usize {
        self.cells.len()
    }

    /// Some of them, in their order.
    pub fn some_keys(&self, most: usize) -> Vec<CellKey> {
        if most == 0 {
            return Vec::new();
        }
        self.cells.keys(|_| true).into_iter().take(most).collect()
    }

    /// One key; none where it is not counted.
    pub fn counted(&self, key: &CellKey) -> Option<Counted> {
        let of = |cell: Cell| Counted {
            image: cell.image(key),
            used: cell.used(),
            left: cell.free(),
        };
        self.cells.get(key).map(of)
    }

    /// The stamp of its last change.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether standby and voters have all changes up to this one (L3), the disks its mark (L5), and gateways have given
    /// back what was called back of the key for it. Of a view before this one nobody can say: its rounds ended with it, and
    /// whoever this one goes on from may have heard of nothing.
    pub fn is_settled(&self, key: &CellKey, stamp: Stamp) -> bool {
        let is_settled = |cell: Cell| {
            // What gateways confirmed since is in another mark.
            let mark = cell.mark_stamp;
            let forgives = cell.round.is_some_and(|round| round.forgives());
            mark <= self.replicated && mark <= self.marked && !forgives
        };
        let is_of_this_view = stamp.epoch == self.stamp.epoch;
        is_of_this_view && stamp <= self.replicated && self.cells.get(key).is_none_or(is_settled)
    }

    /// Whether what was granted of a key that is not counted is not known: its window would be full (L6).
    pub fn would_be_lost(&self, key: &CellKey) -> bool {
        self.unopened(key).is_some_and(|cell| cell.lost)
    }

    /// Whether a recall round waits for what this gateway has of the key.
    pub fn awaits(&self, key: &CellKey, node: &str) -> bool {
        let round = self.cells.round(key);
        round.is_some_and(|round| round.awaiting.contains_key(node))
    }

    /// Whether a reset waits for what holders have used, to forgive it.
    #[cfg(test)]
    pub(crate) fn forgives(&self, key: &CellKey) -> bool {
        let round = self.cells.round(key);
        round.is_some_and(super::round::Round::forgives)
    }

    /// The gateways that had not answered a reset of the key when it was done, and have not since: what each had been granted
    /// before is forgiven as soon as it goes on by another lease, and counts until then (L9).
    pub fn unheard(&self, key: &CellKey) -> Vec<String> {
        let cell = self.cells.get(key);
        cell.map(|cell| cell.silent.names()).unwrap_or_default()
    }

    /// Questions that wait: for a recall round to end, or for standby, voters or disk to have what their answers say.
    pub fn waiting(&self) -> usize {
        let rounds = self.rounds.iter();
        let in_round = rounds.filter_map(|(_, key)| self.cells.round(key));
        let asks: usize = in_round.map(|round| round.waiting.len()).sum();
        asks.saturating_add(self.held.len())
    }

    /// Units that it decided to grant since it was made; of an owner only.
    pub fn granted_units(&self) -> u64 {
        self.granted_units
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::{Ask, Holder, Input, Policies, Quota, Recovery};
    use crate::policy::TimeUnit;
    use crate::window::WindowSpec;

    #[test]
    fn an_inspection_says_who_holds_what_and_how_much_is_left() {
        let mut policies = Policies::new(1);
        let window = WindowSpec::new(TimeUnit::Min, 1);
        policies.set("t", "p", Quota { limit: 10, window });
        let mut ledger = Ledger::new(9, Recovery::founding(1), Arc::new(policies));
        let key = |name: &str| CellKey::new("t".to_owned(), "p".to_owned(), name.to_owned());
        for name in ["b", "a"] {
            let ask = Ask {
                holder: Holder::new("gw1", 1, 1),
                cell: key(name),
                policies: 1,
                epoch: 0,
                asked_at_ms: 5,
                window: None,
                have: 0,
                returned: 0,
                want: 1,
                emptied: true,
                due: 0,
            };
            ledger.step(Input::Ask(ask), 1_000);
        }
        assert_eq!((ledger.keys(), ledger.granted_units()), (2, 2));
        assert_eq!(ledger.some_keys(1), [key("a")]);
        assert_eq!(ledger.waiting(), 2, "no voter has fenced it yet");
        let counted = ledger.counted(&key("b")).unwrap();
        assert_eq!((counted.used, counted.left), (1, 9));
        let (gateway, count) = &counted.image.holders[0];
        assert_eq!((gateway.as_str(), count.granted), ("gw1", 1));
        assert_eq!(ledger.counted(&key("c")), None);
        let stamp = ledger.next_stamp();
        ledger.step(Input::Replicated { stamp }, 1_000);
        assert_eq!(ledger.waiting(), 0);
    }
}
