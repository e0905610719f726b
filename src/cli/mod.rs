//! The command line: one file per subcommand.

mod actor;
mod actors;
mod backup;
mod changes;
mod check;
mod cluster;
mod confirm;
mod demo;
mod forget;
mod keys;
mod password;
mod pinned;
pub(crate) mod print;
mod reload;
mod remote;
mod restore;
pub(crate) mod sample_backend;
mod shards;
pub(crate) mod signals;
mod start;
mod status;
mod table;
mod user;
mod version;
mod voters;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Flags;

/// API management in one binary: publisher, developer portal, key manager, gateway, traffic manager
#[derive(Debug, Parser)]
#[command(name = "headgate", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// How a command prints what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people
    Table,
    /// JSON for scripts
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node
    Start(Flags),
    /// Read the configuration and print each value with where it comes from
    Check(check::Check),
    /// Show where the change log stands, and how far each follower is
    Changes(changes::Changes),
    /// List the actors of all nodes with their counters
    Actors(actors::Actors),
    /// Say whether a running node may take requests, check by check
    Status(status::Status),
    /// Show the view of traffic managers and the shards, with owner and standby
    Shards(shards::Shards),
    /// Show how one key is counted, and which gateways hold units of it
    Keys(keys::Keys),
    /// Admit nodes to the cluster of a running one, choose who votes, give up who does not come back
    Cluster(cluster::Cluster),
    /// Add, list and delete people of a running node
    User(user::User),
    /// Show an API's whole life on a node of its own, and stay up
    Demo(demo::Demo),
    /// Run the sample service that demo calls are forwarded to
    SampleBackend(sample_backend::Sample),
    /// Write the control plane's databases and keys into one file, also while nodes run, or check such a file
    Backup(backup::Backup),
    /// Put a backup into empty databases and a new data directory
    Restore(restore::Restore),
    /// Have a running node read its configuration once more, as SIGHUP does
    Reload(reload::Reload),
    /// Print the version
    Version,
}

/// Runs one command.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Start(flags) => start::run(&flags),
        Command::Check(check) => check::run(&check),
        Command::Changes(changes) => changes::run(&changes),
        Command::Actors(actors) => actors::run(&actors),
        Command::Status(status) => status::run(&status),
        Command::Shards(shards) => shards::run(&shards),
        Command::Keys(keys) => keys::run(&keys),
        Command::Cluster(cluster) => cluster::run(&cluster),
        Command::User(user) => user::run(&user),
        Command::Demo(demo) => demo::run(&demo),
        Command::SampleBackend(sample) => sample_backend::run(&sample),
        Command::Backup(backup) => backup::run(&backup),
        Command::Restore(restore) => restore::run(&restore),
        Command::Reload(reload) => reload::run(&reload),
        Command::Version => version::run(),
    }
}

/// A runtime for commands that do something.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}
