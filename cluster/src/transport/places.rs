//! Places of strangers at their first words: in all, and for each address, so that one of them cannot
//! keep all others out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// In all; more are closed at once.
const ALL: usize = 128;
/// Of one address: a cluster's nodes on one machine dial each other from one.
const OF_ONE: usize = 32;

/// Who is at its first words.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One place, given back when dropped.
pub(super) struct Place {
    places: Places,
    of: IpAddr,
}

// === impl Places ===

impl Places {
    /// A place, or why there is none.
    pub(super) fn take(&self, peer: IpAddr) -> Result<Place, &'static str> {
        let of = group(peer);
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= ALL {
            return Err("too many connections at their first words");
        }
        let own = taken.entry(of).or_default();
        if *own >= OF_ONE {
            return Err("too many connections of one address at their first words");
        }
        *own += 1;
        Ok(Place {
            places: self.clone(),
            of,
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(own) = taken.get_mut(&self.of) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

/// Whoever has one address of IPv6 has its whole network of 64 bits.
fn group(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::from(u64::MAX) << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_the_places_of_all() {
        let places = Places::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let mut held: Vec<_> = (0..OF_ONE)
            .map(|_| places.take(one).ok().unwrap())
            .collect();
        assert!(places.take(one).is_err());
        assert!(places.take("::ffff:192.0.2.1".parse().unwrap()).is_err());
        let other = places.take("192.0.2.2".parse().unwrap());
        assert!(other.is_ok());
        held.pop();
        assert!(places.take(one).is_ok());
    }

    #[test]
    fn all_together_have_a_bound_and_a_network_counts_as_one() {
        let places = Places::default();
        let mut held = Vec::new();
        for host in 0..u128::from(u64::MAX) {
            let in_one_network = IpAddr::V6(Ipv6Addr::from_bits((0x2001 << 112) | host));
            let Ok(place) = places.take(in_one_network) else {
                break;
            };
            held.push(place);
        }
        assert_eq!(held.len(), OF_ONE);
        for network in 0..ALL {
            let network = IpAddr::V6(Ipv6Addr::from_bits(u128::try_from(network).unwrap() << 64));
            held.extend(places.take(network));
        }
        assert_eq!(held.len(), ALL);
        held.clear();
        assert!(
            places.taken().is_empty(),
            "nothing is kept of those who left"
        );
    }
}
