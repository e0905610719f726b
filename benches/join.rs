//! A gateway without anything joins a control plane that has ten thousand APIs deployed and an older change log
//! than it keeps: the time to ready, which is that of the snapshot, and what the two have resident then. After
//! that one API more is deployed, and one API travels: bytes between the two are counted. It prints what it measures.

#[path = "../src/client.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "this uses a part of the command line's client"
)]
mod client;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod measure;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod node;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod setting;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use client::{Call, Client};
use cluster::Clock;
use measure::{median, verdict};
use node::{Node, resident};
use storage::apim::{api_deployments, api_revisions, apis, change_log};
use storage::shared::blobs;

const TENANT: &str = "carbon.super";
/// APIs that are there.
const APIS: usize = 10_000;
/// Gateways that join, one after the other.
const RUNS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);
const READY_S: f64 = 8.0;
const GATEWAY_MB: f64 = 190.0;
const CONTROL_MB: f64 = 140.0;
/// One API, and what probes and heartbeats say meanwhile.
const ONE_KB: f64 = 32.0;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let data = tempfile::tempdir()?;
    let control_data = data.path().join("control");
    let control = "publisher,devportal,admin,key-manager,traffic-manager";
    let way = Way::open().await?;
    let settings = named("control", control, "", &way.address);
    let first = Node::start_with(&control_data, &borrowed(&settings)).await?;
    setting::deploy(&first, "http://127.0.0.1:9").await?;
    first.stop()?;
    multiply(&control_data).await?;
    let control = Node::start_with(&control_data, &borrowed(&settings)).await?;
    way.aim(&control)?;

    let clock = Clock::system();
    let (mut times, mut sizes, mut sent, mut ones) = (vec![], vec![], vec![], vec![]);
    for run in 0..RUNS {
        let back = Way::open().await?;
        let before = way.bytes() + back.bytes();
        let began = clock.monotonic();
        let settings = named(
            &format!("gateway{run}"),
            "gateway",
            &way.address,
            &back.address,
        );
        let data = data.path().join(format!("gateway{run}"));
        let gateway = Node::start_with(&data, &borrowed(&settings)).await?;
        back.aim(&gateway)?;
        until_it_has_all(&gateway).await?;
        times.push((clock.monotonic() - began).as_secs_f64());
        let bytes = || way.bytes() + back.bytes();
        sent.push((bytes() - before) as f64 / 1e6);
        sizes.push(resident(gateway.pid())? as f64 / 1e6);
        let name = format!("One{run}");
        let before = bytes();
        setting::deploy_one(&control, "http://127.0.0.1:9", &name).await?;
        until_found(&gateway, &name.to_lowercase()).await?;
        ones.push((bytes() - before) as f64 / 1e3);
        gateway.stop()?;
    }
    println!(
        "a snapshot of {APIS} APIs: {:.1} MB on the wire",
        median(sent)
    );
    let of_control = resident(control.pid())? as f64 / 1e6;
    control.stop()?;
    let verdicts = [
        verdict("a gateway's start to ready", median(times), READY_S, "s"),
        verdict("resident in the gateway", median(sizes), GATEWAY_MB, "MB"),
        verdict(
            "resident in the control plane",
            of_control,
            CONTROL_MB,
            "MB",
        ),
        verdict("one API more on the wire", median(ones), ONE_KB, "kB"),
    ];
    let failed = ExitCode::FAILURE;
    let one = verdicts.contains(&failed);
    Ok(if one { failed } else { ExitCode::SUCCESS })
}

fn named(name: &str, roles: &str, seeds: &str, address: &str) -> [(&'static str, String); 5] {
    [
        ("HEADGATE__NODE__NAME", name.to_owned()),
        ("HEADGATE__NODE__ROLES", roles.to_owned()),
        ("HEADGATE__CLUSTER__LISTEN", "127.0.0.1:0".to_owned()),
        ("HEADGATE__CLUSTER__SEEDS", seeds.to_owned()),
        ("HEADGATE__CLUSTER__ADVERTISE", address.to_owned()),
    ]
}

fn borrowed<'s>(settings: &'s [(&'static str, String)]) -> Vec<(&'static str, &'s str)> {
    let pairs = settings.iter();
    pairs.map(|(key, value)| (*key, value.as_str())).collect()
}

/// Makes thousands of the one API that there is, and forgets how they came to be: whoever joins takes
/// a snapshot.
async fn multiply(data: &Path) -> anyhow::Result<()> {
    let at = |name: &str| format!("sqlite:{}", data.join(name).display());
    let apim = storage::apim::open(&at("apim.db")).await?;
    let shared = storage::shared::open(&at("shared.db")).await?;
    let (mut of_apim, mut of_shared) = (apim.write("bench").await?, shared.write("bench").await?);
    let found = apis::at_context(&mut of_apim, TENANT, "/bench/1.0.0", "/bench").await?;
    let model = found.into_iter().next().context("the API is gone")?;
    let mut read = apim.read().await?;
    let revisions = api_revisions::list(&mut read, TENANT, &model.id).await?;
    let revision = revisions.into_iter().next().context("no revision")?;
    let deployments = api_deployments::list(&mut read, TENANT, &model.id).await?;
    let deployment = deployments.into_iter().next().context("no deployment")?;
    let head = change_log::head(&mut read).await?;
    drop(read);
    let mut read = shared.read().await?;
    let blob = blobs::find(&mut read, TENANT, &revision.document_blob).await?;
    let blob = blob.context("no document")?;
    drop(read);
    let mut document: Value = serde_json::from_slice(&blob.bytes)?;
    for number in 1..APIS {
        let (id, name) = (format!("api-{number:05}"), format!("Other{number}"));
        let mut blob = blob.clone();
        blob.id = format!("document-{number}");
        let members = document.as_object_mut().context("no document")?;
        members.insert("id".to_owned(), id.as_str().into());
        blob.bytes = serde_json::to_vec(&document)?;
        blobs::create(&mut of_shared, &blob).await?;
        let mut api = model.clone();
        api.id.clone_from(&id);
        api.context = format!("/{}", name.to_lowercase());
        api.full_context = format!("{}/1.0.0", api.context);
        api.name = name;
        api.document_blob.clone_from(&blob.id);
        apis::create(&mut of_apim, &api).await?;
        let mut revision = revision.clone();
        revision.id = format!("revision-{number}");
        revision.api_id.clone_from(&id);
        revision.document_blob = blob.id;
        api_revisions::create(&mut of_apim, &revision).await?;
        let mut deployment = deployment.clone();
        deployment.id = format!("deployment-{number:05}");
        deployment.api_id = id;
        deployment.revision_id = revision.id;
        api_deployments::save(&mut of_apim, &deployment).await?;
    }
    change_log::delete_before(&mut of_apim, head.n).await?;
    of_shared.commit().await?;
    of_apim.commit().await?;
    Ok(())
}

/// Ready, and the last of them is found.
async fn until_it_has_all(gateway: &Node) -> anyhow::Result<()> {
    let address = gateway.address("management_http")?;
    until(&format!("http://{address}/readyz"), 200).await?;
    until_found(gateway, &format!("other{}", APIS - 1)).await
}

/// A call without a token is told so where there is such an API.
async fn until_found(gateway: &Node, api: &str) -> anyhow::Result<()> {
    let address = gateway.address("ingress_http")?;
    until(&format!("http://{address}/{api}/1.0.0/echo"), 401).await
}

async fn until(url: &str, status: u16) -> anyhow::Result<()> {
    let client = Client::plain();
    let waiting = async {
        loop {
            let answer = client.send(&Call::new("GET", url.to_owned())).await;
            if answer.is_ok_and(|answer| answer.status == status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, waiting).await;
    found.with_context(|| format!("{url} does not answer {status}"))
}

/// A way to a node that counts what goes over it, in both directions.
struct Way {
    address: String,
    target: watch::Sender<Option<SocketAddr>>,
    bytes: Arc<AtomicU64>,
}

// === impl Way ===

impl Way {
    async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let way = Self {
            address: listener.local_addr()?.to_string(),
            target: watch::Sender::new(None),
            bytes: Arc::default(),
        };
        let (mut target, bytes) = (way.target.subscribe(), Arc::clone(&way.bytes));
        cluster::spawn_named("way", async move {
            while let Ok((dialer, _)) = listener.accept().await {
                let Ok(target) = target.wait_for(Option::is_some).await.map(|found| *found) else {
                    return;
                };
                let bytes = Arc::clone(&bytes);
                cluster::spawn_named("way of one", async move {
                    if let Some(target) = target
                        && let Ok(dialed) = TcpStream::connect(target).await
                    {
                        both_ways(dialer, dialed, &bytes).await;
                    }
                });
            }
        });
        Ok(way)
    }

    fn aim(&self, node: &Node) -> anyhow::Result<()> {
        let address = node.address("cluster")?.parse()?;
        self.target.send_replace(Some(address));
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

async fn both_ways(mut dialer: TcpStream, mut dialed: TcpStream, bytes: &AtomicU64) {
    let _ = (dialer.set_nodelay(true), dialed.set_nodelay(true));
    let ((mut a, mut b), (mut c, mut d)) = (dialer.split(), dialed.split());
    tokio::select! {
        _ = count(&mut a, &mut d, bytes) => {}
        _ = count(&mut c, &mut b, bytes) => {}
    }
}

async fn count(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &AtomicU64,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        ensure!(count > 0, "it has ended");
        bytes.fetch_add(count as u64, Ordering::Relaxed);
        to.write_all(buffer.get(..count).unwrap_or_default())
            .await?;
    }
}
