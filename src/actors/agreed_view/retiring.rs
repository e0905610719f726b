//! Nodes that an operator has forgotten are written down in API-M, by whichever node of the control plane is asked. A word
//! for it may come late, twice, or from a member that was taken over: it retires nobody who was admitted since it was meant
//! or who is there, and no more than so many in a minute.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Health, MemberState};
use domain::node_id::is_node_id;
use storage::StoreError;
use storage::apim::retired_nodes;

use super::claiming::ClaimsArguments;
use super::message::{Retire, Retired};

/// So many nodes are retired within a [`WHILE`] at most: more than an operator forgets. A member that was taken over can
/// have as many rows written, and keep an operator from forgetting others, until it is forgotten itself.
const MOST: u32 = 64;
const WHILE: Duration = Duration::from_secs(60);

/// Says of a node whether this one sees it.
pub(super) type IsThere = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How many were retired of late.
#[derive(Debug, Default)]
pub(super) struct Retirements {
    began: Duration,
    count: u32,
}

/// Whether a node is there as this one sees it: it is itself, or is connected, silent or not.
pub(super) fn sees(cluster: &Cluster, node: &str) -> bool {
    cluster.me().id == node || cluster.members().iter().any(|state| is(state, node))
}

fn is(state: &MemberState, node: &str) -> bool {
    matches!(state.health, Health::Up | Health::Suspect) && state.member.id == node
}

// === impl Retirements ===

impl Retirements {
    /// Whether one more may be retired when the steady clock shows `now`.
    fn may(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.began) >= WHILE {
            (self.began, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= MOST
    }

    /// Says of a node whether it is retired, and retires it where that was asked for with how often it was admitted.
    pub(super) async fn retire(
        &mut self,
        arguments: &ClaimsArguments,
        asked: &Retire,
    ) -> Result<Retired, StoreError> {
        let node = asked.node.as_str();
        // What is no id is no certificate's, and is kept nowhere.
        if !is_node_id(node) {
            return Ok(Retired::NoNode);
        }
        let mut read = arguments.apim.read().await?;
        let retired = retired_nodes::find(&mut read, node).await?;
        let admissions = retired_nodes::find_admissions(&mut read, node).await?;
        drop(read);
        if retired.is_some() {
            return Ok(Retired::Yes);
        }
        let admissions = u64::try_from(admissions).unwrap_or_default();
        if asked.admissions != Some(admissions) {
            return Ok(Retired::No { admissions });
        }
        if (arguments.is_there)(node) {
            return Ok(Retired::IsThere);
        }
        if !self.may(arguments.clock.monotonic()) {
            return Ok(Retired::TooMany);
        }
        write(arguments, node, admissions).await
    }
}

async fn write(
    arguments: &ClaimsArguments,
    node: &str,
    admissions: u64,
) -> Result<Retired, StoreError> {
    let (now_ms, times) = (arguments.clock.now_ms(), admissions.cast_signed());
    let mut write = arguments.apim.write("apim.retired_nodes.create").await?;
    if !retired_nodes::create(&mut write, node, times, now_ms).await? {
        // It was admitted in this moment: whoever asks may look again.
        return Ok(Retired::No {
            admissions: admissions.saturating_add(1),
        });
    }
    write.commit().await?;
    tracing::info!(
        node,
        "a node is retired: its certificate is renewed no more"
    );
    Ok(Retired::Yes)
}

#[cfg(test)]
#[path = "retiring_tests.rs"]
mod tests;
