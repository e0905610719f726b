//! `/livez` and `/readyz`: for balancers, so they answer anybody; details only when asked for.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static LIVE: Operation = Operation::new("GET", "/livez", Access::Own, BodyKind::Empty);
pub(super) static READY: Operation = Operation::new("GET", "/readyz", Access::Own, BodyKind::Empty);

pub(super) async fn live() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(services): State<Services>, RawQuery(query): RawQuery) -> Response {
    let outcomes = services.readiness.run().await;
    let good = outcomes.iter().all(|checked| checked.problem.is_none());
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|word| word.starts_with("verbose")));
    let mut text = String::new();
    for checked in outcomes
        .iter()
        .filter(|checked| verbose || checked.problem.is_some())
    {
        match &checked.problem {
            None => text.push_str(&format!("[+] {}: ok\n", checked.name)),
            Some(problem) => text.push_str(&format!("[-] {}: {problem}\n", checked.name)),
        }
    }
    text.push_str(if good { "ready\n" } else { "not ready\n" });
    (status, text).into_response()
}
