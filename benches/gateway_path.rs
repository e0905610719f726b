//! The gateway's whole path (cached token, subscription, three throttle levels, usage event) beside
//! a bare proxy: CPU time a request of the two processes, at most one and a half times. Neither
//! writes a line of a log, so the access log is not part of it.

#[path = "../src/client.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the set-up uses a part of the command line's client"
)]
mod client;
mod floor;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;
mod node;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod setting;

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context as _;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use measure::{median, verdict};
use node::{Node, cpu_ns};

const RUNS: usize = 5;
const CONNECTIONS: usize = 8;
/// A run's turns of each of the two: how fast the machine is changes within a run as well.
const TURNS: usize = 5;
/// Requests of each connection in one turn.
const REQUESTS: usize = 1_000;
const LIMIT: f64 = 1.5;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, upstream, ..] = words.as_slice()
        && word == floor::WORD
    {
        floor::run(upstream.parse()?).await?;
    }
    let echo = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = echo.local_addr()?;
    cluster::spawn_named("echo", floor::echo(echo));
    let (bare, bare_address) = start_floor(upstream)?;
    let data = tempfile::tempdir()?;
    let node = Node::start(data.path()).await?;
    let token = setting::deploy(&node, &format!("http://{upstream}")).await?;
    let gateway: SocketAddr = node.address("ingress_http")?.parse()?;
    let path = format!("{}/echo", setting::BASE);
    // Where the disk is busy the deployment's answer may have named the gateway as behind.
    for _ in 0..100 {
        if load(gateway, &path, &token, 1).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    load(gateway, &path, &token, TURNS * REQUESTS).await?;
    load(bare_address, "/echo", &token, TURNS * REQUESTS).await?;
    let (mut ours, mut floor, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (mut run, mut beside) = (0.0, 0.0);
        for _ in 0..TURNS {
            run += cost(node.pid(), gateway, &path, &token).await?;
            beside += cost(bare.0.id(), bare_address, "/echo", &token).await?;
        }
        ours.push(run / TURNS as f64);
        floor.push(beside / TURNS as f64);
        ratios.push(run / beside);
    }
    drop(bare);
    node.stop()?;
    let (ours, floor) = (median(ours), median(floor));
    println!(
        "gateway {:.1} µs, bare proxy {:.1} µs CPU a request",
        ours / 1e3,
        floor / 1e3
    );
    Ok(verdict(
        "the whole path beside a bare proxy",
        median(ratios),
        LIMIT,
        "times",
    ))
}

/// The bare proxy; ends with the benchmark, however that ends.
struct Floor(Child);

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_floor(upstream: SocketAddr) -> anyhow::Result<(Floor, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([floor::WORD, &upstream.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().context("the bare proxy says nothing")?;
    std::io::BufReader::new(output).read_line(&mut line)?;
    Ok((Floor(child), line.trim().parse()?))
}

/// CPU nanoseconds of the process for each request of one run.
async fn cost(pid: u32, address: SocketAddr, path: &str, token: &str) -> anyhow::Result<f64> {
    let before = cpu_ns(pid)?;
    load(address, path, token, REQUESTS).await?;
    let used = cpu_ns(pid)?.saturating_sub(before);
    Ok(used as f64 / (CONNECTIONS * REQUESTS) as f64)
}

async fn load(address: SocketAddr, path: &str, token: &str, requests: usize) -> anyhow::Result<()> {
    let mut running = Vec::new();
    for _ in 0..CONNECTIONS {
        let (path, token) = (path.to_owned(), format!("Bearer {token}"));
        running.push(cluster::spawn_named("load", async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            cluster::spawn_named("load connection", connection);
            for _ in 0..requests {
                let request = Request::get(&path)
                    .header("host", "localhost")
                    .header("authorization", &token)
                    .body(Empty::<Bytes>::new())?;
                let response = sender.send_request(request).await?;
                anyhow::ensure!(response.status() == 200, "status {}", response.status());
                response.into_body().collect().await?;
            }
            anyhow::Ok(())
        }));
    }
    for one in running {
        one.await??;
    }
    Ok(())
}
