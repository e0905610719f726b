//! `ETag` and `If-Match`: the row version in quotes; a wrong one is 412, none means that the last
//! writer wins.

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;

use crate::error::ApiError;

/// The tag of a row version.
pub(crate) fn of(row_version: i64) -> String {
    format!("\"{row_version}\"")
}

/// The row version that the caller has seen; none when any will do.
///
/// # Errors
/// 412 when the tag can be none of ours.
pub(crate) fn wanted(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    match text.parse::<i64>() {
        Ok(version) if version > 0 => Ok(Some(version)),
        _ => Err(ApiError::precondition_failed()),
    }
}

/// Whether the caller has seen this row version, or did not say.
///
/// # Errors
/// 412 when it is another one.
pub(crate) fn check(headers: &HeaderMap, row_version: i64) -> Result<(), ApiError> {
    match wanted(headers)? {
        Some(version) if version != row_version => Err(ApiError::precondition_failed()),
        _ => Ok(()),
    }
}
