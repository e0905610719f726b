//! The components of a node, described in the order in which they start: what others ask comes
//! first, what asks comes last. They stop in reverse.

use std::sync::Arc;

use anyhow::Context as _;

use actors::admin::AdminHandle;
use actors::change_feed::{ChangeFeedHandle, FeedSettings};
use actors::devportal::DevPortalHandle;
use actors::gateway::{GatewayHandle, Parts};
use actors::key_manager::{Desk, KeyManagerHandle, Keys, Passwords, Settings, SigningAlgorithm};
use actors::publisher::{PublisherHandle, PublisherSettings};
use actors::traffic_manager::{GatewayLeases, LedgerSettings, TrafficManagerHandle};
use actors::usage::{RetentionSettings, UsageIntakeHandle, UsageSettings};
use actors::{
    admin, change_feed, devportal, gateway, key_manager, publisher, traffic_manager, usage,
};
use cluster::{Child, System};
use domain::address::AddressRange;
use domain::api::SUPER_TENANT;
use domain::policy::Policy;
use domain::role;
use headgate_http::{Ingress, Readiness, Services};
use storage::broker::ledger;
use storage::broker::node::{self, Owner};
use storage::carbon::identity::{self, Identity};
use storage::carbon::projection;

use super::databases::Databases;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::listeners::Ports;

/// The handles of a node's components and the tree that they live in.
pub(crate) struct Components {
    pub(crate) children: Vec<Child>,
    pub(crate) key_manager: KeyManagerHandle,
    feed: ChangeFeedHandle,
    publisher: PublisherHandle,
    devportal: DevPortalHandle,
    admin: AdminHandle,
    intake: UsageIntakeHandle,
    pub(crate) gateway: GatewayHandle,
    pub(crate) traffic_manager: TrafficManagerHandle,
    trusted_proxies: Arc<[AddressRange]>,
}

// === impl Components ===

impl Components {
    /// Prepares what the components start from and describes them; nothing runs yet.
    pub(crate) async fn describe(
        system: &System,
        config: &Config,
        data: &DataDir,
        databases: &Databases,
    ) -> anyhow::Result<Self> {
        seed(system, databases).await?;
        let me = raise(databases, &config.node.name, system.clock.now_ms()).await?;
        let (apim, shared, broker) = (&databases.apim, &databases.shared, &databases.broker);
        let (feed, feed_child) =
            change_feed::component(system, apim, shared, FeedSettings::default());
        let desk = desk(system, config, data, databases, &feed).await?;
        let (key_manager, key_manager_child) = key_manager::component(system, &desk);
        let (publisher, publisher_child) = publisher(system, config, databases, &feed);
        let (devportal, devportal_child) =
            devportal::component(system, (apim, shared), &feed, &key_manager);
        let (admin, admin_child) = admin::component(system, (apim, shared), &feed);
        let (node, incarnation) = (me.node_id.as_str(), me.incarnation);
        let leases = GatewayLeases::default();
        let keys = LedgerSettings::keys(config.traffic_manager.keys);
        let (traffic_manager, traffic_manager_child) =
            traffic_manager::component(system, broker, &feed, &leases, (node, incarnation), keys);
        let retention = RetentionSettings::days(config.usage.retention_days);
        let (intake, intake_child) = usage::intake_component(system, apim, retention);
        let settings = UsageSettings::default();
        let (usage, usage_child) =
            usage::component(system, broker, &intake, node, incarnation, settings);
        let parts = Parts {
            carbon: databases.carbon.clone(),
            feed: feed.clone(),
            key_manager: key_manager.clone(),
            traffic_manager: traffic_manager.clone(),
            leases,
            usage,
            name: format!("gateway@{node}"),
            node: node.to_owned(),
            incarnation,
        };
        let (gateway, gateway_child) = gateway::component(system, parts);
        Ok(Self {
            children: vec![
                feed_child,
                key_manager_child,
                publisher_child,
                devportal_child,
                admin_child,
                intake_child,
                traffic_manager_child,
                usage_child,
                gateway_child,
            ],
            key_manager,
            feed,
            publisher,
            devportal,
            admin,
            intake,
            gateway,
            traffic_manager,
            trusted_proxies: config.gateway.trusted_proxies.clone().into(),
        })
    }

    /// The doors for the management port.
    pub(crate) fn services(
        &self,
        system: &System,
        readiness: Readiness,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
        operator_hash: String,
        ports: &Ports,
    ) -> Services {
        Services {
            system: system.clone(),
            readiness: Arc::new(readiness),
            metrics: Some(metrics),
            operator_hash: Some(operator_hash),
            key_manager: self.key_manager.clone(),
            change_feed: self.feed.clone(),
            publisher: Some(self.publisher.clone()),
            devportal: Some(self.devportal.clone()),
            admin: Some(self.admin.clone()),
            usage: Some(self.intake.clone()),
            trusted_proxies: Arc::clone(&self.trusted_proxies),
            ingress: Ingress {
                http: ports.ingress_http.map(|address| address.port()),
                https: ports.ingress_https.map(|address| address.port()),
            },
        }
    }
}

fn publisher(
    system: &System,
    config: &Config,
    databases: &Databases,
    feed: &ChangeFeedHandle,
) -> (PublisherHandle, Child) {
    let settings = PublisherSettings {
        allow_loopback_endpoints: config.gateway.allow_loopback_endpoints,
    };
    let (apim, shared) = (databases.apim.clone(), databases.shared.clone());
    publisher::component(system, apim, shared, feed.clone(), settings)
}

/// What must be there before anything starts: the tenant, its roles, its policies.
async fn seed(system: &System, databases: &Databases) -> anyhow::Result<()> {
    let now = system.clock.now_ms();
    let mut write = databases.shared.write("shared.seed").await?;
    storage::shared::users::seed(&mut write, SUPER_TENANT, &role::BUILT_IN, now).await?;
    write.commit().await?;
    let id = || uuid::Uuid::new_v4().to_string();
    let policies = Policy::defaults(SUPER_TENANT, id);
    let mut write = databases.apim.write("apim.seed").await?;
    storage::apim::policies::seed(&mut write, &policies).await?;
    write.commit().await?;
    Ok(())
}

/// This start's identity: the incarnation is on disk before anybody hears of it (W1). When Carbon was
/// lost the node is still whom Broker belongs to: under another id what waits there would be counted
/// twice, and a lower incarnation would neither end what earlier ones began nor outrank their marks.
/// When Broker was lost this is no founding (L6): what was granted in running windows is not known.
async fn raise(databases: &Databases, name: &str, now_ms: i64) -> anyhow::Result<Identity> {
    let mut read = databases.broker.read().await?;
    let owner = node::find(&mut read).await?;
    let is_new = owner.is_none() && !ledger::has_run(&mut read).await?;
    drop(read);
    // Nobody was let in before a change was applied: a first start that was cut short lost nothing.
    let mut read = databases.carbon.read().await?;
    let has_served = projection::applied(&mut read).await?.is_some();
    drop(read);
    let above = owner.as_ref().map_or(0, |owner| owner.incarnation);
    let known_id = owner.map(|owner| owner.node_id);
    let new_id = known_id.clone();
    let new_id = || new_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut write = databases.carbon.write("carbon.identity.raise").await?;
    let me = identity::raise(&mut write, name, above, new_id).await?;
    if let Some(known_id) = known_id.filter(|id| *id != me.node_id) {
        anyhow::bail!(
            "carbon.db is of node {} and broker.db of node {known_id}: put back the files that belong \
             together, or move carbon.db away, which is made anew for the node of broker.db",
            me.node_id
        );
    }
    write.commit().await?;
    let mut write = databases.broker.write("broker.node.save").await?;
    let owner = Owner {
        node_id: me.node_id.clone(),
        incarnation: me.incarnation,
    };
    node::save(&mut write, &owner).await?;
    if is_new && has_served {
        ledger::begin_without_past(&mut write, now_ms).await?;
        tracing::error!(
            incarnation = me.incarnation,
            "broker.db was lost: plans by the hour and longer count from nothing, shorter ones are \
             used up (429) until their running windows end, and usage that waited in it is missing"
        );
    }
    write.commit().await?;
    Ok(me)
}

/// The key manager's tools. Making keys and the decoy hash takes a moment: off the runtime.
async fn desk(
    system: &System,
    config: &Config,
    data: &DataDir,
    databases: &Databases,
    feed: &ChangeFeedHandle,
) -> anyhow::Result<Desk> {
    let algorithm = match config.oauth2.signing_algorithm.as_str() {
        "ES256" => SigningAlgorithm::Es256,
        _ => SigningAlgorithm::Rs256,
    };
    let directory = data.join("keys");
    let made = tokio::task::spawn_blocking(move || {
        anyhow::Ok((Keys::load(&directory, algorithm)?, Passwords::new()?))
    });
    let (keys, passwords) = made.await.context("keys could not be made")??;
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let settings = Settings {
        issuer: config.oauth2.issuer.clone(),
        access_token_seconds: seconds(config.oauth2.access_token_seconds),
        refresh_token_seconds: seconds(config.oauth2.refresh_token_seconds),
    };
    Ok(Desk::new(
        (databases.apim.clone(), databases.shared.clone()),
        feed.clone(),
        system.clock.clone(),
        settings,
        keys,
        passwords,
    ))
}
