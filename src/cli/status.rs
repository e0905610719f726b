//! `headgate status`: whether a node may take requests, check by check; whom it sees of its cluster;
//! where the change log and its followers stand.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::remote::{self, Remote, Target, cell};
use super::watch::Watch;
use super::{Output, table};

/// Exit code of a node that answers but is not ready.
const NOT_READY: u8 = 4;
/// How long the rest of the cluster is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// `headgate status`
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(status: &Status) -> anyhow::Result<ExitCode> {
    status.watch.run(async || {
        let remote = status.target.remote()?;
        let (answer, cluster) =
            tokio::join!(remote.ask("GET", "/readyz?verbose", None), cluster(&remote));
        let answer = answer?;
        let ready = answer.status == 200;
        let text = answer.text();
        let checks = checks(&text);
        match status.target.output {
            Output::Json => {
                let list = checks
                    .iter()
                    .map(|(name, good, told)| json!({ "name": name, "ok": good, "told": told }));
                let list: Vec<_> = list.collect();
                remote::print_json(&json!({
                    "ready": ready, "checks": list, "members": cluster.get("list"),
                    "changeLog": cluster.get("changeLog"),
                }))?;
            }
            Output::Table => print(&checks, ready, &cluster)?,
        }
        Ok(if ready {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(NOT_READY)
        })
    })
}

/// What the node says of its cluster; nothing where it may not say it, or is late.
async fn cluster(remote: &Remote) -> Value {
    let asked = remote.ask("GET", "/admin/cluster", None);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.status == 200 => {
            serde_json::from_str(&answer.text()).unwrap_or_default()
        }
        _ => Value::Null,
    }
}

fn print(checks: &[(&str, bool, &str)], ready: bool, told: &Value) -> anyhow::Result<()> {
    let row = |(name, good, told): &(&str, bool, &str)| {
        let mark = if *good { "ok" } else { "failed" };
        let told = if *good { "" } else { *told };
        vec![(*name).to_owned(), mark.to_owned(), told.to_owned()]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    table::print(&["CHECK", "STATE", "WHY"], &rows)?;
    remote::say(if ready { "ready" } else { "not ready" })?;
    let Some(members) = list(told.get("list")) else {
        return remote::say("\nthe node does not tell of its cluster");
    };
    remote::say("")?;
    let now_ms = cluster::Clock::system().now_ms().max(0).unsigned_abs();
    let mut rows: Vec<_> = members.iter().map(|one| member(one, now_ms)).collect();
    rows.sort();
    let heading = [
        "NODE",
        "ROLES",
        "STATE",
        "SINCE",
        "VERSION",
        "PROTOCOL",
        "ADDRESS",
        "INCARNATION",
    ];
    table::print(&heading, &rows)?;
    let log = told.get("changeLog").unwrap_or(&Value::Null);
    let Some(followers) = list(log.get("followers")) else {
        return remote::say("\nno node of the control plane tells where the change log stands");
    };
    remote::say(&format!("\nchange log: {}", cell(log, "head")))?;
    let mut rows: Vec<_> = followers.iter().map(follower).collect();
    rows.sort();
    Ok(table::print(
        &["FOLLOWER", "KIND", "APPLIED", "BEHIND", "LEASE", "HEARD"],
        &rows,
    )?)
}

fn list(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}

fn member(one: &Value, now_ms: u64) -> Vec<String> {
    let is = |name: &str| one.get(name) == Some(&Value::Bool(true));
    let name = cell(one, "name");
    let name = if is("self") {
        format!("{name} *")
    } else {
        name
    };
    let roles = list(one.get("roles")).into_iter().flatten();
    let roles: Vec<_> = roles
        .filter_map(Value::as_str)
        // A word between nodes that says nothing beside the roles.
        .filter(|role| *role != actors::CONTROL_PLANE)
        .collect();
    let state = match (cell(one, "health").as_str(), is("leaving"), is("answers")) {
        ("up", true, _) => "leaving".to_owned(),
        ("up", false, false) => "no answer".to_owned(),
        (health, _, _) => health.to_owned(),
    };
    let since = one.get("since").and_then(Value::as_u64);
    let since = since.map_or(String::new(), |since| ago(now_ms.saturating_sub(since)));
    let (version, address) = (cell(one, "version"), cell(one, "address"));
    let protocol = cell(one, "protocol");
    let incarnation = cell(one, "incarnation");
    vec![
        name,
        roles.join(","),
        state,
        since,
        version,
        protocol,
        address,
        incarnation,
    ]
}

fn follower(one: &Value) -> Vec<String> {
    let node = match cell(one, "node") {
        unknown if unknown.is_empty() => cell(one, "follower"),
        node => node,
    };
    let heard = one.get("silentMs").and_then(Value::as_u64);
    let heard = heard.map_or("never".to_owned(), ago);
    let (kind, lease) = (cell(one, "kind"), cell(one, "lease"));
    let (applied, behind) = (cell(one, "applied"), cell(one, "behind"));
    vec![node, kind, applied, behind, lease, heard]
}

/// A time that has passed, in the largest unit of which there are two.
fn ago(passed_ms: u64) -> String {
    let seconds = passed_ms / 1_000;
    let units = [("d", 86_400), ("h", 3_600), ("min", 60)];
    let fits = units.iter().find(|(_, unit)| seconds >= 2 * unit);
    match fits {
        Some((name, unit)) => format!("{} {name} ago", seconds / unit),
        None => format!("{seconds} s ago"),
    }
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

    #[test]
    fn a_member_that_does_not_answer_is_marked() {
        let mut one = json!({
            "name": "gw1", "roles": ["gateway", "control-plane"], "health": "up", "self": false,
            "leaving": false, "answers": false, "version": null, "protocol": null, "since": 1_000,
            "address": "10.0.0.7:4370", "incarnation": 3,
        });
        let row = member(&one, 200_000);
        let expected = [
            "gw1",
            "gateway",
            "no answer",
            "3 min ago",
            "",
            "",
            "10.0.0.7:4370",
            "3",
        ];
        assert_eq!(row, expected);
        one["answers"] = true.into();
        assert_eq!(member(&one, 0).get(2).map(String::as_str), Some("up"));
    }
}
