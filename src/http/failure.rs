//! What the components' failures are as answers; one place, so that the same failure has the same
//! status everywhere. The components re-export what a store says as [`actors::Failure`].

use actors::{Failure, failure};

use crate::error::ApiError;

/// The answer to a failed change or question.
pub(crate) fn answer<E>(error: E) -> ApiError
where
    Failure: From<E>,
{
    match failure(error) {
        Failure::Duplicate(what) => ApiError::conflict(format!("{what} exists already")),
        Failure::Stale => ApiError::precondition_failed(),
        Failure::NotFound(what) => ApiError::missing(&what),
        Failure::Forbidden(why) => ApiError::conflict(why),
        Failure::BadField { field, problem } => ApiError::bad_field(&field, problem),
        Failure::Unavailable(reason) => ApiError::unavailable(&reason),
        Failure::Internal(reason) => ApiError::internal(&reason),
    }
}
