//! `headgate keys`: how one key is counted, which gateways hold units of it, and what is given back of it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::remote::{self, Target, cell};
use super::watch::Watch;
use super::{Output, table};
use crate::client::percent_encoded;

/// `headgate keys`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Keys {
    #[command(subcommand)]
    change: Option<Change>,
    /// tenant/level/policy/limit/subject, such as carbon.super/subscription/Gold/0/SUBJECT, as
    /// headgate shards --shard NUMBER --keys NUMBER names them
    #[arg(value_name = "KEY", required = true)]
    key: Option<String>,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    target: Target,
}

/// What is done to a key.
#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Lets a key use its limit once more in its window of now
    Reset {
        /// tenant/level/policy/limit/subject
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        target: Target,
    },
    /// Gives back units that a key has used in its window of now, no more than it has used
    Refund {
        /// tenant/level/policy/limit/subject
        #[arg(value_name = "KEY")]
        key: String,
        /// How many units: requests, or bytes
        #[arg(long, value_name = "NUMBER")]
        units: u64,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) fn run(keys: &Keys) -> anyhow::Result<ExitCode> {
    match (&keys.change, &keys.key) {
        (Some(Change::Reset { key, target }), _) => change(target, key, "reset", &json!({})),
        (Some(Change::Refund { key, units, target }), _) => {
            change(target, key, "refund", &json!({"units": units}))
        }
        (None, Some(key)) => show(keys, key),
        (None, None) => anyhow::bail!("a key is required"),
    }
}

/// Said once: whether it may be said again is for whoever reads the answer.
fn change(target: &Target, key: &str, what: &str, body: &Value) -> anyhow::Result<ExitCode> {
    remote::run(async {
        let remote = target.remote()?;
        let path = format!("/admin/keys/{}/{what}", percent_encoded(key));
        let answer = remote.ask("POST", &path, Some(body)).await?;
        let answer = answer.success("the key cannot be changed")?;
        match target.output {
            Output::Json => remote::print_json(&answer)?,
            Output::Table => {
                for line in changed(&answer) {
                    remote::say(&line)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn changed(answer: &Value) -> Vec<String> {
    let of = |name: &str| cell(answer, name);
    let mut lines = vec![format!(
        "{}: limit {}, {} granted, {} left",
        of("key"),
        of("limit"),
        of("granted"),
        of("left"),
    )];
    let unheard = answer.get("unheard").and_then(Value::as_array);
    let unheard: Vec<&str> = unheard
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !unheard.is_empty() {
        lines.push(format!(
            "not answered by {}: what was granted there before counts until the gateway goes on by another lease; if it \
             still counts once the gateway is back, reset the key once more",
            unheard.join(", ")
        ));
    }
    lines
}

fn show(keys: &Keys, key: &str) -> anyhow::Result<ExitCode> {
    keys.watch.run(async || {
        let remote = keys.target.remote()?;
        let path = format!("/admin/keys/{}", percent_encoded(key));
        let answer = remote.ask("GET", &path, None).await?;
        let answer = answer.success("the key cannot be shown")?;
        match keys.target.output {
            Output::Json => remote::print_json(&answer)?,
            Output::Table => {
                for line in lines(&answer) {
                    remote::say(&line)?;
                }
                remote::say("")?;
                let heading = ["GATEWAY", "INCARNATION", "LEASE", "GRANTED", "RETURNED"];
                table::print(&heading, &leases(&answer))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn lines(key: &Value) -> Vec<String> {
    let of = |name: &str| cell(key, name);
    let standby = match of("standby") {
        nobody if nobody.is_empty() => "no standby".to_owned(),
        standby => format!("standby {standby}"),
    };
    let window = key.get("window").unwrap_or(&Value::Null);
    let of_window = |name: &str| cell(window, name);
    let mut lines = vec![
        of("key"),
        format!(
            "shard {}: owner {}, {standby}, epoch {}, {}",
            of("shard"),
            of("owner"),
            of("epoch"),
            of("phase"),
        ),
        format!(
            "window of {} {}: {} to {} (milliseconds since the epoch)",
            of_window("unitTime"),
            of_window("timeUnit"),
            of_window("start"),
            of_window("end"),
        ),
        format!(
            "limit {}: {} granted, {} left, {} of it spent by leases that are over",
            of("limit"),
            of("granted"),
            of("left"),
            of("spent"),
        ),
    ];
    if key.get("lost") == Some(&Value::Bool(true)) {
        lines.push("what was granted of this window was lost: it counts as full".to_owned());
    }
    if of("toldBy") == "standby" {
        lines.push("the owner does not answer: this is its standby's copy".to_owned());
    }
    lines
}

fn leases(key: &Value) -> Vec<Vec<String>> {
    let leases = key.get("leases").and_then(Value::as_array);
    let columns = ["gateway", "incarnation", "lease", "granted", "returned"];
    let row = |lease| columns.iter().map(|name| cell(lease, name)).collect();
    leases.into_iter().flatten().map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reset_is_told_with_the_gateways_that_had_not_answered_it() {
        let mut answer = json!({
            "key": "t/api/P/0//pizza", "limit": 40, "granted": 2, "left": 38, "unheard": [],
        });
        let counts = "t/api/P/0//pizza: limit 40, 2 granted, 38 left";
        assert_eq!(changed(&answer), [counts]);
        answer["unheard"] = json!(["gw1", "gw2"]);
        let told = changed(&answer);
        assert_eq!((told.len(), told[0].as_str()), (2, counts));
        let why = "not answered by gw1, gw2: what was granted there before counts until the gateway goes on by another \
                   lease; if it still counts once the gateway is back, reset the key once more";
        assert_eq!(told[1], why);
    }

    #[test]
    fn a_key_is_told_with_its_owner_its_window_and_who_holds_how_much() {
        let mut key = json!({
            "key": "t/api/P/0//pizza", "shard": 7, "owner": "tm1", "standby": null, "epoch": 9,
            "phase": "active", "toldBy": "owner", "lost": false, "limit": 40, "granted": 12,
            "left": 28, "spent": 2,
            "window": {"timeUnit": "min", "unitTime": 5, "start": 0, "end": 300_000},
            "leases": [{"gateway": "gw1", "incarnation": 3, "lease": 1, "granted": 12, "returned": 2}],
        });
        let expected = [
            "t/api/P/0//pizza",
            "shard 7: owner tm1, no standby, epoch 9, active",
            "window of 5 min: 0 to 300000 (milliseconds since the epoch)",
            "limit 40: 12 granted, 28 left, 2 of it spent by leases that are over",
        ];
        assert_eq!(lines(&key), expected);
        assert_eq!(leases(&key), [["gw1", "3", "1", "12", "2"]]);
        key["lost"] = true.into();
        key["toldBy"] = "standby".into();
        key["standby"] = "tm2".into();
        let told = lines(&key);
        assert!(told.iter().any(|line| line.contains("standby tm2")));
        assert!(told.iter().any(|line| line.contains("counts as full")));
        assert!(told.iter().any(|line| line.contains("standby's copy")));
    }
}
