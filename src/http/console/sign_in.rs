//! `/admin/sign-in`: the form, and what comes of it.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::http::header::{REFRESH, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::cookie::{self, Purpose};
use super::form::{self, Form, SITE};
use super::person::Person;
use super::token::{self, NotSignedIn};
use super::{Console, HOME, SIGN_IN, answer, sign_out};
use crate::caller_address;
use crate::services::Services;
use crate::turned_away::Stranger;

/// The form.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page<'a> {
    node: &'a str,
    mark: String,
    problem: &'a str,
    action: &'static str,
}

/// Shows the form; whoever is signed in goes on to the overview.
///
/// A browser keeps its cookies back when somebody follows a link from elsewhere. It is sent here once more by a page
/// of ours, with them: or they would have to sign in again, and a form in another window would not be taken any more.
pub(super) async fn ask(
    person: Result<Person, Response>,
    State(services): State<Services>,
    request: Request,
) -> Response {
    if person.is_ok() {
        return Redirect::to(HOME).into_response();
    }
    let headers = request.headers();
    if headers.get(SITE).is_some_and(|site| site == "cross-site") && request.uri().query().is_none()
    {
        return once_more();
    }
    let cookie = cookie::read(headers, &services.cluster, Purpose::Form);
    shown(&services, cookie, StatusCode::OK, "")
}

fn once_more() -> Response {
    let text = "The link led here from elsewhere. If nothing happens, go on to the overview.";
    let mut response = answer::refused(StatusCode::OK, "One moment", text);
    let again = HeaderValue::try_from(format!("0; url={SIGN_IN}?again"));
    let again = again.ok().map(|again| (REFRESH, again));
    response.headers_mut().extend(again);
    response
}

/// Signs in.
pub(super) async fn sign_in(
    State(services): State<Services>,
    Extension(console): Extension<Arc<Console>>,
    request: Request,
) -> Response {
    let address = caller_address::of(&request, &services.trusted_proxies);
    let old = cookie::read(request.headers(), &services.cluster, Purpose::Session);
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
    match begun(&services, &console, (&name, password), address).await {
        Ok(response) => {
            // Its cookie is replaced, so nobody could sign out of it any more.
            let session = old.and_then(|old| console.sessions().end(&old));
            if let Some(session) = session {
                sign_out::revoked(&services, session, address).await;
            }
            response
        }
        Err(why) => {
            // Without the name: now and then somebody types a password there.
            let now = services.system.clock.monotonic();
            let who = Stranger::nameless(address);
            if services.turned_away.counts(&who, now) {
                let outcome = why.outcome();
                tracing::info!(target: "audit", %address, outcome, "somebody signs in to the pages");
            }
            not_begun(&services, cookie, &why)
        }
    }
}

async fn begun(
    services: &Services,
    console: &Console,
    credential: (&str, String),
    address: IpAddr,
) -> Result<Response, NotSignedIn> {
    let id = cookie::fresh();
    let proven = token::prove(services, credential, address).await?;
    let life = token::begin(services, console, &proven, &id).await?;
    let (user, tenant) = (&proven.user, &proven.tenant);
    tracing::info!(target: "audit", %user, %tenant, %address, outcome = "done", "somebody signs in to the pages");
    let mut response = Redirect::to(HOME).into_response();
    let kept = cookie::keep(&services.cluster, Purpose::Session, &id, Some(life));
    for cookie in [kept, cookie::forget(&services.cluster, Purpose::Form)] {
        response
            .headers_mut()
            .extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    }
    Ok(response)
}

fn not_begun(services: &Services, cookie: Option<String>, why: &NotSignedIn) -> Response {
    let (status, problem) = match why {
        NotSignedIn::Wrong => (
            StatusCode::FORBIDDEN,
            "The user name or the password is wrong, or there were too many attempts: wait a little and try again.",
        ),
        NotSignedIn::NotAllowed => (
            StatusCode::FORBIDDEN,
            "This account may not see these pages: they need an administrator (scope apim:admin).",
        ),
        NotSignedIn::Refused(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "The password is right, and yet the key manager issues no token for these pages: the audit log of this node says why.",
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
