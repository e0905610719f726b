//! `[oauth2]`: the resident key manager.

use super::listen::Listen;
use super::read;
use super::source::{ConfigError, Source};

/// `[oauth2]`
#[derive(Debug, Clone)]
pub(crate) struct Oauth2 {
    /// `oauth2.issuer`, default `https://localhost:PORT/oauth2/token`, in a cluster the cluster's: `iss` of tokens; the
    /// port is that of `listen.management`. Alike on all gateways and nodes of the control plane: those that are not told
    /// one take the cluster's (below).
    pub(crate) issuer: String,
    /// Whether that is not the default, which the cluster's takes the place of.
    pub(crate) issuer_is_given: bool,
    /// `oauth2.signing_algorithm`, default `RS256`: or `ES256`.
    pub(crate) signing_algorithm: String,
    /// `oauth2.access_token_seconds`, default `3600`: life of access tokens; alike on all nodes of the control plane.
    pub(crate) access_token_seconds: u64,
    /// `oauth2.refresh_token_seconds`, default `86400`: life of refresh tokens; likewise.
    pub(crate) refresh_token_seconds: u64,
}

// === impl Oauth2 ===

impl Oauth2 {
    pub(super) fn read(source: &mut Source, listen: &Listen) -> Result<Self, ConfigError> {
        // A port that the system chooses is not known yet: then the issuer keeps the usual one.
        let port = match listen.management.port() {
            0 => 9443_u16.saturating_add(listen.port_offset),
            port => port,
        };
        let issuer = format!("https://localhost:{port}/oauth2/token");
        let mut seconds = |key: &str, default| source.take(key, default, read::seconds);
        let access_token_seconds = seconds("oauth2.access_token_seconds", "3600")?;
        let refresh_token_seconds = seconds("oauth2.refresh_token_seconds", "86400")?;
        Ok(Self {
            issuer: source.take("oauth2.issuer", &issuer, read::text)?,
            issuer_is_given: source.was_given("oauth2.issuer"),
            signing_algorithm: source.take("oauth2.signing_algorithm", "RS256", algorithm)?,
            access_token_seconds,
            refresh_token_seconds,
        })
    }
}

fn algorithm(text: &str) -> Result<String, String> {
    match text {
        "RS256" | "ES256" => read::text(text),
        _ => Err("must be RS256 or ES256".to_owned()),
    }
}
