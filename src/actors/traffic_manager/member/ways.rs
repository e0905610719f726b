//! The ways between members, by stable id: over the cluster, or within this process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cluster::{AskError, Cluster, Door};

use super::message::{ShardHeard, TellShard};

/// The deadline of what may be large.
const DEADLINE: Duration = Duration::from_secs(2);

/// Reaches members. Cheap to clone; all clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    here: Arc<RwLock<BTreeMap<String, Door<TellShard>>>>,
    cluster: Option<Cluster>,
}

// === impl Ways ===

impl Ways {
    /// Reaches those of other nodes too.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        Self {
            cluster: Some(cluster.clone()),
            ..Self::default()
        }
    }

    /// The member with this stable id is reached through this door from now on.
    pub(super) fn admit(&self, node: &str, door: Door<TellShard>) {
        if let Some(cluster) = &self.cluster {
            cluster.serve(door.clone());
        }
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        here.insert(node.to_owned(), door);
    }

    /// Nobody reaches this member any more.
    #[cfg(test)]
    pub(super) fn cut_off(&self, node: &str) {
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        here.remove(node);
    }

    /// Tells a member something.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub(super) async fn tell(&self, node: &str, told: TellShard) -> Result<ShardHeard, AskError> {
        match (self.door(node), &self.cluster) {
            (Some(door), _) => door.ask(told, DEADLINE).await,
            (None, Some(cluster)) => cluster.ask(node, &told, DEADLINE).await,
            (None, None) => Err(AskError::Unavailable),
        }
    }
    fn door(&self, node: &str) -> Option<Door<TellShard>> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        here.get(node).cloned()
    }
}
