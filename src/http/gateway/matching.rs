//! The first phase: which API and which resource. One canonical path is matched and forwarded.

use actors::gateway::ApiRoute;
use domain::lifecycle::LifecycleState;
use domain::path::canonical;
use domain::route_table::{Match, Route};
use domain::verb::Verb;
use http::{Method, StatusCode, Version, header};
use std::sync::Arc;

use super::exchange::{Exchange, Matched};
use super::fault::{Extra, Fault};

/// The longest request target.
pub(super) const URI_LIMIT: usize = 8 * 1024;

/// An API and what follows its context.
pub(super) struct Found {
    pub(super) route: Arc<Route<ApiRoute>>,
    pub(super) rest: String,
}

/// Finds the API; for preflights this is all that is asked.
pub(super) fn find_api(exchange: &Exchange) -> Result<Found, Fault> {
    let uri = &exchange.head.uri;
    let length = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if length > URI_LIMIT {
        return Err(Fault::uri_too_long());
    }
    let path = canonical(uri.path()).map_err(|_| {
        Fault::bad_request("The path has a form that servers read differently: send it plain")
    })?;
    let host = host_of(exchange)?;
    let gateway = &exchange.ingress.gateway;
    let vhosts = gateway.vhosts();
    let shard = gateway.shard(&path).ok_or_else(Fault::not_found)?;
    let hit = shard
        .find(vhosts.resolve(host), &path)
        .ok_or_else(Fault::not_found)?;
    let artifact = &hit.route.api.artifact;
    let transport = if exchange.peer.secure {
        "https"
    } else {
        "http"
    };
    if !artifact.transports.iter().any(|known| known == transport) {
        return Err(Fault::client(
            403,
            StatusCode::FORBIDDEN,
            "Forbidden",
            "The API does not answer over this transport",
        ));
    }
    if artifact.state == LifecycleState::Blocked {
        let mut fault = Fault::client(
            700_700,
            StatusCode::SERVICE_UNAVAILABLE,
            "API blocked",
            "This API has been blocked temporarily. Please try again later or contact the system \
             administrators.",
        );
        fault.source = super::fault::Source::Platform;
        return Err(fault);
    }
    if artifact.state == LifecycleState::Retired {
        return Err(Fault::not_found());
    }
    Ok(Found {
        route: Arc::clone(hit.route),
        rest: hit.rest.to_owned(),
    })
}

/// Finds the resource.
pub(super) fn find_resource(exchange: &Exchange, found: Found) -> Result<Matched, Fault> {
    let Found { route, rest } = found;
    let resources = &route.resources;
    let verb = Verb::from_method(exchange.head.method.as_str());
    let mut matched = match verb {
        Some(verb) => resources.find(&rest, verb),
        None => Match::NotAllowed(resources.verbs(&rest)),
    };
    // A resource that answers GET answers HEAD (RFC 9110 §9.3.2).
    if exchange.head.method == Method::HEAD && !matches!(matched, Match::Found(_)) {
        matched = resources.find(&rest, Verb::Get);
    }
    match matched {
        Match::Found(position) => {
            let operation = route.api.positions.get(position).copied();
            let operation = operation.ok_or_else(no_resource)?;
            Ok(Matched {
                operation,
                route,
                rest,
                cors: None,
            })
        }
        Match::NotAllowed(verbs) if !verbs.is_empty() => {
            let fault = Fault::client(
                405,
                StatusCode::METHOD_NOT_ALLOWED,
                "Method Not Allowed",
                "Method not allowed for given API resource",
            );
            Err(fault.with(Extra::Allow(verbs.to_string())))
        }
        Match::NotAllowed(_) | Match::NotFound => Err(no_resource()),
    }
}

pub(super) fn no_resource() -> Fault {
    Fault::client(
        900_906,
        StatusCode::NOT_FOUND,
        "No matching resource found for given API Request",
        "Check the API documentation and add a proper REST resource path to the invocation URL",
    )
}

/// The host that the request names; two that differ are refused (threats 20).
fn host_of(exchange: &Exchange) -> Result<&str, Fault> {
    let mut hosts = exchange.head.headers.get_all(header::HOST).iter();
    let named = hosts.next().map(|host| host.to_str().unwrap_or("\u{0}"));
    if hosts.next().is_some() || named == Some("\u{0}") {
        return Err(Fault::bad_request(
            "The request names more than one host or an odd one",
        ));
    }
    let authority = exchange
        .head
        .uri
        .authority()
        .map(http::uri::Authority::as_str);
    // A user in front of the host is for nobody but phishers (RFC 9110 §4.2.4, RFC 9113 §8.3.1).
    if [authority, named]
        .into_iter()
        .flatten()
        .any(|host| host.contains('@'))
    {
        return Err(Fault::bad_request(
            "The request names a user before its host",
        ));
    }
    match (authority, named) {
        (Some(authority), Some(named)) if !authority.eq_ignore_ascii_case(named) => Err(
            Fault::bad_request("The request target and the Host header name different hosts"),
        ),
        (Some(authority), _) => Ok(authority),
        (None, Some(named)) => Ok(named),
        (None, None) if exchange.head.version == Version::HTTP_11 => {
            // RFC 9112 §3.2.
            Err(Fault::bad_request("The request names no host"))
        }
        (None, None) => Ok(""),
    }
}
