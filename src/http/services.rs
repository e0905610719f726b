//! What management handlers reach: the handles of the components, never their state or storage.

use actors::change_feed::ChangeFeedHandle;
use actors::key_manager::KeyManagerHandle;
use cluster::System;

/// The doors of this node, cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Clock and registry.
    pub system: System,
    /// Token validation; every role has one, wherever the key manager lives.
    pub key_manager: KeyManagerHandle,
    /// Who has applied which change.
    pub change_feed: ChangeFeedHandle,
}
