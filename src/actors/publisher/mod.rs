//! The publisher: APIs from their creation to their retirement, and what of them is deployed.
//!
//! Changes are orders to a pool of writers, so that a caller who hangs up cannot cut one in half;
//! all orders about one API go to the same writer. Reads run in the caller's task. A change
//! first saves immutable blobs in Shared, with what they bind scopes to, then the API-M row that
//! points at them, together with its entries of the change log (PROTOCOLS C1, C5): that commit is
//! the change, and before it nothing of what was saved counts.
//!
//! | file | what it does |
//! |---|---|
//! | `handle` | the only door |
//! | `message`, `error` | orders, answers, refusals |
//! | `writer` | the actor; `apis`, `edit`, `lifecycle`, `revisions`, `subscriptions` are its work |
//! | `default_version` | who answers without a version in the path |
//! | `documents` | documents and definitions as blobs |
//! | `reading` | reading definitions, few at a time |
//! | `sweeper` | removes blobs that nothing points at |

mod apis;
mod default_version;
mod documents;
mod edit;
mod error;
mod handle;
mod lifecycle;
mod message;
mod reading;
mod revisions;
mod subscriptions;
mod sweeper;
#[cfg(test)]
mod tests;
mod writer;

use cluster::{Child, System, branch, child, pool};
use storage::Database;

use crate::change_feed::ChangeFeedHandle;
pub use crate::change_feed::Saved;

pub use error::{PublisherError, THE_API};
pub use handle::PublisherHandle;
pub use message::{
    Author, DefinitionDocument, Edition, NewApi, RevisionDeployments, Step, Target, Wanted,
};
pub use reading::Placed;
pub use storage::apim::api_deployments::DeploymentRow;
pub use storage::apim::api_lifecycle::LifecycleRow;
pub use storage::apim::api_revisions::RevisionRow;
pub use storage::apim::apis::{ApiRow, ApiSearch, SortBy};
pub use storage::apim::subscriptions::Subscriber;

/// Writers in the pool.
const WRITERS: usize = 4;

/// What the configuration decides about APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublisherSettings {
    /// `gateway.allow_loopback_endpoints`: whether an endpoint may lie on this machine.
    pub allow_loopback_endpoints: bool,
}

/// What writers, sweeper and handle share.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    pub(crate) system: System,
    pub(crate) apim: Database,
    pub(crate) shared: Database,
    pub(crate) feed: ChangeFeedHandle,
    pub(crate) settings: PublisherSettings,
    pub(crate) reading: reading::Reading,
}

/// Describes the publisher's subtree and the handle that reaches it.
#[must_use]
pub fn component(
    system: &System,
    apim: Database,
    shared: Database,
    feed: ChangeFeedHandle,
    settings: PublisherSettings,
) -> (PublisherHandle, Child) {
    let stores = Stores {
        system: system.clone(),
        apim,
        shared,
        feed,
        settings,
        reading: reading::Reading::default(),
    };
    let (writers, mut children) =
        pool::<writer::Writer>(system, "publisher/writer", WRITERS, &stores);
    let (_, sweeper) = child::<sweeper::Sweeper>(system, "publisher/sweeper", stores.clone());
    children.push(sweeper);
    let branch = branch(system, "publisher", children);
    (PublisherHandle::new(stores, writers), branch)
}
