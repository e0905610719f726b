//! The components of a node by its roles, described in the order in which they start: what others
//! ask comes first, what asks comes last. They stop in reverse.

use std::sync::Arc;

use actors::agreed_view::{AgreedView, Orders};
use actors::gateway::{CutOff, GatewayHandle, Parts};
use actors::traffic_manager::{
    GatewayLeases, LedgerSettings, Member, Overview, TrafficManagerHandle, Ways,
};
use actors::usage::{UsageIntakeHandle, UsageSettings};
use actors::{gateway, traffic_manager, usage};
use cluster::{Child, Cluster, System};
use domain::address::AddressRange;
use headgate_http::{Ingress, Readiness, Services};
use storage::carbon::identity::Identity;

use super::agreed::{Agreed, Counting};
use super::control_plane::ControlPlane;
use super::databases::Databases;
use super::metrics::Render;
use super::reload::Reload;
use crate::config::{Config, Role};
use crate::data_dir::DataDir;

/// The handles of a node's components and the tree that they live in.
pub(crate) struct Components {
    pub(crate) children: Vec<Child>,
    pub(crate) control: ControlPlane,
    pub(crate) gateway: Option<GatewayHandle>,
    pub(crate) traffic_manager: Option<TrafficManagerHandle>,
    pub(crate) agreed: AgreedView,
    overview: Overview,
    orders: Orders,
    cluster: Cluster,
    key_manager_here: bool,
    trusted_proxies: Arc<[AddressRange]>,
}

/// What a node's listeners show beside its components.
pub(super) struct Doors {
    pub(super) readiness: Arc<Readiness>,
    pub(super) metrics: Render,
    /// SHA-256 of the operator's credential.
    pub(super) operator_hash: String,
    /// Where callers reach the gateways.
    pub(super) ingress: Ingress,
    pub(super) reload: Arc<Reload>,
}

// === impl Components ===

impl Components {
    /// Prepares what the components start from and describes them; nothing runs yet.
    pub(crate) async fn describe(
        system: &System,
        config: &Config,
        data: &DataDir,
        databases: &Databases,
        (me, cluster): (&Identity, &Cluster),
    ) -> anyhow::Result<Self> {
        let has = |role| config.node.roles.contains(&role);
        let mut control = match &databases.control {
            Some(shared) => ControlPlane::here(system, config, data, shared, cluster).await?,
            None => ControlPlane::elsewhere(config, cluster),
        };
        let mut children = std::mem::take(&mut control.children);
        let has_seeds = config.cluster.dials_others();
        let counting = Counting {
            counts: has(Role::TrafficManager),
            has_seeds,
            hold: config.traffic_manager.hold,
        };
        let claims = &control.claims;
        let agreed = Agreed::describe(system, databases, cluster, claims, counting).await?;
        children.push(agreed.child);
        let (leases, members) = (GatewayLeases::of(cluster), Ways::of(cluster));
        let owners = if has(Role::TrafficManager) {
            let member = Member {
                broker: &databases.broker,
                feed: &control.feed,
                gateways: &leases,
                nodes: &agreed.nodes,
                members: &members,
                agreed: &agreed.view,
                incarnation: me.incarnation,
                settings: LedgerSettings::keys(config.traffic_manager.keys),
            };
            let (handle, child) = traffic_manager::component(system, &member);
            children.push(child);
            handle
        } else {
            TrafficManagerHandle::elsewhere(cluster, &agreed.view)
        };
        let gateway = has(Role::Gateway).then(|| {
            let (gateway, started) = gateway(
                system,
                (config, databases),
                me,
                (&control, cluster),
                (&owners, leases),
            );
            children.extend(started);
            gateway
        });
        let orders = Orders::new(&agreed.nodes, &agreed.view).over(&control.claims, &system.clock);
        Ok(Self {
            children,
            control,
            gateway,
            traffic_manager: has(Role::TrafficManager).then_some(owners),
            overview: Overview::new(&agreed.view, &members),
            orders,
            agreed: agreed.view,
            cluster: cluster.clone(),
            key_manager_here: has(Role::KeyManager),
            trusted_proxies: config.gateway.trusted_proxies.clone().into(),
        })
    }

    /// The doors for the management port.
    pub(crate) fn services(&self, system: &System, doors: Doors) -> Services {
        let Doors {
            readiness,
            metrics,
            operator_hash,
            ingress,
            reload,
        } = doors;
        let in_force = Arc::clone(&reload);
        let settings = Arc::new(move || in_force.settings());
        let shown = Arc::clone(&settings);
        self.cluster.show_settings(move || shown());
        self.cluster.show_actors(system);
        let control = &self.control;
        Services {
            system: system.clone(),
            cluster: self.cluster.clone(),
            overview: self.overview.clone(),
            orders: self.orders.clone(),
            readiness,
            metrics: Some(metrics),
            operator_hash: Some(operator_hash),
            key_manager: control.key_manager.clone(),
            key_manager_here: self.key_manager_here,
            change_feed: control.feed.clone(),
            publisher: control.publisher.clone(),
            devportal: control.devportal.clone(),
            admin: control.admin.clone(),
            usage: control.intake.clone(),
            trusted_proxies: Arc::clone(&self.trusted_proxies),
            looks: Arc::default(),
            turned_away: Arc::default(),
            ingress,
            settings,
            reload: Arc::new(move || reload.reload()),
        }
    }
}

/// The gateway, with the queue of what it has to tell of calls.
fn gateway(
    system: &System,
    (config, databases): (&Config, &Databases),
    me: &Identity,
    (control, cluster): (&ControlPlane, &Cluster),
    (owners, leases): (&TrafficManagerHandle, GatewayLeases),
) -> (GatewayHandle, [Child; 2]) {
    let intake = control.intake.clone();
    let intake = intake.unwrap_or_else(|| UsageIntakeHandle::elsewhere(cluster));
    let (node, incarnation) = (me.node_id.as_str(), me.incarnation);
    let (broker, settings) = (&databases.broker, UsageSettings::default());
    let (usage, usage_child) =
        usage::component(system, broker, &intake, node, incarnation, settings);
    let parts = Parts {
        carbon: databases.carbon.clone(),
        feed: control.feed.clone(),
        key_manager: control.key_manager.clone(),
        traffic_manager: owners.clone(),
        leases,
        usage,
        name: format!("gateway@{node}"),
        node: node.to_owned(),
        incarnation,
        cut_off: CutOff {
            when: config.gateway.when_cut_off,
            max_stale: config.gateway.max_stale,
        },
    };
    let (gateway, child) = gateway::component(system, parts);
    (gateway, [usage_child, child])
}
