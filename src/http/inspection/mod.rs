//! What operators and their machines look at: health, metrics, actors.

mod actors;
mod health;
mod metrics;
mod usage;

use axum::Router;

use crate::operation::Operation;
use crate::services::Services;

/// The declared operations.
pub const OPERATIONS: &[&Operation] = &[
    &health::LIVE,
    &health::READY,
    &metrics::METRICS,
    &actors::LIST_ACTORS,
    &actors::RESTART_ACTOR,
    &usage::USAGE,
];

/// The routes of inspection, on every node.
pub(crate) fn router() -> Router<Services> {
    let router = health::LIVE.mount(Router::new(), health::live);
    let router = health::READY.mount(router, health::ready);
    let router = metrics::METRICS.mount(router, metrics::metrics);
    let router = actors::LIST_ACTORS.mount(router, actors::list);
    let router = actors::RESTART_ACTOR.mount(router, actors::restart);
    usage::USAGE.mount(router, usage::usage)
}
