//! `[listen]`: addresses and ports. `port_offset` shifts every port that is not 0. `[::]` is every address
//! of the machine, of either family.

use std::net::{IpAddr, SocketAddr};

use super::read;
use super::source::{ConfigError, Source};

/// `[listen]`, ports already shifted.
#[derive(Debug, Clone)]
pub(crate) struct Listen {
    /// `listen.management`, default `127.0.0.1:9443`: management APIs, TLS.
    pub(crate) management: SocketAddr,
    /// `listen.management_http`, default `off`: management APIs without TLS.
    pub(crate) management_http: Option<SocketAddr>,
    /// `listen.ingress_http`, default `[::]:8280`: API calls without TLS.
    pub(crate) ingress_http: Option<SocketAddr>,
    /// `listen.ingress_https`, default `[::]:8243`: API calls, TLS; `[::]` is every address of the machine, IPv4 and
    /// IPv6, `0.0.0.0` those of IPv4 alone.
    pub(crate) ingress_https: Option<SocketAddr>,
    /// `listen.names`, default none: more names by which callers reach this node, as a balancer's: DNS names (`*.` before one
    /// stands for one label) and IP addresses, separated by commas. The server's certificate that a node makes for itself
    /// is good for them beside `localhost`, the machine's name and the addresses above, and made anew when they change.
    pub(crate) names: Vec<String>,
    /// `listen.port_offset`, default `0`: added to every port above that is not 0, and to that of `cluster.listen`
    /// (`--port-offset`).
    pub(crate) port_offset: u16,
}

// === impl Listen ===

impl Listen {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let offset = source.take("listen.port_offset", "0", read::port_offset)?;
        let one = |text: &str| read::address(text).and_then(|address| shift(address, offset));
        let some = |text: &str| {
            let address = read::optional_address(text)?;
            address.map(|address| shift(address, offset)).transpose()
        };
        Ok(Self {
            management: source.take("listen.management", "127.0.0.1:9443", one)?,
            management_http: source.take("listen.management_http", "off", some)?,
            ingress_http: source.take("listen.ingress_http", "[::]:8280", some)?,
            ingress_https: source.take("listen.ingress_https", "[::]:8243", some)?,
            names: source.take("listen.names", "", names)?,
            port_offset: offset,
        })
    }

    /// The addresses where TLS is spoken.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let all = std::iter::once(self.management).chain(self.ingress_https);
        all.map(|address| address.ip()).collect()
    }
}

/// Names as certificates have them: in small letters, each once.
fn names(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for name in read::list(text)? {
        let name = match name.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) if is_dns_name(&name) => name.to_ascii_lowercase(),
            Err(_) => {
                return Err(format!(
                    "{name:?} is no DNS name and no IP address, write it as apis.example.com, *.example.com or 10.0.0.10, \
                     without scheme or port"
                ));
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether it is a name of hosts as RFC 1123 (2.1) has it, or all of one label below one (RFC 6125, 6.4.3).
fn is_dns_name(name: &str) -> bool {
    let wildcard = name.strip_prefix("*.");
    let mut labels: Vec<&str> = wildcard.unwrap_or(name).split('.').collect();
    let good = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in digits would be an address.
    let is_number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    let last = labels.pop().unwrap_or_default();
    name.len() <= 253
        && good(last)
        && !is_number(last)
        && labels.iter().all(|label| good(label))
        && (wildcard.is_none() || !labels.is_empty())
}

/// Adds the offset to the port, unless that is 0.
pub(super) fn shift(mut address: SocketAddr, offset: u16) -> Result<SocketAddr, String> {
    let port = address.port();
    if port != 0 {
        let beyond = || format!("port {port} with offset {offset} is beyond 65535");
        address.set_port(port.checked_add(offset).ok_or_else(beyond)?);
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_certificate_is_one_that_callers_can_ask_for() {
        let good = "Apis.Example.com, 10.0.0.10,2001:DB8:0::7,*.example.com,gw-1,apis.example.com,1st.example";
        let read = names(good).unwrap();
        let wanted = [
            "apis.example.com",
            "10.0.0.10",
            "2001:db8::7",
            "*.example.com",
            "gw-1",
            "1st.example",
        ];
        assert_eq!(read, wanted);
        assert_eq!(names(""), Ok(Vec::new()));
        let long = [["a"; 64].concat(), vec!["abcdefghi"; 26].join(".")];
        let bad = [
            "https://apis.example.com",
            "apis.example.com:8243",
            "[::1]",
            "10.0.0",
            "10.0.0.256",
            "*",
            "*.com",
            "a.*.example.com",
            "-a.example.com",
            "a-.example.com",
            "a..example.com",
            "example.com.",
            "b\u{fc}cher.example",
            "a b",
        ];
        for bad in bad.into_iter().chain(long.iter().map(String::as_str)) {
            let told = names(&format!("localhost,{bad}")).unwrap_err();
            assert!(
                told.starts_with(&format!("{bad:?} is no DNS name")),
                "{told}"
            );
        }
    }
}
