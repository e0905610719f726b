//! Forms that change something, and that they were sent by a page of ours (threat 16): the browser says so itself, and
//! the form repeats what follows from its cookie, which no other page can read.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::header::{HOST, HeaderMap, ORIGIN};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use actors::key_manager::hash_hex;

use super::answer;
use crate::body;

/// The most bytes of a form.
const FORM_LIMIT: usize = 16 * 1024;
/// The member that repeats what follows from the cookie.
pub(super) const MARK: &str = "form";

/// Where a browser says that a request comes from, against where it goes to.
pub(super) const SITE: &str = "sec-fetch-site";

/// What a form holds; the last of what stands twice.
pub(super) struct Form(BTreeMap<String, String>);

// === impl Form ===

impl Form {
    /// Reads a form that belongs to the value of this cookie.
    pub(super) async fn read(request: Request, cookie: Option<&str>) -> Result<Self, Response> {
        if !is_from_here(request.headers(), request.uri()) {
            return Err(foreign());
        }
        let bytes = body::read(request, FORM_LIMIT).await;
        let bytes = bytes.map_err(|error| answer::failed(&error))?;
        let members = form_urlencoded::parse(&bytes).into_owned();
        let form = Self(members.collect());
        let sent = form.0.get(MARK);
        match (cookie, sent) {
            // Hashes are compared, so that the time it takes tells nothing.
            (Some(cookie), Some(sent)) if hash_hex(sent) == hash_hex(&mark(cookie)) => Ok(form),
            _ => Err(foreign()),
        }
    }

    /// Takes a member out; empty when it is not there.
    pub(super) fn take(&mut self, name: &str) -> String {
        self.0.remove(name).unwrap_or_default()
    }
}

/// What a form repeats that belongs to a cookie of this value.
pub(super) fn mark(cookie: &str) -> String {
    hash_hex(&format!("a form of headgate's pages {cookie}"))
}

/// Whether a browser says that a page of the same origin sends this; one that says nothing of where it comes from is
/// no browser.
fn is_from_here(headers: &HeaderMap, uri: &Uri) -> bool {
    let mut sites = headers.get_all(SITE).iter().peekable();
    if sites.peek().is_some() {
        return sites.all(|site| site == "same-origin");
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let host = uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
    let origin = origin.to_str().ok();
    let origin = origin.and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, place)| host == Some(place))
}

fn foreign() -> Response {
    let text = "The form did not come from a page that this browser has open here. Pages need \
                cookies and HTTPS: open the page again and send it from there.";
    answer::refused(StatusCode::FORBIDDEN, "Not from here", text)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::HeaderValue;

    use super::*;

    fn sent(fields: &[(&'static str, &'static str)], body: &str) -> Request {
        let mut request = Request::new(Body::from(body.to_owned()));
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("here:9443"));
        for (name, value) in fields {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(*name, value);
        }
        request
    }

    #[tokio::test]
    async fn a_form_is_taken_from_a_page_of_ours_alone() {
        let own = format!("{MARK}={}&a=1", mark("cookie"));
        let read = async |fields: &[_], body: &str, cookie| {
            let form = Form::read(sent(fields, body), cookie).await;
            form.map_err(|refused| refused.status())
                .map(|mut form| form.take("a"))
        };
        let same = [("sec-fetch-site", "same-origin")];
        let cookie = Some("cookie");
        assert_eq!(read(&same, &own, cookie).await, Ok("1".to_owned()));
        let origin = [("origin", "https://here:9443")];
        assert!(read(&origin, &own, cookie).await.is_ok());
        assert!(read(&[], &own, cookie).await.is_ok());
        for (fields, body, cookie) in [
            (&[("sec-fetch-site", "cross-site")], own.as_str(), cookie),
            (&[("sec-fetch-site", "same-site")], &own, cookie),
            (&[("origin", "https://there:9443")], &own, cookie),
            (&[("origin", "https://here")], &own, cookie),
            (&[("origin", "null")], &own, cookie),
            (&same, "a=1", cookie),
            (&same, &own, None),
            (&same, &own, Some("another")),
        ] {
            let refused = read(fields, body, cookie).await;
            assert_eq!(refused, Err(StatusCode::FORBIDDEN), "{fields:?} {body}");
        }
    }
}
