//! Passes the request on and the answer back: bodies as streams, hop-by-hop fields and everything
//! that a caller could forge taken off, one framing of ours.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use actors::gateway::Upstream;
use domain::endpoint::check_address;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use crate::caller_address;

use super::authorize::upstream;
use super::body::{BodyFault, RequestBody};
use super::exchange::Exchange;
use super::fault::{Fault, Source};

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
    let (limit, patience) = (ingress.settings.body_limit, ingress.settings.patience.body);
    let meters = exchange.meters.clone();
    let body = RequestBody::new(body, Arc::clone(bytes_in), limit, meters, patience);
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
    strip(answer.headers_mut(), |_| false);
    Ok(answer)
}

/// The upstream's URL: its base, the canonical path that was matched, the query as it came.
fn target(exchange: &Exchange) -> Result<Uri, Fault> {
    let Upstream {
        scheme,
        authority,
        base,
        address,
    } = upstream(exchange)?;
    let allow_loopback = exchange.ingress.settings.allow_loopback_endpoints;
    if address.is_some_and(|address| check_address(address, allow_loopback).is_err()) {
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
    let route = Arc::clone(&exchange.matched()?.route);
    let mut fields = std::mem::take(&mut exchange.head.headers);
    let authority = exchange.head.uri.authority();
    let host = fields
        .remove(header::HOST)
        .or_else(|| authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()));
    let came_through = forwarded_for(exchange, &fields);
    let trace = ingress.ids.traceparent(fields.get(&TRACEPARENT));
    // A credential that the gateway did not look at is the upstream's business.
    let ours = exchange.caller.is_some() && !ingress.settings.outbound_auth_header;
    let is_credential = |name: &HeaderName| {
        name == header::AUTHORIZATION || *name == route.api.bearer || *name == route.api.api_key
    };
    strip(&mut fields, |name| {
        is_forged(name.as_str()) || (ours && is_credential(name))
    });
    fields.insert(X_FORWARDED_FOR, came_through);
    let scheme = if exchange.peer.secure {
        "https"
    } else {
        "http"
    };
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
    let peer = &exchange.peer;
    let said = fields.contains_key(&X_FORWARDED_FOR) && exchange.ingress.trusts(peer.address);
    if !said {
        return peer.text.clone();
    }
    // A proxy may have added a line of its own: all of them are one list (RFC 9110 §5.3).
    let mut list: Vec<&str> = caller_address::forwarded_for(fields).collect();
    let connected = peer.address.to_string();
    list.push(&connected);
    HeaderValue::try_from(list.join(", ")).unwrap_or_else(|_| peer.text.clone())
}

/// Fields of one connection only (RFC 9110 §7.6.1), and those that hyper writes anew.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "expect"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Fields that say what only the gateway may say (threats 23).
fn is_forged(name: &str) -> bool {
    let exact = matches!(
        name,
        "activityid"
            | "forwarded"
            | "internal-key"
            | "x-jwt-assertion"
            | "x-real-ip"
            | "x-request-id"
    );
    exact
        || FORGED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Takes off what belongs to one connection, what `Connection` names, and `others`.
fn strip(fields: &mut HeaderMap, others: impl Fn(&HeaderName) -> bool) {
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
    let wanted = |name: &&HeaderName| is_hop_by_hop(name.as_str()) || others(name);
    let found: Vec<HeaderName> = fields.keys().filter(wanted).cloned().collect();
    for name in found {
        fields.remove(name);
    }
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
            Some(BodyFault::Slow) => return Fault::too_slow(),
            Some(BodyFault::Upstream(_) | BodyFault::Stalled) | None => {}
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
