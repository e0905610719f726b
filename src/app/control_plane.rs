//! The components that work on the control plane's databases.

use anyhow::Context as _;

use actors::admin::AdminHandle;
use actors::agreed_view::{ClaimHandle, claims};
use actors::change_feed::{ChangeFeedHandle, FeedSettings};
use actors::devportal::DevPortalHandle;
use actors::key_manager::{Desk, KeyManagerHandle, Keys, Passwords, Settings, SigningAlgorithm};
use actors::publisher::{PublisherHandle, PublisherSettings};
use actors::usage::{RetentionSettings, UsageIntakeHandle};
use actors::{admin, change_feed, devportal, key_manager, publisher, usage};
use cluster::{Child, Cluster, System};
use domain::api::SUPER_TENANT;
use domain::policy::Policy;
use domain::role;

use super::databases::Control;
use crate::config::{Config, Role};
use crate::data_dir::DataDir;

/// The handles of those that run here, and where others find the rest.
pub(super) struct ControlPlane {
    pub(super) children: Vec<Child>,
    pub(super) key_manager: KeyManagerHandle,
    pub(super) feed: ChangeFeedHandle,
    /// Where it is decided who founds the view register.
    pub(super) claims: ClaimHandle,
    pub(super) publisher: Option<PublisherHandle>,
    pub(super) devportal: Option<DevPortalHandle>,
    pub(super) admin: Option<AdminHandle>,
    pub(super) intake: Option<UsageIntakeHandle>,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// The control plane of other nodes.
    pub(super) fn elsewhere(config: &Config, cluster: &Cluster) -> Self {
        Self {
            children: Vec::new(),
            key_manager: KeyManagerHandle::elsewhere(cluster, &settings(config)),
            feed: ChangeFeedHandle::elsewhere(cluster),
            claims: ClaimHandle::elsewhere(cluster),
            publisher: None,
            devportal: None,
            admin: None,
            intake: None,
        }
    }

    /// The roles that this node has in it, over its databases.
    pub(super) async fn here(
        system: &System,
        config: &Config,
        data: &DataDir,
        databases: &Control,
        cluster: &Cluster,
    ) -> anyhow::Result<Self> {
        seed(system, databases).await?;
        let has = |role| config.node.roles.contains(&role);
        let (apim, shared) = (&databases.apim, &databases.shared);
        let of_feed = FeedSettings {
            wait: config.cluster.change_wait,
            ..FeedSettings::default()
        };
        let (feed, child) = change_feed::component(system, apim, shared, of_feed);
        let here = (cluster, is_own_file(config, data));
        let (claims, claims_child) = claims(system, apim, here);
        let (feed, mut children) = (feed.joined(cluster), vec![child, claims_child]);
        let key_manager = if has(Role::KeyManager) {
            let desk = desk(system, config, data, databases, &feed).await?;
            desk.share_keys(&cluster.me().id).await?;
            let (key_manager, child) = key_manager::component(system, &desk);
            children.push(child);
            key_manager.joined(cluster)
        } else {
            KeyManagerHandle::elsewhere(cluster, &settings(config))
        };
        let mut take = |child| children.push(child);
        let publisher = has(Role::Publisher).then(|| {
            let settings = PublisherSettings {
                allow_loopback_endpoints: config.gateway.allow_loopback_endpoints,
            };
            let databases = (apim.clone(), shared.clone());
            let (handle, child) =
                publisher::component(system, databases.0, databases.1, feed.clone(), settings);
            take(child);
            handle
        });
        let devportal = has(Role::Devportal).then(|| {
            let (handle, child) = devportal::component(system, (apim, shared), &feed, &key_manager);
            take(child);
            handle
        });
        let admin = has(Role::Admin).then(|| {
            let (handle, child) = admin::component(system, (apim, shared), &feed);
            take(child);
            handle
        });
        let retention = RetentionSettings::days(config.usage.retention_days);
        let (intake, child) = usage::intake_component(system, apim, retention);
        take(child);
        Ok(Self {
            children,
            key_manager,
            feed,
            claims: claims.joined(cluster),
            publisher,
            devportal,
            admin,
            intake: Some(intake.joined(cluster)),
        })
    }
}

/// Whether API-M is a file in this node's data directory, which one process has at a time.
fn is_own_file(config: &Config, data: &DataDir) -> bool {
    let url = config.databases.as_ref().map(|urls| urls.apim.as_str());
    let path = url.and_then(|url| url.strip_prefix("sqlite:")?.split('?').next());
    let real = |path: &std::path::Path| std::fs::canonicalize(path).ok();
    let path = path.and_then(|path| real(path.trim_start_matches("//").as_ref()));
    let lies_in =
        |directory| path.is_some_and(|path: std::path::PathBuf| path.starts_with(directory));
    real(data.path()).is_some_and(lies_in)
}

/// What must be there before anything starts: the tenant, its roles, its policies.
async fn seed(system: &System, databases: &Control) -> anyhow::Result<()> {
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

/// The key manager's tools. Making keys and the decoy hash takes a moment: off the runtime.
async fn desk(
    system: &System,
    config: &Config,
    data: &DataDir,
    databases: &Control,
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
    let settings = settings(config);
    Ok(Desk::new(
        (databases.apim.clone(), databases.shared.clone()),
        feed.clone(),
        system.clock.clone(),
        settings,
        keys,
        passwords,
    ))
}

/// What of tokens is configured.
fn settings(config: &Config) -> Settings {
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    Settings {
        issuer: config.oauth2.issuer.clone(),
        access_token_seconds: seconds(config.oauth2.access_token_seconds),
        refresh_token_seconds: seconds(config.oauth2.refresh_token_seconds),
    }
}
