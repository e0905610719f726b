//! Heads that are not HTTP or too large are refused by hyper before a request exists, with a
//! status and nothing else. Here such a bare answer becomes one of `docs/errors.md`.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::watched::Refusals;

use super::fault::Fault;
use super::ingress::Ingress;
use super::matching::URI_LIMIT;
use super::serve::{ACTIVITY_ID, X_REQUEST_ID};

/// Refusals as the gateway tells them, each in the access log.
pub(super) struct Told(pub(super) Arc<Ingress>);

// === impl Told ===

impl Refusals for Told {
    fn in_place_of(&self, bytes: &[u8], line: usize) -> Option<Bytes> {
        let id = self.0.ids.request_id();
        let (status, text) = in_place_of(bytes, line, &id)?;
        tracing::info!(
            target: "headgate::access",
            request_id = id.to_str().unwrap_or_default(),
            status = status.as_u16(),
            fault = status.as_u16(),
            "head refused"
        );
        Some(text.into())
    }
}

/// What goes out in place of a bare answer; none when `bare` is no answer that we know.
/// `line` is the length of the head's first line, as far as it came.
fn in_place_of(
    bare: &[u8],
    line: usize,
    request_id: &HeaderValue,
) -> Option<(StatusCode, Vec<u8>)> {
    let status = bare.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let fault = match StatusCode::from_bytes(status).ok()? {
        StatusCode::BAD_REQUEST => Fault::bad_request("The request is not well-formed HTTP"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if line <= URI_LIMIT => {
            Fault::too_many_fields()
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            Fault::uri_too_long()
        }
        _ => return None,
    };
    written(&fault, bare, request_id)
}

fn written(fault: &Fault, bare: &[u8], request_id: &HeaderValue) -> Option<(StatusCode, Vec<u8>)> {
    let (head, body) = fault.response(false, &Method::GET).into_parts();
    let body = body.whole()?;
    let mut fields = head.headers;
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    fields.insert(X_REQUEST_ID, request_id.clone());
    fields.insert(ACTIVITY_ID, request_id.clone());
    if let Some(date) = field(bare, &header::DATE) {
        fields.insert(header::DATE, date);
    }
    let mut text = Vec::with_capacity(1024);
    write!(text, "HTTP/1.1 {}\r\n", head.status).ok()?;
    for (name, value) in &fields {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    Some((head.status, text))
}

fn field(head: &[u8], name: &HeaderName) -> Option<HeaderValue> {
    let lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut pairs = lines.filter_map(|line| line.split_once(": "));
    let (_, value) = pairs.find(|(known, _)| known.eq_ignore_ascii_case(name.as_str()))?;
    HeaderValue::from_str(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: &str, line: usize) -> Option<(StatusCode, String)> {
        let bare = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\ndate: today\r\n\r\n");
        let id = HeaderValue::from_static("id");
        let (status, text) = in_place_of(bare.as_bytes(), line, &id)?;
        Some((status, String::from_utf8(text).unwrap()))
    }

    #[test]
    fn a_bare_refusal_gets_a_body_an_id_and_a_close() {
        for (bare, line, code) in [
            ("400 Bad Request", 20, "400"),
            ("431 Request Header Fields Too Large", 20, "431"),
            ("431 Request Header Fields Too Large", 9_000, "414"),
            ("414 URI Too Long", 65_535, "414"),
        ] {
            let (status, text) = refused(bare, line).unwrap();
            assert_eq!(status.as_str(), code);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{head}");
            for line in ["connection: close", "x-request-id: id", "date: today"] {
                assert!(head.contains(line), "{line} in {head}");
            }
            assert!(head.contains(&format!("content-length: {}", body.len())));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["code"], code);
        }
    }

    #[test]
    fn other_bytes_are_left_alone() {
        assert_eq!(refused("200 OK", 20), None);
        let id = HeaderValue::from_static("id");
        assert_eq!(in_place_of(b"GET / HTTP/1.1\r\n\r\n", 20, &id), None);
        assert_eq!(in_place_of(b"HTTP/1.", 20, &id), None);
    }
}
