//! `/admin/sign-in`: the form, and what comes of it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{self, Purpose};
use super::form::{self, Form};
use super::session::{LIFE, Session};
use super::token::{self, NotSignedIn, Proven};
use super::{Console, HOME, SIGN_IN, answer};
use crate::caller_address;
use crate::services::Services;

/// The form.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page<'a> {
    node: &'a str,
    mark: String,
    problem: &'a str,
    action: &'static str,
}

/// Shows the form.
pub(super) async fn ask(State(services): State<Services>, headers: HeaderMap) -> Response {
    let cookie = cookie::read(&headers, &services.cluster, Purpose::Form);
    shown(&services, cookie, StatusCode::OK, "")
}

/// Signs in.
pub(super) async fn sign_in(
    State(services): State<Services>,
    Extension(console): Extension<Arc<Console>>,
    request: Request,
) -> Response {
    let address = caller_address::of(&request, &services.trusted_proxies);
    let cookie = cookie::read(request.headers(), &services.cluster, Purpose::Form);
    let mut form = match Form::read(request, cookie.as_deref()).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let (name, password) = (form.take("username"), form.take("password"));
    if name.is_empty() || password.is_empty() {
        let problem = "Enter both the user name and the password.";
        return shown(&services, cookie, StatusCode::BAD_REQUEST, problem);
    }
    match token::get(&services, &console, (&name, &password), address).await {
        Ok(proven) => {
            let (user, tenant) = (&proven.user, &proven.tenant);
            tracing::info!(target: "audit", %user, %tenant, %address, outcome = "done", "somebody signs in to the pages");
            begun(&services, &console, proven)
        }
        Err(why) => {
            // Without the name: now and then somebody types a password there.
            tracing::info!(target: "audit", %address, outcome = why.outcome(), "somebody signs in to the pages");
            not_begun(&services, cookie, why)
        }
    }
}

fn begun(services: &Services, console: &Console, proven: Proven) -> Response {
    let (id, now) = (cookie::fresh(), services.system.clock.monotonic());
    let session = Session {
        token: proven.token,
        user: proven.user,
        tenant: proven.tenant,
        until: now.saturating_add(LIFE),
    };
    console.sessions().begin(&id, session, now);
    let mut response = Redirect::to(HOME).into_response();
    let kept = cookie::keep(&services.cluster, Purpose::Session, &id, Some(LIFE));
    for cookie in [kept, cookie::forget(&services.cluster, Purpose::Form)] {
        response
            .headers_mut()
            .extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    }
    response
}

fn not_begun(services: &Services, cookie: Option<String>, why: NotSignedIn) -> Response {
    let (status, problem) = match why {
        NotSignedIn::Wrong => (
            StatusCode::FORBIDDEN,
            "The user name or the password is wrong, or there were too many attempts: wait a little and try again.",
        ),
        NotSignedIn::NotAllowed => (
            StatusCode::FORBIDDEN,
            "This account may not see these pages: they need an administrator (scope apim:admin).",
        ),
        NotSignedIn::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "No key manager answers now, so nobody can sign in: try again. On the node's machine, headgate status says what is wrong.",
        ),
    };
    let mut response = shown(services, cookie, status, problem);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let soon = HeaderValue::from_static("5");
        response.headers_mut().insert(RETRY_AFTER, soon);
    }
    response
}

fn shown(
    services: &Services,
    cookie: Option<String>,
    status: StatusCode,
    problem: &str,
) -> Response {
    let known = cookie.is_some();
    let value = cookie.unwrap_or_else(cookie::fresh);
    let page = Page {
        node: &services.cluster.me().name,
        mark: form::mark(&value),
        problem,
        action: SIGN_IN,
    };
    let mut response = answer::page(status, &page);
    if !known && let Some(cookie) = cookie::keep(&services.cluster, Purpose::Form, &value, None) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_says_what_is_wrong_and_names_no_markup() {
        let page = |problem| Page {
            node: "<script>",
            mark: "m".to_owned(),
            problem,
            action: SIGN_IN,
        };
        let html = page("").render().unwrap();
        assert!(!html.contains("<script>") && !html.contains("role=\"alert\""));
        let html = page("wrong").render().unwrap();
        assert!(
            html.contains("role=\"alert\"") && html.contains("wrong"),
            "{html}"
        );
    }
}
