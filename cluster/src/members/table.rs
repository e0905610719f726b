//! The table of members and what is to be done about it: pure, time and randomness come in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hello::{Hello, Refusal};
use crate::member::Member;
use crate::protocol::PROTOCOL_BEFORE;

use super::peer::{Link, Peer, Redial};
use super::standing::Standing;
use super::{Health, MemberState, Timing, Turn};

/// How long a connection may take from the welcome until asks can be sent, milliseconds.
const READY_MS: u64 = 3_000;
/// How long the old incarnation has to answer for itself (W1), milliseconds.
const CHALLENGE_MS: u64 = 1_000;
/// How long somebody who went without a word is looked for, milliseconds.
const FORGET_MS: u64 = 10 * 60 * 1_000;
/// Members passed on in a hello or a gossip, and those that somebody else may name; more than a full
/// mesh can be.
const KNOWN_MOST: usize = 256;
/// Nodes at a time that nobody has named and that are not connected yet, beside the members.
const STRANGERS_MOST: usize = 64;

/// What a probe is answered with: the peer's own view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gossip {
    pub(crate) member: Member,
    pub(crate) leaving: bool,
    pub(crate) known: Vec<Member>,
}

/// What the table wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Dial(String),
    Probe(u64),
    /// Close the connection, whatever it is doing.
    Kill(u64),
    Tell(Turn),
    /// Say that the member of this name is about to go.
    Leaves(String),
    /// The cluster is known from now on: keep it.
    Joined(String),
}

/// All that this node knows of others.
#[derive(Debug)]
pub(crate) struct Table {
    timing: Timing,
    pub(super) cluster: String,
    pub(super) me: Member,
    /// The lowest and the highest version of the protocol that this node speaks.
    pub(super) versions: (u16, u16),
    pub(super) leaving: bool,
    pub(super) seeds: BTreeMap<String, Seed>,
    pub(super) peers: BTreeMap<String, Peer>,
    /// Addresses that are being dialed, since when.
    pub(super) dialing: BTreeMap<String, u64>,
    ticked_ms: u64,
    pub(super) standing: Standing,
    /// A bug put in on purpose: whoever answers is believed to be who it says.
    #[cfg(test)]
    pub(super) trusts_any_life: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Seed {
    pub(super) redial: Redial,
    /// Who answered there last.
    pub(super) met: Option<String>,
}

// === impl Table ===

impl Table {
    /// A node's own table; it speaks the protocol up to this version.
    pub(crate) fn new(
        me: Member,
        protocol: u16,
        cluster: &str,
        seeds: &[String],
        timing: Timing,
    ) -> Self {
        let seeds = seeds.iter().map(|seed| (seed.clone(), Seed::default()));
        Self {
            timing,
            cluster: cluster.to_owned(),
            me,
            versions: (PROTOCOL_BEFORE, protocol),
            leaving: false,
            seeds: seeds.collect(),
            peers: BTreeMap::new(),
            dialing: BTreeMap::new(),
            ticked_ms: 0,
            standing: Standing::default(),
            #[cfg(test)]
            trusts_any_life: false,
        }
    }

    /// Whether it belongs to a cluster.
    pub(crate) fn has_cluster(&self) -> bool {
        !self.cluster.is_empty()
    }

    /// The version of the protocol that is spoken with whoever says this hello: the highest that
    /// both know (M1).
    pub(crate) fn protocol_with(&self, hello: &Hello) -> u16 {
        self.versions.1.min(hello.versions.1)
    }

    /// What this node says first; asks by that connection are to bear this `key`.
    pub(crate) fn hello(&self, key: u64) -> Hello {
        Hello {
            versions: self.versions,
            cluster: self.cluster.clone(),
            member: self.me.clone(),
            key,
            known: self.known(),
        }
    }

    /// What this node answers a probe with.
    pub(crate) fn gossip(&self) -> Gossip {
        Gossip {
            member: self.me.clone(),
            leaving: self.leaving,
            known: self.known(),
        }
    }

    fn known(&self) -> Vec<Member> {
        let alive = self.peers.values().filter(|peer| peer.is_alive());
        let alive = alive.map(|peer| peer.member.clone());
        alive.take(KNOWN_MOST).collect()
    }

    /// The live map, this node left out.
    pub(crate) fn states(&self) -> Vec<MemberState> {
        let known = self.peers.values().filter(|peer| !peer.stranger);
        let states = known.map(|peer| MemberState {
            member: peer.member.clone(),
            health: peer.health,
            leaving: peer.leaving,
            since_ms: peer.turned_ms,
        });
        states.collect()
    }

    /// The connection by which a member can be asked.
    pub(crate) fn link_of(&self, id: &str) -> Option<u64> {
        let link = self.peers.get(id)?.link.as_ref()?;
        link.ready.then_some(link.id)
    }

    /// Whom a connection is with.
    pub(crate) fn member_of(&self, link: u64) -> Option<&Member> {
        let holds = |open: &Link| open.id == link;
        let mut peers = self.peers.values();
        let peer = peers.find(|peer| peer.link.as_ref().is_some_and(holds))?;
        Some(&peer.member)
    }

    /// Whether nobody has named it, and it was never connected.
    pub(crate) fn is_stranger(&self, id: &str) -> bool {
        self.peers.get(id).is_none_or(|peer| peer.stranger)
    }

    /// Says from now on that this node is about to go.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
    }

    /// Somebody dialed and said hello; gives who is welcomed, or why not.
    pub(crate) fn offered(
        &mut self,
        now_ms: u64,
        link: u64,
        hello: &Hello,
    ) -> Result<Vec<Effect>, Refusal> {
        self.judge(hello, now_ms)?;
        let them = &hello.member;
        if self.dialing.contains_key(&them.address) && them.id < self.me.id {
            return Err(Refusal::Connected);
        }
        if let Some(peer) = self.peers.get(&them.id)
            && let Some(open) = &peer.link
            && peer.member.life == them.life
            && peer.health != Health::Suspect
            && (open.outbound == (self.me.id > them.id) || open.ready)
        {
            return Err(Refusal::Connected);
        }
        if !self.peers.contains_key(&them.id) && !self.has_room_for_strangers() {
            return Err(Refusal::Full);
        }
        Ok(self.connect(now_ms, link, false, hello))
    }

    /// Whether somebody may come who is named by nobody: neither takes a member's place.
    fn has_room_for_strangers(&self) -> bool {
        let strangers = self.peers.values().filter(|peer| peer.stranger).count();
        self.has_room() && strangers < STRANGERS_MOST
    }

    /// Whether one more member can be known.
    fn has_room(&self) -> bool {
        let members = self.peers.values().filter(|peer| !peer.stranger).count();
        members < KNOWN_MOST
    }

    /// The node that was dialed at `address` says welcome.
    pub(crate) fn welcomed(
        &mut self,
        now_ms: u64,
        link: u64,
        address: &str,
        hello: &Hello,
    ) -> Result<Vec<Effect>, Refusal> {
        self.dialing.remove(address);
        self.judge(hello, now_ms)?;
        let them = &hello.member;
        if let Some(seed) = self.seeds.get_mut(address) {
            seed.met = Some(them.id.clone());
        }
        // Both have dialed: the greater one's connection stays, at both ends.
        if let Some(peer) = self.peers.get(&them.id)
            && peer.link.is_some()
            && peer.member.life == them.life
            && them.id > self.me.id
        {
            return Err(Refusal::Connected);
        }
        Ok(self.connect(now_ms, link, true, hello))
    }

    fn connect(&mut self, now_ms: u64, link: u64, outbound: bool, hello: &Hello) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.cluster.is_empty() {
            self.cluster.clone_from(&hello.cluster);
            effects.push(Effect::Joined(self.cluster.clone()));
        }
        let them = &hello.member;
        let peer = self.peers.entry(them.id.clone());
        let peer = peer.or_insert_with(|| Peer {
            stranger: true,
            ..Peer::unmet(them.clone(), now_ms)
        });
        // Who has no cluster yet knows nobody in it, and is not believed when it names some.
        let is_member = !hello.cluster.is_empty();
        let link = Link {
            id: link,
            outbound,
            ready: false,
            named: if is_member {
                hello.known.clone()
            } else {
                Vec::new()
            },
            since_ms: now_ms,
            heard_ms: now_ms,
            probed_ms: None,
        };
        if let Some(old) = peer.link.replace(link) {
            effects.push(Effect::Kill(old.id));
            if peer.is_alive() {
                let turn = peer.turn(now_ms, Health::Down, "replaced by a new connection");
                effects.extend(turn.map(Effect::Tell));
            }
        }
        peer.member = them.clone();
        peer.challenge = None;
        peer.leaving = false;
        peer.seen_ms = now_ms;
        effects
    }

    /// Members that somebody else knows are dialed by whoever has to.
    fn learn(&mut self, now_ms: u64, known: &[Member]) {
        for member in known.iter().take(KNOWN_MOST) {
            if member.id == self.me.id {
                continue;
            }
            let has_room = self.has_room();
            match self.peers.get_mut(&member.id) {
                None if has_room => {
                    let peer = Peer::unmet(member.clone(), now_ms);
                    self.peers.insert(member.id.clone(), peer);
                }
                None => {}
                // It is the stranger's own word as well, and that is kept.
                Some(peer) if peer.stranger => peer.stranger = !has_room,
                Some(peer)
                    if peer.link.is_none() && member.incarnation > peer.member.incarnation =>
                {
                    peer.member = member.clone();
                    peer.redial = Redial::default();
                    peer.seen_ms = now_ms;
                }
                Some(_) => {}
            }
        }
    }

    /// A connection can carry asks.
    pub(crate) fn ready(&mut self, now_ms: u64, link: u64) -> Vec<Effect> {
        let has_room = self.has_room();
        let comes = self.by_link(link);
        let (may_stay, mut effects) = match comes.is_some_and(|peer| has_room || !peer.stranger) {
            true => self.displace_rivals(link, now_ms),
            false => (false, Vec::new()),
        };
        let Some(peer) = self.by_link(link).filter(|_| may_stay) else {
            return vec![Effect::Kill(link)];
        };
        peer.stranger = false;
        let mut named = Vec::new();
        if let Some(open) = &mut peer.link {
            open.ready = true;
            open.heard_ms = now_ms;
            named = std::mem::take(&mut open.named);
        }
        peer.redial.succeeded();
        let id = peer.member.id.clone();
        let turn = peer.turn(now_ms, Health::Up, "connected");
        let seeds = self.seeds.values_mut();
        for seed in seeds.filter(|seed| seed.met.as_ref() == Some(&id)) {
            seed.redial.succeeded();
        }
        self.standing.meets(now_ms);
        self.learn(now_ms, &named);
        effects.extend(turn.map(Effect::Tell));
        effects
    }

    /// A connection has ended.
    pub(crate) fn lost(&mut self, now_ms: u64, link: u64, random: u64) -> Vec<Effect> {
        let Some(peer) = self.by_link(link) else {
            return Vec::new();
        };
        let reason = if peer.leaving {
            "left"
        } else {
            "connection lost"
        };
        let held = peer.link.take().filter(|link| link.ready && !peer.leaving);
        match held {
            Some(link) => peer.redial.lost(now_ms, link.since_ms, random),
            None => peer.redial.failed(now_ms, random),
        }
        peer.seen_ms = now_ms;
        let id = peer.member.id.clone();
        let turn = peer.turn(now_ms, Health::Down, reason);
        if peer.stranger {
            self.forget(now_ms, &id, random);
        }
        turn.map(Effect::Tell).into_iter().collect()
    }

    /// Somebody who was never connected is gone; where that was a seed, it is dialed again later.
    fn forget(&mut self, now_ms: u64, id: &str, random: u64) {
        self.peers.remove(id);
        let seeds = self.seeds.values_mut();
        for seed in seeds.filter(|seed| seed.met.as_deref() == Some(id)) {
            seed.redial.failed(now_ms, random);
        }
    }

    /// A peer has answered a probe.
    pub(crate) fn heard(&mut self, now_ms: u64, link: u64, gossip: &Gossip) -> Vec<Effect> {
        #[cfg(test)]
        if self.trusts_any_life
            && let Some(peer) = self.peers.get_mut(&gossip.member.id)
        {
            peer.member = gossip.member.clone();
        }
        let Some(peer) = self.by_link(link) else {
            return Vec::new();
        };
        if gossip.member.life != peer.member.life {
            return vec![Effect::Kill(link)];
        }
        if let Some(open) = &mut peer.link {
            open.heard_ms = now_ms;
        }
        let leaves = peer.leaves(gossip.leaving);
        peer.seen_ms = now_ms;
        if let Some((since, answered)) = &mut peer.challenge {
            *answered |= *since < now_ms;
        }
        let turn = peer.turn(now_ms, Health::Up, "answers again");
        self.learn(now_ms, &gossip.known);
        let turn = turn.map(Effect::Tell).into_iter();
        turn.chain(leaves.map(Effect::Leaves)).collect()
    }

    /// Whether this end has the connection.
    #[cfg(test)]
    pub(super) fn holds(&self, link: u64) -> bool {
        let mut links = self.peers.values().filter_map(|peer| peer.link.as_ref());
        links.any(|open| open.id == link)
    }

    pub(super) fn by_link(&mut self, link: u64) -> Option<&mut Peer> {
        let holds = |peer: &&mut Peer| peer.link.as_ref().is_some_and(|open| open.id == link);
        self.peers.values_mut().find(holds)
    }

    /// Time passes: probes, suspicions, evictions, dials.
    pub(crate) fn tick(&mut self, now_ms: u64, mut random: impl FnMut() -> u64) -> Vec<Effect> {
        self.forgive_own_pause(now_ms);
        if self.has_cluster() {
            self.standing.is_placed(now_ms);
        }
        let mut effects = Vec::new();
        let timing = self.timing;
        for peer in self.peers.values_mut() {
            watch(peer, now_ms, timing, random(), &mut effects);
        }
        let gone = |peer: &Peer| peer.stranger && peer.link.is_none();
        let strangers = self.peers.iter().filter(|(_, peer)| gone(peer));
        let strangers: Vec<_> = strangers.map(|(id, _)| id.clone()).collect();
        for id in strangers {
            self.forget(now_ms, &id, random());
        }
        self.peers.retain(|_, peer| {
            let silent = now_ms.saturating_sub(peer.seen_ms);
            let gone = peer.leaving && peer.health == Health::Down;
            peer.link.is_some() || !(gone || silent > FORGET_MS)
        });
        effects.extend(self.dials(now_ms).into_iter().map(Effect::Dial));
        effects
    }

    /// Who was silent while this node itself stood still has not been asked.
    fn forgive_own_pause(&mut self, now_ms: u64) {
        let since = now_ms.saturating_sub(self.ticked_ms);
        let own = since.saturating_sub(millis(self.timing.probe));
        if self.ticked_ms > 0 && own > millis(self.timing.suspect) / 2 {
            for link in self
                .peers
                .values_mut()
                .filter_map(|peer| peer.link.as_mut())
            {
                link.heard_ms = (link.heard_ms + own).min(now_ms);
                link.since_ms = (link.since_ms + own).min(now_ms);
            }
        }
        self.ticked_ms = now_ms;
    }
}

/// What a peer's silence means, and whether it is to be probed.
fn watch(peer: &mut Peer, now_ms: u64, timing: Timing, random: u64, effects: &mut Vec<Effect>) {
    let Some(link) = &mut peer.link else { return };
    let id = link.id;
    let challenged =
        matches!(peer.challenge, Some((since, false)) if now_ms >= since + CHALLENGE_MS);
    let late = !link.ready && now_ms >= link.since_ms + READY_MS;
    let silent = now_ms.saturating_sub(link.heard_ms);
    let dead = link.ready && silent >= millis(timing.evict);
    if challenged || late || dead {
        let reason = match (challenged, late) {
            (true, _) => "does not answer, and a later incarnation asks for its place".to_owned(),
            (_, true) => "did not finish connecting".to_owned(),
            _ => format!("silent for {silent} ms"),
        };
        peer.link = None;
        peer.challenge = None;
        peer.redial.failed(now_ms, random);
        effects.push(Effect::Kill(id));
        effects.extend(peer.turn(now_ms, Health::Down, &reason).map(Effect::Tell));
        return;
    }
    if !link.ready {
        return;
    }
    let due = link
        .probed_ms
        .is_none_or(|at| now_ms >= at + millis(timing.probe));
    if due {
        link.probed_ms = Some(now_ms);
        effects.push(Effect::Probe(id));
    }
    if silent >= millis(timing.suspect) {
        let turn = peer.turn(now_ms, Health::Suspect, &format!("silent for {silent} ms"));
        effects.extend(turn.map(Effect::Tell));
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
