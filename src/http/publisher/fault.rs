//! The publisher's refusals as answers of the management APIs.

use axum::http::StatusCode;

use actors::publisher::PublisherError;
use domain::openapi::{DefinitionError, FaultKind};

use crate::body::DEFINITION_LIMIT;
use crate::error::ApiError;

impl From<PublisherError> for ApiError {
    fn from(error: PublisherError) -> Self {
        match error {
            PublisherError::NotFound { what, id } => Self::not_found(what, &id),
            PublisherError::Invalid(faults) => {
                let faults = faults.into_iter().map(|fault| (fault.field, fault.problem));
                Self::bad_fields(faults)
            }
            PublisherError::Definition(faults) => definition("file", faults),
            PublisherError::Conflict { fields, reason } => Self::conflicts(fields, reason),
            PublisherError::Stale => Self::precondition_failed(),
            PublisherError::TooManyRevisions(_) => Self::new(
                StatusCode::BAD_REQUEST,
                900_351,
                "Can not create API Revision",
                error.to_string(),
            ),
            PublisherError::Deployed => Self::new(
                StatusCode::BAD_REQUEST,
                900_348,
                "Can not delete API Revision",
                error.to_string(),
            ),
            PublisherError::Busy | PublisherError::Ask(_) | PublisherError::Store(_) => {
                Self::unavailable(&error)
            }
            PublisherError::Internal(_) => Self::internal(&error),
        }
    }
}

/// The answer where the definition came in `part` of a form.
pub(super) fn of_part(part: &str) -> impl Fn(PublisherError) -> ApiError {
    move |error| match error {
        PublisherError::Definition(faults) => definition(part, faults),
        error => error.into(),
    }
}

/// The faults of a definition, each under its JSON pointer; one that is too large under the name of
/// the part that it came in.
fn definition(part: &str, faults: Vec<DefinitionError>) -> ApiError {
    if faults.iter().any(|fault| fault.kind == FaultKind::TooLarge) {
        return ApiError::too_large(part, DEFINITION_LIMIT);
    }
    let named = faults.into_iter().map(|fault| {
        let pointer = match fault.pointer.as_str() {
            "" => "/".to_owned(),
            _ => fault.pointer,
        };
        (pointer, fault.message)
    });
    ApiError::bad_fields(named)
}
