//! The other nodes: how each is doing, and what it says of itself.

use std::time::Duration;

use cluster::{About, MemberState};

use super::PATIENCE;
use crate::services::Services;

/// A node as this one sees it.
pub(crate) struct Told {
    pub(crate) state: MemberState,
    /// None when it does not answer.
    pub(crate) about: Option<About>,
    /// How long it has been doing so.
    pub(crate) since: Duration,
}

/// All nodes that this one knows, without itself.
pub(crate) async fn others(services: &Services) -> Vec<Told> {
    let members = services.cluster.about_members(PATIENCE).await;
    let now = services.system.clock.monotonic();
    let told = members.into_iter().map(|(state, about)| Told {
        since: now.saturating_sub(Duration::from_millis(state.since_ms)),
        state,
        about,
    });
    told.collect()
}
