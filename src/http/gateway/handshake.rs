//! The opening of a WebSocket (RFC 6455 §4): which requests ask for one, what the upstream is asked, and what it has to
//! answer. Any other switch of protocols that a caller asks for stays between it and the gateway, and comes to nothing.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::api::AuthType;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use hyper::body::Body;
use hyper::upgrade::{self, OnUpgrade};

use super::exchange::Exchange;
use super::fault::Fault;
use super::fields::is_token_of;
use super::query;

/// The one version that there is.
const VERSION: &str = "13";
const PROTOCOL: HeaderValue = HeaderValue::from_static("websocket");
/// What a server appends to the key that it was given (RFC 6455 §1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key.
const KEY: usize = 16;
/// Where a token may stand in the query (RFC 6750 §2.3).
const TOKEN: &str = "access_token=";

/// A request for a socket.
#[derive(Debug)]
pub(super) struct Handshake {
    /// The caller's connection, once it was told that its protocol is another now.
    caller: OnUpgrade,
    /// What tells that whoever answers has understood the request.
    accept: String,
}

// === impl Handshake ===

impl Handshake {
    /// Of a request that asks for a socket, whole and well-formed.
    pub(super) fn of<B: Body>(request: &mut Request<B>) -> Option<Box<Self>> {
        // Nearly all end here.
        if !request.headers().contains_key(header::UPGRADE) {
            return None;
        }
        let accept = asked(request)?;
        let caller = upgrade::on(request);
        Some(Box::new(Self { caller, accept }))
    }

    /// Whether an upstream's 101 agrees to it (RFC 6455 §4.1): one that only repeats what it reads would be sent
    /// frames as if they were its own.
    pub(super) fn is_agreed_to(&self, answer: &HeaderMap) -> bool {
        let accept = only(answer, &header::SEC_WEBSOCKET_ACCEPT);
        names(answer, &header::UPGRADE, "websocket")
            && names(answer, &header::CONNECTION, "upgrade")
            && accept == Some(self.accept.as_str())
    }

    /// The caller's connection.
    pub(super) fn caller(self) -> OnUpgrade {
        self.caller
    }
}

/// Says in a head that its connection's next protocol is WebSocket.
pub(super) fn switch(fields: &mut HeaderMap) {
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(header::UPGRADE, PROTOCOL);
    // A switch has no body, and nothing that is said of one may be taken for frames.
    fields.remove(header::CONTENT_LENGTH);
}

/// Browsers send no fields of their own with a request for a socket, so one may bring its token in its query, as WSO2's
/// may. It goes where the API looks for tokens, and neither on to the upstream nor into a log. Where nobody looks for
/// tokens, and with any other request, one of ours goes nowhere, and another one is the upstream's business: a request for a
/// socket of which a proxy has dropped a field is such a request.
///
/// # Errors
/// When there is another one beside it: that would leave open which one counts.
pub(super) fn take_token(exchange: &mut Exchange) -> Result<(), Fault> {
    let has_token = |query: &str| query.contains(TOKEN);
    if !exchange.head.uri.query().is_some_and(has_token) {
        return Ok(());
    }
    let matched = exchange.matched()?;
    let operation = matched.operation();
    let is_open = operation.is_some_and(|operation| operation.auth_type == AuthType::None);
    let route = Arc::clone(&matched.route);
    let is_read = exchange.handshake.is_some() && route.api.artifact.oauth2 && !is_open;
    let issuer = exchange.ingress.settings.issuer.text();
    let is_taken = |pair: &str| {
        let token = pair.strip_prefix(TOKEN);
        token.is_some_and(|token| is_read || is_token_of(&issuer, token))
    };
    let head = &mut exchange.head;
    let query = head.uri.query().unwrap_or_default();
    let mut taken = query.split('&').filter(|pair| is_taken(pair));
    let Some(first) = taken.next() else {
        return Ok(());
    };
    if is_read {
        let fields = &mut head.headers;
        if taken.next().is_some() || fields.contains_key(&route.api.bearer) {
            return Err(Fault::invalid_credentials());
        }
        let token = first.strip_prefix(TOKEN).unwrap_or_default();
        let credential = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Fault::invalid_credentials())?;
        fields.insert(&route.api.bearer, credential);
    }
    head.uri = without(&head.uri, is_taken)
        .ok_or_else(|| Fault::bad_request("The request target cannot be passed on"))?;
    Ok(())
}

/// The target without what is taken from its query.
fn without(uri: &Uri, is_taken: impl Fn(&str) -> bool) -> Option<Uri> {
    let mut target = uri.path().to_owned();
    query::push(&mut target, '?', uri.query()?, is_taken);
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

/// Whether a request asks for a socket, whole and well-formed.
pub(super) fn is_asked<B: Body>(request: &Request<B>) -> bool {
    // Nearly all end here.
    request.headers().contains_key(header::UPGRADE) && asked(request).is_some()
}

/// What the answer to a request for a socket has to say; none to any other request.
fn asked<B: Body>(request: &Request<B>) -> Option<String> {
    let fields = request.headers();
    let is_bare = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && !fields.contains_key(header::TRANSFER_ENCODING);
    let is_asked = is_bare
        && names(fields, &header::UPGRADE, "websocket")
        && names(fields, &header::CONNECTION, "upgrade")
        && only(fields, &header::SEC_WEBSOCKET_VERSION) == Some(VERSION);
    let key = only(fields, &header::SEC_WEBSOCKET_KEY).filter(|_| is_asked)?;
    let random = STANDARD.decode(key).ok()?;
    (random.len() == KEY).then(|| accept(key))
}

fn accept(key: &str) -> String {
    let text = format!("{key}{GUID}");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// Whether a field that lists words has this one.
fn names(fields: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = fields.get_all(name).iter();
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|one| one.trim().eq_ignore_ascii_case(word))
}

/// The value of a field that is there once.
fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = fields.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{Empty, Full};

    use super::*;

    /// The example of RFC 6455 §1.2.
    const ASKS: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    const AGREES: [(&str, &str); 3] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];

    fn request(pairs: &[(&str, &str)]) -> Request<Empty<Bytes>> {
        let pairs = pairs.iter();
        let request = pairs.fold(Request::get("/"), |request, (name, value)| {
            request.header(*name, *value)
        });
        request.body(Empty::new()).unwrap()
    }

    fn answer(pairs: &[(&str, &str)]) -> HeaderMap {
        request(pairs).headers().clone()
    }

    /// These pairs with another value in place of one, or none.
    fn with<'a>(
        pairs: &[(&'a str, &'a str)],
        name: &str,
        value: Option<&'a str>,
    ) -> Vec<(&'a str, &'a str)> {
        let pairs = pairs.iter().filter_map(|(known, old)| match value {
            Some(value) if *known == name => Some((*known, value)),
            None if *known == name => None,
            _ => Some((*known, *old)),
        });
        pairs.collect()
    }

    #[test]
    fn the_standards_own_opening_is_one_and_its_answer_agrees() {
        let handshake = Handshake::of(&mut request(&ASKS)).unwrap();
        assert!(handshake.is_agreed_to(&answer(&AGREES)));
        for (name, value) in [
            ("connection", None),
            ("upgrade", Some("h2c")),
            ("sec-websocket-accept", None),
            ("sec-websocket-accept", Some("dGhlIHNhbXBsZSBub25jZQ==")),
        ] {
            let fields = answer(&with(&AGREES, name, value));
            assert!(!handshake.is_agreed_to(&fields), "{name} {value:?}");
        }
    }

    #[test]
    fn a_target_without_its_token_is_what_it_was() {
        for (target, left) in [
            ("/a?access_token=t", "/a"),
            ("http://host/a?access_token=t&y", "http://host/a?y"),
        ] {
            let uri = Uri::from_static(target);
            let left_over = without(&uri, |pair| pair.starts_with(TOKEN));
            assert_eq!(left_over.unwrap(), left, "{target}");
        }
    }

    #[test]
    fn whatever_is_not_one_whole_and_well_formed_is_none() {
        for (name, value) in [
            ("connection", Some("keep-alive")),
            ("upgrade", Some("h2c")),
            ("upgrade", None),
            ("sec-websocket-version", Some("8")),
            ("sec-websocket-key", None),
            ("sec-websocket-key", Some("short")),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZQ==")),
        ] {
            let mut odd = request(&with(&ASKS, name, value));
            assert!(Handshake::of(&mut odd).is_none(), "{name} {value:?}");
        }
        let mut old = request(&ASKS);
        *old.version_mut() = Version::HTTP_10;
        assert!(Handshake::of(&mut old).is_none());
        let mut post = request(&ASKS);
        *post.method_mut() = Method::POST;
        assert!(Handshake::of(&mut post).is_none());
        let mut twice = request(&ASKS);
        let key = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");
        twice.headers_mut().append(header::SEC_WEBSOCKET_KEY, key);
        assert!(Handshake::of(&mut twice).is_none());
        let mut full = request(&ASKS).map(|_| Full::new(Bytes::from_static(b"body")));
        assert!(Handshake::of(&mut full).is_none());
    }
}
