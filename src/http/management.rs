//! The management port: the routers of the components, each mounted when its role runs here.

use axum::Router;
use axum::extract::Extension;
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;

use actors::change_feed::Applied;

use crate::error::ApiError;
use crate::operation::Operation;
use crate::services::Services;

const APPLIED: HeaderName = HeaderName::from_static("headgate-applied");

/// Every declared operation, whatever the roles of a node.
#[must_use]
pub fn operations() -> Vec<&'static Operation> {
    let lists: &[&[&Operation]] = &[
        crate::inspection::OPERATIONS,
        crate::key_manager::OPERATIONS,
        crate::publisher::OPERATIONS,
        crate::devportal::OPERATIONS,
        crate::admin::OPERATIONS,
    ];
    lists.concat()
}

/// The router of the management port.
pub fn router(services: Services) -> Router {
    let mut roles = Router::new();
    if services.key_manager_here {
        roles = roles.merge(crate::key_manager::router());
    }
    if services.publisher.is_some() {
        roles = roles.merge(crate::publisher::router());
    }
    if services.devportal.is_some() {
        roles = roles.merge(crate::devportal::router());
    }
    if services.admin.is_some() {
        roles = roles.merge(crate::admin::router());
    }
    Router::new()
        .merge(crate::inspection::router())
        .merge(crate::console::router())
        .merge(roles)
        .fallback(|uri: Uri| async move { ApiError::not_found("path", uri.path()) })
        .method_not_allowed_fallback(|method: Method| async move {
            ApiError::method_not_allowed(method.as_str())
        })
        .layer(Extension(services.clone()))
        .with_state(services)
}

/// Adds `Headgate-Applied` to the answer of a change that made entries of the change log.
#[must_use]
pub fn told(response: Response, applied: Option<&Applied>) -> Response {
    match applied {
        Some(applied) => with_applied(response, applied),
        None => response,
    }
}

/// Adds `Headgate-Applied` to the answer of a change.
#[must_use]
pub fn with_applied(mut response: Response, applied: &Applied) -> Response {
    if let Ok(value) = HeaderValue::try_from(applied.to_string()) {
        response.headers_mut().insert(APPLIED, value);
    }
    response
}
