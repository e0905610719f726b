//! `headgate reload`: has a running node read its configuration once more, as SIGHUP does.

use std::process::ExitCode;

use serde_json::Value;

use super::remote::{self, Target, cell};
use super::{Output, table};

/// `headgate reload`
#[derive(Debug, clap::Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    target: Target,
}

const HEADING: [&str; 4] = ["TAKES EFFECT", "KEY", "VALUE", "FROM"];

pub(super) fn run(reload: &Reload) -> anyhow::Result<ExitCode> {
    remote::run(async {
        let remote = reload.target.remote()?;
        let answer = remote.ask("POST", "/admin/reload", None).await?;
        let answer = answer.success("the configuration was not read anew")?;
        match reload.target.output {
            Output::Json => remote::print_json(&answer)?,
            Output::Table => print(&answer)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn print(answer: &Value) -> anyhow::Result<()> {
    let of = |list: &str, when: &str| -> Vec<Vec<String>> {
        let list = answer[list].as_array().into_iter().flatten();
        let row = |one: &Value| {
            let of = |name| cell(one, name);
            vec![when.to_owned(), of("key"), of("value"), of("origin")]
        };
        list.map(row).collect()
    };
    let mut rows = of("applied", "now");
    rows.extend(of("atRestart", "at the next start"));
    if rows.is_empty() {
        return remote::say("nothing has changed");
    }
    table::print(&HEADING, &rows)?;
    Ok(())
}
