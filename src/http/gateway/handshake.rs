//! The opening of a WebSocket (RFC 6455 §4): which requests ask for one, what the upstream is asked, and what it has to
//! answer. Any other switch of protocols that a caller asks for stays between it and the gateway, and comes to nothing.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use hyper::body::Body;
use hyper::upgrade::{self, OnUpgrade};

use super::exchange::Exchange;

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
/// may. It goes where the API looks for tokens, and neither on to the upstream nor into a log.
pub(super) fn take_token(exchange: &mut Exchange) {
    let Some(route) = exchange
        .route
        .clone()
        .filter(|_| exchange.handshake.is_some())
    else {
        return;
    };
    let head = &mut exchange.head;
    let (api, query) = (&route.api, head.uri.query().unwrap_or_default());
    let mut tokens = query.split('&').filter_map(|pair| pair.strip_prefix(TOKEN));
    // Two would leave open which one counts.
    let token = tokens.next().filter(|_| tokens.next().is_none());
    let Some(token) = token.filter(|_| !head.headers.contains_key(&api.bearer)) else {
        return;
    };
    let credential = HeaderValue::try_from(format!("Bearer {token}"));
    if let (true, Ok(credential), Some(uri)) = (
        api.artifact.oauth2,
        credential,
        without_token(&head.uri, query),
    ) {
        head.headers.insert(&api.bearer, credential);
        head.uri = uri;
    }
}

fn without_token(uri: &Uri, query: &str) -> Option<Uri> {
    let others: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with(TOKEN))
        .collect();
    let mark = if others.is_empty() { "" } else { "?" };
    let text = format!("{}{mark}{}", uri.path(), others.join("&"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
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
    fn a_query_without_its_token_is_what_it_was() {
        for (target, left) in [
            ("/a?access_token=t", "/a"),
            ("/a?x=1&access_token=t&y=%20&", "/a?x=1&y=%20&"),
            ("http://host/a?access_token=t&y", "http://host/a?y"),
        ] {
            let uri = Uri::from_static(target);
            let query = uri.query().unwrap_or_default();
            assert_eq!(without_token(&uri, query).unwrap(), left, "{target}");
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
