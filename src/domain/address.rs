//! Networks and ranges of addresses.
//!
//! The gateway matches callers with them (trusted proxies, permitted addresses of API keys, deny
//! policies). IPv4 addresses mapped into IPv6 are taken for what they are.

use std::net::{IpAddr, SocketAddr};

/// A span of addresses of one family, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    v4: bool,
    from: u128,
    to: u128,
}

// === impl AddressRange ===

impl AddressRange {
    /// Reads one address or a network (`10.0.0.0/8`, `fd00::/8`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text.trim(), None),
        };
        let (v4, number) = number(address.parse().ok()?);
        let bits = if v4 { 32 } else { 128 };
        let length = length.unwrap_or(bits);
        let host_bits = bits.checked_sub(length)?;
        let mask = if host_bits == 128 {
            u128::MAX
        } else {
            (1_u128 << host_bits) - 1
        };
        Some(Self {
            v4,
            from: number & !mask,
            to: number | mask,
        })
    }

    /// From one address to another of the same family.
    #[must_use]
    pub fn between(from: &str, to: &str) -> Option<Self> {
        let (v4, from) = number(from.trim().parse().ok()?);
        let (other, to) = number(to.trim().parse().ok()?);
        (v4 == other && from <= to).then_some(Self { v4, from, to })
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (v4, number) = number(address);
        v4 == self.v4 && self.from <= number && number <= self.to
    }
}

/// An IPv4 address that came mapped into IPv6 as the IPv4 address that it is.
#[must_use]
pub fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The caller's address: that of the connection, or, when a trusted proxy is at its other end,
/// the last one in the lines of `X-Forwarded-For` that no trusted proxy added; what stands before
/// it anybody may have written.
#[must_use]
pub fn caller<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[AddressRange],
) -> IpAddr {
    let trusts = |address| trusted.iter().any(|range| range.contains(address));
    let connected = unmapped(peer);
    if !trusts(peer) {
        return connected;
    }
    // A proxy may add to the line or add a line.
    let hops = forwarded_for.rev().flat_map(|line| line.rsplit(','));
    let mut hops = hops.map_while(hop);
    hops.find(|hop| !trusts(*hop)).map_or(connected, unmapped)
}

/// One hop as proxies write it: an address, an IPv6 one in brackets or not, with a port or not.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

fn number(address: IpAddr) -> (bool, u128) {
    match unmapped(address) {
        IpAddr::V4(v4) => (true, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (false, u128::from(v6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_a_trusted_proxy_added_says_who_calls() {
        let trusted = [AddressRange::parse("10.0.0.0/8").unwrap()];
        let of = |peer: &str, said: &str| {
            let lines = said.split('\n');
            caller(ip(peer), lines, &trusted).to_string()
        };
        assert_eq!(of("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(of("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(
            of("::ffff:10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2"),
            "198.51.100.1"
        );
        assert_eq!(of("10.0.0.1", "198.51.100.1, nonsense"), "10.0.0.1");
        assert_eq!(of("10.0.0.1", ""), "10.0.0.1");
        assert_eq!(of("10.0.0.1", "1.1.1.1\n198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn a_hop_may_carry_a_port_and_brackets() {
        let trusted = [AddressRange::parse("10.0.0.0/8").unwrap()];
        let of = |said: &str| caller(ip("10.0.0.1"), [said].into_iter(), &trusted).to_string();
        assert_eq!(
            of("1.1.1.1, 198.51.100.1:4433, 10.0.0.2:80"),
            "198.51.100.1"
        );
        assert_eq!(of("1.1.1.1, [2001:db8::7]:1"), "2001:db8::7");
        assert_eq!(of("1.1.1.1, [2001:db8::7]"), "2001:db8::7");
        assert_eq!(of("1.1.1.1, 2001:db8::7"), "2001:db8::7");
        assert_eq!(of("1.1.1.1, [2001:db8::7"), "10.0.0.1");
    }

    #[test]
    fn networks_ranges_and_single_addresses_hold_what_they_say() {
        let holds =
            |range: &str, address: &str| AddressRange::parse(range).unwrap().contains(ip(address));
        assert!(holds("10.0.0.0/8", "10.255.1.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.7", "::ffff:10.0.0.7") && !holds("10.0.0.7", "10.0.0.8"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("::/0", "1.2.3.4"));
        assert!(holds("0.0.0.0/0", "255.255.255.255"));
        let range = AddressRange::between("10.0.0.5", "10.0.0.9").unwrap();
        assert!(range.contains(ip("10.0.0.9")) && !range.contains(ip("10.0.0.10")));
        for wrong in ["", "10.0.0.0/33", "a/8", "10.0.0", "::/129"] {
            assert_eq!(AddressRange::parse(wrong), None, "{wrong}");
        }
        assert_eq!(AddressRange::between("10.0.0.9", "10.0.0.5"), None);
    }
}
