//! `headgate sample-backend`: the weather service alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use cluster::{Clock, spawn_named};

use super::print::say;
use super::signals;
use crate::sample_backend::{PORT, SampleBackend};

/// `headgate sample-backend`
#[derive(Debug, clap::Args)]
pub(crate) struct Sample {
    /// Where to listen [default: 127.0.0.1:8290, shifted by --port-offset]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Number added to the default port
    #[arg(long, value_name = "N", default_value_t = 0)]
    port_offset: u16,
}

pub(super) fn run(sample: &Sample) -> anyhow::Result<ExitCode> {
    let address = match sample.listen {
        Some(address) => address,
        None => address(sample.port_offset)?,
    };
    super::runtime()?.block_on(async {
        let backend = SampleBackend::bind(address).await?;
        // A closed pipe does not end a service.
        let _ = say(&format!(
            "sample backend on http://{}, description at /openapi.yaml",
            backend.address()
        ));
        let stop = CancellationToken::new();
        let serving = spawn_named(
            "sample backend",
            backend.serve(Clock::system(), stop.clone()),
        );
        signals::stop_asked().await?;
        stop.cancel();
        serving.await.context("the sample backend ended")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The default address with an offset.
pub(crate) fn address(offset: u16) -> anyhow::Result<SocketAddr> {
    let port = PORT
        .checked_add(offset)
        .context("--port-offset moves the port beyond 65535")?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}
