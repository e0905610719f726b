//! What it costs to be looked at: an operator who asks for all that there is to see, every second, takes less than 1 % of the
//! CPU time that a node has. Five runs; the median counts.

#[path = "../src/client.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the set-up uses a part of the command line's client"
)]
mod client;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;
mod node;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod setting;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use client::{Call, Client};
use cluster::Clock;
use measure::{median, verdict};
use node::{Node, cpu_ns};

const RUNS: usize = 5;
/// Looks at everything in a run.
const LOOKS: u32 = 40;
/// APIs that are there, each with a revision that is deployed.
const APIS: usize = 300;
/// How long it is watched what the node does by itself.
const IDLE: Duration = Duration::from_secs(3);
/// The most that a look each second may take, of a hundred.
const SHARE: f64 = 1.0;
const SEEN: [&str; 8] = [
    "/admin/cluster",
    "/admin/actors",
    "/admin/shards",
    "/admin/changes",
    "/admin/config",
    "/admin/usage",
    "/admin/voters",
    "/metrics",
];

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let data = tempfile::tempdir()?;
    let node = Node::start(data.path()).await?;
    setting::deploy_beside(&node, "http://127.0.0.1:9", APIS).await?;
    let operator = Operator::of(&node, data.path())?;
    operator.looks().await?;
    let clock = Clock::system();
    let cores = std::thread::available_parallelism()?.get() as f64;
    let mut shares = Vec::new();
    for _ in 0..RUNS {
        let by_itself = spent(&node, &clock, async {
            tokio::time::sleep(IDLE).await;
            Ok(())
        });
        let (idle_ns, idle_time) = by_itself.await?;
        let looked = spent(&node, &clock, async {
            for _ in 0..LOOKS {
                operator.looks().await?;
            }
            Ok(())
        });
        let (looked_ns, time) = looked.await?;
        let by_itself_ns = idle_ns / idle_time * time;
        let of_a_look_ns = (looked_ns - by_itself_ns).max(0.0) / f64::from(LOOKS);
        shares.push(of_a_look_ns / 1e9 / cores * 100.0);
    }
    node.stop()?;
    let what = "a look at everything each second";
    Ok(verdict(what, median(shares), SHARE, "% of the node's CPU"))
}

/// The CPU time that the node used meanwhile, nanoseconds, and how long it was, seconds.
async fn spent(
    node: &Node,
    clock: &Clock,
    meanwhile: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<(f64, f64)> {
    let (began, before) = (clock.monotonic(), cpu_ns(node.pid())?);
    meanwhile.await?;
    let spent = cpu_ns(node.pid())?.saturating_sub(before);
    Ok((spent as f64, (clock.monotonic() - began).as_secs_f64()))
}

/// Whoever looks.
struct Operator {
    client: Client,
    calls: Vec<Call>,
}

// === impl Operator ===

impl Operator {
    fn of(node: &Node, data: &Path) -> anyhow::Result<Self> {
        let credential = std::fs::read_to_string(data.join("run/operator-credential"))?;
        let port = node.address("management")?;
        let port = port.rsplit(':').next().context("no port")?.to_owned();
        let call = |path: &&str| {
            Call::new("GET", format!("https://localhost:{port}{path}"))
                .bearer(credential.trim(), "TOKEN")
        };
        Ok(Self {
            client: Client::trusting(&data.join("ca.pem"))?,
            calls: SEEN.iter().map(call).collect(),
        })
    }

    /// One look at everything.
    async fn looks(&self) -> anyhow::Result<()> {
        for (call, path) in self.calls.iter().zip(SEEN) {
            let answer = self.client.send(call).await?;
            anyhow::ensure!(answer.status == 200, "{path}: {}", answer.text());
        }
        Ok(())
    }
}
