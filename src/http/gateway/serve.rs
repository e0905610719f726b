//! One request from its head to its answer: the phases of DESIGN §4, top to bottom.

use std::net::IpAddr;
use std::sync::Arc;

use actors::gateway::{GatewayHandle, Standing};
use bytes::Bytes;
use domain::address::{caller, unmapped};
use domain::usage::UsageEvent;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};

use crate::caller_address::forwarded_for;
use crate::leaving::Leaving;
use crate::patience::Waiting;
use crate::received::Received;

use super::account::Account;
use super::authenticate::authenticate;
use super::authorize::authorize;
use super::body::GatewayBody;
use super::cors;
use super::exchange::{Decision, Exchange};
use super::fault::Fault;
use super::forward::{forward, too_large};
use super::handshake::{Handshake, take_token};
use super::ingress::Ingress;
use super::matching::{Found, find_api, find_resource};
use super::remembered::Remembered;
use super::stamp::{self, is_request_id};
use super::throttle::throttle;
use super::tunnel::{Agreed, Slot, Tunnel};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const ACTIVITY_ID: HeaderName = HeaderName::from_static("activityid");
/// How many seconds ago the gateway last knew that it was up to date.
const STALE: HeaderName = HeaderName::from_static("headgate-stale");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The most fields of a head.
const FIELDS: usize = 100;
/// How often a call is judged, when changes overtake it each time. Those by which it is held have one deadline together.
const ROUNDS: usize = 4;

/// What a connection knows of its requests.
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// The address as it is passed on, written once.
    pub(super) text: HeaderValue,
    /// Whether it speaks TLS.
    pub(super) secure: bool,
    /// How far its node has got with going.
    pub(super) leaving: Leaving,
    /// What it presented last.
    pub(super) remembered: Remembered,
    /// The socket that it becomes, if it does.
    pub(super) tunnel: Slot,
}

impl Peer {
    pub(super) fn new(address: IpAddr, secure: bool, leaving: &Leaving) -> Self {
        let address = unmapped(address);
        let text = HeaderValue::try_from(address.to_string());
        Self {
            address,
            text: text.unwrap_or(HeaderValue::from_static("unknown")),
            secure,
            leaving: leaving.clone(),
            remembered: Remembered::default(),
            tunnel: Slot::default(),
        }
    }
}

/// Answers one request; a node that is leaving serves on, and says that it is not ready.
pub(super) async fn serve(
    ingress: Arc<Ingress>,
    peer: Arc<Peer>,
    mut request: Request<Incoming>,
) -> Response<GatewayBody> {
    if let Some(answer) = own(&ingress, &request, peer.leaving.is_told()) {
        return answer;
    }
    let handshake = Handshake::of(&mut request);
    let (head, body) = Received::of(request).into_parts();
    let method = head.method.clone();
    let xml = is_xml(&head.headers);
    // Before it waits for anything: whoever waits is under way.
    let place = ingress.crowd.enter(ingress.settings.calls);
    if place.is_ok() {
        ingress.gateway.begin_usage().await;
    } else {
        ingress.gateway.begin_usage_at_once();
    }
    let mut exchange = open(&ingress, peer, head);
    exchange.handshake = handshake;
    let outcome = match place {
        Ok(place) => {
            exchange.place = Some(place);
            phases(&mut exchange, body).await
        }
        Err(fault) => Err(fault),
    };
    let (mut response, fault) = match outcome {
        Ok(response) => (response, 0),
        Err(fault) => (fault.response(xml, &method).map(Outgoing::Own), fault.code),
    };
    finish(&exchange, response.headers_mut());
    let status = response.status();
    let mut account = account(&mut exchange, status, fault);
    let upstream_patience = exchange.ingress.settings.response_timeout;
    response.map(|body| match body {
        Outgoing::Own(body) => {
            drop(account);
            body
        }
        Outgoing::Upstream(inner) => {
            // Until its end has gone by, a caller who leaves has not got it whole.
            account.broken = !inner.is_end_stream();
            GatewayBody::Upstream {
                inner,
                account: Box::new(account),
                waiting: Waiting::new(upstream_patience, 1),
            }
        }
        Outgoing::Socket(agreed) => {
            let tunnel = Tunnel::new(agreed, Box::new(account));
            exchange.peer.tunnel.hold(tunnel);
            GatewayBody::empty()
        }
    })
}

enum Outgoing {
    Own(GatewayBody),
    Upstream(Incoming),
    Socket(Box<Agreed>),
}

async fn phases(exchange: &mut Exchange, body: Received) -> Result<Response<Outgoing>, Fault> {
    limits(exchange, &body)?;
    for _ in 0..ROUNDS {
        stand(exchange).await?;
        let found = find_api(exchange)?;
        exchange.route = Some(Arc::clone(&found.route));
        if let Some(answer) = cors::preflight(exchange, &found)? {
            return Ok(answer.map(Outgoing::Own));
        }
        let admitted = admit(exchange, found).await;
        if !exchange.is_overtaken() {
            admitted?;
            let mut answer = forward(exchange, body).await?;
            return Ok(match Agreed::of(exchange, &mut answer) {
                Some(agreed) => answer.map(|_| Outgoing::Socket(agreed)),
                None => answer.map(Outgoing::Upstream),
            });
        }
        // Most likely while it was held. The change may be acknowledged by now: what was found and
        // granted before it counts no more.
        exchange.begin_anew();
    }
    // It was a call to this API, which counts it and says who may read the answer.
    let found = find_api(exchange)?;
    exchange.route = Some(found.route);
    Err(Fault::platform(
        "What decides about this call changes faster than it can be judged. Try again",
    ))
}

/// Nothing is answered by what may not be so any more: neither whom it serves nor what there is.
async fn stand(exchange: &mut Exchange) -> Result<(), Fault> {
    let gateway = &exchange.ingress.gateway;
    let standing = match gateway.standing() {
        Some(standing) => Some(standing),
        None => gateway.standing_soon().await,
    };
    match standing {
        Some(Standing::Current) => {
            exchange.decision.stale = None;
            Ok(())
        }
        Some(Standing::Stale(age)) => {
            exchange.decision.stale = Some(age);
            metrics::counter!("headgate_gateway_stale_calls_total").increment(1);
            Ok(())
        }
        None => Err(Fault::platform(
            "The gateway cannot tell whether what it knows is still so. Try again",
        )),
    }
}

/// Finds the resource and judges the caller.
async fn admit(exchange: &mut Exchange, found: Found) -> Result<(), Fault> {
    let mut matched = find_resource(exchange, found)?;
    let origin = exchange.head.headers.get(header::ORIGIN);
    matched.cors = cors::answer(&matched.route.api.artifact.cors, origin);
    exchange.matched = Some(matched);
    take_token(exchange)?;
    authenticate(exchange).await?;
    authorize(exchange)?;
    throttle(exchange).await
}

/// The gateway's own health, in front of every API.
fn own(
    ingress: &Ingress,
    request: &Request<Incoming>,
    is_leaving: bool,
) -> Option<Response<GatewayBody>> {
    let word = request.uri().path().strip_prefix("/_headgate/")?;
    let (status, text) = match word {
        "livez" => (StatusCode::OK, "ok\n"),
        "readyz" if !is_leaving && is_ready(&ingress.gateway) => (StatusCode::OK, "ready\n"),
        "readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        _ => (StatusCode::NOT_FOUND, "not found\n"),
    };
    // Over HTTP/2 nobody else would leave it out.
    let body = if request.method() == Method::HEAD {
        GatewayBody::empty()
    } else {
        GatewayBody::full(text.into())
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Some(response)
}

/// Whether calls are served: by what the change log says, and counted by somebody. While nobody of the control plane
/// answers either, there is no better gateway to send them to (S5).
fn is_ready(gateway: &GatewayHandle) -> bool {
    let serves_on = || matches!(gateway.standing(), Some(Standing::Stale(_)));
    gateway.is_caught_up() && (gateway.has_traffic_manager() || serves_on())
}

fn open(ingress: &Arc<Ingress>, peer: Arc<Peer>, mut head: http::request::Parts) -> Exchange {
    // Before anything that changes with it is read.
    let applied = ingress.gateway.applied();
    if head.version == Version::HTTP_2 {
        join_crumbs(&mut head.headers);
    }
    let clock = ingress.gateway.clock();
    let given = head
        .headers
        .get(&X_REQUEST_ID)
        .filter(|id| is_request_id(id));
    let request_id = given.cloned().unwrap_or_else(|| ingress.ids.request_id());
    let trusted = &ingress.settings.trusted_proxies;
    let address = caller(peer.address, forwarded_for(&head.headers), trusted);
    Exchange {
        applied,
        rules: Arc::clone(&ingress.gateway.rules()),
        ingress: Arc::clone(ingress),
        head,
        handshake: None,
        address,
        peer,
        at_ms: clock.now_ms(),
        began: clock.monotonic(),
        request_id,
        route: None,
        matched: None,
        place: None,
        intake: Arc::default(),
        accounted: false,
        caller: None,
        application_id: None,
        held_until_ms: None,
        basket: domain::lease::Basket::default(),
        meters: None,
        open: None,
        decision: Decision::default(),
    }
}

/// HTTP/2 callers may send a cookie in crumbs; an upstream gets it as one field (RFC 9113 §8.2.3).
fn join_crumbs(fields: &mut HeaderMap) {
    let mut crumbs = fields.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    // What two fields may hold one may as well.
    if let Ok(whole) = HeaderValue::from_maybe_shared(Bytes::from(whole)) {
        fields.insert(header::COOKIE, whole);
    }
}

fn limits(exchange: &Exchange, body: &Received) -> Result<(), Fault> {
    if exchange.head.headers.len() > FIELDS {
        return Err(Fault::too_many_fields());
    }
    match body.size_hint().exact() {
        Some(announced) if announced > exchange.ingress.settings.body_limit => {
            return Err(too_large());
        }
        None if !is_at_most_chunked(&exchange.head.headers) => {
            return Err(Fault::bad_request(
                "A body may come in chunks, once, and in no other transfer coding",
            ));
        }
        _ => {}
    }
    if exchange.head.method == Method::CONNECT {
        return Err(Fault::bad_request("The gateway is no tunnel"));
    }
    Ok(())
}

/// Whether the body came as it is: hyper undoes chunks, and nobody any other coding (RFC 9112 §6.1).
fn is_at_most_chunked(fields: &HeaderMap) -> bool {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(chunked) && codings.next().is_none()
}

/// What every answer carries.
fn finish(exchange: &Exchange, fields: &mut HeaderMap) {
    fields.insert(X_REQUEST_ID, exchange.request_id.clone());
    fields.insert(ACTIVITY_ID, exchange.request_id.clone());
    if let Some(age) = exchange.decision.stale {
        fields.insert(STALE, HeaderValue::from(age.as_secs()));
    }
    // A refusal before a resource was found is one that a browser shall read as well.
    let unmatched = match (&exchange.matched, &exchange.route) {
        (None, Some(route)) => {
            let origin = exchange.head.headers.get(header::ORIGIN);
            cors::answer(&route.api.artifact.cors, origin)
        }
        _ => None,
    };
    let matched = exchange.matched.as_ref();
    let answer = matched.and_then(|matched| matched.cors.as_ref());
    if let Some(answer) = answer.or(unmatched.as_ref()) {
        cors::put(fields, answer);
    }
    let route = exchange.route.as_ref();
    if route.is_some_and(|route| cors::varies(&route.api.artifact.cors)) {
        fields.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some((limit, quota)) = &exchange.decision.quota
        && let Some(advertised) = &limit.advertised
    {
        fields.insert(RATE_LIMIT_POLICY, advertised.clone());
        let now_ms = exchange.ingress.gateway.steady_ms();
        let seconds = quota
            .end_ms
            .saturating_sub(now_ms)
            .max(0)
            .saturating_add(999)
            / 1_000;
        let left = quota.left.min(quota.limit);
        if let Some(value) = stamp::quota(&limit.quoted, left, seconds) {
            fields.insert(RATE_LIMIT, value);
        }
    }
}

/// The call as far as it came, to be recorded when its last byte is gone.
pub(super) fn account(exchange: &mut Exchange, status: StatusCode, fault: u32) -> Account {
    exchange.accounted = true;
    let ids = exchange.route.as_ref().map(|route| &route.api.ids);
    let (tenant, api_id) = ids.cloned().unwrap_or_default();
    let event = UsageEvent {
        at_ms: exchange.at_ms,
        method: known_method(&exchange.head.method),
        policy: exchange.decision.refused_by.take(),
        tenant,
        api_id,
        application_id: exchange.application_id.take().unwrap_or_default(),
        status: status.as_u16(),
        fault,
        forwarded: exchange.decision.forwarded,
        latency_us: 0,
        upstream_us: exchange.decision.upstream_us,
        bytes_in: 0,
        bytes_out: 0,
    };
    Account {
        ingress: Arc::clone(&exchange.ingress),
        request_id: std::mem::replace(&mut exchange.request_id, HeaderValue::from_static("")),
        method: std::mem::take(&mut exchange.head.method),
        target: std::mem::take(&mut exchange.head.uri),
        event,
        began: exchange.began,
        intake: Arc::clone(&exchange.intake),
        bytes_out: 0,
        meters: exchange.meters.take(),
        place: exchange.place.take(),
        _open: exchange.open.take(),
        broken: false,
    }
}

/// A method's name, of a few: callers make up others, and metrics keep each.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let known = known.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("other")
}

fn is_xml(fields: &HeaderMap) -> bool {
    let kind = fields
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.contains("xml"))
}
