//! Who had not answered a reset when its round ended (L9). They are named when it is told as done, and that may be later: a disk
//! has to know of it first. What of a lease is to be forgiven yet is another question, which the lease's counts answer.

use std::collections::BTreeMap;

use super::message::Ask;

/// The gateways that were silent, of the last reset of a key.
#[derive(Debug, Clone, Default)]
pub(super) struct Silent {
    /// By which lease each may still use what it had before, as far as the owner knows.
    nodes: BTreeMap<String, (u64, u64)>,
    /// See [`super::round::Round::of_any`].
    of_any: bool,
    /// The pane that was reset.
    pane: i64,
    /// When the last lease of before is over, by the steady time; not known while that pane lasts.
    ends_ms: Option<i64>,
}

// === impl Silent ===

impl Silent {
    /// These had not answered a reset of this pane.
    pub(super) fn of(
        nodes: impl Iterator<Item = (String, (u64, u64))>,
        pane: i64,
        of_any: bool,
    ) -> Self {
        Self {
            nodes: nodes.collect(),
            of_any,
            pane,
            ends_ms: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Their ids.
    pub(super) fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Whether they may have leases that the owner does not know.
    pub(super) fn is_of_any(&self) -> bool {
        self.of_any
    }

    /// Whether it waits for the answer of whatever lease a gateway has.
    pub(super) fn awaits_any(&self, node: &str) -> bool {
        self.of_any && self.nodes.contains_key(node)
    }

    /// Whoever goes on by a later lease, or in a later pane, uses nothing of before. Where it may have leases that the owner
    /// does not know that has to be the answer to a reset.
    pub(super) fn hear(&mut self, ask: &Ask, is_of_reset: bool) {
        let Some(age) = self.nodes.get(&ask.holder.node) else {
            return;
        };
        let asks = (ask.holder.incarnation, ask.holder.lease);
        let is_later_pane = || ask.window.is_some_and(|now| now.number > self.pane);
        let is_over = match self.of_any {
            true => is_of_reset,
            false => asks > *age || (asks == *age && is_later_pane()),
        };
        if is_over {
            self.nodes.remove(&ask.holder.node);
        }
    }

    /// Another pane follows; leases of before last until then, by the steady time. Those that are over are of no use to
    /// anybody.
    pub(super) fn follows(mut self, ends_ms: i64, steady_ms: i64) -> Self {
        let ends_ms = *self.ends_ms.get_or_insert(ends_ms);
        match ends_ms <= steady_ms {
            true => Self::default(),
            false => self,
        }
    }
}
