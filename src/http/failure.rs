//! What the components' failures are as answers; one place, so that the same failure has the same
//! status everywhere. The components re-export what a store says as [`actors::Failure`].

use actors::{Failure, failure};

use crate::body::WHOLE;
use crate::error::ApiError;
use crate::operation::Operation;

/// The answer to a failed change or question. What conflicts without a member that could be blamed
/// is the change as a whole.
pub(crate) fn answer<E>(error: E) -> ApiError
where
    Failure: From<E>,
{
    to_answer(failure(error), &[WHOLE])
}

/// The answer to a failed change of an operation: a conflict is about what must be unique there.
pub(crate) fn answer_to<E>(operation: &Operation) -> impl Fn(E) -> ApiError
where
    Failure: From<E>,
{
    answer_about(operation.unique)
}

/// The answer to a failed change in which only these members can conflict with what there is.
pub(crate) fn answer_about<E>(members: &'static [&'static str]) -> impl Fn(E) -> ApiError
where
    Failure: From<E>,
{
    move |error| to_answer(failure(error), members)
}

fn to_answer(failure: Failure, members: &[&str]) -> ApiError {
    match failure {
        Failure::Duplicate(what) => ApiError::conflicts(members, format!("{what} exists already")),
        Failure::Stale => ApiError::precondition_failed(),
        Failure::NotFound(what) => ApiError::missing(&what),
        Failure::Forbidden(why) => ApiError::conflicts(members, why),
        Failure::BadField { field, problem } => ApiError::bad_field(&field, problem),
        Failure::Unavailable(reason) => ApiError::unavailable(&reason),
        Failure::Internal(reason) => ApiError::internal(&reason),
    }
}
