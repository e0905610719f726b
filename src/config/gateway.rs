//! `[gateway]`: how API calls are taken in and passed on.

use std::time::Duration;

use domain::address::AddressRange;

use super::read;
use super::source::{ConfigError, Source};

/// `[gateway]`
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    /// Addresses and networks whose `X-Forwarded-For` counts.
    pub(crate) trusted_proxies: Vec<AddressRange>,
    /// Whether endpoint URLs may name loopback addresses.
    pub(crate) allow_loopback_endpoints: bool,
    /// The most bytes of a request body.
    pub(crate) body_limit: u64,
    /// How long an upstream may take to accept a connection.
    pub(crate) connect_timeout: Duration,
    /// How long an upstream may take to its response head.
    pub(crate) response_timeout: Duration,
    /// Whether the caller's credential is passed on to the upstream.
    pub(crate) outbound_auth_header: bool,
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let mut flag = |key: &str| source.take(key, "false", read::flag);
        let allow_loopback_endpoints = flag("gateway.allow_loopback_endpoints")?;
        let outbound_auth_header = flag("gateway.enable_outbound_auth_header")?;
        let mut wait = |key: &str, default| source.take(key, default, read::milliseconds);
        let connect_timeout = wait("gateway.connect_timeout_ms", "5000")?;
        let response_timeout = wait("gateway.response_timeout_ms", "120000")?;
        Ok(Self {
            trusted_proxies: source.take("gateway.trusted_proxies", "", networks)?,
            allow_loopback_endpoints,
            body_limit: source.take("gateway.body_limit", "2GB", read::bytes)?,
            connect_timeout,
            response_timeout,
            outbound_auth_header,
        })
    }
}

fn networks(text: &str) -> Result<Vec<AddressRange>, String> {
    let wrong = |text: &str| format!("{text:?} is no address or network, write 10.0.0.0/8");
    read::list(text)?
        .iter()
        .map(|text| AddressRange::parse(text).ok_or_else(|| wrong(text)))
        .collect()
}
