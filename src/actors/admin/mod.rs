//! Administration: throttling and deny policies, each change through the change log, so that
//! traffic managers and gateways know it before the answer leaves.

mod handle;
mod message;
#[cfg(test)]
mod tests;
mod usage;
mod writer;

pub use handle::AdminHandle;
pub use message::AdminError;

use cluster::{Child, System, branch, pool};
use storage::Database;

use crate::change_feed::ChangeFeedHandle;
use writer::{Writer, WriterArguments};

/// Writers: changes of one policy go to one of them, in order.
const WRITERS: usize = 2;

/// Describes the component's subtree.
#[must_use]
pub fn component(
    system: &System,
    (apim, shared): (&Database, &Database),
    feed: &ChangeFeedHandle,
) -> (AdminHandle, Child) {
    let arguments = WriterArguments {
        apim: apim.clone(),
        shared: shared.clone(),
        feed: feed.clone(),
        clock: system.clock.clone(),
    };
    let (writers, children) = pool::<Writer>(system, "admin/writer", WRITERS, &arguments);
    let handle = AdminHandle::new(apim.clone(), shared.clone(), writers);
    (handle, branch(system, "admin", children))
}
