//! `?wait=all` and `?wait=none` of changes: whether the answer waits until it is so everywhere (C6). What
//! may end access waits whatever is chosen; its writer decides.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;

/// Goes on as the request chooses.
pub(crate) async fn chosen(request: Request, next: Next) -> Response {
    match is_none(request.uri().query().unwrap_or_default()) {
        Ok(true) => cluster::hastily(next.run(request)).await,
        Ok(false) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Whether nothing is to be waited for.
fn is_none(query: &str) -> Result<bool, ApiError> {
    let mut is_none = false;
    for pair in query.split('&') {
        match pair.strip_prefix("wait=") {
            Some("all") => is_none = false,
            Some("none") => is_none = true,
            Some(_) => return Err(ApiError::bad_field("wait", "must be all or none")),
            None if pair == "wait" => {
                return Err(ApiError::bad_field("wait", "must be all or none"));
            }
            None => {}
        }
    }
    Ok(is_none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_waited_for_unless_that_is_declined_in_one_word() {
        let is_none = |query| is_none(query).ok();
        for query in ["", "wait=all", "waiting=none", "limit=3&wait=all"] {
            assert_eq!(is_none(query), Some(false), "{query}");
        }
        assert_eq!(is_none("limit=3&wait=none"), Some(true));
        for query in ["wait", "wait=", "wait=None", "wait=1&limit=3"] {
            assert_eq!(is_none(query), None, "{query}");
        }
    }
}
