//! Header fields on their way through: what belongs to one connection, what only the gateway may
//! say and the gateway's own credentials stay here.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use domain::api::Cors;

use crate::caller_address;
use crate::node_cookies;

use super::exchange::Exchange;
use super::fault::Fault;

const FORGED_PREFIXES: [&str; 3] = ["x-forwarded-", "x-authenticated-", "x-tenant"];
const CROSS_ORIGIN: &str = "access-control-";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The length of an opaque token: 256 bits in base64.
const OPAQUE: usize = 43;

/// The fields that the upstream gets, which is called by this host.
pub(super) fn to_upstream(
    exchange: &mut Exchange,
    upstream: HeaderValue,
) -> Result<HeaderMap, Fault> {
    let ingress = Arc::clone(&exchange.ingress);
    let route = Arc::clone(&exchange.matched()?.route);
    let mut fields = std::mem::take(&mut exchange.head.headers);
    let authority = exchange.head.uri.authority();
    let host = fields
        .remove(header::HOST)
        .or_else(|| authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()));
    let came_through = forwarded_for(exchange, &fields);
    let (trace, goes_on) = ingress.ids.traceparent(fields.get(&TRACEPARENT));
    let api = &route.api;
    let issuer = ingress.settings.issuer.text();
    let is_ours = |value: &HeaderValue| is_bearer_of(&issuer, value);
    // Where the API looks for credentials. Elsewhere they are the upstream's business.
    let is_read = |name: &HeaderName| {
        (api.artifact.oauth2 && *name == api.bearer)
            || (api.artifact.api_key && *name == api.api_key)
    };
    let hidden = !ingress.settings.outbound_auth_header;
    let known = exchange.caller.is_some();
    let strays = hidden
        && !is_read(&header::AUTHORIZATION)
        && fields.get_all(header::AUTHORIZATION).iter().any(is_ours);
    let stays =
        |name: &HeaderName| name == header::AUTHORIZATION || *name == api.bearer || is_read(name);
    strip(&mut fields, stays, |name| {
        is_forged(name.as_str())
            || (hidden && known && is_read(name))
            // The API does not read it, whoever calls, and yet what we issued is not for the upstream.
            || (strays && name == header::AUTHORIZATION)
            // It says more of a trace that is not gone on with.
            || (!goes_on && *name == TRACESTATE)
    });
    if hidden && !known {
        // Nobody was asked who calls, and yet what we issued is not for the upstream. Another
        // credential is its business.
        if api.artifact.api_key {
            fields.remove(&api.api_key);
        }
        let mut values = fields.get_all(&api.bearer).iter();
        if api.artifact.oauth2 && values.any(is_ours) {
            fields.remove(&api.bearer);
        }
    }
    node_cookies::hide(&mut fields);
    fields.insert(header::HOST, upstream);
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

/// Takes what is not for the caller off an upstream's answer.
///
/// # Errors
/// When the body has a coding that the caller would not know of.
pub(super) fn from_upstream(fields: &mut HeaderMap, cors: &Cors) -> Result<(), Fault> {
    if fields.contains_key(header::TRANSFER_ENCODING) {
        let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
        if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            return Err(Fault::not_http(
                "The endpoint's answer has a transfer coding that was not asked for",
            ));
        }
        // Chunks end by themselves: a length beside them is wrong (RFC 9112 §6.3).
        fields.remove(header::CONTENT_LENGTH);
    }
    // Where the API says who may read its answers the upstream does not.
    let said_here = |name: &HeaderName| cors.enabled && name.as_str().starts_with(CROSS_ORIGIN);
    strip(fields, |_| false, said_here);
    node_cookies::refuse(fields);
    Ok(())
}

/// What a trusted proxy said, with the caller as we know it behind.
fn forwarded_for(exchange: &Exchange, fields: &HeaderMap) -> HeaderValue {
    let peer = &exchange.peer;
    if !fields.contains_key(&X_FORWARDED_FOR) || !exchange.ingress.trusts(peer.address) {
        return peer.text.clone();
    }
    let mut said: Vec<_> = caller_address::forwarded_for(fields).collect();
    let address = peer.address.to_string();
    said.push(&address);
    HeaderValue::try_from(said.join(", ")).unwrap_or_else(|_| peer.text.clone())
}

/// Whether a field's value is a bearer token that this issuer made.
fn is_bearer_of(issuer: &str, value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    let parts = text.split_once(' ');
    let token = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.is_some_and(|(_, token)| is_token_of(issuer, token.trim()))
}

/// Whether this issuer made a token: a JWT in its name, or what looks like one of its opaque tokens. Nothing is decided
/// by it but who may see the token.
pub(super) fn is_token_of(issuer: &str, token: &str) -> bool {
    let mut parts = token.split('.');
    let (_, claims, signature) = (parts.next(), parts.next(), parts.next());
    let Some(claims) = claims.filter(|_| signature.is_some()) else {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        return token.len() == OPAQUE && token.bytes().all(plain);
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap_or_default();
    claims.get("iss").and_then(|iss| iss.as_str()) == Some(issuer)
}

/// Fields of one connection only (RFC 9110 §7.6.1), and those that hyper writes anew.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "expect"
            | "http2-settings"
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

/// Fields for whoever gets the message in the end: `Connection` may not name them (RFC 9110
/// §7.6.1), and when it does they stay, or one side would see another message than the other.
fn is_end_to_end(name: &str) -> bool {
    let exact = matches!(
        name,
        "accept"
            | "accept-encoding"
            | "accept-language"
            | "age"
            | "authorization"
            | "cache-control"
            | "cookie"
            | "date"
            | "etag"
            | "expires"
            | "host"
            | "last-modified"
            | "location"
            | "origin"
            | "range"
            | "referer"
            | "retry-after"
            | "set-cookie"
            | "user-agent"
            | "vary"
            | "via"
            | "www-authenticate"
    );
    let prefixes = ["content-", "if-", "sec-websocket-"];
    exact || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Fields that say what only the gateway may say (threats 23). Many upstreams read `_` as `-`.
fn is_forged(name: &str) -> bool {
    if name.contains('_') {
        return is_forged_plainly(&name.replace('_', "-"));
    }
    is_forged_plainly(name)
}

fn is_forged_plainly(name: &str) -> bool {
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

/// Takes off what belongs to one connection, what `Connection` names unless it is meant for the
/// other end or `stays`, and `others`.
fn strip(
    fields: &mut HeaderMap,
    stays: impl Fn(&HeaderName) -> bool,
    others: impl Fn(&HeaderName) -> bool,
) {
    if fields.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = fields
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::try_from(name.trim()).ok())
            .filter(|name| !is_end_to_end(name.as_str()) && !stays(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://localhost:9443/oauth2/token";

    fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        let mut fields = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            fields.append(name, value);
        });
        fields
    }

    #[test]
    fn connection_takes_its_own_fields_along_and_none_that_is_meant_for_the_other_end() {
        let mut fields = fields(&[
            ("connection", "authorization, x-hop, Cookie"),
            ("connection", "apikey, content-length, close"),
            ("authorization", "Bearer t"),
            ("cookie", "a=b"),
            ("apikey", "k"),
            ("content-length", "3"),
            ("x-hop", "1"),
            ("te", "trailers"),
        ]);
        strip(&mut fields, |name| name == "apikey", |_| false);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            ["apikey", "authorization", "content-length", "cookie"]
        );
    }

    #[test]
    fn an_answer_in_chunks_has_no_length_and_no_other_coding() {
        let mut both = fields(&[("transfer-encoding", "chunked"), ("content-length", "7")]);
        let cors = Cors::default();
        from_upstream(&mut both, &cors).unwrap();
        assert!(both.is_empty(), "{both:?}");
        let mut whole = fields(&[("content-length", "7")]);
        from_upstream(&mut whole, &cors).unwrap();
        assert!(whole.contains_key("content-length"));
        for coding in ["gzip, chunked", "gzip"] {
            let mut odd = fields(&[("transfer-encoding", coding)]);
            assert_eq!(
                from_upstream(&mut odd, &cors).unwrap_err().code,
                101_506,
                "{coding}"
            );
        }
    }

    #[test]
    fn what_only_the_gateway_may_say_is_told_however_it_is_spelt() {
        for forged in ["x-forwarded-for", "x_forwarded_for", "x-forwarded_for"] {
            assert!(is_forged(forged), "{forged}");
        }
        for forged in ["x_request_id", "x_real_ip", "x_tenant_id", "activityid"] {
            assert!(is_forged(forged), "{forged}");
        }
        for other in ["x_forward", "x-custom", "x_custom", "accept"] {
            assert!(!is_forged(other), "{other}");
        }
    }

    #[test]
    fn an_upstream_says_nothing_of_origins_where_the_api_does() {
        let said = [
            ("access-control-allow-origin", "https://evil.example"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-secret"),
            ("etag", "1"),
            ("set-cookie", "__Secure-headgate-0a1b=theirs; Path=/admin"),
        ];
        for enabled in [true, false] {
            let cors = Cors {
                enabled,
                ..Cors::default()
            };
            let mut fields = fields(&said);
            from_upstream(&mut fields, &cors).unwrap();
            assert_eq!(fields.len(), if enabled { 1 } else { 4 });
        }
    }

    #[test]
    fn only_bearer_tokens_of_ours_are_told_from_other_credentials() {
        let jwt = |issuer: &str| {
            let claims = URL_SAFE_NO_PAD.encode(format!("{{\"iss\":\"{issuer}\"}}"));
            format!("bearer e30.{claims}.c2ln")
        };
        let opaque = "k".repeat(OPAQUE);
        for (value, ours) in [
            (jwt(ISSUER), true),
            (jwt("https://elsewhere.example"), false),
            (format!("Bearer {opaque}"), true),
            (format!("Basic {opaque}"), false),
            ("Bearer short".to_owned(), false),
            ("Bearer a.%.c".to_owned(), false),
            (opaque.clone(), false),
        ] {
            let value = HeaderValue::from_str(&value).unwrap();
            assert_eq!(is_bearer_of(ISSUER, &value), ours, "{value:?}");
        }
    }
}
