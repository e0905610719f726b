//! Configuration: one TOML file, environment over it, flags over both; one file per section.

mod cluster;
mod database;
mod endpoint;
mod gateway;
mod listen;
mod live;
mod log;
mod management;
#[cfg(test)]
#[path = "../../fuzz/mutants.rs"]
mod mutants;
mod node;
mod oauth2;
#[cfg(test)]
mod outside_tests;
mod read;
mod source;
#[cfg(test)]
mod tests;
mod traffic_manager;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use cluster::{Cluster, Tls};
pub(crate) use database::Databases;
pub(crate) use endpoint::Endpoint;
pub(crate) use gateway::{Gateway, MaxMemory};
pub(crate) use listen::Listen;
pub(crate) use live::{Differences, differences, gateway, merged};
pub(crate) use log::{Log, LogFormat};
pub(crate) use management::Management;
pub(crate) use node::{Node, Role};
pub(crate) use oauth2::Oauth2;
pub(crate) use source::{ConfigError, Effective, Origin};
pub(crate) use traffic_manager::TrafficManager;
pub(crate) use usage::Usage;

use source::Source;

/// Everything a node is told from outside.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) listen: Listen,
    pub(crate) cluster: Cluster,
    /// None where the node has no role in the control plane.
    pub(crate) databases: Option<Databases>,
    pub(crate) management: Management,
    pub(crate) gateway: Gateway,
    pub(crate) oauth2: Oauth2,
    pub(crate) traffic_manager: TrafficManager,
    pub(crate) usage: Usage,
    pub(crate) log: Log,
    /// How it was read.
    flags: Flags,
    /// Each value with its origin, for `headgate check`.
    pub(crate) effective: Vec<Effective>,
}

/// What the command line says about configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Flags {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the node keeps its data [default: ./headgate-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Roles of this node, separated by commas [default: all]
    #[arg(long, value_name = "LIST")]
    pub(crate) roles: Option<String>,
    /// Name of this node [default: headgate]
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Where other nodes dial this one [default: alone; with seeds 127.0.0.1:4370]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen_cluster: Option<String>,
    /// Where others are told to dial, when it differs
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// Nodes to dial first, separated by commas
    #[arg(long, value_name = "LIST")]
    pub(crate) seeds: Option<String>,
    /// Token of a member (headgate cluster token), for a node that has no certificate yet; better in
    /// the environment, HEADGATE__CLUSTER__JOIN, where no other user of the machine sees it
    #[arg(long, value_name = "TOKEN")]
    pub(crate) join: Option<String>,
    /// Number added to every default or configured port; not to that of --listen-cluster
    #[arg(long, value_name = "N")]
    pub(crate) port_offset: Option<u16>,
}

// === impl Config ===

impl Config {
    /// Reads the configuration that `flags`, the environment and the file make together.
    pub(crate) fn load(
        flags: &Flags,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let text = match &flags.config {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| ConfigError {
                origin: Origin::Flag("--config"),
                key: path.display().to_string(),
                problem: error.to_string(),
            })?,
        };
        Self::load_text(flags, &text, environment)
    }

    /// The same with a file that holds `text`, whether it is there or not.
    pub(crate) fn load_text(
        flags: &Flags,
        text: &str,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut source = Source::default();
        if let Some(path) = &flags.config {
            source.file(path, text)?;
        }
        source.environment(environment)?;
        source.flag("--data-dir", "node.data_dir", flags.data_dir.clone());
        source.flag("--roles", "node.roles", flags.roles.clone());
        source.flag("--node", "node.name", flags.node.clone());
        source.flag(
            "--listen-cluster",
            "cluster.listen",
            flags.listen_cluster.clone(),
        );
        source.flag("--advertise", "cluster.advertise", flags.advertise.clone());
        source.flag("--seeds", "cluster.seeds", flags.seeds.clone());
        source.flag("--join", "cluster.join", flags.join.clone());
        let offset = flags.port_offset.map(|offset| offset.to_string());
        source.flag("--port-offset", "listen.port_offset", offset);
        Self::read(source, flags)
    }

    /// Reads it once more, as it was read; the process has the environment that it was started with.
    pub(crate) fn again(&self) -> Result<Self, ConfigError> {
        Self::load(&self.flags, std::env::vars_os())
    }

    fn read(mut source: Source, flags: &Flags) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref();
        let node = Node::read(&mut source, file)?;
        let listen = Listen::read(&mut source)?;
        let cluster = Cluster::read(&mut source, (&node, file), listen.port_offset)?;
        let databases = Databases::read(&mut source, &node)?;
        let management = Management::read(&mut source)?;
        let gateway = Gateway::read(&mut source, file)?;
        let oauth2 = Oauth2::read(&mut source, &listen)?;
        let traffic_manager = TrafficManager::read(&mut source)?;
        let usage = Usage::read(&mut source)?;
        let log = Log::read(&mut source)?;
        Ok(Self {
            node,
            listen,
            cluster,
            databases,
            management,
            gateway,
            oauth2,
            traffic_manager,
            usage,
            log,
            flags: flags.clone(),
            effective: source.finish()?,
        })
    }
}
