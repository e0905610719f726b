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
            port_offset: offset,
        })
    }

    /// The addresses where TLS is spoken.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let all = std::iter::once(self.management).chain(self.ingress_https);
        all.map(|address| address.ip()).collect()
    }
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
