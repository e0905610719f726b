//! How a client proves itself at an OAuth2 endpoint: HTTP Basic or in the form (RFC 6749 §2.3.1),
//! one of the two; and the form itself.

use std::collections::HashMap;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use actors::key_manager::command::ClientSecret;

use super::oauth_error::OauthError;
use crate::body;

/// The most bytes of a form.
const FORM_LIMIT: usize = 64 * 1024;

/// A form whose members stand once each.
pub(super) struct Form {
    members: HashMap<String, String>,
}

// === impl Form ===

impl Form {
    /// Reads a form; a member that stands twice is refused (RFC 6749 §3.2).
    pub(super) async fn read(request: Request) -> Result<(HeaderMap, Self), OauthError> {
        let headers = request.headers().clone();
        let kind = headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(OauthError::invalid_request(
                "send the request as application/x-www-form-urlencoded",
            ));
        }
        let bytes = body::read(request, FORM_LIMIT).await?;
        let mut members = HashMap::new();
        for (name, value) in form_urlencoded::parse(&bytes) {
            let name = name.into_owned();
            if members.insert(name.clone(), value.into_owned()).is_some() {
                let shown: String = name.chars().take(50).collect();
                return Err(OauthError::invalid_request(format!("{shown} stands twice")));
            }
        }
        Ok((headers, Self { members }))
    }

    /// Takes a member out; empty counts as absent (RFC 6749 §3.2).
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.members.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes a member that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<String, OauthError> {
        let absent = || OauthError::invalid_request(format!("{name} is required"));
        self.take(name).ok_or_else(absent)
    }
}

/// The client's credentials out of the header or the form.
pub(super) fn client(headers: &HeaderMap, form: &mut Form) -> Result<ClientSecret, OauthError> {
    let in_form = (form.take("client_id"), form.take("client_secret"));
    let header = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let in_header = header.and_then(|header| header.split_once(' '));
    let in_header = in_header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    match (in_header, &in_form) {
        (Some(_), (_, Some(_))) => Err(OauthError::invalid_request(
            "the client proves itself twice, by header and by form",
        )),
        (Some((_, credential)), _) => {
            let text = STANDARD.decode(credential.trim()).ok();
            let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = text.as_deref().and_then(|text| text.split_once(':'));
            let (key, secret) = pair.ok_or_else(OauthError::invalid_client)?;
            let key = decoded(key);
            if in_form.0.is_some_and(|named| named != key) {
                return Err(OauthError::invalid_request(
                    "client_id is not the client of the header",
                ));
            }
            Ok(ClientSecret {
                consumer_key: key,
                consumer_secret: decoded(secret),
            })
        }
        (None, (Some(key), Some(secret))) => Ok(ClientSecret {
            consumer_key: key.clone(),
            consumer_secret: secret.clone(),
        }),
        (None, _) => Err(OauthError::invalid_client()),
    }
}

/// RFC 6749 §2.3.1 encodes both halves as a form does; most clients do not, and neither `+` nor
/// `%` stands in a key of ours, so both ways read the same.
fn decoded(text: &str) -> String {
    if text.contains('%') {
        let pair = form_urlencoded::parse(text.as_bytes()).next();
        pair.map_or_else(|| text.to_owned(), |(name, _)| name.into_owned())
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::HeaderValue;
    use axum::response::IntoResponse as _;

    use super::*;
    use crate::mutants::each_mutant;
    use crate::tally::Tally;

    const KIND: &str = "application/x-www-form-urlencoded";

    /// Whether a client is found in a request with this form and this `Authorization`.
    async fn names_a_client(form: &[u8], header: Option<HeaderValue>) -> bool {
        let mut request = Request::new(Body::from(form.to_vec()));
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
        headers.extend(header.map(|value| (AUTHORIZATION, value)));
        let read = async {
            let (headers, mut form) = Form::read(request).await?;
            client(&headers, &mut form)
        };
        match read.await {
            Ok(_) => true,
            Err(refused) => {
                let status = refused.into_response().status();
                assert!(status.is_client_error(), "{status}");
                false
            }
        }
    }

    #[test]
    fn forms_and_credentials_that_are_nearly_some_are_read_or_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let form =
            b"grant_type=password&client_id=k%41&client_secret=s+%C3%A9&username=a%40b&scope=x+y";
        let basic = format!("Basic {}", STANDARD.encode("key:se%20cret"));
        let mut tally = Tally::default();
        each_mutant(&[form], 3_000, |bytes| {
            let is_found = runtime.block_on(names_a_client(bytes, None));
            tally.count("a form", is_found);
        });
        each_mutant(&[basic.as_bytes()], 3_000, |bytes| {
            if let Ok(header) = HeaderValue::from_bytes(bytes) {
                let found = names_a_client(b"grant_type=password", Some(header));
                tally.count("a header", runtime.block_on(found));
            }
        });
        tally.is_of_both(100);
    }
}
