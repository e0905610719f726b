//! Why the publisher refuses or fails.

use cluster::AskError;
use domain::api_rules::Fault;
use domain::openapi::DefinitionError;
use storage::StoreError;

/// What a conflict is about that no member of the request has brought about: the API that it names.
pub const THE_API: &[&str] = &["apiId"];

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
    #[error("{reason}")]
    Conflict {
        /// The members that it is about; [`THE_API`] where it is the state of the API.
        fields: &'static [&'static str],
        /// What is there already.
        reason: String,
    },
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

    /// What these members name is there already, or is in a state that does not allow it.
    pub(crate) fn conflict(fields: &'static [&'static str], reason: impl Into<String>) -> Self {
        Self::Conflict {
            fields,
            reason: reason.into(),
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
            StoreError::Duplicate(what) => {
                Self::conflict(THE_API, format!("{what} exists already"))
            }
            StoreError::Stale => Self::Stale,
            other => Self::Store(other),
        }
    }
}
