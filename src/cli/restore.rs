//! `headgate restore`: puts a backup into empty databases and a new data directory.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Output;
use super::backup::show;
use super::print::say;
use crate::app::backup;
use crate::config::{Config, Flags};

/// `headgate restore`
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    flags: Flags,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(restore: &Restore) -> anyhow::Result<ExitCode> {
    // What is made is its owner's alone, as at a start.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let config = Config::load(&restore.flags, std::env::vars_os())?;
    let contents = super::runtime()?.block_on(backup::restore(&config, &restore.from))?;
    show(&contents, restore.output)?;
    if restore.output == Output::Table {
        say("restored: start the node; what it waits for, its log and headgate status say")?;
    }
    Ok(ExitCode::SUCCESS)
}
