//! The nodes of a local cluster: child processes on ports of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

pub(super) const CONTROL: &str = "publisher,devportal,admin,key-manager";

/// Between two looks at a node that starts.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a node may take until it listens.
const LISTENS: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOPS: Duration = Duration::from_secs(40);

/// A running node.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) data: PathBuf,
    pub(super) management: String,
    pub(super) cluster: String,
    /// Where calls come in, of a gateway.
    pub(super) ingress: Option<String>,
    child: Child,
}

/// All of them, in the order of their start.
pub(super) struct Nodes {
    binary: PathBuf,
    folder: PathBuf,
    server: String,
    list: Vec<Node>,
}

// === impl Nodes ===

impl Nodes {
    /// None yet; `server` is the PostgreSQL that has their databases.
    pub(super) fn new(binary: &Path, folder: &Path, server: &str) -> Self {
        Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            server: server.to_owned(),
            list: Vec::new(),
        }
    }

    pub(super) fn list(&self) -> &[Node] {
        &self.list
    }

    /// Starts one and waits until it listens.
    pub(super) async fn start(&mut self, name: &str, roles: &str, seeds: &str) -> Result<()> {
        let data = self.folder.join(name);
        let log = std::fs::File::create(self.folder.join(format!("{name}.log")))?;
        let mut command = Command::new(&self.binary);
        command
            .args(["start", "--node", name, "--roles", roles])
            .args(["--listen-cluster", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .env("HEADGATE__LISTEN__MANAGEMENT", "127.0.0.1:0")
            .env("HEADGATE__LISTEN__INGRESS_HTTP", "127.0.0.1:0")
            .env("HEADGATE__LISTEN__INGRESS_HTTPS", "127.0.0.1:0")
            .env("HEADGATE__GATEWAY__ALLOW_LOOPBACK_ENDPOINTS", "true")
            // They all go at once: nobody is left who would serve meanwhile.
            .env("HEADGATE__NODE__DRAIN_DELAY_MS", "0")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is this process's, which stops them in order.
            .process_group(0)
            .kill_on_drop(true);
        if !seeds.is_empty() {
            command.args(["--seeds", seeds]);
        }
        if roles == CONTROL {
            let (base, _) = self.server.rsplit_once('/').context("no database's URL")?;
            command.env("HEADGATE__DATABASE__APIM__URL", format!("{base}/apim"));
            command.env("HEADGATE__DATABASE__SHARED__URL", format!("{base}/shared"));
        }
        let child = command.spawn().context("cannot start a node")?;
        println!("starting {name}");
        self.list.push(Node {
            name: name.to_owned(),
            data,
            management: String::new(),
            cluster: String::new(),
            ingress: None,
            child,
        });
        let node = self.list.last_mut().context("no node")?;
        tokio::time::timeout(LISTENS, node.listens())
            .await
            .with_context(|| format!("{name} does not listen in time"))?
    }

    /// Waits until each says that it is ready.
    pub(super) async fn until_ready(&self) -> Result<()> {
        for node in &self.list {
            loop {
                let status = self.status(node).output().await?;
                if status.status.success() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// What a node says of the cluster.
    pub(super) async fn show_status(&self, name: &str) -> Result<()> {
        let node = self.list.iter().find(|node| node.name == name);
        let status = self.status(node.context("no such node")?).status().await?;
        if !status.success() {
            bail!("{name} is not ready");
        }
        Ok(())
    }

    fn status(&self, node: &Node) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["status", "--data-dir"]).arg(&node.data);
        command
    }

    /// Stops all in order, the last one first.
    ///
    /// # Errors
    /// When one did not end as asked.
    pub(super) async fn stop(mut self) -> Result<()> {
        let mut bad = Vec::new();
        while let Some(mut node) = self.list.pop() {
            if !node.stopped().await {
                bad.push(node.name);
            }
        }
        if !bad.is_empty() {
            bail!("did not stop in order: {}", bad.join(", "));
        }
        Ok(())
    }
}

// === impl Node ===

impl Node {
    async fn listens(&mut self) -> Result<()> {
        let file = self.data.join("run/ports.json");
        let ports = loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}", self.name);
            }
            match std::fs::read_to_string(&file) {
                Ok(ports) => break ports,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        self.management = member(&ports, "management").context("no management port")?;
        self.cluster = member(&ports, "cluster").context("no cluster port")?;
        self.ingress = member(&ports, "ingress_http");
        Ok(())
    }

    async fn stopped(&mut self) -> bool {
        let Some(pid) = self.child.id() else {
            return false;
        };
        let asked = Command::new("kill").arg(pid.to_string()).status().await;
        let ended = tokio::time::timeout(STOPS, self.child.wait()).await;
        let is_good = |status: std::process::ExitStatus| status.success();
        asked.is_ok_and(is_good) && matches!(ended, Ok(Ok(status)) if status.success())
    }
}

/// A member of the flat object that a node writes its ports into; none where it is null.
fn member(object: &str, name: &str) -> Option<String> {
    let (_, rest) = object.split_once(&format!("\"{name}\":\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_a_node_writes_them() {
        let ports = r#"{"cluster":"127.0.0.1:4370","ingress_http":null,"pid":7}"#;
        assert_eq!(member(ports, "cluster").as_deref(), Some("127.0.0.1:4370"));
        assert_eq!(member(ports, "ingress_http"), None);
    }
}
