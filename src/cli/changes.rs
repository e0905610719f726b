//! `headgate changes`: where the change log stands, and how far each follower is.

use std::process::ExitCode;

use serde_json::Value;

use super::remote::{self, Target, cell};
use super::watch::Watch;
use super::{Output, table};

/// `headgate changes`
#[derive(Debug, clap::Args)]
pub(crate) struct Changes {
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    target: Target,
}

const HEADING: [&str; 7] = [
    "FOLLOWER", "NODE", "KIND", "APPLIED", "BEHIND", "SILENT", "LEASE",
];

pub(super) fn run(changes: &Changes) -> anyhow::Result<ExitCode> {
    changes.watch.run(async || {
        let remote = changes.target.remote()?;
        let answer = remote.ask("GET", "/admin/changes", None).await?;
        let answer = answer.success("nobody says where the change log stands")?;
        match changes.target.output {
            Output::Json => remote::print_json(&answer)?,
            Output::Table => {
                remote::say(&format!("the change log is at {}", cell(&answer, "head")))?;
                let followers = answer.get("followers").and_then(Value::as_array);
                let rows: Vec<Vec<String>> = followers.into_iter().flatten().map(row).collect();
                table::print(&HEADING, &rows)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn row(follower: &Value) -> Vec<String> {
    let silent = follower.get("silentMs").and_then(Value::as_u64);
    let of = |name| cell(follower, name);
    vec![
        of("follower"),
        of("node"),
        of("kind"),
        of("applied"),
        of("behind"),
        silent.map_or_else(String::new, |ms| format!("{ms}ms")),
        of("lease"),
    ]
}
