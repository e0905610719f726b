//! `/livez` and `/readyz`: for balancers, so they answer anybody; every check when asked for, and
//! what is wrong with one only to an administrator or on the machine itself.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse as _, Response};

use super::is_local;
use crate::auth;
use crate::operation::{Access, BodyKind, Operation};
use crate::services::Services;

pub(super) static LIVE: Operation = Operation::new("GET", "/livez", Access::Own, BodyKind::Empty);
pub(super) static READY: Operation = Operation::new("GET", "/readyz", Access::Own, BodyKind::Empty);

pub(super) async fn live() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(services): State<Services>, request: Request) -> Response {
    // What a database says of its troubles may name hosts, users and files.
    let detailed = is_local(&request)
        || match request.headers().get(AUTHORIZATION).cloned() {
            None => false,
            header => auth::administrator(&services, header.as_ref())
                .await
                .is_ok(),
        };
    let outcomes = services.readiness.run().await;
    let good = outcomes.iter().all(|checked| checked.problem.is_none());
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let query = request.uri().query();
    let verbose =
        query.is_some_and(|query| query.split('&').any(|word| word.starts_with("verbose")));
    let mut text = String::new();
    for checked in outcomes
        .iter()
        .filter(|checked| verbose || checked.problem.is_some())
    {
        match &checked.problem {
            None => text.push_str(&format!("[+] {}: ok\n", checked.name)),
            Some(_) if !detailed => text.push_str(&format!("[-] {}: failed\n", checked.name)),
            Some(problem) => text.push_str(&format!("[-] {}: {problem}\n", checked.name)),
        }
    }
    text.push_str(if good { "ready\n" } else { "not ready\n" });
    (status, text).into_response()
}
