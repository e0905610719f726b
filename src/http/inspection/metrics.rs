//! `/metrics`: Prometheus text, for administrators, or anyone on loopback.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::is_local;
use crate::auth;
use crate::error::ApiError;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

/// Anyone on loopback or an administrator: decided by the handler.
pub(super) static METRICS: Operation =
    Operation::new("GET", "/metrics", Access::Own, BodyKind::Empty);

pub(super) async fn metrics(State(services): State<Services>, request: Request) -> Response {
    if !is_local(&request) {
        let headers = request.headers().get(AUTHORIZATION).cloned();
        if let Err(error) = auth::administrator(&services, headers.as_ref()).await {
            return error.into_response();
        }
    }
    let Some(render) = &services.metrics else {
        return ApiError::unavailable(&"metrics are not recorded").into_response();
    };
    report_actors(&services);
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, render()).into_response()
}

/// Copies the actors' counters into the metrics, once a scrape and not once a message.
fn report_actors(services: &Services) {
    for actor in services
        .system
        .registry
        .report(services.system.clock.monotonic())
    {
        let labels = [("actor", actor.name)];
        metrics::counter!("headgate_actor_messages_total", &labels).absolute(actor.handled);
        metrics::counter!("headgate_actor_restarts_total", &labels).absolute(actor.restarts);
        metrics::counter!("headgate_actor_errors_total", &labels).absolute(actor.errors);
        metrics::gauge!("headgate_actor_mailbox_depth", &labels).set(actor.depth as f64);
        metrics::gauge!("headgate_actor_busy_seconds", &labels).set(actor.busy_ns as f64 / 1e9);
    }
}
