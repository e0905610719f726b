//! What the writers are ordered to do, and what they answer.

use cluster::Reply;
use domain::api::{Api, ApiScope};
use domain::openapi::DescribedOperation;
use domain::subscription::SubscriptionStatus;
use storage::apim::api_deployments::DeploymentRow;
use storage::apim::api_revisions::RevisionRow;

use super::edit::Change;
use super::error::PublisherError;
use super::reading::Placed;
use crate::change_feed::Saved;

/// Who orders a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Tenant domain.
    pub tenant: String,
    /// User name without tenant.
    pub user: String,
}

/// A definition as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionDocument {
    /// The bytes as they came.
    pub bytes: Vec<u8>,
    /// Media type they are given back with.
    pub media_type: String,
    /// Whether the publisher wrote it itself and may write it anew.
    pub generated: bool,
}

/// An API to be made.
#[derive(Debug)]
pub struct NewApi {
    /// Everything but id, times and row version.
    pub api: Api,
    /// The uploaded definition; one is written when there is none.
    pub definition: Option<Placed>,
}

/// What an API is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Everything but what stays as it is.
    pub api: Api,
    /// Whether `api` names operations; those of before stay when it does not.
    pub has_operations: bool,
}

/// A change of an API as the person sees it: which, and at which row version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// Who changes it.
    pub author: Author,
    /// The API.
    pub api_id: String,
    /// The row versions of which it must have one (`If-Match`); empty when any will do.
    pub expected: Vec<i64>,
}

// === impl Edition ===

impl Edition {
    /// Whether the row version is one that the person has seen, or they did not say.
    pub(super) fn meets(&self, row_version: i64) -> bool {
        self.expected.is_empty() || self.expected.contains(&row_version)
    }
}

/// A step in the lifecycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The event, such as `Publish`.
    pub action: String,
    /// Whether older versions are deprecated while this one is published.
    pub deprecate_old_versions: bool,
    /// Whether subscribers of the version before must subscribe again.
    pub require_resubscription: bool,
}

/// Where a revision is deployed to or taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The environment's name.
    pub environment: String,
    /// The virtual host; the environment's own when none.
    pub vhost: Option<String>,
    /// Whether the portal shows the URL.
    pub display_on_devportal: bool,
}

/// A revision and where it is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionDeployments {
    /// The revision.
    pub revision: RevisionRow,
    /// Its deployments.
    pub deployments: Vec<DeploymentRow>,
}

/// What a writer's work gives back: the value, and the number of its last entry.
pub(crate) struct Committed<T> {
    pub(crate) value: T,
    pub(crate) n: Option<u64>,
}

/// A definition, the operations it describes and the scopes it declares.
pub(crate) type DefinitionContent = (Placed, Vec<DescribedOperation>, Vec<ApiScope>);

pub(crate) type Answer<T> = Reply<Result<Saved<T>, PublisherError>>;

/// An order to a writer.
pub(crate) enum Order {
    Create(Author, Box<NewApi>, Answer<Api>),
    /// Answers none when the API is another row than the change was worked out from.
    Update(Edition, Box<Change>, Answer<Option<Api>>),
    SaveDefinition(Edition, Box<DefinitionContent>, Answer<Api>),
    Copy(Edition, String, bool, Answer<Api>),
    Delete(Edition, Answer<()>),
    Move(Edition, Step, Answer<Api>),
    CreateRevision(Edition, String, Answer<RevisionRow>),
    DeleteRevision(Edition, String, Answer<()>),
    RestoreRevision(Edition, String, Answer<Api>),
    Deploy(Edition, String, Vec<Target>, Answer<Vec<DeploymentRow>>),
    Undeploy(
        Edition,
        Option<String>,
        Option<Vec<Target>>,
        Answer<Vec<DeploymentRow>>,
    ),
    SetSubscription(Author, String, SubscriptionStatus, Vec<i64>, Answer<i64>),
}

// === impl Order ===

impl Order {
    /// Whether whoever ordered it has given up before it was begun: they may have decided
    /// otherwise since.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Create(.., reply)
            | Self::SaveDefinition(.., reply)
            | Self::Copy(.., reply)
            | Self::Move(.., reply)
            | Self::RestoreRevision(.., reply) => reply.is_abandoned(),
            Self::Update(.., reply) => reply.is_abandoned(),
            Self::Delete(.., reply) | Self::DeleteRevision(.., reply) => reply.is_abandoned(),
            Self::CreateRevision(.., reply) => reply.is_abandoned(),
            Self::Deploy(.., reply) | Self::Undeploy(.., reply) => reply.is_abandoned(),
            Self::SetSubscription(.., reply) => reply.is_abandoned(),
        }
    }
}
