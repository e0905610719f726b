//! `/livez` and `/readyz`: for balancers, so they answer anybody; every check when asked for, and
//! what is wrong with one only to an administrator or on the machine itself.

use std::pin::pin;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse as _, Response};

use super::is_local;
use crate::auth;
use crate::operation::{Access, BodyKind, Operation};
use crate::readiness::Checked;
use crate::services::Services;

/// What may pass after the checks until it is clear who asks.
const GRACE: Duration = Duration::from_millis(500);

pub(super) static LIVE: Operation = Operation::new("GET", "/livez", Access::Own, BodyKind::Empty);
pub(super) static READY: Operation = Operation::new("GET", "/readyz", Access::Own, BodyKind::Empty);

/// Whether this is asked of a node's health.
pub(crate) fn is_health(path: &str) -> bool {
    [LIVE.path, READY.path].contains(&path)
}

pub(super) async fn live() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(services): State<Services>, request: Request) -> Response {
    // What a database says of its troubles may name hosts, users and files.
    let (local, header) = (
        is_local(&request),
        request.headers().get(AUTHORIZATION).cloned(),
    );
    let may_know = async {
        let administrator = || auth::administrator(&services, header.as_ref());
        local || header.is_some() && administrator().await.is_ok()
    };
    let (outcomes, detailed) = looked_at(services.readiness.run(), may_know).await;
    let good = is_good(&outcomes);
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

fn is_good(outcomes: &[Checked]) -> bool {
    outcomes.iter().all(|checked| checked.problem.is_none())
}

/// What the checks say, and whether whoever asks may know what is wrong with one: both are found
/// out at once, since the one may take as long as the other, and when nothing is wrong or it is
/// not clear in time who asks, the checks alone are the answer.
async fn looked_at(
    checks: impl Future<Output = Vec<Checked>>,
    may_know: impl Future<Output = bool>,
) -> (Vec<Checked>, bool) {
    let (mut checks, mut may_know) = (pin!(checks), pin!(may_know));
    let mut known = None;
    let outcomes = loop {
        tokio::select! {
            outcomes = &mut checks => break outcomes,
            told = &mut may_know, if known.is_none() => known = Some(told),
        }
    };
    let detailed = match known {
        _ if is_good(&outcomes) => false,
        Some(told) => told,
        None => tokio::time::timeout(GRACE, may_know).await.unwrap_or(false),
    };
    (outcomes, detailed)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn checked(problem: Option<&str>) -> Vec<Checked> {
        let problem = problem.map(str::to_owned);
        vec![Checked {
            name: "database",
            problem,
        }]
    }

    #[tokio::test]
    async fn nobody_waits_for_who_they_are_to_hear_that_a_node_is_ready_or_not() {
        let (outcomes, detailed) = looked_at(ready(checked(None)), pending()).await;
        assert!(is_good(&outcomes) && !detailed);
        let (outcomes, detailed) = looked_at(ready(checked(Some("gone"))), pending()).await;
        assert!(!is_good(&outcomes) && !detailed);
    }

    #[tokio::test]
    async fn who_may_know_hears_what_is_wrong_whichever_is_found_out_first() {
        for told in [true, false] {
            let failed = || ready(checked(Some("gone")));
            assert_eq!(looked_at(failed(), ready(told)).await.1, told);
            let later = async {
                tokio::task::yield_now().await;
                told
            };
            assert_eq!(looked_at(failed(), later).await.1, told);
        }
    }
}
