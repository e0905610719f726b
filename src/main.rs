//! Headgate: API management on a cluster of actors, in one binary.

// They panic where nobody reads any more: `cli::print` is the way.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod app;
mod cli;
mod client;
mod config;
mod data_dir;
mod draft;
mod listeners;
mod sample_backend;
mod telemetry;
mod tls;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let command = cli::Cli::parse();
    // aws-lc-rs is the one provider; choosing it here keeps a second one from being picked up.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = cli::run(command);
    telemetry::finish();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            cli::print::tell(&format!("headgate: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
