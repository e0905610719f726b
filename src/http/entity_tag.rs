//! `ETag`, `If-Match`, `If-None-Match` and `Last-Modified` of all management APIs (RFC 9110 §13):
//! the tag is the row version in quotes; a wrong `If-Match` is 412, none means that the last
//! writer wins, and a matching `If-None-Match` is 304.

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::error::ApiError;

/// The tag of a row version.
pub(crate) fn of(row_version: i64) -> String {
    format!("\"{row_version}\"")
}

/// Adds the tag of a row version.
pub(crate) fn tagged(response: Response, row_version: i64) -> Response {
    with(response, ETAG, &of(row_version))
}

/// Adds the tag of what a reader sees, for documents that are put together from several rows.
pub(crate) fn tagged_as_seen(response: Response, seen: &[u8]) -> Response {
    tagged(response, version_of(seen))
}

/// What stands for the row version of a document that is put together from several rows.
pub(crate) fn version_of(seen: &[u8]) -> i64 {
    // FNV-1a: the same in every process and version.
    let hash = seen.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::try_from(hash >> 1).unwrap_or(1).max(1)
}

/// Adds the moment of the last change, in milliseconds since the epoch.
pub(crate) fn modified(response: Response, at_ms: i64) -> Response {
    let at = jiff::Timestamp::from_millisecond(at_ms).ok();
    let text = at.and_then(|at| DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok());
    match text {
        Some(text) => with(response, LAST_MODIFIED, &text),
        None => response,
    }
}

/// The row versions of which the caller has seen one; empty when any will do. Without quotes a tag
/// is taken as well, a weak one never matches.
///
/// # Errors
/// 412 when none of the tags can be one of ours.
pub(crate) fn wanted(headers: &HeaderMap) -> Result<Vec<i64>, ApiError> {
    let mut versions = Vec::new();
    let mut values = headers.get_all(IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(versions);
    }
    for value in values {
        for tag in value.to_str().unwrap_or_default().split(',') {
            let tag = tag.trim();
            if tag == "*" {
                return Ok(Vec::new());
            }
            let text = tag
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let version = text.unwrap_or(tag).parse::<i64>();
            versions.extend(version.ok().filter(|version| *version > 0));
        }
    }
    if versions.is_empty() {
        return Err(ApiError::precondition_failed());
    }
    Ok(versions)
}

/// The row version that a change must meet: `row_version` when the caller has seen it, none when
/// they did not say.
///
/// # Errors
/// 412 when they have seen another one.
pub(crate) fn met(headers: &HeaderMap, row_version: i64) -> Result<Option<i64>, ApiError> {
    let wanted = wanted(headers)?;
    if wanted.is_empty() {
        return Ok(None);
    }
    if wanted.contains(&row_version) {
        return Ok(Some(row_version));
    }
    Err(ApiError::precondition_failed())
}

/// What a reader who has it already gets in place of a tagged answer: 304.
pub(crate) fn unless_known(
    method: &Method,
    known: Option<&HeaderValue>,
    response: Response,
) -> Response {
    let reads = method == Method::GET || method == Method::HEAD;
    let known = known.and_then(|known| known.to_str().ok());
    let (Some(known), Some(tag), true) = (known, response.headers().get(ETAG), reads) else {
        return response;
    };
    let opaque = |tag: &str| {
        tag.trim()
            .strip_prefix("W/")
            .unwrap_or(tag.trim())
            .to_owned()
    };
    let own = opaque(tag.to_str().unwrap_or_default());
    let is_known = known
        .split(',')
        .any(|one| one.trim() == "*" || opaque(one) == own);
    if response.status() != StatusCode::OK || !is_known {
        return response;
    }
    let mut unchanged = StatusCode::NOT_MODIFIED.into_response();
    for name in [ETAG, LAST_MODIFIED] {
        if let Some(value) = response.headers().get(&name) {
            unchanged.headers_mut().insert(name, value.clone());
        }
    }
    unchanged
}

/// The header that [`unless_known`] looks at.
pub(crate) const KNOWN: HeaderName = IF_NONE_MATCH;

fn with(mut response: Response, name: HeaderName, text: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(values: &[&'static str]) -> Result<Vec<i64>, ApiError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_static(value));
        }
        wanted(&headers)
    }

    #[test]
    fn one_of_the_tags_must_be_met_and_a_weak_one_never_is() {
        assert_eq!(if_match(&[]).unwrap(), Vec::<i64>::new());
        assert_eq!(if_match(&["*"]).unwrap(), Vec::<i64>::new());
        assert_eq!(if_match(&["\"1\", \"22\""]).unwrap(), [1, 22]);
        assert_eq!(if_match(&["\"1\"", "2"]).unwrap(), [1, 2]);
        assert_eq!(if_match(&["W/\"1\", \"2\""]).unwrap(), [2]);
        for wrong in ["", "\"x\"", "W/\"1\"", "\"0\"", "\"-1\""] {
            assert_eq!(if_match(&[wrong]).unwrap_err().status(), 412, "{wrong}");
        }
    }

    #[test]
    fn who_knows_the_tag_gets_304_and_writes_are_never_hidden() {
        let answer = || modified(tagged("body".into_response(), 7), 0);
        let asked = |method: &Method, known: &'static str| {
            let known = HeaderValue::from_static(known);
            unless_known(method, Some(&known), answer())
        };
        for known in ["\"7\"", "W/\"7\"", "\"1\", \"7\"", "*"] {
            let unchanged = asked(&Method::GET, known);
            assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(unchanged.headers()[ETAG], "\"7\"");
            let at = &unchanged.headers()[LAST_MODIFIED];
            assert_eq!(at, "Thu, 01 Jan 1970 00:00:00 GMT");
        }
        assert_eq!(asked(&Method::GET, "\"8\"").status(), StatusCode::OK);
        assert_eq!(asked(&Method::PUT, "\"7\"").status(), StatusCode::OK);
        let plain = unless_known(&Method::GET, None, answer());
        assert_eq!(plain.status(), StatusCode::OK);
    }
}
