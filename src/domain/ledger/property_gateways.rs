//! Gateways of the properties' world, as simple as the rules allow.

use super::super::tests::key;
use super::*;

/// One gateway's lease of the one key.
#[derive(Debug, Clone)]
pub(super) struct Gateway {
    pub(super) holder: Holder,
    pub(super) epoch: u64,
    /// The stamp of the last recall of a reset that it answered.
    pub(super) begun: Stamp,
    pub(super) window: Option<WindowId>,
    pub(super) have: u64,
    pub(super) returned: u64,
    pub(super) used: u64,
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn new(node: &str, lease: u64) -> Self {
        Self {
            holder: Holder::new(node, 1, lease),
            epoch: 0,
            begun: Stamp::default(),
            window: None,
            have: 0,
            returned: 0,
            used: 0,
        }
    }

    pub(super) fn holds(&self) -> u64 {
        self.have - self.returned - self.used
    }

    /// The key was reset: another lease takes the place of that one. What it says; nothing of what is not its own.
    pub(super) fn begins_anew(&mut self, recall: &Recall) -> Option<Ask> {
        let (mine, of) = (&self.holder, &recall.holder);
        let is_of_it = of.is_any() || mine.incarnation == of.incarnation;
        if mine.node != of.node || !is_of_it || mine < of {
            return None;
        }
        let is_of_now = match of.is_any() {
            true => recall.stamp > self.begun,
            false => mine == of,
        };
        if is_of_now {
            *self = Self {
                epoch: self.epoch.max(recall.stamp.epoch),
                begun: self.begun.max(recall.stamp),
                ..Self::new(&mine.node, mine.lease + 1)
            };
        }
        Some(self.ask(0))
    }

    pub(super) fn ask(&self, want: u64) -> Ask {
        Ask {
            holder: self.holder.clone(),
            cell: key("a"),
            policies: 0,
            epoch: self.epoch,
            asked_at_ms: 0,
            window: self.window,
            have: self.have,
            returned: self.returned,
            want,
            emptied: self.holds() == 0,
            due: want / 2,
        }
    }

    /// So much is granted in that window; nothing of an earlier one counts any more.
    pub(super) fn hears(&mut self, window: WindowId, granted: u64) {
        if self.window.is_none_or(|own| own.number < window.number) {
            (self.have, self.returned, self.used) = (0, 0, 0);
            self.window = Some(window);
        }
        if self.window == Some(window) {
            self.have = self.have.max(granted);
        }
    }
}
