//! `headgate demo`: an all-in-one node and the sample service in one process, and an API's whole
//! life on them, from its description to a call that its plan refuses.
//!
//! | file | what it does |
//! |---|---|
//! | `settings` | the demo's `headgate.toml` |
//! | `console` | what a person sees |
//! | `journey` | who is asked, and how a step asks |
//! | `access` | a client and a token for the REST APIs |
//! | `api` | description, revision, deployment, publication |
//! | `application` | plan, application, subscription, keys |
//! | `traffic` | calls until the plan refuses |

mod access;
mod api;
mod application;
mod console;
mod journey;
mod settings;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use cluster::{Clock, spawn_named};

use super::{sample_backend, signals};
use crate::app;
use crate::config::Config;
use crate::data_dir;
use crate::listeners::Listeners;
use crate::sample_backend::SampleBackend;
use console::Console;
use journey::Journey;

/// `headgate demo`
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Where the demo keeps its configuration and data
    #[arg(long, value_name = "DIR", default_value = "headgate-demo")]
    data_dir: PathBuf,
    /// Number added to every port; kept in the demo's configuration
    #[arg(long, value_name = "N")]
    port_offset: Option<u16>,
}

pub(super) fn run(demo: &Demo) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(play(demo))
}

async fn play(demo: &Demo) -> anyhow::Result<ExitCode> {
    let stopped = signals::Asked::listen()?.stop();
    tokio::pin!(stopped);
    let config = settings::load(&demo.data_dir, demo.port_offset, std::env::vars_os())?;
    crate::telemetry::start_silent(&config.log)?;
    let offset = config.listen.port_offset;
    let backend = SampleBackend::bind(sample_backend::address(offset)?).await?;
    let listeners = Listeners::bind(&config).await?;
    data_dir::ensure_ours(&config.node.data_dir)?;
    // Only now: a port that is busy must not decide the offset of later runs.
    settings::keep(&demo.data_dir, offset)?;
    let upstream = format!("http://{}", backend.address());
    let mut console = Console::new();
    console.step("start an all-in-one node and the sample service");
    let mut node = tokio::select! {
        node = app::start_on(listeners, config.clone()) => node?,
        // What a start leaves half done the next one finishes, as after a crash.
        () = &mut stopped => return Ok(ExitCode::SUCCESS),
    };
    let stop = CancellationToken::new();
    let serving = spawn_named(
        "sample backend",
        backend.serve(Clock::system(), stop.clone()),
    );
    let outcome = tokio::select! {
        outcome = visit(demo, &config, &upstream, &mut console) => outcome,
        reason = node.refused() => Err(anyhow::anyhow!("the cluster does not take this node: {reason}")),
        () = &mut stopped => Ok(false),
    };
    if matches!(outcome, Ok(true)) {
        console.finish(&demo.data_dir, &upstream);
        stopped.await;
    }
    console.say("stopping");
    node.stop().await;
    stop.cancel();
    serving.await.context("the sample backend ended")?;
    outcome?;
    console.farewell(&settings::file(&demo.data_dir), offset);
    Ok(ExitCode::SUCCESS)
}

/// Goes through all steps; true when they are done.
async fn visit(
    demo: &Demo,
    config: &Config,
    upstream: &str,
    console: &mut Console,
) -> anyhow::Result<bool> {
    let mut journey = Journey::new(&demo.data_dir, config, console)?;
    access::register_client(&mut journey).await?;
    access::sign_in(&mut journey).await?;
    let api = api::import(&mut journey, upstream).await?;
    let revision = api::revision(&mut journey, &api).await?;
    api::deploy(&mut journey, &api, &revision).await?;
    api::publish(&mut journey, &api).await?;
    application::plan(&mut journey).await?;
    let application = application::create(&mut journey).await?;
    application::subscribe(&mut journey, &api, &application).await?;
    application::generate_keys(&mut journey, &application).await?;
    let token = application::token(&mut journey).await?;
    traffic::call_until_refused(&mut journey, &token).await?;
    Ok(true)
}
