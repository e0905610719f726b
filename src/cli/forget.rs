//! `headgate cluster forget`: gives up what a node held of lost shards, for one that does not come back.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Output;
use super::confirm::confirm;
use super::remote::{self, Target, cell};
use crate::client::percent_encoded;

/// `headgate cluster forget`
#[derive(Debug, clap::Args)]
pub(crate) struct Forget {
    /// The node, by name or id; one that may come back is refused
    #[arg(value_name = "NODE")]
    node: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(forget: &Forget) -> anyhow::Result<ExitCode> {
    remote::run(async {
        let (remote, node) = (forget.target.remote()?, &forget.node);
        let what = format!("{node} is not forgotten");
        let path = format!("/admin/forget?node={}", percent_encoded(node));
        let looked = remote.ask("GET", &path, None).await?.success(&what)?;
        if !forget.yes {
            confirm(&question(&looked), "nothing was given up")?;
        }
        // By its id: the name may be another's by now.
        let body = json!({ "node": cell(&looked, "id") });
        let done = remote.ask("POST", "/admin/forget", Some(&body)).await?;
        let done = done.success(&what)?;
        match forget.target.output {
            Output::Json => remote::print_json(&done)?,
            Output::Table => remote::say(&told(&done))?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What is about to happen.
fn question(looked: &Value) -> String {
    if is_founder(looked) {
        return format!(
            "node {} founded the view register and never runs again, nor a majority of those that vote, where others vote with it: once it is seen for some seconds that nobody says anything, whoever has its name counts in its place (where others voted, whoever has an empty register), and should they run after all, calls may be counted twice",
            cell(looked, "node"),
        );
    }
    if loses_nothing(looked) {
        return format!(
            "nothing that {} held is lost, so nothing is given up; its certificate is renewed no more, until it joins with a token again",
            cell(looked, "node"),
        );
    }
    let others = looked.get("otherHolders").and_then(Value::as_array);
    let others: Vec<&str> = others
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let others = match others.as_slice() {
        [] => "nobody else has it".to_owned(),
        others => format!("of {} it is given up as well", others.join(" ")),
    };
    format!(
        "what {} held of {} lost shards is given up for good, {others}: their windows that are full for it count from nothing, so up to one limit more may be granted in each. If it is down its certificate is renewed no more, until it joins with a token again",
        cell(looked, "node"),
        cell(looked, "count"),
    )
}

fn is_founder(shown: &Value) -> bool {
    shown.get("founder").and_then(Value::as_bool) == Some(true)
}

fn loses_nothing(shown: &Value) -> bool {
    shown.get("count").and_then(Value::as_u64) == Some(0)
}

fn told(done: &Value) -> String {
    let (node, count) = (cell(done, "node"), cell(done, "count"));
    let told = if is_founder(done) {
        format!(
            "it is written down that {node} never runs again: whoever has its name, or where others voted an empty register, founds it anew"
        )
    } else if loses_nothing(done) {
        format!("{node} is forgotten: nothing that it held is lost, so nothing was given up")
    } else {
        match done.get("knownHere") {
            Some(Value::Bool(true)) => format!("{node} is forgotten: {count} lost shards given up"),
            _ => format!(
                "it is agreed on that {node} is forgotten ({count} lost shards); the node that was asked has not heard of it yet"
            ),
        }
    };
    match done.get("retired") {
        Some(Value::Bool(true)) => format!("{told}\nits certificate is renewed no more"),
        Some(Value::Bool(false)) => format!(
            "{told}\nit is not retired, its certificate may be renewed yet: {}",
            cell(done, "renewedYet"),
        ),
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_reads_how_much_is_given_up_and_with_whom() {
        let mut looked = json!({"node": "tm1", "count": 12, "otherHolders": ["tm2", "tm3"]});
        let asked = question(&looked);
        assert!(
            asked.starts_with("what tm1 held of 12 lost shards"),
            "{asked}"
        );
        assert!(
            asked.contains("of tm2 tm3 it is given up as well"),
            "{asked}"
        );
        looked["otherHolders"] = json!([]);
        assert!(question(&looked).contains("nobody else has it"));
        looked["knownHere"] = true.into();
        assert_eq!(told(&looked), "tm1 is forgotten: 12 lost shards given up");
        looked["knownHere"] = false.into();
        assert!(told(&looked).contains("has not heard of it yet"));
        looked["founder"] = true.into();
        assert!(
            question(&looked).contains("node tm1 founded the view register and never runs again")
        );
        assert!(told(&looked).contains("tm1 never runs again"));
        looked["founder"] = false.into();
        looked["count"] = 0.into();
        let asked = question(&looked);
        assert!(
            asked.starts_with("nothing that tm1 held is lost"),
            "{asked}"
        );
        looked["retired"] = true.into();
        let nothing = told(&looked);
        assert!(nothing.contains("nothing was given up"), "{nothing}");
        assert!(
            nothing.ends_with("its certificate is renewed no more"),
            "{nothing}"
        );
        looked["retired"] = false.into();
        looked["renewedYet"] = "no answer".into();
        let yet = told(&looked);
        assert!(yet.ends_with("may be renewed yet: no answer"), "{yet}");
    }
}
