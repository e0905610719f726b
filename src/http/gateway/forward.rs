//! Passes the request on and the answer back: bodies as streams, hop-by-hop fields and everything
//! that a caller could forge taken off, one framing of ours.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use actors::gateway::Upstream;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::authorize::upstream;
use super::body::{BodyFault, RequestBody};
use super::client::literal_is_allowed;
use super::exchange::Exchange;
use super::fault::{Fault, Source};

/// Fields of one connection only (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];
/// Fields that say what only the gateway may say (threats 23); `x-` ones by their beginning.
const FORGED: [&str; 6] = [
    "x-jwt-assertion",
    "forwarded",
    "activityid",
    "x-real-ip",
    "internal-key",
    "x-request-id",
];
const FORGED_PREFIXES: [&str; 3] = ["x-forwarded-", "x-authenticated-", "x-tenant"];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Sends the request; gives the upstream's answer with its body still flowing.
pub(super) async fn forward(
    exchange: &mut Exchange,
    body: Incoming,
    bytes_in: &Arc<AtomicU64>,
) -> Result<Response<Incoming>, Fault> {
    let ingress = Arc::clone(&exchange.ingress);
    let uri = target(exchange)?;
    let body = RequestBody::new(body, Arc::clone(bytes_in), ingress.settings.body_limit);
    let mut request = Request::new(body);
    *request.method_mut() = exchange.head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = fields(exchange)?;
    // From here on the units are spent, whatever the upstream answers.
    std::mem::take(&mut exchange.basket).keep();
    exchange.decision.forwarded = true;
    let began = ingress.gateway.clock().monotonic();
    let answer = ingress.client.request(request);
    let answer = tokio::time::timeout(ingress.settings.response_timeout, answer).await;
    let took = ingress.gateway.clock().monotonic().saturating_sub(began);
    exchange.decision.upstream_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let mut answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => {
            return Err(Fault::upstream(
                101_504,
                StatusCode::GATEWAY_TIMEOUT,
                "Send timeout: the endpoint did not answer in time",
            ));
        }
    };
    strip_hop_by_hop(answer.headers_mut());
    Ok(answer)
}

/// The upstream's URL: its base, the canonical path that was matched, the query as it came.
fn target(exchange: &Exchange) -> Result<Uri, Fault> {
    let Upstream {
        scheme,
        authority,
        base,
    } = upstream(exchange)?;
    let allow_loopback = exchange.ingress.settings.allow_loopback_endpoints;
    if !literal_is_allowed(authority.host(), allow_loopback) {
        return Err(not_allowed());
    }
    let rest = &exchange.matched()?.rest;
    let query = exchange.head.uri.query();
    let mut path = String::with_capacity(base.len() + rest.len() + 2 + query.map_or(0, str::len));
    path.push_str(base);
    path.push_str(rest);
    if path.is_empty() {
        path.push('/');
    }
    if let Some(query) = query {
        push_query(&mut path, query, exchange);
    }
    Uri::builder()
        .scheme(scheme.clone())
        .authority(authority.clone())
        .path_and_query(path)
        .build()
        .map_err(|_| Fault::bad_request("The request target cannot be passed on"))
}

/// The query without an API key that was taken from it.
fn push_query(path: &mut String, query: &str, exchange: &Exchange) {
    let keep = exchange.ingress.settings.outbound_auth_header || !query.contains("apikey=");
    let mut mark = '?';
    for pair in query.split('&') {
        if keep || !pair.starts_with("apikey=") {
            path.push(mark);
            path.push_str(pair);
            mark = '&';
        }
    }
}

/// The fields that the upstream gets.
fn fields(exchange: &mut Exchange) -> Result<HeaderMap, Fault> {
    let ingress = Arc::clone(&exchange.ingress);
    let artifact = &exchange.matched()?.route.api.artifact;
    let credentials = [
        HeaderName::try_from(artifact.authorization_header.as_str()),
        HeaderName::try_from(artifact.api_key_header.as_str()),
    ];
    let anonymous = exchange.caller.is_none();
    let mut fields = std::mem::take(&mut exchange.head.headers);
    let authority = exchange.head.uri.authority();
    let host = fields
        .remove(header::HOST)
        .or_else(|| authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()));
    let came_through = forwarded_for(exchange, &fields);
    let trace = ingress.ids.traceparent(fields.get(&TRACEPARENT));
    strip_hop_by_hop(&mut fields);
    if !ingress.settings.outbound_auth_header && !anonymous {
        for name in credentials.into_iter().flatten() {
            fields.remove(name);
        }
        fields.remove(header::AUTHORIZATION);
    }
    for name in FORGED {
        fields.remove(name);
    }
    let forged = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with("x-")
            && FORGED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    let found: Vec<HeaderName> = fields.keys().filter(forged).cloned().collect();
    for name in found {
        fields.remove(name);
    }
    // The client and hyper frame the body anew.
    fields.remove(header::EXPECT);
    fields.insert(X_FORWARDED_FOR, came_through);
    let scheme = if exchange.secure { "https" } else { "http" };
    fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Some(host) = host {
        fields.insert(X_FORWARDED_HOST, host);
    }
    fields.insert(X_REQUEST_ID, exchange.request_id.clone());
    fields.insert(TRACEPARENT, trace);
    Ok(fields)
}

/// What a trusted proxy said, with the caller as we know it behind.
fn forwarded_for(exchange: &Exchange, fields: &HeaderMap) -> HeaderValue {
    let address = exchange.address.to_string();
    let text = match fields
        .get(&X_FORWARDED_FOR)
        .and_then(|said| said.to_str().ok())
    {
        Some(said) if exchange.ingress.trusts(exchange.peer) => {
            format!("{said}, {}", exchange.peer)
        }
        _ => address,
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Takes off what belongs to one connection, and what `Connection` names.
fn strip_hop_by_hop(fields: &mut HeaderMap) {
    if fields.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = fields
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::try_from(name.trim()).ok())
            .collect();
        for name in named {
            fields.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        fields.remove(name);
    }
    fields.remove(header::UPGRADE);
}

/// WSO2's codes for what can go wrong on the way.
fn failed(error: &hyper_util::client::legacy::Error) -> Fault {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<BodyFault>() {
            Some(BodyFault::TooLarge) => return too_large(),
            Some(BodyFault::Broken(_)) => {
                let mut fault = Fault::bad_request("The body did not arrive whole");
                fault.code = 102_511;
                return fault;
            }
            None => {}
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::PermissionDenied => return not_allowed(),
                std::io::ErrorKind::TimedOut => {
                    return Fault::upstream(
                        101_508,
                        StatusCode::GATEWAY_TIMEOUT,
                        "Connection timeout: the endpoint did not accept a connection in time",
                    );
                }
                _ => {}
            }
        }
        cause = inner.source();
    }
    tracing::warn!(%error, "upstream failed");
    if error.is_connect() {
        return Fault::upstream(
            101_503,
            StatusCode::BAD_GATEWAY,
            "Error connecting to the back end",
        );
    }
    Fault::upstream(
        101_505,
        StatusCode::BAD_GATEWAY,
        "The connection to the back end was closed before it answered",
    )
}

/// More bytes than `gateway.body_limit`.
pub(super) fn too_large() -> Fault {
    Fault::client(
        413,
        StatusCode::PAYLOAD_TOO_LARGE,
        "Payload Too Large",
        "The body is larger than the gateway takes",
    )
    .with(super::fault::Extra::Close)
}

fn not_allowed() -> Fault {
    let mut fault = Fault::upstream(
        101_503,
        StatusCode::BAD_GATEWAY,
        "The endpoint lies at an address that the gateway does not call",
    );
    fault.source = Source::Platform;
    fault
}
