//! What operators see of all members' shards, from any node: the view, and what each member says of itself.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::JoinSet;

use cluster::AskError;
use domain::view::View;

use super::LAYOUT;
use super::message::{AskKey, AskShards, ChangeKey, KeyChange, KeyChanged, KeySeen, ShardsSeen};
use super::ways::Ways;
use crate::agreed_view::{AgreedView, Latest};
use crate::traffic_manager::message::ThrottleKey;
use crate::traffic_manager::shard::shard_of;

/// Asks members what they know. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Overview {
    agreed: AgreedView,
    members: Ways,
}

/// All shards.
#[derive(Debug, Clone)]
pub struct SeenShards {
    /// What is agreed on, as far as this node knows.
    pub latest: Latest,
    /// What members say, by their stable ids.
    pub told: BTreeMap<String, ShardsSeen>,
    /// Members that did not answer in time.
    pub unanswered: Vec<String>,
}

/// One key.
#[derive(Debug, Clone)]
pub struct SeenKey {
    /// Its shard.
    pub shard: u16,
    /// Who owns that by the view, by stable id; nobody before there is a view.
    pub owner: Option<String>,
    /// Who stands by for it.
    pub standby: Option<String>,
    /// What members say, by their stable ids.
    pub told: BTreeMap<String, KeySeen>,
    /// Members that did not answer in time.
    pub unanswered: Vec<String>,
}

/// Why nobody says what came of a change of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// No view is known, so nobody owns the key.
    #[error(
        "no view of traffic managers is agreed on yet, so nothing is counted: nothing was done"
    )]
    NoOwner,
    /// Its version knows of no such changes.
    #[error(
        "the owner of the key, {0}, runs a version that knows no such change: nothing was done"
    )]
    Unsupported(String),
    /// It did not answer in time, or lost the key meanwhile.
    #[error(
        "the owner of the key, {0}, did not say in time that it is done: it may be done or not"
    )]
    Unknown(String),
}

// === impl Overview ===

impl Overview {
    /// What this node knows to be agreed on, and its ways to members.
    #[must_use]
    pub fn new(agreed: &AgreedView, members: &Ways) -> Self {
        Self {
            agreed: agreed.clone(),
            members: members.clone(),
        }
    }

    /// What is agreed on, as far as this node knows.
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.agreed.latest()
    }

    /// Asks all members of the view what they are to the shards.
    pub async fn shards(&self, asked: AskShards) -> SeenShards {
        let latest = self.agreed.latest();
        let members = self.members.clone();
        let (told, unanswered) = ask(nodes(&latest.view), move |node| {
            let members = members.clone();
            async move { members.ask_shards(&node, asked).await }
        })
        .await;
        SeenShards {
            latest,
            told,
            unanswered,
        }
    }

    /// Has the owner of a key change it. Asked once: what comes back says whether it may be asked for again.
    ///
    /// # Errors
    /// When nobody says what came of it.
    pub async fn change(
        &self,
        key: &ThrottleKey,
        change: KeyChange,
    ) -> Result<KeyChanged, Unchanged> {
        let view = self.agreed.latest().view;
        let owner = view.owner(shard_of(key), LAYOUT.rank);
        let node = owner.map(|life| life.node.clone());
        let node = node.ok_or(Unchanged::NoOwner)?;
        let key = key.clone();
        let asked = self.members.change_key(&node, ChangeKey { key, change });
        asked.await.map_err(|error| match error {
            AskError::Unsupported => Unchanged::Unsupported(node),
            _ => Unchanged::Unknown(node),
        })
    }

    /// Asks all members of the view how a key is counted.
    pub async fn key(&self, key: &ThrottleKey) -> SeenKey {
        let view = self.agreed.latest().view;
        let (members, asked) = (self.members.clone(), AskKey { key: key.clone() });
        let (told, unanswered) = ask(nodes(&view), move |node| {
            let (members, asked) = (members.clone(), asked.clone());
            async move { members.ask_key(&node, asked).await }
        })
        .await;
        let shard = shard_of(key);
        let owner = view.owner(shard, LAYOUT.rank);
        let standby = view.standby(shard, LAYOUT.rank);
        SeenKey {
            shard,
            owner: owner.map(|life| life.node.clone()),
            standby: standby.map(|life| life.node.clone()),
            told,
            unanswered,
        }
    }
}

/// Those that own shards, and those that have what others go on from.
fn nodes(view: &View) -> Vec<String> {
    let all = view.members.iter().chain(&view.sources);
    let mut nodes: Vec<String> = all.map(|life| life.node.clone()).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// Asks all of them side by side; gives who did not answer as well.
async fn ask<T, F>(
    nodes: Vec<String>,
    ask: impl Fn(String) -> F,
) -> (BTreeMap<String, T>, Vec<String>)
where
    T: Send + 'static,
    F: Future<Output = Result<T, AskError>> + Send + 'static,
{
    let mut asking = JoinSet::new();
    for node in &nodes {
        let (asked, node) = (ask(node.clone()), node.clone());
        asking.spawn(async move { (node, asked.await) });
    }
    let mut told = BTreeMap::new();
    while let Some(answer) = asking.join_next().await {
        if let Ok((node, Ok(answer))) = answer {
            told.insert(node, answer);
        }
    }
    let is_silent = |node: &String| !told.contains_key(node);
    let unanswered = nodes.into_iter().filter(is_silent).collect();
    (told, unanswered)
}
