//! Pages as answers: what each of them carries besides, and refusals, which are pages as well.

use askama::Template;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};

use crate::error::ApiError;

/// What a browser is told of every answer: nothing of anybody else's is loaded or may frame it, nothing inline runs,
/// nothing is kept, and nobody learns where somebody came from.
const DRESS: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// A refusal as a page.
#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    heading: &'a str,
    text: &'a str,
}

/// Adds what every answer carries.
pub(super) async fn dressed(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in DRESS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// A page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        // What writes to memory fails for nothing that a person can mend.
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
            let text = "the page could not be made, the log says why\n";
            (StatusCode::INTERNAL_SERVER_ERROR, kind, text).into_response()
        }
    }
}

/// A refusal.
pub(super) fn refused(status: StatusCode, heading: &str, text: &str) -> Response {
    page(status, &Refusal { heading, text })
}

/// What the other answers of the port say, as a page.
pub(super) fn failed(error: &ApiError) -> Response {
    let status = error.status();
    let heading = status.canonical_reason().unwrap_or("Refused");
    let mut response = refused(status, heading, error.description());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let soon = HeaderValue::from_static("5");
        response.headers_mut().insert(RETRY_AFTER, soon);
    }
    response
}

/// No page has this address.
pub(super) async fn no_such_page() -> Response {
    let text = "No page has this address. Those there are stand at the top of each.";
    refused(StatusCode::NOT_FOUND, "Not found", text)
}

/// The page takes no such method.
pub(super) async fn no_such_method() -> Response {
    let text = "This address is not asked that way. Go to the overview and on from there.";
    // Which methods it does take is added by its route.
    refused(StatusCode::METHOD_NOT_ALLOWED, "Not that way", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_refusal_says_is_text_and_no_markup() {
        let made = Refusal {
            heading: "<script>1</script>",
            text: "<b> & \"",
        };
        let html = made.render().unwrap();
        assert!(
            !html.contains("<script>1") && !html.contains("<b>"),
            "{html}"
        );
        assert!(html.contains("&#60;script&#62;1"), "{html}");
    }
}
