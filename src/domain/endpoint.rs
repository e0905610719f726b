//! Which URLs an API's calls may go to (threats 18): backends may lie on private addresses, never
//! on link-local or metadata ones, and on loopback only where the node's settings say so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// The longest URL, in bytes.
const MAX_BYTES: usize = 2048;
/// Names under which clouds hand out credentials.
const METADATA_HOSTS: [&str; 2] = ["metadata.google.internal", "metadata"];

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EndpointFault {
    /// Empty, too long, or with characters that a URL cannot hold.
    #[error("must be a URL such as https://backend.example:8443/base")]
    Malformed,
    /// Neither `http` nor `https`, nor what these are called where the endpoint serves WebSockets.
    #[error("must begin with http:// or https://, or with ws:// or wss://")]
    Scheme,
    /// A user name or password in it.
    #[error("must not hold a user name or password")]
    UserInfo,
    /// A number that some readers take for an address (`2130706433`, `0x7f.1`, `127.1`).
    #[error("must name its host by a name or by an address in its usual form")]
    OddAddress,
    /// Link-local or a cloud's metadata service.
    #[error("must not lead to a link-local or metadata address")]
    Forbidden,
    /// Loopback, where that is not allowed.
    #[error("must not lead to this machine unless gateway.allow_loopback_endpoints is set")]
    Loopback,
}

/// Checks the URL of an endpoint.
///
/// # Errors
/// The first [`EndpointFault`].
pub fn check(url: &str, allow_loopback: bool) -> Result<(), EndpointFault> {
    let odd = |letter: char| {
        letter.is_whitespace() || letter.is_control() || matches!(letter, '\\' | '<' | '>' | '"')
    };
    if url.is_empty() || url.len() > MAX_BYTES || url.contains(odd) {
        return Err(EndpointFault::Malformed);
    }
    let (scheme, rest) = url.split_once("://").ok_or(EndpointFault::Scheme)?;
    let known = ["http", "https", "ws", "wss"];
    if !known.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(EndpointFault::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if rest.contains('#') {
        return Err(EndpointFault::Malformed);
    }
    if authority.contains('@') {
        return Err(EndpointFault::UserInfo);
    }
    let (host, port) = host_and_port(authority).ok_or(EndpointFault::Malformed)?;
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err(EndpointFault::Malformed);
    }
    match address(host)? {
        Some(address) => check_address(address, allow_loopback),
        None => check_name(host, allow_loopback),
    }
}

/// Checks an address that a name was resolved to, or that stands in a URL.
///
/// # Errors
/// [`EndpointFault::Forbidden`] or [`EndpointFault::Loopback`].
pub fn check_address(address: IpAddr, allow_loopback: bool) -> Result<(), EndpointFault> {
    let address = match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4),
        four @ IpAddr::V4(_) => four,
    };
    let forbidden = match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_multicast() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unicast_link_local() || six.is_multicast() || six == METADATA_V6,
    };
    if forbidden {
        return Err(EndpointFault::Forbidden);
    }
    if (address.is_loopback() || address.is_unspecified()) && !allow_loopback {
        return Err(EndpointFault::Loopback);
    }
    Ok(())
}

const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

fn check_name(host: &str, allow_loopback: bool) -> Result<(), EndpointFault> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(EndpointFault::Malformed);
    }
    if METADATA_HOSTS.contains(&host.as_str()) {
        return Err(EndpointFault::Forbidden);
    }
    if (host == "localhost" || host.ends_with(".localhost")) && !allow_loopback {
        return Err(EndpointFault::Loopback);
    }
    Ok(())
}

fn host_and_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_once(']')?;
        let port = if rest.is_empty() {
            None
        } else {
            Some(rest.strip_prefix(':')?)
        };
        // The opening bracket stays, so that a name in brackets is no name.
        return Some((host, port));
    }
    match authority.split_once(':') {
        Some((host, port)) => (!host.is_empty()).then_some((host, Some(port))),
        None => (!authority.is_empty()).then_some((authority, None)),
    }
}

fn address(host: &str) -> Result<Option<IpAddr>, EndpointFault> {
    if let Some(six) = host.strip_prefix('[') {
        let six: Ipv6Addr = six.parse().map_err(|_| EndpointFault::Malformed)?;
        return Ok(Some(IpAddr::V6(six)));
    }
    if let Ok(four) = host.parse::<Ipv4Addr>() {
        return Ok(Some(IpAddr::V4(four)));
    }
    // A last label that is a number makes the whole an IPv4 address for many readers.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let hex = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|rest| rest.chars().all(|digit| digit.is_ascii_hexdigit()));
    if hex || (!last.is_empty() && last.chars().all(|digit| digit.is_ascii_digit())) {
        return Err(EndpointFault::OddAddress);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_backends_are_allowed_and_metadata_never_is() {
        for good in [
            "http://10.0.0.7:8080/base",
            "https://backend.example",
            "https://[fd00::1]:8443/x?y=1",
            "HTTP://192.168.1.1/",
            "http://my_service:80",
            "ws://10.0.0.7:8080/socket",
            "WSS://backend.example",
        ] {
            assert_eq!(check(good, false), Ok(()), "{good}");
        }
        for (bad, fault) in [
            ("http://169.254.169.254/latest", EndpointFault::Forbidden),
            ("http://[::ffff:169.254.169.254]/", EndpointFault::Forbidden),
            ("http://[fe80::1]/", EndpointFault::Forbidden),
            (
                "http://metadata.google.internal./",
                EndpointFault::Forbidden,
            ),
            ("http://2852039166/", EndpointFault::OddAddress),
            ("http://0xa9.0xfe.0xa9.0xfe/", EndpointFault::OddAddress),
            ("http://127.1/", EndpointFault::OddAddress),
            ("http://user:pw@backend/", EndpointFault::UserInfo),
            ("ftp://backend/", EndpointFault::Scheme),
            ("wsss://backend/", EndpointFault::Scheme),
            ("ws://169.254.169.254/", EndpointFault::Forbidden),
            ("backend", EndpointFault::Scheme),
            ("http://", EndpointFault::Malformed),
            ("http://a b/", EndpointFault::Malformed),
            ("http://backend:99999/", EndpointFault::Malformed),
            ("http://backend:0/", EndpointFault::Malformed),
        ] {
            assert_eq!(check(bad, true), Err(fault), "{bad}");
        }
    }

    #[test]
    fn loopback_needs_the_setting() {
        for url in [
            "http://127.0.0.1:9000",
            "http://localhost:9000/x",
            "http://[::1]:1/",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
        ] {
            assert_eq!(check(url, false), Err(EndpointFault::Loopback), "{url}");
            assert_eq!(check(url, true), Ok(()), "{url}");
        }
    }
}
