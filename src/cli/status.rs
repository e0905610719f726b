//! `headgate status`: whether a node may take requests, check by check.

use std::process::ExitCode;

use serde_json::json;

use super::remote::{self, Target};
use super::{Output, table};

/// Exit code of a node that answers but is not ready.
const NOT_READY: u8 = 4;

/// `headgate status`
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(status: &Status) -> anyhow::Result<ExitCode> {
    remote::run(async {
        let remote = status.target.remote()?;
        let answer = remote.ask("GET", "/readyz?verbose", None).await?;
        let ready = answer.status == 200;
        let text = answer.text();
        let checks = checks(&text);
        match status.target.output {
            Output::Json => {
                let list = checks
                    .iter()
                    .map(|(name, good, told)| json!({ "name": name, "ok": good, "told": told }));
                let list: Vec<_> = list.collect();
                remote::print_json(&json!({ "ready": ready, "checks": list }))?;
            }
            Output::Table => {
                let row = |(name, good, told): &(&str, bool, &str)| {
                    let mark = if *good { "ok" } else { "failed" };
                    let told = if *good { "" } else { *told };
                    vec![(*name).to_owned(), mark.to_owned(), told.to_owned()]
                };
                table::print(
                    &["CHECK", "STATE", "WHY"],
                    &checks.iter().map(row).collect::<Vec<_>>(),
                )?;
                remote::say(if ready { "ready" } else { "not ready" })?;
            }
        }
        Ok(if ready {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(NOT_READY)
        })
    })
}

/// The lines `[+] name: told` and `[-] name: told`.
fn checks(text: &str) -> Vec<(&str, bool, &str)> {
    let read = |line| {
        let (mark, rest) = str::split_once(line, "] ")?;
        let (name, told) = rest.split_once(": ")?;
        Some((name, mark == "[+", told))
    };
    text.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_with_their_outcome() {
        let text = "[+] storage: ok\n[-] change log: behind: 3\nnot ready\n";
        let expected = [("storage", true, "ok"), ("change log", false, "behind: 3")];
        assert_eq!(checks(text), expected);
    }
}
