//! Two nodes that cannot both be members: of one name, or with facts that do not agree (W1, W6). Pure.
//!
//! Whoever is there first stays, at each member. Where two came in by different members at the same time, each is there first
//! somewhere: then the smaller id stays everywhere, and the other one ends.

use crate::hello::{Hello, Refusal};
use crate::member::Member;

use super::peer::Peer;
use super::table::Table;
use super::{Effect, Health};

/// So long a place may turn out to be a rival's, milliseconds: all members have heard of each other by then.
const SETTLED_MS: u64 = 10_000;

/// Why the one who comes cannot be a member beside the one who is there.
fn rivalry(there: &Member, comes: &Member) -> Option<Refusal> {
    if there.name == comes.name {
        return Some(Refusal::NameTaken(comes.name.clone()));
    }
    comes.conflict(there).map(Refusal::Fact)
}

/// Whether others have let it in already, and it stays where it meets a rival whose place is new.
fn stays_before(hello: &Hello, there: &Member) -> bool {
    !hello.known.is_empty() && hello.member.id < there.id
}

// === impl Table ===

impl Table {
    /// Whether whoever says this hello may be a member beside this node and those that are there.
    pub(super) fn judge_rivals(&self, hello: &Hello, now_ms: u64) -> Result<(), Refusal> {
        let them = &hello.member;
        if let Some(refusal) = rivalry(&self.me, them) {
            // It, or whoever let it in, says so to this node.
            let ends_itself = !self.is_settled(now_ms) && stays_before(hello, &self.me);
            return Err(if ends_itself {
                Refusal::Challenged
            } else {
                refusal
            });
        }
        for peer in self.rivals_of(them) {
            let Some(refusal) = rivalry(&peer.member, them) else {
                continue;
            };
            if !peer.is_alive() {
                // It may never be ready.
                return Err(Refusal::Challenged);
            }
            if !gives_way(peer, hello, now_ms) {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Takes its place from whoever gives way to the one who says this hello.
    pub(super) fn displace_rivals(&mut self, hello: &Hello, now_ms: u64) -> Vec<Effect> {
        let them = &hello.member;
        let rivals = self.rivals_of(them);
        let rivals = rivals.filter(|peer| rivalry(&peer.member, them).is_some());
        let ids: Vec<String> = rivals.map(|peer| peer.member.id.clone()).collect();
        let mut effects = Vec::new();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            let link = peer.link.take();
            effects.extend(link.map(|link| Effect::Kill(link.id)));
            peer.challenge = None;
            peer.redial.failed(now_ms, 0);
            let reason = format!("{} was let in beside it", them.name);
            let turn = peer.turn(now_ms, Health::Down, &reason);
            effects.extend(turn.map(Effect::Tell));
        }
        effects
    }

    /// Others that are there, or about to be.
    fn rivals_of<'table>(&'table self, them: &Member) -> impl Iterator<Item = &'table Peer> {
        let id = them.id.clone();
        let others = self.peers.values();
        others.filter(move |peer| peer.member.id != id && (peer.is_alive() || peer.link.is_some()))
    }

    /// Whether this node has had its place for so long that it is not a rival's.
    pub(super) fn is_settled(&self, now_ms: u64) -> bool {
        let since = self.placed_ms;
        since.is_some_and(|since| now_ms >= since + SETTLED_MS)
    }

    /// Whether this node had better end, when a member refuses it so for good.
    pub(crate) fn is_ended_by(&self, refusal: &Refusal, now_ms: u64) -> bool {
        let mut peers = self.peers.values();
        match refusal {
            Refusal::Superseded(_) | Refusal::Running => true,
            // An address that is another cluster's now ends no node that has its own.
            Refusal::Cluster(_) => !self.has_met && !self.has_cluster(),
            // One odd member ends no node that has a place. Whoever has lost every connection has lost that, too.
            Refusal::NameTaken(_) | Refusal::Fact(_) => {
                let is_connected = peers.any(|peer| peer.is_connected());
                !self.has_met || !self.is_settled(now_ms) || !is_connected
            }
            other => other.is_final() && !self.has_met,
        }
    }
}

/// Whether one who is there leaves its place to the one who comes.
fn gives_way(peer: &Peer, hello: &Hello, now_ms: u64) -> bool {
    let is_new = now_ms < peer.turned_ms + SETTLED_MS;
    is_new && stays_before(hello, &peer.member)
}
