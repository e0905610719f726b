//! What the writers are ordered to do, and what they answer.

use cluster::Reply;
use domain::api::{Api, ApiScope, Operation};
use domain::subscription::SubscriptionStatus;
use storage::apim::api_deployments::DeploymentRow;
use storage::apim::api_revisions::RevisionRow;

use super::error::PublisherError;
use crate::change_feed::message::Applied;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApi {
    /// Everything but id, times and row version.
    pub api: Api,
    /// The uploaded definition; one is written when there is none.
    pub definition: Option<DefinitionDocument>,
}

/// A change of an API as the person sees it: which, and at which row version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// Who changes it.
    pub author: Author,
    /// The API.
    pub api_id: String,
    /// The row version it must still have (`If-Match`).
    pub expected: Option<i64>,
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

/// What a change made, and who has applied it when it made entries of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved<T> {
    /// What the change gives back.
    pub value: T,
    /// For the header `Headgate-Applied`.
    pub applied: Option<Applied>,
}

/// What a writer's work gives back: the value, and the number of its last entry.
pub(crate) struct Committed<T> {
    pub(crate) value: T,
    pub(crate) n: Option<u64>,
}

/// A definition, the operations it describes and the scopes it declares.
pub(crate) type DefinitionContent = (DefinitionDocument, Vec<Operation>, Vec<ApiScope>);

pub(crate) type Answer<T> = Reply<Result<Saved<T>, PublisherError>>;

/// An order to a writer.
pub(crate) enum Order {
    Create(Author, Box<NewApi>, Answer<Api>),
    Update(Edition, Box<Api>, Answer<Api>),
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
        Option<Vec<String>>,
        Answer<Vec<DeploymentRow>>,
    ),
    SetSubscription(Author, String, SubscriptionStatus, Answer<()>),
}
