//! Two nodes that cannot both be members: of one name, or with facts that do not agree (W1, W6). Pure.
//!
//! Whoever is there first stays, at each member. Where two came in by different members at the same time, each is there first
//! somewhere: then the smaller id stays everywhere, and the other one ends. Nobody ends who has had a place for longer than such
//! a meeting takes, whoever refuses it for a rival; and nobody decides who was refused so itself, or is about to end.

use crate::hello::{Hello, Refusal};
use crate::member::Member;

use super::peer::Peer;
use super::standing::SETTLED_MS;
use super::table::Table;
use super::{Effect, Health};

/// Whoever belongs to a cluster and has met none of it for so long is alone with its rival, milliseconds.
const ALONE_MS: u64 = 4_000;
/// The place of one that has settled is kept for so long when its connection is lost, milliseconds.
const KEPT_MS: u64 = 5_000;

/// Why the one who comes cannot be a member beside the one who is there.
fn rivalry(there: &Member, comes: &Member) -> Option<Refusal> {
    if there.name == comes.name {
        return Some(Refusal::NameTaken(comes.name.clone()));
    }
    comes.conflict(there).map(Refusal::Fact)
}

// === impl Table ===

impl Table {
    /// Whether whoever says this hello may be a member beside this node and those that are there.
    pub(super) fn judge_rivals(&self, hello: &Hello, now_ms: u64) -> Result<(), Refusal> {
        let them = &hello.member;
        if let Some(refusal) = rivalry(&self.me, them) {
            // It is told so when it dials, or this node is.
            return Err(match self.stays_before(hello, now_ms) {
                true => refusal,
                false => Refusal::Challenged,
            });
        }
        let comes_with = is_placed(hello).then_some(them.id.as_str());
        let mut refusals = self.rivals_of(them).filter_map(|peer| {
            let refusal = rivalry(&peer.member, them);
            refusal.filter(|_| !comes_with.is_some_and(|id| gives_way(peer, id, now_ms)))
        });
        if let Some(refusal) = refusals.next() {
            return Err(refusal);
        }
        let mut away = self.peers.values().filter(|peer| peer.is_just_away(now_ms));
        match away.any(|peer| peer.member.id != them.id && rivalry(&peer.member, them).is_some()) {
            true => Err(Refusal::Challenged),
            false => Ok(()),
        }
    }

    /// Whether of this node and the one who says this hello, which cannot both be members, this one stays, as far as it
    /// knows.
    fn stays_before(&self, hello: &Hello, now_ms: u64) -> bool {
        if self.leaving || self.standing.is_in_doubt(now_ms) {
            return false;
        }
        if hello.cluster.is_empty() {
            return true;
        }
        let has_met = self.standing.has_met();
        let is_alone = !self.peers.values().any(Peer::is_alive);
        if is_alone && (has_met || !hello.known.is_empty()) {
            // Whoever has nobody any more says nothing to members, nor does one who has nobody yet to those whom others have.
            return false;
        }
        let is_smaller = self.me.id < hello.member.id;
        match (self.standing.is_settled(now_ms), has_met) {
            (true, _) => true,
            // Others have this one, and nobody that one; or both are had by others.
            (false, true) => hello.known.is_empty() || is_smaller,
            // Where there are others they decide.
            (false, false) => is_smaller && self.standing.is_placed_for(ALONE_MS, now_ms),
        }
    }

    /// A connection is ready. Gives whether its member may stay, once those that give way to it have lost their places.
    pub(super) fn displace_rivals(&mut self, link: u64, now_ms: u64) -> (bool, Vec<Effect>) {
        let Some(comes) = self.by_link(link) else {
            return (true, Vec::new());
        };
        let (them, named) = (comes.member.clone(), comes.link.as_ref());
        // Whom it has named, it named as a member.
        let is_placed = named.is_some_and(|link| !link.named.is_empty());
        let rivals = self.rivals_of(&them);
        let rivals: Vec<&Peer> = rivals
            .filter(|peer| rivalry(&peer.member, &them).is_some())
            .collect();
        let all_give_way = rivals
            .iter()
            .all(|peer| is_placed && gives_way(peer, &them.id, now_ms));
        let ids: Vec<String> = rivals.iter().map(|peer| peer.member.id.clone()).collect();
        if !all_give_way {
            return (false, Vec::new());
        }
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
        (true, effects)
    }

    /// Others that are there.
    fn rivals_of<'table>(&'table self, them: &Member) -> impl Iterator<Item = &'table Peer> {
        let id = them.id.clone();
        let others = self.peers.values();
        others.filter(move |peer| peer.member.id != id && peer.is_alive())
    }

    /// A member refuses this node for good; gives whether it had better end.
    pub(crate) fn is_ended_by(&mut self, refusal: &Refusal, now_ms: u64) -> bool {
        let (has_met, is_settled) = (self.standing.has_met(), self.standing.is_settled(now_ms));
        let is_ended = match refusal {
            Refusal::Superseded(_) | Refusal::Running => true,
            // An address that is another cluster's now ends no node that has its own.
            Refusal::Cluster(_) => false,
            Refusal::NameTaken(_) | Refusal::Fact(_) => {
                let is_ended = self.is_heard(now_ms) && !is_settled;
                self.standing.is_refused(now_ms);
                is_ended
            }
            other => other.is_final() && !has_met && !is_settled,
        };
        if is_ended {
            self.standing.ends();
        }
        is_ended
    }

    /// Whether what it is told now is what the others make of it: nobody answers yet who may have it.
    fn is_heard(&self, now_ms: u64) -> bool {
        let is_under_way =
            !self.dialing.is_empty() || self.peers.values().any(|peer| peer.link.is_some());
        self.standing.is_heard(now_ms) && (self.standing.has_met() || !is_under_way)
    }
}

// === impl Peer ===

impl Peer {
    /// Whether it has had its place for long, did not leave, and may be back in a moment.
    fn is_just_away(&self, now_ms: u64) -> bool {
        let was_settled = (self.placed).is_some_and(|(life, since)| {
            life == self.member.life && self.turned_ms >= since + SETTLED_MS
        });
        let is_away = self.health == Health::Down && !self.leaving;
        is_away && was_settled && now_ms < self.turned_ms + KEPT_MS
    }
}

/// Whether others have let it in already.
fn is_placed(hello: &Hello) -> bool {
    !hello.cluster.is_empty() && !hello.known.is_empty()
}

/// Whether one who is there leaves its place to one that others have let in: both came just now.
fn gives_way(peer: &Peer, comes: &str, now_ms: u64) -> bool {
    let since = peer.placed.filter(|(life, _)| *life == peer.member.life);
    let is_new = since.is_none_or(|(_, since)| now_ms < since + SETTLED_MS);
    is_new && comes < peer.member.id.as_str()
}
