//! How this node itself stands among the others, as far as that decides between it and a rival: pure. It is the process's, and
//! outlives the actor that has the table.

use super::table::Table;

/// So long a place may turn out to be a rival's, milliseconds: all members have heard of each other by then.
pub(super) const SETTLED_MS: u64 = 10_000;
/// What is answered to a first hello is heard after so long at most, milliseconds.
const HEARD_MS: u64 = 3_000;
/// Whom a member has refused for its rival decides nothing for so long, milliseconds; dials are at most five seconds apart.
const DOUBT_MS: u64 = 15_000;

/// Since when this node is somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Since when it has a place: since its first connection, or since it began where it belonged to a cluster already.
    placed_ms: Option<u64>,
    /// When its first connection was ready.
    met_ms: Option<u64>,
    /// When a member last refused it for its rival.
    refused_ms: Option<u64>,
    /// Whether it has been refused for good, and is about to end.
    ends: bool,
}

/// What of a table outlives its actor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The cluster it belongs to; empty for none.
    pub(crate) cluster: String,
    pub(crate) standing: Standing,
}

// === impl Standing ===

impl Standing {
    /// It has a place from now on, if it had none.
    pub(super) fn is_placed(&mut self, now_ms: u64) {
        self.placed_ms.get_or_insert(now_ms);
    }

    /// A connection is ready.
    pub(super) fn meets(&mut self, now_ms: u64) {
        self.is_placed(now_ms);
        self.met_ms.get_or_insert(now_ms);
    }

    /// A member refuses this node for its rival.
    pub(super) fn is_refused(&mut self, now_ms: u64) {
        self.refused_ms = Some(now_ms);
    }

    /// Whether it has ever been connected.
    pub(super) const fn has_met(&self) -> bool {
        self.met_ms.is_some()
    }

    /// Whether it has had its place for so long that it is not a rival's. Where it met somebody late it has had it since then.
    pub(super) fn is_settled(&self, now_ms: u64) -> bool {
        let since = match (self.placed_ms, self.met_ms) {
            (Some(placed), Some(met)) if met < placed + SETTLED_MS => Some(met),
            (placed, _) => placed,
        };
        since.is_some_and(|since| now_ms >= since + SETTLED_MS)
    }

    /// Whether it began, or was let in, so long ago.
    pub(super) fn is_placed_for(&self, ms: u64, now_ms: u64) -> bool {
        self.placed_ms.is_some_and(|since| now_ms >= since + ms)
    }

    /// Whether what is said to it now was said by one who could know that others have it: what was said to one who had no
    /// place yet is said again if it is still so.
    pub(super) fn is_heard(&self, now_ms: u64) -> bool {
        let since = self.met_ms.or(self.placed_ms);
        since.is_none_or(|since| now_ms >= since + HEARD_MS)
    }

    /// Whether it may well not be the one that stays: a member has refused it lately, or for good.
    pub(super) fn is_in_doubt(&self, now_ms: u64) -> bool {
        self.ends
            || self
                .refused_ms
                .is_some_and(|since| now_ms < since + DOUBT_MS)
    }

    /// It has been refused for good.
    pub(super) fn ends(&mut self) {
        self.ends = true;
    }
}

// === impl Table ===

impl Table {
    /// What is to be kept of it for the next one of this process.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            cluster: self.cluster.clone(),
            standing: self.standing,
        }
    }

    /// How many members this node can ask.
    pub(crate) fn connected(&self) -> usize {
        let links = self.peers.values().filter_map(|peer| peer.link.as_ref());
        links.filter(|link| link.ready).count()
    }

    /// Where whoever a connection is with was dialed, or may be.
    pub(crate) fn addresses_of(&self, link: u64) -> Vec<String> {
        let Some(member) = self.member_of(link) else {
            return Vec::new();
        };
        let seeds = self.seeds.iter();
        let seeds = seeds.filter(|(_, seed)| seed.met.as_ref() == Some(&member.id));
        let seeds = seeds.map(|(address, _)| address.clone());
        seeds.chain([member.address.clone()]).collect()
    }

    /// Goes on from what an earlier one of this process was.
    pub(crate) fn going_on(mut self, kept: &Kept) -> Self {
        if !kept.cluster.is_empty() {
            self.cluster.clone_from(&kept.cluster);
        }
        self.standing = kept.standing;
        self
    }
}
