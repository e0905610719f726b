//! `cluster`: a whole cluster on this machine, in a directory that is removed at the end: two control planes on a
//! PostgreSQL of its own, three traffic managers, three gateways behind a small balancer.

mod balancer;
mod nodes;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::postgres::{self, Postgres};
use crate::stage::run as command;
use crate::workspace::Workspace;
use balancer::Balancer;
use nodes::{Node, Nodes};

/// How long all nodes together may take until they are ready.
const READY: Duration = Duration::from_secs(120);

/// Builds it and runs it until Ctrl-C; with `check` until a gateway behind the balancer has said that it is ready.
///
/// # Errors
/// When a node does not start, or none says so.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let build = ["build", "--locked", "--bin", "headgate"];
    command(workspace.cargo().args(build))?;
    run_built(workspace, check)
}

/// The same with the program that is there, as the tests of whole nodes have it.
///
/// # Errors
/// When a node does not start, or none says so.
pub(crate) fn run_built(workspace: &Workspace, check: bool) -> Result<()> {
    let binary = workspace.root().join("target/debug/headgate");
    let folder = std::env::temp_dir().join(format!("headgate-cluster-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let binaries = postgres::binaries()?;
    let server = Postgres::start(&binaries)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = databases(&binaries, &server.url())
        .and_then(|()| runtime.block_on(live(&binary, &folder, &server.url(), check)));
    let stopped = server.stop();
    if outcome.is_ok() {
        std::fs::remove_dir_all(&folder)?;
    } else {
        println!("the nodes' logs are in {}", folder.display());
    }
    outcome.and(stopped)
}

fn databases(binaries: &Path, url: &str) -> Result<()> {
    for name in ["apim", "shared"] {
        let sql = format!("CREATE DATABASE {name}");
        command(Command::new(binaries.join("psql")).args([url, "-q", "-c", &sql]))?;
    }
    Ok(())
}

async fn live(binary: &Path, folder: &Path, server: &str, check: bool) -> Result<()> {
    // From the beginning on: being asked to stop while nodes start stops those that have.
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let mut nodes = Nodes::new(binary, folder, server);
    let outcome = tokio::select! {
        outcome = lived(&mut nodes, check) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    println!("stopping");
    let stopped = nodes.stop().await;
    outcome.and(stopped)
}

async fn lived(nodes: &mut Nodes, check: bool) -> Result<()> {
    nodes.start("cp1", nodes::CONTROL, "").await?;
    let seed = nodes.list().first().context("no node")?.cluster.clone();
    nodes.start("cp2", nodes::CONTROL, &seed).await?;
    for (kind, roles) in [("tm", "traffic-manager"), ("gw", "gateway")] {
        for number in 1..=3 {
            nodes
                .start(&format!("{kind}{number}"), roles, &seed)
                .await?;
        }
    }
    tokio::time::timeout(READY, nodes.until_ready())
        .await
        .context("the cluster is not ready in time")??;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let gateways = nodes.list().iter().filter_map(|node| node.ingress.clone());
    let balancer = Balancer::new(gateways.collect());
    show(nodes.list(), &address.to_string());
    tokio::select! {
        never = balancer.serve(listener) => never,
        outcome = called(nodes, address, check) => outcome,
    }
}

/// With `check` until a gateway has answered through the balancer that it is ready; else for ever.
async fn called(nodes: &Nodes, address: std::net::SocketAddr, check: bool) -> Result<()> {
    if !check {
        return std::future::pending().await;
    }
    let status = balancer::get(&address.to_string(), "/_headgate/readyz").await?;
    if status != 200 {
        bail!("a gateway behind the balancer answered {status}, and not that it is ready");
    }
    println!("all nodes are ready, and a gateway said so through the balancer");
    nodes.show_status("gw1").await
}

fn show(nodes: &[Node], balancer: &str) {
    println!();
    for node in nodes {
        let ingress = node.ingress.as_deref().unwrap_or("-");
        println!(
            "{:<4} https://{:<15} cluster {:<15} ingress {:<15} {}",
            node.name,
            node.management,
            node.cluster,
            ingress,
            node.data.display()
        );
    }
    println!("\ngateways, balanced: http://{balancer}");
    if let Some(first) = nodes.first() {
        println!(
            "administrator: admin, password in {}",
            first.data.join("admin-password").display()
        );
        println!(
            "members: headgate status --data-dir {}",
            first.data.display()
        );
    }
    println!("Ctrl-C stops everything and removes it");
}
