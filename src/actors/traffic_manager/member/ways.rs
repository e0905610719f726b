//! The ways between members, by stable id: over the cluster, or within this process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cluster::{AskError, Cluster, Door};

use super::air::Air;
use super::changes::PATIENCE;
use super::inspection::Windows;
use super::message::{
    AskKey, AskShards, ChangeKey, KeyChanged, KeySeen, ShardHeard, ShardsSeen, TellShard,
};

/// The deadline of what may be large.
const DEADLINE: Duration = Duration::from_secs(2);
/// A change of a key is answered when others know of it, or not within its patience.
const CHANGE: Duration = PATIENCE.saturating_add(Duration::from_secs(1));
/// A member that is only looked at is waited for so long, as whatever else an operator looks at is.
const LOOK: Duration = Duration::from_millis(800);

/// Reaches members. Cheap to clone; all clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    here: Arc<RwLock<BTreeMap<String, Door<TellShard>>>>,
    /// Where members of this process are looked at.
    looks: Arc<RwLock<BTreeMap<String, Windows>>>,
    /// Where keys of members of this process are changed.
    changes: Arc<RwLock<BTreeMap<String, Door<ChangeKey>>>>,
    air: Air,
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

    /// And looked at through these.
    pub(super) fn admit_looks(&self, node: &str, windows: Windows) {
        if let Some(cluster) = &self.cluster {
            cluster.serve(windows.shards.clone());
            cluster.serve(windows.key.clone());
        }
        let mut looks = self.looks.write().unwrap_or_else(PoisonError::into_inner);
        looks.insert(node.to_owned(), windows);
    }

    /// And its keys are changed through this one.
    pub(super) fn admit_changes(&self, node: &str, door: Door<ChangeKey>) {
        if let Some(cluster) = &self.cluster {
            cluster.serve(door.clone());
        }
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        changes.insert(node.to_owned(), door);
    }

    /// Nobody reaches this member any more.
    #[cfg(test)]
    pub(super) fn cut_off(&self, node: &str) {
        let mut looks = self.looks.write().unwrap_or_else(PoisonError::into_inner);
        looks.remove(node);
        drop(looks);
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        here.remove(node);
    }

    /// Tells a member something.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub(super) async fn tell(&self, node: &str, told: TellShard) -> Result<ShardHeard, AskError> {
        let room = self.air.room(node, &told.words, DEADLINE).await?;
        let heard = match (self.door(node), &self.cluster) {
            (Some(door), _) => door.ask(told, DEADLINE).await,
            (None, Some(cluster)) => cluster.ask(node, &told, DEADLINE).await,
            (None, None) => Err(AskError::Unavailable),
        };
        if let (Some(room), Ok(heard)) = (&room, &heard) {
            room.heard(heard);
        }
        heard
    }

    /// Asks a member what it is to the shards.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub(super) async fn ask_shards(
        &self,
        node: &str,
        asked: AskShards,
    ) -> Result<ShardsSeen, AskError> {
        match (self.windows(node), &self.cluster) {
            (Some(windows), _) => windows.shards.ask(asked, LOOK).await,
            (None, Some(cluster)) => cluster.ask(node, &asked, LOOK).await,
            (None, None) => Err(AskError::Unavailable),
        }
    }

    /// Asks a member how a key is counted.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub(super) async fn ask_key(&self, node: &str, asked: AskKey) -> Result<KeySeen, AskError> {
        match (self.windows(node), &self.cluster) {
            (Some(windows), _) => windows.key.ask(asked, LOOK).await,
            (None, Some(cluster)) => cluster.ask(node, &asked, LOOK).await,
            (None, None) => Err(AskError::Unavailable),
        }
    }

    /// Has a member change a key.
    ///
    /// # Errors
    /// When it does not answer in time: whether it did so is not known, unless it was not reached at all.
    pub(in crate::traffic_manager) async fn change_key(
        &self,
        node: &str,
        asked: ChangeKey,
    ) -> Result<KeyChanged, AskError> {
        match (self.change_door(node), &self.cluster) {
            (Some(door), _) => door.ask(asked, CHANGE).await,
            (None, Some(cluster)) => cluster.ask(node, &asked, CHANGE).await,
            (None, None) => Err(AskError::Unavailable),
        }
    }

    fn change_door(&self, node: &str) -> Option<Door<ChangeKey>> {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        changes.get(node).cloned()
    }

    fn windows(&self, node: &str) -> Option<Windows> {
        let looks = self.looks.read().unwrap_or_else(PoisonError::into_inner);
        looks.get(node).cloned()
    }

    fn door(&self, node: &str) -> Option<Door<TellShard>> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        here.get(node).cloned()
    }
}
