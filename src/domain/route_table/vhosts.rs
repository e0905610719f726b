//! Which virtual host a request's `Host` means.
//!
//! Built by the gateway from its environments; an unknown host is served as the fallback one.

/// The virtual hosts of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vhosts {
    fallback: String,
    known: Vec<String>,
}

// === impl Vhosts ===

impl Vhosts {
    /// Virtual hosts by name; names are compared without case.
    pub fn new(fallback: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut known: Vec<String> = known
            .into_iter()
            .map(|name| name.as_ref().to_ascii_lowercase())
            .collect();
        known.sort_unstable();
        known.dedup();
        Self {
            fallback: fallback.to_ascii_lowercase(),
            known,
        }
    }

    /// The virtual host that a `Host` header or `:authority` means, its port put aside.
    pub fn resolve(&self, host: &str) -> &str {
        let name = without_port(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let found = self
            .known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        found.map_or(&self.fallback, String::as_str)
    }

    /// The virtual host of unknown hosts.
    pub fn fallback(&self) -> &str {
        &self.fallback
    }
}

/// A host without its port; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_whatever_its_case_port_or_final_dot() {
        let vhosts = Vhosts::new("localhost", ["Gw.Example.com", "[::1]", "localhost"]);
        for (host, expected) in [
            ("gw.example.com", "gw.example.com"),
            ("GW.example.COM:8243", "gw.example.com"),
            ("gw.example.com.", "gw.example.com"),
            ("[::1]:8243", "[::1]"),
            ("[::1]", "[::1]"),
            ("localhost:8280", "localhost"),
            ("elsewhere.example", "localhost"),
            ("", "localhost"),
        ] {
            assert_eq!(vhosts.resolve(host), expected, "{host}");
        }
    }
}
