//! `headgate actors`: every actor of the cluster with its counters.

use std::process::ExitCode;

use serde_json::Value;

use super::actor::Show;
use super::confirm::confirm;
use super::remote::{self, Remote, Target, cell};
use super::watch::Watch;
use super::{Output, print, table};
use crate::client::percent_encoded;

/// `headgate actors`
#[derive(Debug, clap::Args)]
pub(crate) struct Actors {
    #[command(subcommand)]
    change: Option<Change>,
    /// Only actors whose name begins so
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Only those of this node: its name or its id
    #[arg(long, value_name = "NODE", global = true)]
    node: Option<String>,
    /// Only those of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    target: Target,
}

/// What is seen of one actor, or done to it.
#[derive(Debug, clap::Subcommand)]
enum Change {
    /// One actor: its numbers, what it shows of its state, and with whom it deals
    Show(Show),
    /// Ends one actor, whatever it is at; its supervisor starts the next one
    Restart {
        /// Its whole name, as the list has it
        #[arg(value_name = "NAME")]
        name: String,
        /// The node that it is on, by name or id [default: the one that is asked]
        #[arg(long, value_name = "NODE", global = true)]
        node: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
}

const HEADING: [&str; 10] = [
    "NODE", "NAME", "KIND", "DEPTH", "HANDLED", "/MIN", "P50", "P99", "ERRORS", "RESTARTS",
];

pub(super) fn run(actors: &Actors) -> anyhow::Result<ExitCode> {
    let Some(change) = &actors.change else {
        return list(actors);
    };
    anyhow::ensure!(
        actors.prefix.is_empty() && actors.kind.is_none() && !actors.watch.is_asked(),
        "PREFIX, --kind and --watch choose what is listed, and show and restart name one actor"
    );
    change.run()
}

// === impl Change ===

impl Change {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let (name, node, yes, target) = match self {
            Self::Show(show) => return show.run(),
            Self::Restart {
                name,
                node,
                yes,
                target,
            } => (name, node, yes, target),
        };
        remote::run(async {
            let remote = target.remote()?;
            let mut node = node.clone();
            if !yes {
                let on =
                    whose(&remote, name, node.as_deref(), "the actor is not restarted").await?;
                let question = format!(
                    "actor {name} of node {on} ends in the middle of what it is at, and another one begins in its place: who waits \
                     for it asks again or is told that it failed"
                );
                confirm(&question, "nothing was restarted")?;
                // Whoever answers next, it is this one that somebody said yes to.
                node.get_or_insert(on);
            }
            let mut path = format!("/admin/actors/restart?name={}", percent_encoded(name));
            if let Some(node) = node {
                path.push_str(&format!("&node={}", percent_encoded(&node)));
            }
            let answer = remote.ask("POST", &path, None).await?;
            let answer = answer.success("the actor is not restarted")?;
            match target.output {
                Output::Json => remote::print_json(&answer)?,
                Output::Table => remote::say(&format!(
                    "{} of {} begins anew",
                    cell(&answer, "name"),
                    cell(&answer, "node")
                ))?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// The node that has the actor: the named one, else the one that is asked. Nobody is asked about an actor that is not there.
pub(super) async fn whose(
    remote: &Remote,
    name: &str,
    node: Option<&str>,
    failed: &str,
) -> anyhow::Result<String> {
    let Listed {
        by,
        list,
        unanswered,
    } = listed(remote, (name, node, None)).await?;
    let on = node.map_or(by, str::to_owned);
    // Of a node that is named, by its id too, there are no others in the list.
    let is_there = |one: &&Value| node.is_some() || cell(one, "node") == on;
    if (list.iter().filter(is_there)).any(|actor| cell(actor, "name") == name) {
        return Ok(on);
    }
    match unanswered.iter().find(is_there) {
        None => anyhow::bail!("{failed}: no actor {name} on node {on} is there"),
        Some(one) => anyhow::bail!(
            "{failed}: no actor {name} on node {on} is seen, and {}: {}",
            cell(one, "node"),
            cell(one, "why")
        ),
    }
}

/// What a node says of actors.
#[derive(Default)]
struct Listed {
    /// Its name.
    by: String,
    list: Vec<Value>,
    /// Who did not say which it has, and why.
    unanswered: Vec<Value>,
}

/// All actors whose names begin so, of one node and kind where these are named.
async fn listed(
    remote: &Remote,
    (prefix, node, kind): (&str, Option<&str>, Option<&str>),
) -> anyhow::Result<Listed> {
    let (mut listed, mut offset) = (Listed::default(), Some(0));
    let mut which = format!("&name={}", percent_encoded(prefix));
    for (name, text) in [("node", node), ("kind", kind)] {
        if let Some(text) = text {
            which.push_str(&format!("&{name}={}", percent_encoded(text)));
        }
    }
    while let Some(from) = offset {
        let path = format!("/admin/actors?offset={from}{which}");
        let answer = remote.ask("GET", &path, None).await?;
        let mut answer = answer.success("the actors cannot be listed")?;
        offset = answer.get("next").and_then(Value::as_u64);
        match answer.get_mut("list").map(Value::take) {
            Some(Value::Array(page)) => listed.list.extend(page),
            _ => anyhow::bail!("the answer came without its list"),
        }
        let silent = answer.get("unanswered").and_then(Value::as_array);
        listed.unanswered = silent.cloned().unwrap_or_default();
        listed.by = cell(&answer, "toldBy");
    }
    Ok(listed)
}

fn list(actors: &Actors) -> anyhow::Result<ExitCode> {
    actors.watch.run(async || {
        let remote = actors.target.remote()?;
        let which = (
            actors.prefix.as_str(),
            actors.node.as_deref(),
            actors.kind.as_deref(),
        );
        let Listed {
            list, unanswered, ..
        } = listed(&remote, which).await?;
        match actors.target.output {
            Output::Json => remote::print_json(&Value::Array(list))?,
            Output::Table => {
                let rows: Vec<Vec<String>> = list.iter().map(row).collect();
                table::print(&HEADING, &rows)?;
            }
        }
        let lines = unanswered.iter();
        let lines = lines.map(|one| format!("{}: {}", cell(one, "node"), cell(one, "why")));
        for line in lines {
            match actors.target.output {
                // What a program reads is the list alone.
                Output::Json => print::tell(&line),
                Output::Table => remote::say(&line)?,
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn row(actor: &Value) -> Vec<String> {
    let times = actor.get("times_ns").and_then(Value::as_array);
    let time = |at: usize| {
        let ns = times
            .and_then(|times| times.get(at))
            .and_then(Value::as_u64);
        ns.map_or_else(String::new, shown)
    };
    let of = |name| cell(actor, name);
    vec![
        of("node"),
        of("name"),
        of("kind"),
        of("depth"),
        of("handled"),
        a_minute(actor),
        time(0),
        time(2),
        of("errors"),
        of("restarts"),
    ]
}

/// Messages handled in a minute, by what came lately; nothing where that is not known yet.
fn a_minute(actor: &Value) -> String {
    let lately = |name| {
        actor
            .pointer(&format!("/lately/{name}"))
            .and_then(Value::as_u64)
    };
    match (lately("handled"), lately("for_ms")) {
        (Some(handled), Some(ms)) if ms >= 1_000 => {
            (u128::from(handled) * 60_000 / u128::from(ms)).to_string()
        }
        _ => String::new(),
    }
}

/// Nanoseconds in the unit that a person reads best.
fn shown(ns: u64) -> String {
    match ns {
        0 => String::new(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{}ms", ns / 1_000_000),
        _ => format!("{}s", ns / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_handled_lately_is_told_by_the_minute() {
        let actor = json!({"lately": {"for_ms": 30_000, "handled": 50}});
        assert_eq!(a_minute(&actor), "100");
        assert_eq!(
            a_minute(&json!({"lately": {"for_ms": 12, "handled": 50}})),
            ""
        );
        assert_eq!(a_minute(&json!({"lately": null})), "");
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let told = [0, 512, 2_048, 4_194_304, 8_589_934_592].map(shown);
        assert_eq!(told, ["", "512ns", "2us", "4ms", "8s"]);
    }
}
