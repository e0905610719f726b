//! Boot as a list, shutdown the same list reversed.

mod admission;
mod agreed;
pub(crate) mod backup;
mod clock;
mod components;
mod control_plane;
#[cfg(test)]
mod crash_tests;
mod credential_files;
mod databases;
mod founding;
mod identity;
mod ingress;
mod issuer;
mod leaving;
mod member_metrics;
mod membership;
mod memory;
mod metrics;
mod notify;
mod operator;
mod ready;
mod reload;
mod renewal;
mod samples;
#[cfg(test)]
mod second_founder_tests;
mod security;
mod view_metrics;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use actors::gateway::GatewayHandle;
use actors::traffic_manager::TrafficManagerHandle;
use cluster::{Clock, Cluster, NodeHandle, Root, System, spawn_named};
use headgate_http::gateway::Current;
use headgate_http::{Checked, Leaving, Most, Places, Readiness, management, server};

use crate::config::{Config, Management, Role};
use crate::data_dir::{DataDir, write_file};
use crate::listeners::{Listeners, Ports, Watched};
use crate::{telemetry, tls};

pub(crate) use admission::{Issued, issue_token};
use components::{Components, Doors};
use credential_files::CredentialFiles;
use databases::Databases;
use leaving::{Going, STOP};
use membership::{Membership, Word};
use metrics::Render;
pub(crate) use notify::Notify;
use notify::Standing;
use reload::Reload;

/// A running node.
pub(crate) struct Node {
    going: Going,
    standing: Standing,
    reload: Arc<Reload>,
    servers: Vec<JoinHandle<()>>,
    gateway: Option<GatewayHandle>,
    traffic_manager: Option<TrafficManagerHandle>,
    cluster: Option<NodeHandle>,
    word: Word,
    tree: Root,
    databases: Databases,
    data: DataDir,
}

/// What a node consists of before anybody can reach it.
struct Made {
    config: Config,
    data: DataDir,
    system: System,
    tls: tls::ServerTls,
    databases: Databases,
    membership: Membership,
    components: Components,
    tree: Root,
}

/// Starts a node; returns when it listens. That it is ready it says later, by itself.
pub(crate) async fn start(config: Config) -> anyhow::Result<Node> {
    // Before anything is written: a busy port must leave no trace.
    let listeners = Listeners::bind(&config).await?;
    start_on(listeners, config).await
}

/// Starts a node on listeners that are bound.
pub(crate) async fn start_on(mut listeners: Listeners, mut config: Config) -> anyhow::Result<Node> {
    // Whatever is made from now on, the databases among it, is its owner's alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    telemetry::start(&config.log)?;
    let data = DataDir::open(&config.node.data_dir)?;
    let recorded = telemetry::metrics()?;
    let system = System::new(Clock::system(), config.node.encode_asks);
    let tls = tls::server_tls(&data, &config.listen.addresses(), &config.listen.names)?;
    let databases = Databases::open(&config, &data).await?;
    clock::compare_with_last_change(system.clock.now_ms(), databases.last_change_ms().await?);
    let me = identity::raise(&databases, &config.node, system.clock.now_ms()).await?;
    issuer::settle(&mut config, &databases, &me).await?;
    let mut ports = listeners.ports()?;
    let port = listeners.cluster.take();
    let membership = Membership::describe(&system, &config, (&data, &databases), &me, port).await?;
    ports.cluster_address = membership.address();
    let who = (&me, &membership.cluster);
    let components = Components::describe(&system, &config, &data, &databases, who).await?;
    let (_, child) = membership.node.clone().unzip();
    let children = child.into_iter().chain(components.children.iter().cloned());
    let tree = cluster::start_root(&system, children.collect())
        .await
        .map_err(|error| anyhow::anyhow!("an actor did not start: {error}"))?;
    if let Err(error) = administrator(&config, &components, &data, &membership.word).await {
        tree.stop(STOP).await;
        databases.close().await;
        return Err(error);
    }
    let made = Made {
        config,
        data,
        system,
        tls,
        databases,
        membership,
        components,
        tree,
    };
    made.listen(listeners.watched(), ports, recorded)
}

/// What goes on while the node runs: of the issuer of tokens, of time, and of the certificate that others are shown.
fn following(
    config: &Config,
    databases: &Databases,
    components: &Components,
    membership: &Membership,
    (certificate, clock): (&Arc<tls::ServerCertificate>, &Clock),
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let rounds = clock::follow(clock.clone(), Arc::clone(certificate), stop.clone());
    let stores = (databases.control.clone(), databases.carbon.clone());
    let issuer = components.control.key_manager.issuer().clone();
    let place = (membership.cluster.clone(), issuer);
    let following = issuer::follow(config.clone(), stores, place, stop.clone());
    let renewal = membership.renewal.clone().map(|renewal| {
        let files = CredentialFiles::of(&config.node.data_dir);
        let others = (membership.cluster.clone(), clock.clone());
        spawn_named("renewal", renewal.follow(files, others, stop.clone()))
    });
    let always = [
        spawn_named("clock", rounds),
        spawn_named("issuer", following),
    ];
    always.into_iter().chain(renewal).collect()
}

/// Makes the administrator, where tokens are issued, unless the cluster says that it will not have this node.
async fn administrator(
    config: &Config,
    components: &Components,
    data: &DataDir,
    word: &Word,
) -> anyhow::Result<()> {
    if !config.node.roles.contains(&Role::KeyManager) {
        return Ok(());
    }
    let (mut refused, mut joined) = (word.clone(), word.clone());
    let made = async {
        joined.first().await;
        operator::ensure_administrator(&components.control.key_manager, data).await
    };
    tokio::select! {
        biased;
        reason = refused.refused() => Err(membership::not_taken(&reason)),
        made = made => made,
    }
}

/// What metrics look at.
fn looked(
    system: &System,
    components: &Components,
    membership: &Membership,
    certificate: &Arc<tls::ServerCertificate>,
) -> metrics::Looked {
    metrics::Looked {
        gateway: components.gateway.clone(),
        cluster: membership.cluster.clone(),
        feed: components.control.feed.clone(),
        agreed: components.agreed.clone(),
        cluster_certificate: (membership.renewal.as_ref()).map(|renewal| renewal.shown.clone()),
        clock: system.clock.clone(),
        certificate: Arc::clone(certificate),
    }
}

fn shown(address: Option<std::net::SocketAddr>) -> String {
    address.map_or_else(|| "off".to_owned(), |address| address.to_string())
}

fn say_listening(config: &Config, ports: &Ports, data: &DataDir) {
    let roles: Vec<_> = config.node.roles.iter().map(|role| role.as_str()).collect();
    tracing::info!(target: telemetry::NODE, roles = roles.join(","), management = %ports.management, ingress_http = shown(ports.ingress_http),
        ingress_https = shown(ports.ingress_https), data = %data.path().display(), "node is listening");
}

/// What must be there before a node of these roles takes requests.
fn by_roles(
    (certificate, clock): (&Arc<tls::ServerCertificate>, &Clock),
    databases: &Databases,
    components: &Components,
    cluster: &Cluster,
) -> Readiness {
    let mut all = Readiness::default();
    let readiness = &mut all;
    ready::configuration(readiness, certificate, clock);
    ready::databases(readiness, databases);
    ready::cluster(readiness, cluster);
    if let Some(gateway) = &components.gateway {
        ready::change_log(readiness, gateway);
        if components.traffic_manager.is_none() {
            ready::traffic_manager(readiness, gateway);
        }
    }
    if let Some(traffic_manager) = &components.traffic_manager {
        ready::policies(readiness, traffic_manager);
        ready::view(readiness, traffic_manager);
    }
    all
}

/// Where calls come in, on a node with a gateway.
fn ingress(config: &Config, components: &Components) -> anyhow::Result<Option<Current>> {
    let gateway = components.gateway.clone();
    let issuer = components.control.key_manager.issuer();
    let ingress = gateway.map(|gateway| ingress::ingress(config, gateway, issuer.clone()));
    ingress.transpose()
}

/// How much the management port does at once.
fn places(config: &Management) -> Places {
    Places::of(Most {
        connections: config.max_connections,
        requests: config.max_requests,
    })
}

/// Serves every listener that is configured.
fn serve(
    listeners: Watched,
    tls: &Arc<rustls::ServerConfig>,
    management: (axum::Router, Places),
    ingress: Option<&Current>,
    leaving: &Leaving,
) -> Vec<JoinHandle<()>> {
    let encrypted = Some(Arc::clone(tls));
    let serving = server::serve(
        listeners.management,
        encrypted,
        management.clone(),
        leaving.clone(),
    );
    let mut servers = vec![spawn_named("management", serving)];
    if let Some(listener) = listeners.management_http {
        let serving = server::serve(listener, None, management, leaving.clone());
        servers.push(spawn_named("management http", serving));
    }
    if let Some(ingress) = ingress {
        let (plain, encrypted) = (listeners.ingress_http, listeners.ingress_https);
        servers.extend(ingress::serve(ingress, plain, encrypted, tls, leaving));
    }
    servers
}

/// Says once that the node is ready, when `/readyz` says so too, and what it lacks before that.
async fn announce(
    readiness: Arc<Readiness>,
    says: watch::Sender<Option<String>>,
    stop: CancellationToken,
) {
    let lacks = |checked: Checked| Some(format!("{}: {}", checked.name, checked.problem?));
    loop {
        let lacking: Vec<_> = readiness
            .run()
            .await
            .into_iter()
            .filter_map(lacks)
            .collect();
        if lacking.is_empty() {
            break;
        }
        let lacks = Some(lacking.join("; "));
        says.send_if_modified(|told| {
            let is_news = *told != lacks;
            *told = lacks;
            is_news
        });
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = stop.cancelled() => return,
        }
    }
    let _ = says.send(None);
    tracing::info!(target: telemetry::NODE, "node is ready");
}

// === impl Made ===

impl Made {
    /// Serves; that it is ready is said later.
    fn listen(self, listeners: Watched, ports: Ports, recorded: Render) -> anyhow::Result<Node> {
        let (config, system, components) = (&self.config, &self.system, &self.components);
        let (membership, databases) = (&self.membership, &self.databases);
        let certificate = (&self.tls.certificate, &system.clock);
        let going = Going::of(config);
        let (leaving, stop) = (&going.leaving, going.leaving.stopping());
        let mut readiness = by_roles(certificate, databases, components, &membership.cluster);
        let meets_others = membership.node.is_some();
        let others = meets_others.then(|| membership.cluster.clone());
        let listening = (listeners.acceptances(), others);
        ready::serving(&mut readiness, listening, leaving);
        let looked = looked(system, components, membership, certificate.0);
        let ingress = ingress(config, components)?;
        let reload = Arc::new(Reload::new(config, ingress.clone(), certificate));
        let doors = Doors {
            readiness: Arc::new(readiness),
            metrics: metrics::scrape(recorded, looked),
            operator_hash: operator::credential(&self.data)?,
            ingress: ports.reached(config),
            reload: Arc::clone(&reload),
        };
        let readiness = Arc::clone(&doors.readiness);
        let router = management::router(components.services(system, doors));
        let mut servers = serve(
            listeners,
            &self.tls.config,
            (router, places(&config.management)),
            ingress.as_ref(),
            leaving,
        );
        servers.extend(following(
            config,
            databases,
            components,
            membership,
            certificate,
            stop,
        ));
        let samples = samples::keep(system.clone(), stop.clone());
        servers.push(spawn_named("actor samples", samples));
        let memory = ingress.map(|gateway| memory::watch(gateway, stop.clone()));
        servers.extend(memory.map(|watched| spawn_named("memory", watched)));
        ports.write(&self.data.join("run/ports.json"))?;
        say_listening(config, &ports, &self.data);
        let (says, standing) = watch::channel(Some("it starts".to_owned()));
        let announced = announce(readiness, says, stop.clone());
        servers.push(spawn_named("readiness", announced));
        let (cluster, _) = self.membership.node.unzip();
        Ok(Node {
            going,
            standing,
            reload,
            servers,
            gateway: self.components.gateway,
            traffic_manager: self.components.traffic_manager,
            cluster,
            word: self.membership.word,
            tree: self.tree,
            databases: self.databases,
            data: self.data,
        })
    }
}

// === impl Node ===

impl Node {
    /// The way to have it read its configuration once more.
    pub(crate) fn reload(&self) -> Arc<Reload> {
        Arc::clone(&self.reload)
    }

    /// What it lacks to be ready for the first time, from now on.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Waits until the cluster says that it will not have this node; gives what to say of it.
    pub(crate) async fn refused(&mut self) -> anyhow::Error {
        membership::not_taken(&self.word.refused().await)
    }
}

impl Ports {
    /// Writes the ports in use, for commands and tests.
    fn write(&self, path: &std::path::Path) -> anyhow::Result<()> {
        let mut ports = serde_json::to_value(self)?;
        if let Some(members) = ports.as_object_mut() {
            members.insert("pid".to_owned(), std::process::id().into());
        }
        write_file(path, 0o600, ports.to_string().as_bytes())
    }
}
