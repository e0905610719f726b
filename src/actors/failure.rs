//! What can come of a change or a question, in the words that its answer is chosen by. HTTP sees
//! this and neither stores nor mailboxes.

use cluster::AskError;
use storage::StoreError;

use crate::admin::AdminError;
use crate::devportal::DevPortalError;
use crate::key_manager::command::Refused;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The name is taken.
    Duplicate(String),
    /// The row is not the one that was read.
    Stale,
    /// It is not there.
    NotFound(String),
    /// A rule between things forbids it.
    Forbidden(String),
    /// A member of the request is wrong.
    BadField {
        /// The member.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// Trying again may help.
    Unavailable(String),
    /// It will not help.
    Internal(String),
}

/// Reads any component's error.
pub fn failure<E>(error: E) -> Failure
where
    Failure: From<E>,
{
    Failure::from(error)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate(what) => Self::Duplicate(what),
            StoreError::Stale => Self::Stale,
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Forbidden(why) => Self::Forbidden(why),
            error @ (StoreError::Unavailable { .. }
            | StoreError::Unwritable { .. }
            | StoreError::Lost { .. }) => Self::Unavailable(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::BadField { field, problem } => Self::BadField { field, problem },
            Refused::Duplicate(what) => Self::Duplicate(what),
            Refused::NotFound(what) => Self::NotFound(what),
            Refused::Oauth(_, problem) => Self::BadField {
                field: "consumerSecret".to_owned(),
                problem,
            },
            Refused::Unavailable => Self::Unavailable("the key manager does not answer".to_owned()),
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => error.into(),
            AdminError::Ask(error) => error.into(),
            AdminError::Busy => Self::Unavailable(error.to_string()),
            AdminError::BadField { field, problem } => Self::BadField {
                field: field.to_owned(),
                problem,
            },
        }
    }
}

impl From<DevPortalError> for Failure {
    fn from(error: DevPortalError) -> Self {
        match error {
            DevPortalError::Store(error) => error.into(),
            DevPortalError::Ask(error) => error.into(),
            DevPortalError::KeyManager(refused) => refused.into(),
            DevPortalError::Busy => Self::Unavailable(error.to_string()),
            DevPortalError::BadField { field, problem } => Self::BadField {
                field: field.to_owned(),
                problem,
            },
        }
    }
}
