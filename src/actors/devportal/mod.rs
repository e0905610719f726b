//! The Developer Portal: applications, subscriptions, keys; each change through the change log,
//! so that gateways know it before the answer leaves.

mod api_keys;
mod applications;
mod clients;
mod definitions;
mod handle;
mod keys;
mod message;
mod subscriptions;
mod sweeper;
#[cfg(test)]
mod tests;
mod writer;

pub use definitions::ShownDefinition;
pub use handle::DevPortalHandle;
pub use message::{DevPortalError, Made, NewApiKey};
pub use storage::apim::api_deployments::DeploymentRow;
pub use storage::apim::api_keys::ApiKey;
pub use storage::apim::apis::ApiRow;
pub use storage::apim::application_keys::ApplicationKey;
pub use storage::apim::applications::{
    Counted as CountedApplication, Listing as ApplicationListing, SortBy as ApplicationSort,
};

#[cfg(test)]
pub(crate) use tests::document as test_api;

use cluster::{Child, System, branch, child, pool};
use storage::Database;

use crate::change_feed::ChangeFeedHandle;
use crate::key_manager::KeyManagerHandle;
use clients::Clients;
use sweeper::Sweeper;
use writer::{Lanes, Writer, WriterArguments};

/// Writers: changes of one noun go to one of them, in order.
const WRITERS: usize = 4;

/// Describes the component's subtree.
#[must_use]
pub fn component(
    system: &System,
    (apim, shared): (&Database, &Database),
    feed: &ChangeFeedHandle,
    key_manager: &KeyManagerHandle,
) -> (DevPortalHandle, Child) {
    let clients = Clients {
        apim: apim.clone(),
        feed: feed.clone(),
        key_manager: key_manager.clone(),
        clock: system.clock.clone(),
    };
    let arguments = WriterArguments {
        apim: apim.clone(),
        shared: shared.clone(),
        feed: feed.clone(),
        key_manager: key_manager.clone(),
        clock: system.clock.clone(),
        clients: clients.clone(),
        lanes: Lanes::default(),
    };
    let (writers, mut children) = pool::<Writer>(system, "devportal/writer", WRITERS, &arguments);
    let (_, sweeper) = child::<Sweeper>(system, "devportal/sweeper", clients);
    children.push(sweeper);
    let handle = DevPortalHandle::new(apim.clone(), shared.clone(), key_manager.clone(), writers);
    (handle, branch(system, "devportal", children))
}
