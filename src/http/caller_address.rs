//! Where a management request comes from: the connection, or what a trusted proxy says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{Extensions, HeaderMap};

use domain::address::{self, AddressRange};

/// The caller's address, as an operation's handler finds it with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallerAddress(pub(crate) IpAddr);

/// Lines of `X-Forwarded-For`, in order. One that is no text is kept as nothing, so that what
/// stands before it does not count.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = &str> {
    let lines = headers.get_all("x-forwarded-for").iter();
    lines.map(|line| line.to_str().unwrap_or_default())
}

/// The caller's address.
pub(crate) fn of(request: &Request, trusted: &[AddressRange]) -> IpAddr {
    of_parts(request.extensions(), request.headers(), trusted)
}

/// The same of a request whose body was taken off.
pub(crate) fn of_parts(
    extensions: &Extensions,
    headers: &HeaderMap,
    trusted: &[AddressRange],
) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    // A router without connections has no addresses: then all callers are one.
    let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
    address::caller(peer, forwarded_for(headers), trusted)
}
