//! A deployed API as requests find it: its artifact with the endpoints read.

use domain::artifact::{Artifact, ArtifactOperation};
use domain::route_table::{Resources, Route};
use domain::template::Template;
use domain::verb::Verb;
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderName, HeaderValue};
use std::net::IpAddr;
use std::sync::Arc;

/// What the gateway serves an API with.
#[derive(Debug, Clone)]
pub struct ApiRoute {
    /// The deployed revision.
    pub artifact: Artifact,
    /// Where calls with production keys go.
    pub production: Option<Upstream>,
    /// Where calls with sandbox keys go.
    pub sandbox: Option<Upstream>,
    /// `operations` of the artifact by the positions that the resources count.
    pub positions: Vec<usize>,
    /// Whom each operation's own policy counts, such as `/pizza/1.0.0:/order:POST`; in the order
    /// of the artifact.
    pub subjects: Vec<String>,
    /// The header of bearer tokens.
    pub bearer: HeaderName,
    /// The header of API keys.
    pub api_key: HeaderName,
    /// Tenant and id of the API, to be shared with what is recorded of its calls.
    pub ids: (Arc<str>, Arc<str>),
}

/// The base URL of an upstream, read once.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `http` or `https`, also where it is written `ws` or `wss`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// The same as a `Host` field says it: without a port that the scheme implies. Written once, not for each call.
    pub host: HeaderValue,
    /// The path in front of every resource, without a slash at the end.
    pub base: String,
    /// The endpoint's own query, in front of the caller's; mostly empty.
    pub query: String,
    /// The host, when it is written as an address; names are judged when they are resolved.
    pub address: Option<IpAddr>,
}

// === impl ApiRoute ===

impl ApiRoute {
    /// Compiles an artifact. Operations that no request can reach are left out and logged.
    ///
    /// # Errors
    /// Why no request could reach the API, in words.
    pub fn compile(artifact: Artifact) -> Result<Route<Self>, String> {
        let mut templates = Vec::with_capacity(artifact.operations.len());
        let mut positions = Vec::with_capacity(artifact.operations.len());
        for (position, operation) in artifact.operations.iter().enumerate() {
            let (Ok(template), Some(verb)) = (
                Template::parse(&operation.target),
                Verb::from_method(&operation.verb),
            ) else {
                tracing::warn!(api = %artifact.api_id, target = %operation.target, "resource cannot be matched");
                continue;
            };
            templates.push((template, verb));
            positions.push(position);
        }
        let pairs = templates.iter().map(|(template, verb)| (template, *verb));
        let resources = Resources::compile(pairs).map_err(|fault| fault.to_string())?;
        let vhost = artifact.vhost.clone();
        let context = artifact.context.clone();
        let default_context = artifact.default_context.clone();
        let subject = |operation: &ArtifactOperation| {
            format!("{context}:{}:{}", operation.target, operation.verb)
        };
        let header = |name: &str| {
            HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))
        };
        let api = Self {
            subjects: artifact.operations.iter().map(subject).collect(),
            bearer: header(&artifact.authorization_header)?,
            api_key: header(&artifact.api_key_header)?,
            ids: (
                artifact.tenant.as_str().into(),
                artifact.api_id.as_str().into(),
            ),
            production: Upstream::parse(artifact.endpoints.production.as_deref()),
            sandbox: Upstream::parse(artifact.endpoints.sandbox.as_deref()),
            positions,
            artifact,
        };
        Route::new(&vhost, &context, default_context.as_deref(), resources, api)
            .map_err(|fault| fault.to_string())
    }
}

// === impl Upstream ===

impl Upstream {
    fn parse(url: Option<&str>) -> Option<Self> {
        let uri: Uri = url?.parse().ok()?;
        let parts = uri.into_parts();
        let target = parts.path_and_query.as_ref();
        let path = target.map_or("", |target| target.path());
        let query = target.and_then(|target| target.query());
        let authority = parts.authority?;
        let host = authority.host();
        // A WebSocket begins as a request of HTTP (RFC 6455 §3).
        let scheme = match parts.scheme? {
            socket if socket.as_str().eq_ignore_ascii_case("ws") => Scheme::HTTP,
            socket if socket.as_str().eq_ignore_ascii_case("wss") => Scheme::HTTPS,
            other => other,
        };
        let implied = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = authority.port_u16().filter(|port| *port != implied);
        let said = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            scheme,
            host: HeaderValue::try_from(said).ok()?,
            address: bare.parse().ok(),
            authority,
            base: path.trim_end_matches('/').to_owned(),
            query: query.unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_asked_for_over_http_at_the_port_of_its_scheme() {
        for (url, scheme, host) in [
            ("ws://backend:80/chat/", Scheme::HTTP, "backend"),
            ("WSS://backend/chat", Scheme::HTTPS, "backend"),
            ("wss://backend:444/chat", Scheme::HTTPS, "backend:444"),
            ("https://backend:443/chat", Scheme::HTTPS, "backend"),
        ] {
            let upstream = Upstream::parse(Some(url)).unwrap();
            assert_eq!((upstream.scheme, upstream.base.as_str()), (scheme, "/chat"));
            assert_eq!(upstream.host, host, "{url}");
        }
    }
}
