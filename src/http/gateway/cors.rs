//! Cross-origin: preflights are answered before anybody is asked who they are; other answers get
//! their fields.

use domain::api::Cors;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::body::GatewayBody;
use super::exchange::{CorsAnswer, Exchange};
use super::fault::Fault;
use super::matching::{Found, no_resource};

/// The answer to a preflight; none when the request is not one that the gateway answers.
pub(super) fn preflight(
    exchange: &Exchange,
    found: &Found,
) -> Result<Option<Response<GatewayBody>>, Fault> {
    if exchange.head.method != Method::OPTIONS {
        return Ok(None);
    }
    let offered = found.route.resources.verbs(&found.rest);
    if offered.is_empty() {
        return Err(no_resource());
    }
    // An API that offers OPTIONS itself and does no cross-origin of its own gets the request.
    let cors = &found.route.api.artifact.cors;
    if offered.contains(domain::verb::Verb::Options) && !cors.enabled {
        return Ok(None);
    }
    let headers = &exchange.head.headers;
    if !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(Fault::client(
            405,
            StatusCode::METHOD_NOT_ALLOWED,
            "Method Not Allowed",
            "Method not allowed for given API resource",
        )
        .with(super::fault::Extra::Allow(offered.to_string())));
    }
    let mut response = Response::new(GatewayBody::empty());
    let fields = response.headers_mut();
    // Who may read it is put on every answer.
    if answer(cors, headers.get(header::ORIGIN)).is_some() {
        let methods = if cors.enabled {
            cors.allow_methods.join(", ")
        } else {
            offered.to_string()
        };
        set(fields, header::ACCESS_CONTROL_ALLOW_METHODS, &methods);
        let allowed = cors.allow_headers.join(", ");
        set(fields, header::ACCESS_CONTROL_ALLOW_HEADERS, &allowed);
    }
    Ok(Some(response))
}

/// What other answers carry for this origin.
pub(super) fn answer(cors: &Cors, origin: Option<&HeaderValue>) -> Option<CorsAnswer> {
    let origin = origin?;
    let text = origin.to_str().ok()?;
    let any = cors.allow_origins.iter().any(|allowed| allowed == "*");
    if !any && !cors.allow_origins.iter().any(|allowed| allowed == text) {
        return None;
    }
    let credentials = cors.enabled && cors.allow_credentials && !any;
    let expose = cors.expose_headers.join(", ");
    Some(CorsAnswer {
        origin: if any {
            HeaderValue::from_static("*")
        } else {
            origin.clone()
        },
        credentials,
        expose: (!expose.is_empty())
            .then(|| HeaderValue::from_str(&expose).ok())
            .flatten(),
    })
}

/// Whether another origin, or none, would get other fields: caches have to know, whoever asked.
pub(super) fn varies(cors: &Cors) -> bool {
    let origins = &cors.allow_origins;
    !origins.is_empty() && !origins.iter().any(|allowed| allowed == "*")
}

/// Writes the fields; the gateway's word counts, not the upstream's.
pub(super) fn put(fields: &mut HeaderMap, answer: &CorsAnswer) {
    fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, answer.origin.clone());
    if answer.credentials {
        let yes = HeaderValue::from_static("true");
        fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    if let Some(expose) = &answer.expose {
        fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
    }
}

fn set(fields: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}
