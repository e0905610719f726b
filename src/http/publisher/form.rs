//! `multipart/form-data` with a definition in it, as import and validation take it.

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

use crate::body::{self, DEFINITION_LIMIT, Fields, JSON_LIMIT, Received, WHOLE};
use crate::error::ApiError;
use crate::timed_body;

/// What a form may hold beside the definition itself, in bytes, and the most of each other part.
const OVERHEAD: usize = JSON_LIMIT;
/// What a refusal calls a part that has no name.
const NAMELESS: &str = "part";

/// What the contracts call the part that holds the definition.
const DEFINITIONS: [&str; 3] = ["file", "inlineAPIDefinition", "apiDefinition"];

/// The parts of the form.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// One of [`DEFINITIONS`], and what it is called.
    definition: Option<(String, Vec<u8>)>,
    /// `additionalProperties`
    pub(super) properties: Option<Fields>,
}

// === impl Form ===

impl Form {
    /// Reads the form.
    pub(super) async fn read(request: Request) -> Result<Self, ApiError> {
        let kind = request.headers().get(CONTENT_TYPE).cloned();
        let text = kind.as_ref().and_then(|kind| kind.to_str().ok());
        let text = text.unwrap_or_default().to_ascii_lowercase();
        let Some(kind) = kind.filter(|_| text.starts_with("multipart/form-data")) else {
            return Err(ApiError::unsupported_media("multipart/form-data"));
        };
        match body::receive(request, DEFINITION_LIMIT + OVERHEAD).await? {
            Received::Whole(bytes) => {
                let mut form = Self::default();
                let mut parts = parts(&kind, bytes).await?;
                while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
                    let name = called(&part);
                    let bytes = part.bytes().await.map_err(|error| broken(&error))?;
                    form.take(name, &bytes)?;
                }
                Ok(form)
            }
            Received::Exceeding(begun) => Err(exceeding(&kind, begun).await),
        }
    }

    /// Takes one part in; what is empty counts as absent.
    fn take(&mut self, name: String, bytes: &[u8]) -> Result<(), ApiError> {
        within(&name, bytes.len())?;
        match name.as_str() {
            _ if bytes.is_empty() => {}
            name if DEFINITIONS.contains(&name) => {
                let given = (name.to_owned(), bytes.to_vec());
                if self.definition.replace(given).is_some() {
                    return Err(ApiError::bad_field(name, "the form holds two definitions"));
                }
            }
            "url" => {
                let problem = "is not fetched, send the definition as file";
                return Err(ApiError::bad_field("url", problem));
            }
            "additionalProperties" => self.properties = Some(Fields::parse(bytes)?),
            _ => {}
        }
        Ok(())
    }

    /// The definition, which must be there; `parts` are what the contract calls it, first the one
    /// that is told when it is missing. Gives what it was called as well.
    pub(super) fn definition(&mut self, parts: [&str; 2]) -> Result<(String, Vec<u8>), ApiError> {
        let definition = self.definition.take();
        definition.ok_or_else(|| {
            let problem = format!("send a definition as {}", parts.join(" or "));
            ApiError::bad_field(parts[0], problem)
        })
    }
}

/// The parts of a form's bytes.
async fn parts(kind: &HeaderValue, bytes: Bytes) -> Result<Multipart, ApiError> {
    let mut whole = Request::new(Body::from(bytes));
    whole.headers_mut().insert(CONTENT_TYPE, kind.clone());
    DefaultBodyLimit::disable().apply(&mut whole);
    let parts = Multipart::from_request(whole, &()).await;
    parts.map_err(|error| ApiError::bad_request(error.to_string()))
}

fn called(part: &Field<'_>) -> String {
    let name = part.name().filter(|name| !name.is_empty());
    name.unwrap_or(NAMELESS).to_owned()
}

/// Refuses a part that is larger than one of its name may be.
fn within(name: &str, bytes: usize) -> Result<(), ApiError> {
    let limit = limit(name);
    if bytes > limit {
        return Err(ApiError::too_large(name, limit));
    }
    Ok(())
}

/// The most bytes of a part of this name.
fn limit(name: &str) -> usize {
    match DEFINITIONS.contains(&name) {
        true => DEFINITION_LIMIT,
        false => OVERHEAD,
    }
}

/// The refusal of a form of which only the beginning was kept, for all of it is too large: it names
/// the part that is, or the whole where none is known to be.
async fn exceeding(kind: &HeaderValue, begun: Bytes) -> ApiError {
    let mut left = begun.len();
    if let Ok(mut parts) = parts(kind, begun).await {
        while let Ok(Some(part)) = parts.next_field().await {
            let name = called(&part);
            // The one in whose middle the kept bytes end has at least those that the others left.
            let whole = part.bytes().await.ok();
            let bytes = whole.as_ref().map_or(left.saturating_add(1), Bytes::len);
            if let Err(refused) = within(&name, bytes) {
                return refused;
            }
            left = left.saturating_sub(bytes);
        }
    }
    ApiError::too_large(WHOLE, DEFINITION_LIMIT + OVERHEAD)
}

fn broken(error: &MultipartError) -> ApiError {
    if timed_body::is_late(error) {
        return ApiError::late();
    }
    ApiError::bad_request(format!("the form cannot be read: {}", error.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::each_mutant;
    use crate::outside_tests::is_told;

    const SAMPLE: &[u8] = b"--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\nContent-Type: \
        application/json\r\n\r\n{\"openapi\":\"3.0.3\"}\r\n--b0\r\nContent-Disposition: form-data; name=additionalProperties\r\n\r\n\
        {\"name\":\"n\"}\r\n--b0--\r\n";

    /// Whether such a form has a definition.
    async fn has_definition(kind: HeaderValue, bytes: &[u8]) -> bool {
        let mut request = Request::new(Body::from(bytes.to_vec()));
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let read = Form::read(request).await;
        let read = read.and_then(|mut form| form.definition(["file", "apiDefinition"]));
        match read {
            Ok((_, definition)) => {
                assert!(definition.len() < bytes.len());
                true
            }
            Err(refused) => {
                is_told(refused);
                false
            }
        }
    }

    #[test]
    fn forms_that_are_nearly_some_are_read_or_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        let kind = HeaderValue::from_static("multipart/form-data; boundary=b0");
        let (mut read, mut refused) = (0, 0);
        each_mutant(&[SAMPLE], 1_500, |bytes| {
            match runtime.block_on(has_definition(kind.clone(), bytes)) {
                true => read += 1,
                false => refused += 1,
            }
        });
        each_mutant(&[kind.as_bytes()], 1_500, |bytes| {
            if let Ok(kind) = HeaderValue::from_bytes(bytes) {
                runtime.block_on(has_definition(kind, SAMPLE));
            }
        });
        assert!(
            read > 100 && refused > 100,
            "{read} read, {refused} refused"
        );
    }
}
