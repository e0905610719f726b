//! `headgate shards`: the agreed view of traffic managers, and each shard with its owner and its standby.

use std::process::ExitCode;

use serde_json::Value;

use super::remote::{self, Target, cell};
use super::watch::Watch;
use super::{Output, table};
use crate::client::percent_encoded;

/// `headgate shards`
#[derive(Debug, clap::Args)]
pub(crate) struct Shards {
    /// Only shards that this node owns, stands by for, or is a source of: its name or its id
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only this shard
    #[arg(long, value_name = "NUMBER")]
    shard: Option<u16>,
    /// Name so many of the shard's keys, as headgate keys takes them; 200 at most
    #[arg(long, value_name = "NUMBER", requires = "shard")]
    keys: Option<u16>,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    target: Target,
}

const HEADING: [&str; 8] = [
    "SHARD", "OWNER", "STANDBY", "EPOCH", "PHASE", "KEYS", "WAITING", "LOST",
];

pub(super) fn run(shards: &Shards) -> anyhow::Result<ExitCode> {
    shards.watch.run(async || {
        let remote = shards.target.remote()?;
        let answer = remote.ask("GET", &shards.path(), None).await?;
        let answer = answer.success("the shards cannot be listed")?;
        match shards.target.output {
            Output::Json => remote::print_json(&answer)?,
            Output::Table => print(&answer)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

// === impl Shards ===

impl Shards {
    /// All of them in one page.
    fn path(&self) -> String {
        let mut path = "/admin/shards?limit=1000".to_owned();
        if let Some(node) = &self.node {
            path.push_str(&format!("&node={}", percent_encoded(node)));
        }
        for (name, number) in [("shard", self.shard), ("keys", self.keys)] {
            if let Some(number) = number {
                path.push_str(&format!("&{name}={number}"));
            }
        }
        path
    }
}

fn print(answer: &Value) -> anyhow::Result<()> {
    for line in about(answer) {
        remote::say(&line)?;
    }
    remote::say("")?;
    let list = list(answer, "list");
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    table::print(&HEADING, &rows)?;
    let named: Vec<&Value> = list
        .iter()
        .flat_map(|one| self::list(one, "named"))
        .collect();
    if !named.is_empty() {
        remote::say("\nKEYS")?;
        for key in named {
            remote::say(key.as_str().unwrap_or_default())?;
        }
    }
    Ok(())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value.get(name).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// The view in a few lines.
pub(super) fn about(answer: &Value) -> Vec<String> {
    let view = answer.get("view").unwrap_or(&Value::Null);
    if view.is_null() {
        return vec!["no view of traffic managers is agreed on yet".to_owned()];
    }
    let names = |name: &str| words(list(view, name));
    let mut lines = vec![
        format!("view {}: {}", cell(view, "epoch"), cell(view, "phase")),
        format!("members: {}", names("members")),
    ];
    if !list(view, "sources").is_empty() {
        lines.push(format!("sources: {}", names("sources")));
    }
    let leader = match cell(answer, "leader") {
        unknown if unknown.is_empty() => "nobody is known to lead".to_owned(),
        leader => format!("{leader} leads"),
    };
    lines.push(format!("voters: {} ({leader})", names("voters")));
    let lost = list(view, "lost");
    if !lost.is_empty() {
        let holders = lost.iter().flat_map(|loss| list(loss, "holders"));
        let mut holders: Vec<&str> = holders.filter_map(Value::as_str).collect();
        holders.sort_unstable();
        holders.dedup();
        lines.push(format!(
            "lost: {} times a shard; it comes back with one of {}, or is given up by headgate cluster forget",
            lost.len(),
            holders.join(" ")
        ));
    }
    let unanswered = list(answer, "unanswered");
    if !unanswered.is_empty() {
        lines.push(format!("no answer: {}", words(unanswered)));
    }
    lines
}

/// Nodes by their names.
fn words(nodes: &[Value]) -> String {
    let name = |node: &Value| match node {
        Value::String(name) => name.clone(),
        node => cell(node, "name"),
    };
    nodes.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn row(one: &Value) -> Vec<String> {
    let losses = list(one, "losses");
    let lost = match losses {
        [] => String::new(),
        losses => {
            let holders = losses.iter().map(|loss| words(list(loss, "holders")));
            holders.collect::<Vec<_>>().join("; ")
        }
    };
    let owner = cell(one, "owner");
    let phase = match cell(one, "phase") {
        silent if silent.is_empty() && !owner.is_empty() => "no answer".to_owned(),
        phase => phase,
    };
    let of = |name: &str| cell(one, name);
    vec![
        of("shard"),
        owner,
        of("standby"),
        of("epoch"),
        phase,
        of("keys"),
        of("waiting"),
        lost,
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::*;

    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        shards: Shards,
    }

    #[test]
    fn a_shard_whose_owner_is_silent_or_which_is_lost_is_seen_in_its_row() {
        let whole = json!({
            "shard": 3, "owner": "tm1", "standby": "tm2", "epoch": 9, "phase": "active", "keys": 4,
            "waiting": 0, "losses": [],
        });
        assert_eq!(
            row(&whole),
            ["3", "tm1", "tm2", "9", "active", "4", "0", ""]
        );
        let silent = json!({
            "shard": 3, "owner": "tm1", "standby": null, "epoch": null, "phase": null, "keys": null,
            "waiting": null, "losses": [{"holders": ["tm2", "tm3"]}, {"holders": ["tm4"]}],
        });
        assert_eq!(
            row(&silent),
            ["3", "tm1", "", "", "no answer", "", "", "tm2 tm3; tm4"]
        );
    }

    #[test]
    fn the_view_is_told_with_who_votes_who_leads_and_what_is_lost() {
        assert_eq!(
            about(&json!({"view": null})),
            ["no view of traffic managers is agreed on yet"]
        );
        let told = json!({
            "view": {
                "epoch": 9, "phase": "sync", "members": [{"name": "tm1"}, {"name": "tm2"}],
                "sources": [{"name": "tm3"}], "voters": ["tm1", "tm2", "cp1"],
                "lost": [{"shard": 1, "holders": ["tm4", "tm3"]}, {"shard": 2, "holders": ["tm4"]}],
            },
            "leader": "cp1", "unanswered": ["tm2"],
        });
        let expected = [
            "view 9: sync",
            "members: tm1 tm2",
            "sources: tm3",
            "voters: tm1 tm2 cp1 (cp1 leads)",
            "lost: 2 times a shard; it comes back with one of tm3 tm4, or is given up by headgate cluster forget",
            "no answer: tm2",
        ];
        assert_eq!(about(&told), expected);
    }

    #[test]
    fn a_question_names_what_it_is_about() {
        let path = |words: &str| {
            let words = std::iter::once("shards").chain(words.split(','));
            let words = words.filter(|word| !word.is_empty());
            Parsed::try_parse_from(words).map(|parsed| parsed.shards.path())
        };
        assert_eq!(
            path("--node,tm 1,--shard,7,--keys,5").unwrap(),
            "/admin/shards?limit=1000&node=tm%201&shard=7&keys=5"
        );
        assert_eq!(path("").unwrap(), "/admin/shards?limit=1000");
        assert!(path("--keys,5").is_err(), "of which shard?");
    }
}
