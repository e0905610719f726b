//! A start on existing data, of hundreds of APIs that are deployed, to ready: below 300 ms, below
//! 60 MB resident.

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

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use http::Request;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use cluster::Clock;
use measure::{median, verdict};
use node::{Node, resident};

const RUNS: usize = 5;
/// APIs that are there, each with a revision that is deployed.
const APIS: usize = 300;
const READY_MS: f64 = 300.0;
const RESIDENT_MB: f64 = 60.0;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let data = tempfile::tempdir()?;
    // The first start makes keys, databases and the administrator, and what there is to read; it
    // does not count.
    let first = Node::start(data.path()).await?;
    wait_until_ready(&first).await?;
    setting::deploy_beside(&first, "http://127.0.0.1:9", APIS).await?;
    first.stop()?;
    let clock = Clock::system();
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = clock.monotonic();
        let node = Node::start(data.path()).await?;
        wait_until_ready(&node).await?;
        times.push((clock.monotonic() - started).as_secs_f64() * 1e3);
        sizes.push(resident(node.pid())? as f64 / 1e6);
        node.stop()?;
    }
    let time = verdict("a start to ready", median(times), READY_MS, "ms");
    let size = verdict("resident once ready", median(sizes), RESIDENT_MB, "MB");
    let failed = ExitCode::FAILURE;
    Ok(if time == failed || size == failed {
        failed
    } else {
        ExitCode::SUCCESS
    })
}

async fn wait_until_ready(node: &Node) -> anyhow::Result<()> {
    let address = node.address("management_http")?;
    for _ in 0..10_000 {
        if is_ready(&address).await.unwrap_or(false) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    anyhow::bail!("the node does not become ready")
}

async fn is_ready(address: &str) -> anyhow::Result<bool> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    cluster::spawn_named("readiness", connection);
    let request = Request::get("/readyz").header("host", address);
    let request = request.body(Empty::<Bytes>::new()).context("no request")?;
    Ok(sender.send_request(request).await?.status() == 200)
}
