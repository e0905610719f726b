//! `cargo xtask …`: what a developer and CI do with this repository, as one command line.
//!
//! Each subcommand is one file. `check` reads and lints, `test` brings its own PostgreSQL, `bench` and `demo` run
//! the release build. Every stage prints its time, and a failed one makes the exit status non-zero.

mod apt;
mod bench;
mod beside;
mod check;
mod configuration;
mod demo;
mod dependencies;
mod deployed;
mod documents;
mod edges;
mod exact;
mod forbidden;
mod formats;
mod layers;
mod local_cluster;
mod messages;
mod package;
mod paths;
mod postgres;
mod programs;
mod sim;
mod sizes;
mod stage;
mod test;
mod tokens;
mod tools;
mod upgrade;
#[cfg(test)]
mod upgrade_tests;
mod watchdog;
mod watched;
mod words;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::stage::Stages;
use crate::workspace::Workspace;

/// Developer tasks of Headgate.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Formatting, clippy, layers, sizes and words.
    Check,
    /// Who imports whom: between crates, between actor components, between http folders.
    Layers,
    /// No .rs file above 500 lines; the median of the non-test files below 200.
    Sizes,
    /// Messages, module names, unfinished code, stray dependencies.
    Words,
    /// Every test, with a PostgreSQL of its own; arguments go to `cargo test`.
    Test {
        /// Arguments for `cargo test`, as in `cargo xtask test -p headgate-domain windows`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Every benchmark of the root package; each exits 1 above its number.
    Bench {
        /// Arguments for the benchmarks.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// The simulated worlds over many seeds; a seed replays bit for bit.
    #[command(after_help = sim::worlds())]
    Sim {
        /// How many seeds.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// One world only, by its name below.
        #[arg(long)]
        world: Option<String>,
    },
    /// Real clusters under every fault that counters are to survive, counted at the upstream; prints a table.
    Exact {
        /// Runs of each fault.
        #[arg(long, default_value_t = 100)]
        runs: u64,
        /// One fault only, by its name in the table.
        #[arg(long)]
        fault: Option<String>,
        /// The seed of each fault's first run, as a failure names it.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// A cluster of nodes built from a commit, upgraded to this build node by node under load, and taken back.
    Upgrade {
        /// As git knows it; its protocol between nodes is this build's or the one before.
        commit: String,
    },
    /// A cluster on this machine: two control planes on PostgreSQL, three traffic managers, three gateways behind a
    /// balancer.
    Cluster {
        /// Stop when all nodes are ready, instead of staying until Ctrl-C.
        #[arg(long)]
        check: bool,
    },
    /// Makes docs/configuration.md of the comments in src/config.
    Configuration,
    /// Each file of deploy/ by the tool of the program that reads it, where that is on the PATH.
    Deployed,
    /// Binary, archive, Debian package and chart, with their checksums, in target/package.
    Package,
    /// Build the release binary and run `headgate demo`.
    Demo {
        /// Arguments for `headgate demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let workspace = Workspace::locate()?;
    let mut stages = Stages::new();
    match task {
        Task::Check => check::run(&workspace, &mut stages),
        Task::Layers => stages.keep("layers", || layers::run(&workspace)),
        Task::Sizes => stages.keep("sizes", || sizes::run(&workspace)),
        Task::Words => stages.keep("words", || words::run(&workspace)),
        Task::Test { args } => test::run(&workspace, &mut stages, &args)?,
        Task::Bench { args } => bench::run(&workspace, &mut stages, &args)?,
        Task::Sim { seeds, from, world } => {
            let seeds = sim::Seeds { from, count: seeds };
            sim::run(&workspace, &mut stages, world.as_deref(), seeds)?;
        }
        Task::Exact { runs, fault, seed } => {
            let fault = fault.as_deref();
            exact::run(&workspace, &mut stages, &exact::Asked { runs, fault, seed })?;
        }
        Task::Upgrade { commit } => upgrade::run(&workspace, &mut stages, &commit)?,
        Task::Configuration => {
            stages.keep("configuration", || configuration::write(workspace.root()))
        }
        Task::Deployed => tools::run(&workspace, &mut stages),
        Task::Package => package::run(&workspace, &mut stages)?,
        Task::Cluster { check } => return local_cluster::run(&workspace, check),
        Task::Demo { args } => demo::run(&workspace, &mut stages, &args)?,
    }
    stages.finish()
}
