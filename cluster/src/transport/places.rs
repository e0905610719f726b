//! Places of strangers at their first words: in all, and for each address, so that one of them cannot keep all others out.
//! Whoever has said nothing yet gives way to the next one who comes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// In all; more are closed at once.
const ALL: usize = 128;
/// Of one address: a cluster's nodes on one machine dial each other from one.
const OF_ONE: usize = 32;

/// Who is at its first words.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<Strangers>>);

/// By their numbers, which grow.
#[derive(Default)]
struct Strangers {
    last: u64,
    here: BTreeMap<u64, Stranger>,
}

struct Stranger {
    of: IpAddr,
    has_spoken: bool,
    gives_way: CancellationToken,
}

/// One place, given back when dropped.
pub(super) struct Place {
    places: Places,
    number: u64,
    gives_way: CancellationToken,
}

// === impl Places ===

impl Places {
    /// A place, that of one who has said nothing yet where there is no other; or why there is none.
    pub(super) fn take(&self, peer: IpAddr) -> Result<Place, &'static str> {
        let of = group(peer);
        let mut strangers = self.strangers();
        let here = &strangers.here;
        let own = here.values().filter(|stranger| stranger.of == of).count();
        let refusal = match (own >= OF_ONE, here.len() >= ALL) {
            (true, _) => Some("too many connections of one address at their first words"),
            (_, true) => Some("too many connections at their first words"),
            (false, false) => None,
        };
        if let Some(refusal) = refusal {
            let is_silent =
                |stranger: &Stranger| !stranger.has_spoken && (own < OF_ONE || stranger.of == of);
            let oldest = here.iter().find(|(_, stranger)| is_silent(stranger));
            let number = oldest.map(|(number, _)| *number).ok_or(refusal)?;
            if let Some(stranger) = strangers.here.remove(&number) {
                stranger.gives_way.cancel();
            }
        }
        strangers.last += 1;
        let (number, gives_way) = (strangers.last, CancellationToken::new());
        let stranger = Stranger {
            of,
            has_spoken: false,
            gives_way: gives_way.clone(),
        };
        strangers.here.insert(number, stranger);
        drop(strangers);
        Ok(Place {
            places: self.clone(),
            number,
            gives_way,
        })
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// It has said something, and keeps its place until it is heard out.
    pub(super) fn speaks(&self) {
        let mut strangers = self.places.strangers();
        if let Some(stranger) = strangers.here.get_mut(&self.number) {
            stranger.has_spoken = true;
        }
    }

    /// Until somebody else has the place.
    pub(super) async fn given_away(&self) {
        self.gives_way.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.strangers().here.remove(&self.number);
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

    fn speaking(places: &Places, peer: IpAddr) -> Option<Place> {
        let place = places.take(peer).ok()?;
        place.speaks();
        Some(place)
    }

    #[test]
    fn one_address_cannot_take_the_places_of_all() {
        let places = Places::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let mut held: Vec<_> = (0..OF_ONE)
            .map(|_| speaking(&places, one).unwrap())
            .collect();
        assert!(places.take(one).is_err());
        assert!(places.take("::ffff:192.0.2.1".parse().unwrap()).is_err());
        let other = places.take("192.0.2.2".parse().unwrap());
        assert!(other.is_ok());
        held.pop();
        assert!(places.take(one).is_ok());
    }

    #[test]
    fn whoever_says_nothing_gives_way_to_the_next_one_and_whoever_speaks_does_not() {
        let places = Places::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let held: Vec<_> = (0..OF_ONE)
            .map(|_| places.take(one).ok().unwrap())
            .collect();
        let of_other = places.take(other).ok().unwrap();
        held[0].speaks();
        let next = places.take(one).ok().unwrap();
        let gave_way = |place: &Place| place.gives_way.is_cancelled();
        assert!(!gave_way(&held[0]) && gave_way(&held[1]) && !gave_way(&held[2]));
        assert!(!gave_way(&of_other) && !gave_way(&next));
        // Its end gives nobody's place back.
        let here = || places.strangers().here.len();
        let before = here();
        drop(held);
        assert_eq!(here(), before - (OF_ONE - 1));
    }

    #[test]
    fn all_together_have_a_bound_and_a_network_counts_as_one() {
        let places = Places::default();
        let mut held = Vec::new();
        for host in 0..u128::from(u64::MAX) {
            let in_one_network = IpAddr::V6(Ipv6Addr::from_bits((0x2001 << 112) | host));
            let Some(place) = speaking(&places, in_one_network) else {
                break;
            };
            held.push(place);
        }
        assert_eq!(held.len(), OF_ONE);
        for network in 0..ALL {
            let network = IpAddr::V6(Ipv6Addr::from_bits(u128::try_from(network).unwrap() << 64));
            held.extend(speaking(&places, network));
        }
        assert_eq!(held.len(), ALL);
        held.clear();
        assert!(
            places.strangers().here.is_empty(),
            "nothing is kept of those who left"
        );
    }
}
