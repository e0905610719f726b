//! Where callers reach the gateways, which a node need not be to tell it: `gateway.http_endpoint` and
//! `gateway.https_endpoint`.

/// Where callers reach the gateways by one scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// At the port that `listen` says.
    Listened,
    /// Nowhere.
    Off,
    /// At this host and port, whatever stands there.
    At {
        /// Name or address, an IPv6 one in brackets.
        host: String,
        /// The scheme's own when none was given.
        port: u16,
    },
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads `https://apis.example.com:8443`, `off`, or nothing.
    pub(super) fn read(text: &str, scheme: &str, default_port: u16) -> Result<Self, String> {
        match text {
            "" => return Ok(Self::Listened),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let wrong = || {
            format!("{text:?} is no address of gateways, write {scheme}://apis.example.com or off")
        };
        let place = text.strip_prefix(scheme).and_then(|rest| {
            let place = rest.strip_prefix("://")?;
            Some(place.strip_suffix('/').unwrap_or(place))
        });
        let place = place.ok_or_else(wrong)?;
        // The last colon, unless it is part of an address in brackets.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()),
            _ => (place, Some(default_port)),
        };
        let port = port.filter(|port| *port != 0).ok_or_else(wrong)?;
        if !is_host(host) {
            return Err(wrong());
        }
        let host = host.to_ascii_lowercase();
        Ok(Self::At { host, port })
    }
}

fn is_host(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            !text.is_empty() && text.chars().all(is_fine)
        }
    }
}
