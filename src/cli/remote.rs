//! How commands reach a running node: through its data directory, or by address and token.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no node answers, 4 not ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::print::tell;
pub(super) use super::print::{print_json, say, say_once};
use super::{Output, pinned};
use crate::client::{Answer, Call, Client};
use crate::listeners::Ports;

/// Where a node keeps the credential of whoever can read its data directory.
pub(crate) const CREDENTIAL: &str = "run/operator-credential";
/// Exit code when no node answers.
const UNREACHABLE: u8 = 3;

/// Which node is meant, and how to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Data directory of a node on this machine
    #[arg(
        long,
        value_name = "DIR",
        env = "HEADGATE__NODE__DATA_DIR",
        default_value = "headgate-data",
        global = true
    )]
    data_dir: PathBuf,
    /// Management address of a node anywhere, such as https://gw1:9443; needs a token
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// Administrator's token for --server [default: environment HEADGATE_TOKEN]
    #[arg(long, value_name = "TOKEN", requires = "server", global = true)]
    token: Option<String>,
    /// Authority of --server's certificate [default: ca.pem of --data-dir]
    #[arg(long, value_name = "FILE", global = true)]
    cacert: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub(crate) output: Output,
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client,
    base: String,
    token: String,
}

/// No node answers.
#[derive(Debug, thiserror::Error)]
#[error("no node answers")]
pub(super) struct Unreachable;

// === impl Target ===

impl Target {
    /// Finds the node and the right to ask it.
    pub(crate) fn remote(&self) -> anyhow::Result<Remote> {
        let ca = self
            .cacert
            .clone()
            .unwrap_or_else(|| self.data_dir.join("ca.pem"));
        if let Some(server) = &self.server {
            let client = match server.split_once("://") {
                Some(("http", _)) => Client::plain(),
                Some(("https", _)) => Client::trusting(&ca)?,
                _ => bail!("--server must begin with https:// or http://"),
            };
            let token = match &self.token {
                Some(token) => token.clone(),
                None => std::env::var("HEADGATE_TOKEN")
                    .context("--server needs --token or the environment variable HEADGATE_TOKEN")?,
            };
            let base = server.trim_end_matches('/').to_owned();
            return Ok(Remote {
                client,
                base,
                token,
            });
        }
        let ports = Ports::read(&self.data_dir.join("run/ports.json")).context(Unreachable)?;
        let file = self.data_dir.join(CREDENTIAL);
        let token = std::fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let mut address = ports.management;
        // Listening everywhere is listening on loopback, of the same family.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let server = self.data_dir.join("tls/server.pem");
        Ok(Remote {
            client: Client::with_tls(pinned::config(&ca, &server)?, None),
            base: format!("https://{address}"),
            token: token.trim().to_owned(),
        })
    }
}

// === impl Remote ===

impl Remote {
    /// Asks the node, with the right to do so.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let call = Call::new(method, format!("{}{path}", self.base)).bearer(&self.token, "TOKEN");
        let call = match body {
            Some(body) => call.json(body),
            None => call,
        };
        self.client.send(&call).await.context(Unreachable)
    }
}

/// Runs a command against a node; what went wrong decides the exit code.
pub(super) fn run<F>(command: F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    match super::runtime()?.block_on(command) {
        Err(error) if error.downcast_ref::<Unreachable>().is_some() => {
            tell(&format!("headgate: {error:#}"));
            Ok(ExitCode::from(UNREACHABLE))
        }
        outcome => outcome,
    }
}

/// A cell: the member of a value as text.
pub(super) fn cell(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
