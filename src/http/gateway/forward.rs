//! Passes the request on and the answer back: bodies as streams, one framing of ours; what of the
//! fields goes along is decided in [`super::fields`].

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actors::gateway::Upstream;
use cluster::Clock;
use domain::endpoint::check_address;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};

use crate::received::Received;

use super::authorize::upstream;
use super::body::BodyFault;
use super::endable::Ending;
use super::exchange::Exchange;
use super::fault::{Fault, Source};
use super::fields;
use super::handshake::{self, Handshake};
use super::intake::{Intake, Side, Turn};
use super::open_calls::{Entered, JudgedFields};
use super::query;
use super::upload::RequestBody;

type Answered = Result<Response<Incoming>, hyper_util::client::legacy::Error>;

/// A call without a body that is answered sooner is not entered among the open ones for its wait.
const QUICK: Duration = Duration::from_millis(10);
/// Nor for an answer that is not longer, bytes.
const SHORT: u64 = 16 * 1024;

/// Sends the request; gives the upstream's answer with its body still flowing.
pub(super) async fn forward(
    exchange: &mut Exchange,
    body: Received,
) -> Result<Response<Incoming>, Fault> {
    let ingress = Arc::clone(&exchange.ingress);
    let (uri, host) = target(exchange)?;
    let clock = ingress.gateway.clock();
    let intake = Arc::clone(&exchange.intake);
    let meters = exchange.meters.clone();
    let has_body = !body.is_end_stream();
    let judged = JudgedFields::of(exchange);
    if has_body {
        exchange.open = Some(Entered::new(exchange, &judged));
    }
    // It may outlive the answer, and so the account (RFC 9113 §8.1).
    let open = exchange.open.clone();
    let settings = &ingress.settings;
    let body = RequestBody::new(body, &intake, clock, settings, meters, open);
    let mut request = Request::new(body);
    *request.method_mut() = exchange.head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = fields::to_upstream(exchange, host)?;
    let client = match &exchange.handshake {
        Some(_) => {
            handshake::switch(request.headers_mut());
            &ingress.clients.switching
        }
        None => &ingress.clients.usual,
    };
    // From here on the units are spent, whatever the upstream answers.
    std::mem::take(&mut exchange.basket).keep();
    exchange.decision.forwarded = true;
    intake.handed_on(clock.monotonic());
    let mut answer = pin!(client.request(request));
    let limit = ingress.settings.response_timeout;
    let answer = match tokio::time::timeout(QUICK.min(limit), &mut answer).await {
        Ok(answer) => Ok(answer),
        Err(_) => {
            if exchange.open.is_none() {
                exchange.open = Some(Entered::new(exchange, &judged));
            }
            in_time(answer, &intake, clock, limit).await
        }
    };
    let (_, since) = intake.turn();
    let took = clock.monotonic().saturating_sub(since);
    exchange.decision.upstream_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let answer = answer.inspect_err(|fault| tell(exchange, fault, "no answer in time"))?;
    let mut answer = answer.map_err(|error| {
        let fault = failed(&error);
        tell(exchange, &fault, &chain(&error));
        fault
    })?;
    flows_over(&intake, &mut answer);
    // A version is of one hop: the caller is told this gateway's (RFC 9110 §2.5), and keeps its connection.
    *answer.version_mut() = Version::HTTP_11;
    let switches = cleaned(exchange, &mut answer)?;
    if exchange.open.is_none() && (switches || !is_short(answer.body())) {
        exchange.open = Some(Entered::new(exchange, &judged));
    }
    Ok(answer)
}

/// Takes what is not for the caller off an answer; whether it switches to the socket that was asked for.
fn cleaned(exchange: &Exchange, answer: &mut Response<Incoming>) -> Result<bool, Fault> {
    let switches = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches {
        switched(exchange.handshake.as_deref(), answer.headers()).inspect_err(|fault| {
            tell(exchange, fault, "101 Switching Protocols");
        })?;
    }
    let cors = &exchange.matched()?.route.api.artifact.cors;
    fields::from_upstream(answer.headers_mut(), cors).inspect_err(|fault| {
        tell(exchange, fault, "a transfer coding besides chunked");
    })?;
    if switches {
        handshake::switch(answer.headers_mut());
    }
    Ok(switches)
}

/// What is left of the request has the answer's connection for itself, unless that carries others as well.
fn flows_over(intake: &Intake, answer: &mut Response<Incoming>) {
    let is_alone = answer.version() != Version::HTTP_2;
    let connection = answer.extensions_mut().remove::<Ending>();
    if let (Some(upload), Some(connection)) = (intake.upload(), connection.filter(|_| is_alone)) {
        upload.flows_over(connection);
    }
}

/// Whether an upstream may switch protocols: to the one that it was asked for, and by whoever may ask.
fn switched(handshake: Option<&Handshake>, answer: &HeaderMap) -> Result<(), Fault> {
    match handshake {
        Some(handshake) if handshake.is_agreed_to(answer) => Ok(()),
        // Both would read on in different ways.
        Some(_) => Err(Fault::not_http(
            "The endpoint switched protocols without agreeing to the WebSocket that it was asked for",
        )),
        // Its caller was never told that it may.
        None => Err(Fault::not_http(
            "The endpoint switched to a protocol that it was not asked for",
        )),
    }
}

/// Whether an answer is over by itself.
fn is_short(body: &Incoming) -> bool {
    body.size_hint().upper().is_some_and(|most| most <= SHORT)
}

/// Waits for the answer. The upstream's time begins when it has the last byte of the request; while
/// the caller has more to send, the body itself knows how long.
async fn in_time(
    answer: impl Future<Output = Answered>,
    intake: &Intake,
    clock: &Clock,
    limit: Duration,
) -> Result<Answered, Fault> {
    let mut answer = pin!(answer);
    let mut wait = limit;
    loop {
        tokio::select! {
            biased;
            fault = intake.ended(Side::Answer) => return Err(fault),
            answer = &mut answer => return Ok(answer),
            () = tokio::time::sleep(wait) => {}
        }
        wait = match intake.turn() {
            (Turn::Caller, _) => limit,
            (Turn::Upstream, since) => (since + limit).saturating_sub(clock.monotonic()),
        };
        if wait.is_zero() {
            return Err(Fault::upstream(
                101_504,
                StatusCode::GATEWAY_TIMEOUT,
                "Send timeout: the endpoint did not answer in time",
            ));
        }
    }
}

/// The upstream's URL: its base, the canonical path that was matched, the query as it came; and its host.
fn target(exchange: &Exchange) -> Result<(Uri, HeaderValue), Fault> {
    let Upstream {
        scheme,
        authority,
        base,
        query: own,
        address,
        host,
    } = upstream(exchange)?;
    let allow_loopback = exchange.ingress.settings.allow_loopback_endpoints;
    if address.is_some_and(|address| check_address(address, allow_loopback).is_err()) {
        return Err(not_allowed());
    }
    let rest = &exchange.matched()?.rest;
    let query = exchange.head.uri.query();
    let length = base.len() + rest.len() + own.len() + query.map_or(0, str::len);
    let mut path = String::with_capacity(length + 3);
    path.push_str(base);
    path.push_str(rest);
    if path.is_empty() {
        path.push('/');
    }
    if !own.is_empty() {
        path.push('?');
        path.push_str(own);
    }
    if let Some(query) = query {
        let mark = if own.is_empty() { '?' } else { '&' };
        let takes_keys = exchange.matched()?.route.api.artifact.api_key
            && !exchange.ingress.settings.outbound_auth_header;
        query::push(&mut path, mark, query, |pair| {
            takes_keys && pair.starts_with("apikey=")
        });
    }
    Uri::builder()
        .scheme(scheme.clone())
        .authority(authority.clone())
        .path_and_query(path)
        .build()
        .map(|uri| (uri, host.clone()))
        .map_err(|_| Fault::bad_request("The request target cannot be passed on"))
}

/// WSO2's codes for what can go wrong on the way.
fn failed(error: &hyper_util::client::legacy::Error) -> Fault {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<BodyFault>() {
            Some(BodyFault::TooLarge) => return too_large(),
            Some(BodyFault::Broken(_)) => {
                return not_whole();
            }
            Some(BodyFault::Slow) => return Fault::too_slow(),
            Some(BodyFault::Upstream(_) | BodyFault::Stalled | BodyFault::Ended) | None => {}
        }
        if let Some(fault) = inner.downcast_ref().and_then(not_connected) {
            return fault;
        }
        if let Some(fault) = inner.downcast_ref().and_then(not_understood) {
            return fault;
        }
        cause = inner.source();
    }
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

fn not_connected(error: &std::io::Error) -> Option<Fault> {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => Some(not_allowed()),
        std::io::ErrorKind::TimedOut => Some(Fault::upstream(
            101_508,
            StatusCode::GATEWAY_TIMEOUT,
            "Connection timeout: the endpoint did not accept a connection in time",
        )),
        _ => None,
    }
}

fn not_understood(error: &hyper::Error) -> Option<Fault> {
    if error.is_parse_too_large() {
        return Some(Fault::not_http(
            "The endpoint's answer has a head of more than 100 fields or 400 KiB",
        ));
    }
    error
        .is_parse()
        .then(|| Fault::not_http("The endpoint's answer is not well-formed HTTP"))
}

/// Logs what an upstream did wrong, for whoever looks after it: which one, in which call, why.
fn tell(exchange: &Exchange, fault: &Fault, cause: &str) {
    // One that a change cut is told of where it was cut.
    if fault.source != Source::Upstream {
        return;
    }
    let api = exchange.route.as_ref().map(|route| &route.api.artifact);
    let upstream = upstream(exchange).ok();
    tracing::warn!(
        request_id = exchange.request_id.to_str().unwrap_or_default(),
        api = api.map_or("", |api| api.api_id.as_str()),
        context = api.map_or("", |api| api.context.as_str()),
        upstream = upstream.map(|upstream| format!("{}://{}", upstream.scheme, upstream.authority)),
        fault = fault.code,
        cause,
        "upstream failed"
    );
}

/// What went wrong, down to the first cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some repeat what their cause says.
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

fn not_whole() -> Fault {
    Fault::client(
        102_511,
        StatusCode::BAD_REQUEST,
        "Bad Request",
        "The body did not arrive whole",
    )
    .with(super::fault::Extra::Close)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn a_cause_is_told_down_to_the_first_and_nothing_twice() {
        let first = Layer("connection refused", None);
        let second = Layer("tcp connect error", Some(Box::new(first)));
        let third = Layer("tcp connect error", Some(Box::new(second)));
        let told = chain(&Layer("client error", Some(Box::new(third))));
        assert_eq!(told, "client error: tcp connect error: connection refused");
    }
}
