//! `multipart/form-data` with a definition in it, as import and validation take it.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request};
use axum::http::header::CONTENT_TYPE;

use crate::body::{self, DEFINITION_LIMIT, Fields, JSON_LIMIT};
use crate::error::ApiError;
use crate::timed_body;

/// What a form may hold beside the definition itself, in bytes.
const OVERHEAD: usize = JSON_LIMIT;

/// The parts of the form.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// `file`, `inlineAPIDefinition` or `apiDefinition`.
    pub(super) definition: Option<Vec<u8>>,
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
        let whole = body::read(request, DEFINITION_LIMIT + OVERHEAD).await?;
        let mut whole = Request::new(Body::from(whole));
        whole.headers_mut().insert(CONTENT_TYPE, kind);
        DefaultBodyLimit::disable().apply(&mut whole);
        let mut parts = Multipart::from_request(whole, &())
            .await
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let mut form = Self::default();
        while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(|error| broken(&error))?;
            match name.as_str() {
                "file" | "inlineAPIDefinition" | "apiDefinition" if !bytes.is_empty() => {
                    if bytes.len() > DEFINITION_LIMIT {
                        return Err(ApiError::too_large(DEFINITION_LIMIT));
                    }
                    if form.definition.replace(bytes.to_vec()).is_some() {
                        return Err(ApiError::bad_field(&name, "the form holds two definitions"));
                    }
                }
                "url" if !bytes.is_empty() => {
                    let problem = "is not fetched, send the definition as file";
                    return Err(ApiError::bad_field("url", problem));
                }
                "additionalProperties" if !bytes.is_empty() => {
                    form.properties = Some(Fields::parse(&bytes)?);
                }
                _ => {}
            }
        }
        Ok(form)
    }

    /// The definition, which must be there; `parts` are what the contract calls it, first the one
    /// that is told when it is missing.
    pub(super) fn definition(&mut self, parts: [&str; 2]) -> Result<Vec<u8>, ApiError> {
        let definition = self.definition.take();
        definition.ok_or_else(|| {
            let problem = format!("send a definition as {}", parts.join(" or "));
            ApiError::bad_field(parts[0], problem)
        })
    }
}

fn broken(error: &axum::extract::multipart::MultipartError) -> ApiError {
    if timed_body::is_late(error) {
        return ApiError::late();
    }
    ApiError::bad_request(format!("the form cannot be read: {}", error.body_text()))
}
