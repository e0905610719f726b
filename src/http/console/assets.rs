//! The one style sheet and the one script of all pages, as they lie in the binary.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

pub(super) const STYLE: &str = "/admin/ui/console.css";
pub(super) const SCRIPT: &str = "/admin/ui/console.js";

/// How the pages look.
pub(super) async fn style() -> Response {
    let kind = [(CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("assets/console.css")).into_response()
}

/// What keeps them fresh.
pub(super) async fn script() -> Response {
    let kind = [(CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("assets/console.js")).into_response()
}
