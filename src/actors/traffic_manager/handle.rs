//! The typed clients of this component: one asks the owner of a shard, one tells the gateways that
//! hold leases of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cluster::{AskError, Cluster, Door, rendezvous};
use domain::view::{Phase, View};

use super::detour::{self, Detours};
use super::member::{LAYOUT, Site};
use super::message::{LeaseMany, Leased, PassOn, PassedOn, TellLeases, Told};
use super::{Leaving, Published};
use crate::agreed_view::AgreedView;

/// The deadline of one question; requests are held at most 3 s in all (L8).
const DEADLINE: Duration = Duration::from_secs(1);
/// What a question takes at most: one way after the other.
#[cfg(test)]
pub(crate) const LONGEST_QUESTION: Duration = DEADLINE.saturating_add(detour::BY_OTHERS);

/// The role of nodes that own shards.
const ROLE: &str = "traffic-manager";
/// The role of nodes that ask them.
const GATEWAY: &str = "gateway";

/// Asks the owner of a shard by the agreed view (L1), wherever it lives.
#[derive(Debug, Clone)]
pub struct TrafficManagerHandle {
    /// The shards of this node, where it has the role.
    here: Option<Here>,
    agreed: AgreedView,
    /// The others who may own shards.
    cluster: Option<Cluster>,
    detours: Detours,
}

/// The member of this node.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) node: String,
    pub(super) site: Arc<Site>,
    pub(super) lease: Door<LeaseMany>,
    pub(super) policies: Published,
    pub(super) leaving: Leaving,
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
    /// The owners that this node sees, its own shards among them; others are served what is asked of those.
    pub(super) fn new(here: Here, agreed: &AgreedView, cluster: Option<&Cluster>) -> Self {
        let lease = here.lease.clone();
        let owners = Self {
            here: Some(here),
            agreed: agreed.clone(),
            cluster: cluster.cloned(),
            detours: Detours::default(),
        };
        if let Some(cluster) = cluster {
            cluster.serve(lease);
            let passing = owners.clone();
            cluster.serve(Door::answering_later(move |asked| {
                let passing = passing.clone();
                async move { passing.pass_on(asked).await }
            }));
        }
        owners
    }

    /// The traffic managers of other nodes.
    #[must_use]
    pub fn elsewhere(cluster: &Cluster, agreed: &AgreedView) -> Self {
        Self {
            here: None,
            agreed: agreed.clone(),
            cluster: Some(cluster.clone()),
            detours: Detours::default(),
        }
    }

    /// Whether the policies were read: until then nothing is granted (L12).
    #[must_use]
    pub fn has_policies(&self) -> bool {
        let here = self.here.as_ref();
        here.is_some_and(|here| here.policies.load().is_some())
    }

    /// Whether there is an owner to ask, here or on another node.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let view = self.agreed.view();
        let reached = |node: &String| {
            let is_here = self.here.as_ref().is_some_and(|here| here.node == *node);
            is_here || self.living().contains(node)
        };
        if view.entries == 0 {
            return !self.living().is_empty();
        }
        view.members.iter().any(|life| reached(&life.node))
    }

    /// What keeps this node's shards from being served; nothing where they are, or another's are this node's to serve.
    ///
    /// # Errors
    /// What an operator reads of it.
    pub fn is_serving(&self) -> Result<(), String> {
        let Some(here) = &self.here else {
            return Ok(());
        };
        let view = self.agreed.view();
        let is_member = view.members.contains(&here.site.life());
        match view.phase {
            _ if view.entries == 0 => {
                Err("no view of traffic managers is agreed on yet".to_owned())
            }
            Phase::Sync => Err("a view of traffic managers begins, nobody grants yet".to_owned()),
            Phase::Active if !is_member => {
                Err("this node is not among the traffic managers that are agreed on".to_owned())
            }
            Phase::Active => Ok(()),
        }
    }

    /// Hands this node's shards over to the others, and waits until they have them, for so long at most (M3). Nothing
    /// where there are no others.
    pub async fn hand_over(&self, deadline: Duration) {
        let Some(here) = &self.here else { return };
        let is_apart = |view: &View| {
            let mut all = view.members.iter().chain(&view.sources);
            !all.any(|life| life.node == here.node) && view.phase == Phase::Active
        };
        let is_alone = |view: &View| {
            let mut members = view.members.iter();
            members.all(|life| life.node == here.node)
        };
        if is_alone(&self.agreed.view()) {
            return;
        }
        here.leaving.store(true, Ordering::Relaxed);
        let mut latest = self.agreed.subscribe();
        let over = latest.wait_for(|latest| is_apart(&latest.view) || is_alone(&latest.view));
        match tokio::time::timeout(deadline, over).await {
            Ok(_) => tracing::info!("this node's shards are others' now"),
            Err(_) => tracing::warn!(
                "this node's shards could not be handed over in time, others take them from their standbys"
            ),
        }
    }

    /// The gateways that this node sees, itself among them where it is one.
    #[must_use]
    pub fn gateways(&self) -> usize {
        let cluster = self.cluster.as_ref();
        cluster.map_or(1, |cluster| cluster.with_role(GATEWAY).len())
    }

    /// The epoch of the latest view that this node knows: no owner has made a stamp of a later one that it could tell.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.agreed.view().epoch.number()
    }

    /// Asks for units of several keys of one shard (L7), by another member of the view where this node does not reach the
    /// owner. May be repeated: replies are cumulative.
    ///
    /// # Errors
    /// When no owner answers in time.
    pub async fn lease(&self, request: LeaseMany) -> Result<Leased, AskError> {
        let view = self.agreed.view();
        let owner = self.owner(request.shard).ok_or(AskError::Unavailable)?;
        let is_here = self.here.as_ref().is_some_and(|here| here.node == owner);
        let Some(cluster) = self.cluster.as_ref().filter(|_| !is_here) else {
            return self.ask_owner(&owner, request, DEADLINE).await;
        };
        let direct = cluster.ask(&owner, &request, DEADLINE);
        let by_others = self.by_others(cluster, &view, &request);
        let is_up = cluster.reaches(&owner);
        self.detours.ask(&owner, is_up, direct, by_others).await
    }

    /// Asks the owner itself, here or over the way to it.
    async fn ask_owner(
        &self,
        owner: &str,
        request: LeaseMany,
        deadline: Duration,
    ) -> Result<Leased, AskError> {
        if let Some(here) = self.here.as_ref().filter(|here| here.node == owner) {
            return here.lease.ask(request, deadline).await;
        }
        match &self.cluster {
            Some(cluster) => cluster.ask(owner, &request, deadline).await,
            None => Err(AskError::Unavailable),
        }
    }

    /// Has others of the view ask the owner; none where nobody could.
    async fn by_others(
        &self,
        cluster: &Cluster,
        view: &View,
        request: &LeaseMany,
    ) -> Option<Result<Leased, AskError>> {
        let carriers = detour::carriers(view, request.shard, |node| cluster.reaches(node));
        let asked = request.clone();
        let asked = &PassOn { asked };
        let ask = |node: String, left| async move { cluster.ask(&node, asked, left).await };
        let by_others = detour::by(carriers, ask);
        detour::while_it_lasts(self.agreed.subscribe(), view.epoch, by_others).await
    }

    /// Puts a gateway's question to the owner of its shard, and to nobody else.
    pub(super) async fn pass_on(&self, PassOn { asked }: PassOn) -> PassedOn {
        let Some(owner) = self.owner(asked.shard) else {
            return PassedOn::NotReached;
        };
        let is_here = self.here.as_ref().is_some_and(|here| here.node == owner);
        let cluster = self.cluster.as_ref();
        let reaches = is_here || cluster.is_some_and(|cluster| cluster.reaches(&owner));
        let size = detour::size_of(&asked);
        let direct = self.ask_owner(&owner, asked, detour::BEYOND);
        self.detours.pass_on(&owner, reaches, size, direct).await
    }

    /// The same node, going by this view.
    #[cfg(test)]
    pub(super) fn going_by(&self, agreed: &AgreedView) -> Self {
        Self {
            agreed: agreed.clone(),
            ..self.clone()
        }
    }

    /// The same node, asked through this door.
    #[cfg(test)]
    pub(crate) fn asked_through(&self, lease: Door<LeaseMany>) -> Self {
        let here = self.here.clone().map(|here| Here { lease, ..here });
        Self {
            here,
            ..self.clone()
        }
    }

    /// Asks this node, whether it owns the shard or not.
    #[cfg(test)]
    pub(super) async fn ask_here(&self, request: LeaseMany) -> Result<Leased, AskError> {
        let here = self.here.as_ref().ok_or(AskError::Unavailable)?;
        here.lease.ask(request, DEADLINE).await
    }

    /// Who owns a shard. While nobody here knows a view, as before the first one is agreed on, it is one of the living:
    /// whoever is asked decides by itself whether it grants.
    fn owner(&self, shard: u16) -> Option<String> {
        let view = self.agreed.view();
        if view.entries > 0 {
            let owner = view.owner(shard, LAYOUT.rank)?;
            return Some(owner.node.clone());
        }
        let living = self.living();
        let owner = rendezvous(shard.into(), living.iter().map(String::as_str));
        owner.map(str::to_owned)
    }

    /// The nodes that are there and may own shards.
    fn living(&self) -> Vec<String> {
        let cluster = self.cluster.as_ref();
        cluster.map_or_else(Vec::new, |cluster| cluster.with_role(ROLE))
    }
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

    /// The ids of all that this node knows, also of those that it suspects, has no connection to, or that leave: they may
    /// have leases all the same, and may be told yet.
    pub(super) fn all(&self) -> BTreeSet<String> {
        let members = self.cluster.iter().flat_map(|cluster| {
            let others = cluster.members().into_iter().map(|state| state.member);
            others.chain([cluster.me().clone()])
        });
        let others = members.filter(|member| member.has_role(GATEWAY));
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        let doors = doors.keys().cloned();
        others.map(|member| member.id).chain(doors).collect()
    }

    fn door(&self, node: &str) -> Option<Door<TellLeases>> {
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner);
        doors.get(node).cloned()
    }
}
