//! `[node]`: who this node is, what it does and where it keeps its data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::read;
use super::source::{ConfigError, Source};

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Publisher,
    Devportal,
    Admin,
    KeyManager,
    Gateway,
    TrafficManager,
}

/// `[node]`
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// `node.name`, default `headgate`: name of the node (`--node`).
    pub(crate) name: String,
    /// `node.roles`, default `all`: what the node does (`--roles`): `publisher`, `devportal`, `admin`, `key-manager`,
    /// `gateway`, `traffic-manager`, separated by commas.
    pub(crate) roles: Vec<Role>,
    /// `node.data_dir`, default `headgate-data`: where it keeps its data (`--data-dir`); relative to the file it stands
    /// in.
    pub(crate) data_dir: PathBuf,
    /// `node.drain_delay_ms`, default `auto`: how long a node that was asked to stop serves on, not ready, before it
    /// takes no connection any more: 0 to 3,600,000. `auto` is 5000 in a cluster and 0 for a node alone, which nobody
    /// would serve in the place of.
    pub(crate) drain_delay: Option<Duration>,
    /// `node.drain_timeout_ms`, default `10000`: how long open requests and WebSockets may go on after that.
    pub(crate) drain_timeout: Duration,
    /// `node.encode_asks`, default `false`: for tests: questions between components are encoded and decoded as if they
    /// crossed nodes.
    pub(crate) encode_asks: bool,
}

// === impl Role ===

impl Role {
    const ALL: [Self; 6] = [
        Self::Publisher,
        Self::Devportal,
        Self::Admin,
        Self::KeyManager,
        Self::Gateway,
        Self::TrafficManager,
    ];

    /// Whether it works on the databases of the control plane.
    pub(crate) const fn is_control_plane(self) -> bool {
        !matches!(self, Self::Gateway | Self::TrafficManager)
    }

    /// Roles that must be somewhere for this one to do its work.
    const fn needs(self) -> &'static [Self] {
        match self {
            Self::Publisher | Self::Devportal | Self::Admin | Self::TrafficManager => {
                &[Self::KeyManager]
            }
            Self::Gateway => &[Self::KeyManager, Self::TrafficManager],
            Self::KeyManager => &[],
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Devportal => "devportal",
            Self::Admin => "admin",
            Self::KeyManager => "key-manager",
            Self::Gateway => "gateway",
            Self::TrafficManager => "traffic-manager",
        }
    }

    /// Reads `all`, or some of them.
    pub(crate) fn list(text: &str) -> Result<Vec<Self>, String> {
        if text == "all" {
            return Ok(Self::ALL.to_vec());
        }
        let mut roles = Vec::new();
        for word in read::list(text)? {
            let role = Self::ALL.into_iter().find(|role| role.as_str() == word);
            roles.push(role.ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                format!("{word:?} is no role, use all or some of {known}")
            })?);
        }
        roles.sort_unstable();
        roles.dedup();
        match roles.len() {
            0 => Err("names no role".to_owned()),
            _ => Ok(roles),
        }
    }
}

// === impl Node ===

impl Node {
    /// Roles that this node's need and that it does not have, and which of its own needs them.
    pub(super) fn lacks(&self) -> Option<(Role, Role)> {
        let pairs = self.roles.iter();
        let mut pairs = pairs.flat_map(|role| role.needs().iter().map(move |need| (*role, *need)));
        pairs.find(|(_, need)| !self.roles.contains(need))
    }

    pub(super) fn read(source: &mut Source, file: Option<&Path>) -> Result<Self, ConfigError> {
        let data_dir = source.take("node.data_dir", "headgate-data", |text| match text {
            "" => Err("must not be empty".to_owned()),
            text => Ok(PathBuf::from(text)),
        })?;
        // A relative directory in a file is meant beside that file, wherever the command runs.
        let data_dir = match file.and_then(Path::parent) {
            Some(parent) if source.was_from_file("node.data_dir") => {
                parent.join(data_dir).components().collect()
            }
            _ => data_dir,
        };
        Ok(Self {
            name: source.take("node.name", "headgate", name)?,
            roles: source.take("node.roles", "all", Role::list)?,
            data_dir,
            drain_delay: source.take("node.drain_delay_ms", "auto", drain_delay)?,
            drain_timeout: source.take("node.drain_timeout_ms", "10000", read::milliseconds)?,
            encode_asks: source.take("node.encode_asks", "false", read::flag)?,
        })
    }
}

fn drain_delay(text: &str) -> Result<Option<Duration>, String> {
    match text.parse::<u64>() {
        Ok(ms) if ms <= 3_600_000 => Ok(Some(Duration::from_millis(ms))),
        _ if text == "auto" => Ok(None),
        _ => Err("must be auto or a number of milliseconds from 0 to 3600000".to_owned()),
    }
}

fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.len() <= 63 && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 63 letters, digits, - or _".to_owned())
    }
}
