//! A gibibyte each way over HTTP/1.1 and HTTP/2, with and without TLS: resident memory grows by
//! 16 MB at most, and a client that does not read stalls the upstream. Five runs, the protocols
//! interleaved; of what may never be exceeded the worst counts.

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
mod stream;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use cluster::Clock;
use measure::verdict;
use node::{Node, resident};
use stream::{Protocol, Zeros};

/// Runs of each protocol.
const RUNS: usize = 5;
const GIBIBYTE: u64 = 1 << 30;
const GROWTH_MB: f64 = 16.0;
/// What lies in the buffers of four sockets and two HTTP implementations, at most.
const BUFFERED_MB: f64 = 64.0;

/// Bytes, the most of all runs.
#[derive(Default)]
struct Worst {
    /// That resident memory grew by.
    growth: u64,
    /// That the upstream sent to a client that does not read.
    stalled: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let (listener, sent) = (TcpListener::bind("127.0.0.1:0").await?, Arc::default());
    let upstream = listener.local_addr()?;
    cluster::spawn_named("upstream", serve(listener, Arc::clone(&sent)));
    let data = tempfile::tempdir()?;
    let node = Node::start(data.path()).await?;
    let token = setting::deploy(&node, &format!("http://{upstream}")).await?;
    let plain: SocketAddr = node.address("ingress_http")?.parse()?;
    let secure: SocketAddr = node.address("ingress_https")?.parse()?;
    let mut measured = Vec::new();
    for protocol in Protocol::ALL {
        let port = if protocol.is_secure() { secure } else { plain }.port();
        let client = stream::client(protocol, &data.path().join("ca.pem"))?;
        let call = stream::Call {
            client,
            url: format!(
                "{}://localhost:{port}{}/echo",
                protocol.scheme(),
                setting::BASE
            ),
            token: token.clone(),
        };
        // The first call makes what every later one uses again.
        exchange(&call, 1 << 20).await?;
        measured.push((protocol, call, Worst::default()));
    }
    for _ in 0..RUNS {
        for (_, call, worst) in &mut measured {
            let before = resident(node.pid())?;
            let most = watched(&node, exchange(call, GIBIBYTE)).await?;
            worst.growth = worst.growth.max(most.saturating_sub(before));
            worst.stalled = worst.stalled.max(stalled(call, &sent).await?);
        }
    }
    node.stop()?;
    let mut good = true;
    for (protocol, _, worst) in &measured {
        let name = protocol.name();
        for (what, bytes, limit) in [
            (
                format!("1 GiB each way over {name}: resident grows"),
                worst.growth,
                GROWTH_MB,
            ),
            (
                format!("a client that does not read, {name}"),
                worst.stalled,
                BUFFERED_MB,
            ),
        ] {
            good &= verdict(&what, bytes as f64 / 1e6, limit, "MB") == ExitCode::SUCCESS;
        }
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Reads the whole request, then answers a GET with a gibibyte, anything else with as much as came.
async fn serve(listener: TcpListener, sent: Arc<AtomicU64>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let sent = Arc::clone(&sent);
        let answer = service_fn(move |request: Request<Incoming>| {
            let sent = Arc::clone(&sent);
            async move {
                let is_get = request.method() == http::Method::GET;
                let came = stream::drain(request.into_body()).await?;
                let length = if is_get { GIBIBYTE } else { came };
                anyhow::Ok(Response::new(Zeros::new(length, sent)))
            }
        });
        cluster::spawn_named("upstream connection", async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn exchange(call: &stream::Call, length: u64) -> anyhow::Result<()> {
    let body = Zeros::new(length, Arc::default());
    let response = call.send(http::Method::POST, body).await?;
    anyhow::ensure!(response.status() == 200, "status {}", response.status());
    let came = stream::drain(response.into_body()).await?;
    anyhow::ensure!(came == length, "{came} of {length} bytes came back");
    Ok(())
}

/// The most resident memory of the node while `work` goes on.
async fn watched(
    node: &Node,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<u64> {
    let mut most = 0;
    let mut work = std::pin::pin!(work);
    loop {
        let pause = tokio::time::sleep(Duration::from_millis(20));
        tokio::select! {
            done = &mut work => {
                done?;
                return Ok(most.max(resident(node.pid())?));
            }
            () = pause => most = most.max(resident(node.pid())?),
        }
    }
}

/// Bytes that the upstream gets rid of when nobody reads the answer.
async fn stalled(call: &stream::Call, sent: &AtomicU64) -> anyhow::Result<u64> {
    sent.store(0, Ordering::Relaxed);
    let body = Zeros::new(0, Arc::default());
    let mut response = call.send(http::Method::GET, body).await?;
    anyhow::ensure!(response.status() == 200, "status {}", response.status());
    response.body_mut().frame().await.context("no body")??;
    let clock = Clock::system();
    let (mut last, mut since) = (0, clock.monotonic());
    // It has stalled once nothing more was sent for a second.
    while clock.monotonic() - since < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = sent.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, clock.monotonic());
        }
    }
    Ok(last)
}
