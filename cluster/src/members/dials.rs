//! Whom to dial, and when: pure.

use std::collections::BTreeMap;

use super::table::Table;

/// How much longer the smaller id waits before it dials, milliseconds: it is dialed.
const YIELD_MS: u64 = 1_000;
/// Before who was refused is dialed again, milliseconds: longer than the longest pause of its own, and the smaller id's wait.
const REFUSED_MS: u64 = 6_500;
/// Dials under way at a time.
const DIALS_MOST: usize = 32;
/// How long a dial may be under way, milliseconds; longer than its own deadline, so that only what
/// was lost of it is forgotten.
const DIAL_MS: u64 = 10_000;

impl Table {
    /// Addresses to be dialed now: seeds, and members that this node has to dial.
    pub(super) fn dials(&mut self, now_ms: u64) -> Vec<String> {
        if self.leaving {
            return Vec::new();
        }
        let mut wanted = BTreeMap::new();
        for (address, seed) in &self.seeds {
            let met = seed.met.as_ref().and_then(|id| self.peers.get(id));
            let open = met.is_some_and(|peer| peer.link.is_some());
            let own = seed.met.as_ref() == Some(&self.me.id) || *address == self.me.address;
            if !open && !own && seed.redial.not_before_ms <= now_ms {
                wanted.insert(address.clone(), seed.redial.not_before_ms);
            }
        }
        for (id, peer) in &self.peers {
            let mine = *id < self.me.id;
            let patience = if mine { 0 } else { YIELD_MS };
            let due = peer.redial.not_before_ms.max(peer.seen_ms + patience) <= now_ms;
            // A node that looks for its first cluster is led there by its seeds alone.
            if peer.link.is_none() && due && !self.cluster.is_empty() {
                wanted
                    .entry(peer.member.address.clone())
                    .or_insert(peer.redial.not_before_ms);
            }
        }
        let is_under_way = |since: &u64| now_ms.saturating_sub(*since) < DIAL_MS;
        self.dialing.retain(|_, since| is_under_way(since));
        wanted.retain(|address, _| !self.dialing.contains_key(address));
        // Whoever waits longest comes first, so that none waits for ever.
        let mut wanted: Vec<(u64, String)> =
            wanted.into_iter().map(|(at, due)| (due, at)).collect();
        wanted.sort();
        wanted.truncate(DIALS_MOST.saturating_sub(self.dialing.len()));
        let begun = wanted.iter().map(|(_, address)| (address.clone(), now_ms));
        self.dialing.extend(begun);
        wanted.into_iter().map(|(_, address)| address).collect()
    }

    /// A dial came to nothing.
    pub(crate) fn not_dialed(&mut self, now_ms: u64, address: &str, random: u64) {
        self.dialing.remove(address);
        if let Some(seed) = self.seeds.get_mut(address) {
            seed.redial.failed(now_ms, random);
        }
        let peers = self.peers.values_mut();
        for peer in peers.filter(|peer| peer.member.address == address) {
            peer.redial.failed(now_ms, random);
        }
    }

    /// This node does not let in who answers there: it is for that one to dial, and to be told.
    pub(crate) fn is_refused(&mut self, now_ms: u64, address: &str) {
        let peers = self.peers.values_mut();
        let peers = peers.filter(|peer| peer.member.address == address);
        let peers = peers.map(|peer| &mut peer.redial);
        for redial in peers.chain(self.seeds.get_mut(address).map(|seed| &mut seed.redial)) {
            redial.not_before_ms = redial.not_before_ms.max(now_ms + REFUSED_MS);
        }
    }

    /// A seed turned out to be this node itself.
    pub(crate) fn is_own(&mut self, address: &str) {
        self.dialing.remove(address);
        if let Some(seed) = self.seeds.get_mut(address) {
            seed.met = Some(self.me.id.clone());
        }
    }
}
