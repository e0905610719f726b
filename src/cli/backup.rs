//! `headgate backup`: writes a backup of the control plane, or checks one.

use std::path::PathBuf;
use std::process::ExitCode;

use super::print::{print_json, say, tell};
use super::{Output, table};
use crate::app::backup::{self, Contents};
use crate::config::{Config, Flags};

/// `headgate backup`
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Backup {
    /// Write a backup into this file, which is not there yet; who reads it can sign tokens
    #[arg(long, value_name = "FILE", group = "what")]
    to: Option<PathBuf>,
    /// Read this backup from its first line to its last, and say what it has
    #[arg(long, value_name = "FILE", group = "what")]
    check: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

const HEADING: [&str; 3] = ["DATABASE", "TABLE", "ROWS"];

pub(super) fn run(backup: &Backup) -> anyhow::Result<ExitCode> {
    // What is made is its owner's alone, as at a start.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let contents = match (&backup.to, &backup.check) {
        (Some(to), _) => {
            let config = Config::load(&backup.flags, std::env::vars_os())?;
            let now_ms = cluster::Clock::system().now_ms();
            super::runtime()?.block_on(backup::take(&config, to, now_ms))?
        }
        (None, Some(file)) => {
            let contents = backup::check(file)?;
            // It is whole in any case.
            if let Err(error) = backup::is_known(file, &contents) {
                tell(&format!("this version does not restore it: {error:#}"));
            }
            contents
        }
        // One of the two is required.
        (None, None) => return Ok(ExitCode::FAILURE),
    };
    if !contents.files.iter().any(|file| file.starts_with("keys/")) {
        tell(
            "no keys that sign tokens are in it: back up a node with the role key-manager as well",
        );
    }
    show(&contents, backup.output)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what a backup has.
pub(super) fn show(contents: &Contents, output: Output) -> anyhow::Result<()> {
    if output == Output::Json {
        let table = |(database, table, rows): &(String, String, u64)| serde_json::json!({ "database": database, "table": table, "rows": rows });
        let tables: Vec<_> = contents.tables.iter().map(table).collect();
        return print_json(&serde_json::json!({
            "madeBy": contents.made_by,
            "madeAtMs": contents.made_at_ms,
            "tables": tables,
            "files": contents.files,
        }));
    }
    let row = |(database, table, rows): &(String, String, u64)| {
        vec![database.clone(), table.clone(), rows.to_string()]
    };
    let rows: Vec<Vec<String>> = contents.tables.iter().map(row).collect();
    table::print(&HEADING, &rows)?;
    for file in &contents.files {
        say(&format!("file {file}"))?;
    }
    Ok(())
}
