//! `headgate actors`: every actor of a node with its counters.

use std::process::ExitCode;

use serde_json::Value;

use super::remote::{self, Target, cell};
use super::{Output, table};

/// `headgate actors`
#[derive(Debug, clap::Args)]
pub(crate) struct Actors {
    /// Only actors whose name begins so
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(actors: &Actors) -> anyhow::Result<ExitCode> {
    remote::run(async {
        let remote = actors.target.remote()?;
        let answer = remote.ask("GET", "/admin/actors", None).await?;
        let mut answer = answer.success("the actors cannot be listed")?;
        let list = answer.get_mut("list").map(Value::take);
        let mut list = match list {
            Some(Value::Array(list)) => list,
            _ => anyhow::bail!("the answer came without its list"),
        };
        list.retain(|actor| cell(actor, "name").starts_with(&actors.prefix));
        match actors.target.output {
            Output::Json => remote::print_json(&Value::Array(list))?,
            Output::Table => {
                let columns = [
                    "name", "kind", "received", "handled", "depth", "errors", "restarts",
                ];
                let row = |actor| columns.iter().map(|name| cell(actor, name)).collect();
                let rows: Vec<Vec<String>> = list.iter().map(row).collect();
                table::print(
                    &columns
                        .map(str::to_uppercase)
                        .each_ref()
                        .map(String::as_str),
                    &rows,
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
