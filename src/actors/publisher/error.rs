//! Why the publisher refuses or fails.

use cluster::AskError;
use domain::api_rules::Fault;
use domain::openapi::DefinitionError;
use storage::StoreError;

/// A refusal or failure of the publisher.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// There is no such thing, or it is another tenant's.
    #[error("{what} {id} does not exist")]
    NotFound {
        /// Its kind.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// Members break rules.
    #[error("the API breaks {} rules", .0.len())]
    Invalid(Vec<Fault>),
    /// The definition cannot be imported.
    #[error("the definition cannot be imported")]
    Definition(Vec<DefinitionError>),
    /// A name, version or context is taken, or something still depends on the API.
    #[error("{0}")]
    Conflict(String),
    /// The row is not the one that the caller read.
    #[error("the API was changed since it was read")]
    Stale,
    /// The API has as many revisions as it may have.
    #[error("the API has {0} revisions already, delete one first")]
    TooManyRevisions(usize),
    /// The revision is deployed.
    #[error("the revision is deployed, undeploy it first")]
    Deployed,
    /// So many definitions are being read that this one must come later.
    #[error("too many definitions are being read at once, try again in a moment")]
    Busy,
    /// The writer did not answer; whether the change was made can be read.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A database failed.
    #[error(transparent)]
    Store(StoreError),
    /// Something stored, or the program, is not as it must be.
    #[error("{0}")]
    Internal(String),
}

// === impl PublisherError ===

impl PublisherError {
    /// An API that is not there.
    pub(crate) fn no_api(id: &str) -> Self {
        Self::NotFound {
            what: "API",
            id: id.to_owned(),
        }
    }

    /// A revision that is not there.
    pub(crate) fn no_revision(id: &str) -> Self {
        Self::NotFound {
            what: "revision",
            id: id.to_owned(),
        }
    }

    /// One faulty member.
    pub(crate) fn invalid(field: &str, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault {
            field: field.to_owned(),
            problem: problem.into(),
        }])
    }
}

impl From<StoreError> for PublisherError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate(what) => Self::Conflict(format!("{what} exists already")),
            StoreError::Stale => Self::Stale,
            other => Self::Store(other),
        }
    }
}
