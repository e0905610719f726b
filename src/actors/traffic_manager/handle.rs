//! The typed clients of this component: one asks the owner of a shard, one tells the gateways that
//! hold leases of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cluster::{AskError, Cluster, Door, rendezvous};

use super::Published;
use super::message::{LeaseMany, Leased, TellLeases, Told};

/// The deadline of one question; requests are held at most 3 s in all (L8).
const DEADLINE: Duration = Duration::from_secs(1);

/// The role of nodes that own shards.
const ROLE: &str = "traffic-manager";
/// The role of nodes that ask them.
const GATEWAY: &str = "gateway";

/// Asks the owner of a shard, wherever it lives.
#[derive(Debug, Clone)]
pub struct TrafficManagerHandle {
    /// To the shards of this node, where it has the role.
    lease: Option<Door<LeaseMany>>,
    policies: Published,
    /// The others who may own shards.
    cluster: Option<Cluster>,
}

/// Tells gateways what concerns their leases, wherever they live. Each is known by its stable id,
/// and its latest door counts. Cheap to clone; all clones know the same gateways.
#[derive(Debug, Clone, Default)]
pub struct GatewayLeases {
    doors: Arc<RwLock<BTreeMap<String, Door<TellLeases>>>>,
    /// Where gateways are that have no door here.
    cluster: Option<Cluster>,
}

// === impl TrafficManagerHandle ===

impl TrafficManagerHandle {
    /// A handle that asks through this door, of an owner who goes by these policies.
    pub(super) const fn new(lease: Door<LeaseMany>, policies: Published) -> Self {
        Self {
            lease: Some(lease),
            policies,
            cluster: None,
        }
    }

    /// Has this node's shards answer others while they are this node's, and asks others for
    /// theirs.
    #[must_use]
    pub fn joined(self, cluster: &Cluster) -> Self {
        if let Some(lease) = &self.lease {
            let owners = cluster.clone();
            cluster.serve_unless(lease.clone(), move |asked: &LeaseMany| {
                let owner = owner(&owners, asked.shard);
                (owner.as_ref() != Some(&owners.me().id)).then_some(Leased::NotOwner)
            });
        }
        Self {
            cluster: Some(cluster.clone()),
            ..self
        }
    }

    /// The traffic managers of other nodes.
    #[must_use]
    pub fn elsewhere(cluster: &Cluster) -> Self {
        Self {
            lease: None,
            policies: Published::default(),
            cluster: Some(cluster.clone()),
        }
    }

    /// Whether the policies were read: until then nothing is granted (L12).
    #[must_use]
    pub fn has_policies(&self) -> bool {
        self.policies.load().is_some()
    }

    /// Whether there is an owner to ask, here or on another node.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let elsewhere = self.cluster.as_ref();
        self.lease.is_some() || elsewhere.is_some_and(|all| !all.with_role(ROLE).is_empty())
    }

    /// The gateways that this node sees, itself among them where it is one.
    #[must_use]
    pub fn gateways(&self) -> usize {
        let cluster = self.cluster.as_ref();
        cluster.map_or(1, |cluster| cluster.with_role(GATEWAY).len())
    }

    /// Asks for units of several keys of one shard (L7). May be repeated: replies are cumulative.
    ///
    /// # Errors
    /// When no owner answers in time.
    pub async fn lease(&self, request: LeaseMany) -> Result<Leased, AskError> {
        if let Some(cluster) = &self.cluster {
            let owner = owner(cluster, request.shard).ok_or(AskError::Unavailable)?;
            if owner != cluster.me().id {
                return cluster.ask(&owner, &request, DEADLINE).await;
            }
        }
        match &self.lease {
            Some(lease) => lease.ask(request, DEADLINE).await,
            None => Err(AskError::Unavailable),
        }
    }
}

/// Who owns a shard, as far as this node sees: one of the living by rendezvous. What needs
/// agreement (L1) comes with the view register.
fn owner(cluster: &Cluster, shard: u16) -> Option<String> {
    let living = cluster.with_role(ROLE);
    let owner = rendezvous(shard.into(), living.iter().map(String::as_str));
    owner.map(str::to_owned)
}

// === impl GatewayLeases ===

impl GatewayLeases {
    /// Reaches gateways of other nodes too.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        Self {
            cluster: Some(cluster.clone()),
            ..Self::default()
        }
    }

    /// The gateway with this stable id is reached through this door from now on.
    pub fn admit(&self, node: &str, door: Door<TellLeases>) {
        if let Some(cluster) = &self.cluster {
            cluster.serve(door.clone());
        }
        let mut doors = self.doors.write().unwrap_or_else(PoisonError::into_inner);
        doors.insert(node.to_owned(), door);
    }

    /// Tells a gateway (L9). May be repeated: all of it is about what was granted in all.
    ///
    /// # Errors
    /// When the gateway is not known or does not answer in time.
    pub async fn tell(&self, news: TellLeases) -> Result<Told, AskError> {
        match (self.door(&news.node), &self.cluster) {
            (Some(door), _) => door.ask(news, DEADLINE).await,
            (None, Some(cluster)) => cluster.ask(&news.node, &news, DEADLINE).await,
            (None, None) => Err(AskError::Unavailable),
        }
    }

    fn door(&self, node: &str) -> Option<Door<TellLeases>> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        doors.get(node).cloned()
    }
}
