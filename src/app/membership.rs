//! The node's place among others: who it is to them, which cluster it belongs to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::{
    About, Child, Cluster, Fact, Member, NodeHandle, NodeSettings, Notice, System, Timing,
};
use storage::carbon::identity::Identity;
use storage::carbon::known_members;
use storage::{Backend, Database, StoreError, database_identity};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::databases::{Control, Databases};
use super::renewal::Renewal;
use super::security::{Place, Secured};
use super::{founding, issuer};
use crate::config::{Config, Role};
use crate::data_dir::DataDir;

/// The role that every node with the control plane's databases has for the others.
pub(crate) const CONTROL_PLANE: &str = actors::CONTROL_PLANE;

/// A node's place, described and not taken yet.
pub(crate) struct Membership {
    pub(crate) cluster: Cluster,
    /// None for a node that is alone.
    pub(crate) node: Option<(NodeHandle, Child)>,
    /// What the cluster says of this node.
    pub(crate) word: Word,
    /// The certificate that it shows to others; none in the clear.
    pub(super) renewal: Option<Renewal>,
}

/// What the cluster says of a node that wants to join it.
#[derive(Clone)]
pub(crate) struct Word {
    /// Whether the node belongs to a cluster, or to none.
    joined: watch::Receiver<bool>,
    /// Whether it is refused.
    said: Said,
}

/// What members say who will not have the node.
#[derive(Clone)]
struct Said {
    /// Whether one has said so, and the others may see it otherwise.
    doubted: watch::Receiver<bool>,
    /// Why the cluster will not have it, once it has said so.
    refused: watch::Receiver<Option<String>>,
}

/// Where it is told.
struct Tells {
    doubted: watch::Sender<bool>,
    refused: watch::Sender<Option<String>>,
}

/// How long a start waits for the cluster's first word.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// So long after it the start of a node waits whom a member will not have: what is meant for good was said again by then.
const DOUBT: Duration = Duration::from_secs(10);

// === impl Membership ===

impl Membership {
    pub(crate) async fn describe(
        system: &System,
        config: &Config,
        (data, databases): (&DataDir, &Databases),
        me: &Identity,
        listener: Option<TcpListener>,
    ) -> anyhow::Result<Self> {
        let settings = &config.cluster;
        let address = match (&settings.advertise, &listener) {
            (Some(advertised), _) => advertised.clone(),
            (None, Some(listener)) => listener.local_addr()?.to_string(),
            (None, None) => String::new(),
        };
        let member = Member {
            id: me.node_id.clone(),
            incarnation: me.incarnation,
            life: u64::from_be_bytes(life()),
            name: config.node.name.clone(),
            address,
            roles: roles(&config.node.roles),
            facts: facts(config, databases).await?,
        };
        let cluster = Cluster::new(member);
        cluster.tell_about(About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: (cluster::PROTOCOL_BEFORE, settings.protocol),
        });
        let (tells, said) = Tells::with_ears();
        let (joins, joined) = watch::channel(listener.is_none());
        let mut renewal = None;
        let node = match listener {
            None => {
                founding::of_lone_node(databases, me).await?;
                None
            }
            Some(listener) => {
                let me = match &settings.join {
                    Some(_) => &founding::joins_as(databases, me).await?,
                    None => me,
                };
                let place = Place {
                    data,
                    config,
                    databases,
                    me,
                    cluster: &cluster,
                    clock: &system.clock,
                    listen: listener.local_addr()?,
                };
                let secured = place.secure().await?;
                renewal = secured.renewal.clone();
                let told = told(databases.carbon.clone(), joins.clone(), tells);
                let settings = node_settings(&place, listener, secured, told).await?;
                // One that is new to a cluster waits for its first word, also with a certificate.
                let mine = &config.cluster;
                let is_new = me.cluster_id.is_empty();
                joins.send_replace(!is_new || mine.seeds.is_empty() && mine.join.is_none());
                Some(cluster::node(system, &cluster, settings))
            }
        };
        Ok(Self {
            cluster,
            node,
            word: Word { joined, said },
            renewal,
        })
    }

    /// Where others are told to dial this node, if they may.
    pub(crate) fn address(&self) -> Option<String> {
        let address = &self.cluster.me().address;
        (!address.is_empty()).then(|| address.clone())
    }
}

/// Whom the node meets, and how.
async fn node_settings(
    place: &Place<'_>,
    listener: TcpListener,
    secured: Secured,
    told: Arc<dyn Fn(Notice) + Send + Sync>,
) -> anyhow::Result<NodeSettings> {
    let (settings, databases) = (&place.config.cluster, place.databases);
    let cluster = match secured.cluster {
        Some(cluster) => {
            founding::agree(databases, &cluster).await?;
            if place.me.cluster_id != cluster {
                // Carbon was lost, and the certificate was not.
                founding::keep(&databases.carbon, &cluster).await?;
            }
            cluster
        }
        None => {
            let belongs = founding::cluster_of(databases, place.me, &settings.seeds).await?;
            if belongs.was_second {
                founding::keep(&databases.carbon, &belongs.cluster).await?;
            }
            belongs.cluster
        }
    };
    let mut read = databases.carbon.read().await?;
    let known = known_members::list(&mut read).await?;
    drop(read);
    Ok(NodeSettings {
        listener: Arc::new(listener),
        cluster,
        seeds: settings.seeds.iter().chain(&known).cloned().collect(),
        security: secured.security,
        timing: Timing {
            probe: settings.probe,
            suspect: settings.suspect,
            evict: settings.evict,
        },
        protocol: settings.protocol,
        told,
    })
}

// === impl Tells ===

impl Tells {
    fn with_ears() -> (Self, Said) {
        let (doubts, doubted) = watch::channel(false);
        let (refusals, refused) = watch::channel(None);
        let tells = Self {
            doubted: doubts,
            refused: refusals,
        };
        (tells, Said { doubted, refused })
    }
}

// === impl Word ===

impl Word {
    /// Waits until the cluster says that it will not have this node; gives the reason.
    pub(crate) async fn refused(&mut self) -> String {
        let refused = self.said.refused.wait_for(Option::is_some).await;
        match refused.ok().and_then(|reason| reason.clone()) {
            Some(reason) => reason,
            // Nobody is there who could say so.
            None => std::future::pending().await,
        }
    }

    /// Waits until the node belongs to a cluster; where nobody answers it begins without, and where a member will not have
    /// it, once others had the time to say that they do.
    pub(crate) async fn first(&mut self) {
        let joined = self.joined.wait_for(|joined| *joined);
        let _ = tokio::time::timeout(FIRST_WORD, joined).await;
        if *self.said.doubted.borrow() {
            let _ = tokio::time::timeout(DOUBT, self.refused()).await;
        }
    }
}

/// How a start ends that the cluster refused.
pub(crate) fn not_taken(reason: &str) -> anyhow::Error {
    anyhow::anyhow!("the cluster does not take this node: {reason}")
}

/// What the node hears of its cluster.
fn told(
    carbon: Database,
    joins: watch::Sender<bool>,
    tells: Tells,
) -> Arc<dyn Fn(Notice) + Send + Sync> {
    let (known, latest) = watch::channel(BTreeSet::new());
    cluster::spawn_named("keep members", keep_latest(carbon.clone(), latest));
    Arc::new(move |notice| match notice {
        Notice::Refused(refusal) => {
            tells.refused.send_replace(Some(refusal.to_string()));
        }
        Notice::Doubted(refusal) => {
            tracing::debug!(%refusal, "a member does not take this node");
            tells.doubted.send_replace(true);
        }
        Notice::Joined(cluster_id) => {
            joins.send_replace(true);
            let carbon = carbon.clone();
            cluster::spawn_named("keep cluster", async move {
                if let Err(error) = founding::keep(&carbon, &cluster_id).await {
                    tracing::warn!(%error, "the cluster's id cannot be kept, the next start asks for it anew");
                }
            });
        }
        Notice::Known(addresses) => {
            known.send_replace(addresses);
        }
    })
}

/// Keeps what was heard last of the members' addresses. One after the other, so that nothing older
/// lands upon it.
async fn keep_latest(carbon: Database, mut latest: watch::Receiver<BTreeSet<String>>) {
    while latest.changed().await.is_ok() {
        let addresses = latest.borrow_and_update().clone();
        if let Err(error) = keep_members(&carbon, &addresses).await {
            tracing::warn!(%error, "the members' addresses cannot be kept, the next start goes by its seeds");
        }
    }
}

pub(super) async fn keep_members(
    carbon: &Database,
    addresses: &BTreeSet<String>,
) -> Result<(), StoreError> {
    let mut write = carbon.write("carbon.known_members.save").await?;
    known_members::save(&mut write, addresses).await?;
    write.commit().await
}

/// The roles as other nodes read them.
pub(super) fn roles(roles: &[Role]) -> Vec<String> {
    let mut words: Vec<String> = roles.iter().map(|role| role.as_str().to_owned()).collect();
    if roles.iter().any(|role| role.is_control_plane()) {
        words.push(CONTROL_PLANE.to_owned());
    }
    words
}

/// What all who need it must have alike (W6).
async fn facts(config: &Config, databases: &Databases) -> anyhow::Result<Vec<Fact>> {
    // The databases first: what is refused for them is told of them, and a setting that differs as well does not hide it.
    let mut facts = match &databases.control {
        Some(control) => shared(control).await?,
        None => Vec::new(),
    };
    facts.extend(settings(config));
    Ok(facts)
}

/// Settings of tokens, by their keys: gateways tell the cluster's own tokens from others' by the
/// issuer, and every node of the control plane says until when a revocation has to be kept.
fn settings(config: &Config) -> Vec<Fact> {
    let (oauth2, roles) = (&config.oauth2, &config.node.roles);
    let controls = roles.iter().any(|role| role.is_control_plane());
    let fact = |key: &str, value: String| Fact {
        key: key.to_owned(),
        value,
        alone: false,
    };
    let issuer = || fact(issuer::FACT, oauth2.issuer.clone());
    let lives = || {
        let (access, refresh) = (oauth2.access_token_seconds, oauth2.refresh_token_seconds);
        [
            fact("oauth2.access_token_seconds", access.to_string()),
            fact("oauth2.refresh_token_seconds", refresh.to_string()),
        ]
    };
    let issuer = issuer::is_said(config).then(issuer);
    let lives = controls.then(lives);
    issuer
        .into_iter()
        .chain(lives.into_iter().flatten())
        .collect()
}

/// The databases that all control-plane nodes must share; SQLite's can be one node's only.
async fn shared(control: &Control) -> anyhow::Result<Vec<Fact>> {
    let mut facts = Vec::new();
    for (key, database) in [
        ("API-M database", &control.apim),
        ("Shared database", &control.shared),
    ] {
        let mut write = database.write("database_identity.ensure").await?;
        let new = uuid::Uuid::new_v4().to_string();
        let value = database_identity::ensure(&mut write, &new).await?;
        write
            .commit()
            .await
            .context("the database cannot be marked")?;
        facts.push(Fact {
            key: key.to_owned(),
            value,
            alone: database.backend() == Backend::Sqlite,
        });
    }
    Ok(facts)
}

/// Bytes that no other start has.
fn life() -> [u8; 8] {
    let [a, b, c, d, e, f, .., g, h] = uuid::Uuid::new_v4().into_bytes();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_kept_of_the_members_is_what_was_heard_last() {
        let dir = tempfile::tempdir().unwrap();
        let carbon = storage::carbon::open(dir.path()).await.unwrap();
        let (tells, _said) = Tells::with_ears();
        let (joins, _joined) = watch::channel(false);
        let told = told(carbon.clone(), joins, tells);
        for round in 0..50 {
            let address = |n: usize| BTreeSet::from([format!("host{round}-{n}:1")]);
            (0..8).for_each(|n| told(Notice::Known(address(n))));
            let kept = async {
                loop {
                    let mut read = carbon.read().await.unwrap();
                    let list = known_members::list(&mut read).await.unwrap();
                    drop(read);
                    if list.into_iter().collect::<BTreeSet<_>>() == address(7) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let kept = tokio::time::timeout(Duration::from_secs(10), kept).await;
            assert!(kept.is_ok(), "round {round}");
        }
    }
}
