//! `headgate cluster voters`: who votes on views of traffic managers, and the choice of others, followed until a view of
//! theirs is active.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::remote::{self, Remote, Target, cell};
use super::shards::about;
use super::{Output, print, table};

/// The state of a change is looked at so often.
const LOOK: Duration = Duration::from_millis(250);

/// `headgate cluster voters`
#[derive(Debug, clap::Args)]
pub(crate) struct Voters {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Have these nodes vote and no others, until another choice or auto; the old ones are needed until it is done
    Set {
        /// 1, 3 or 5 nodes by name or id; each has to be connected
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Take the choice back: the cluster chooses traffic managers first, then control planes, then gateways
    Auto {
        #[command(flatten)]
        patience: Patience,
    },
}

#[derive(Debug, clap::Args)]
struct Patience {
    /// How many seconds it is waited for; what was begun goes on after that
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u16,
}

pub(super) fn run(voters: &Voters) -> anyhow::Result<ExitCode> {
    remote::run(async {
        let (remote, output) = (voters.target.remote()?, voters.target.output);
        let (what, patience, answer) = match &voters.command {
            None => {
                let answer = remote.ask("GET", "/admin/voters", None).await?;
                let told = answer.success("the voters cannot be shown")?;
                show(output, &told)?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Command::Set { nodes, patience }) => {
                let body = json!({ "voters": nodes });
                let answer = remote.ask("PUT", "/admin/voters", Some(&body)).await?;
                ("the voters stay as they are", (patience, true), answer)
            }
            Some(Command::Auto { patience }) => {
                let answer = remote.ask("DELETE", "/admin/voters", None).await?;
                ("the choice cannot be taken back", (patience, false), answer)
            }
        };
        let told = answer.success(what)?;
        let told = follow(&remote, told, patience).await?;
        show(output, &told)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Says how far the change has come, until it is done.
async fn follow(
    remote: &Remote,
    told: Value,
    (patience, is_choice): (&Patience, bool),
) -> anyhow::Result<Value> {
    let deadline = Duration::from_secs(patience.wait.into());
    let (mut told, mut said) = (told, String::new());
    let following = async {
        loop {
            let now = progress(&told);
            if now != said {
                print::tell(&now);
                said = now;
            }
            // A voter that is behind says what was chosen before.
            if is_settled(&told) && is_chosen(&told) == is_choice {
                return told;
            }
            tokio::time::sleep(LOOK).await;
            // Whoever is asked may be one of those that change.
            if let Ok(answer) = remote.ask("GET", "/admin/voters", None).await
                && let Ok(looked) = answer.success("")
            {
                told = looked;
            }
        }
    };
    match tokio::time::timeout(deadline, following).await {
        Ok(told) => Ok(told),
        Err(_) => bail!(
            "not done within {} s: the choice is kept, and whoever leads goes on with it; keep the old voters running, and see headgate cluster voters",
            patience.wait
        ),
    }
}

fn is_settled(told: &Value) -> bool {
    told.get("settled") == Some(&Value::Bool(true))
}

/// How far a change has come, in words.
fn progress(told: &Value) -> String {
    let names = |name: &str| {
        let list = told.get(name).and_then(Value::as_array);
        let name = |one: &Value| match one {
            Value::String(name) => name.clone(),
            one => cell(one, "name"),
        };
        let names = list.into_iter().flatten().map(name);
        names.collect::<Vec<_>>().join(" ")
    };
    let (voters, next, chosen) = (names("voters"), names("next"), names("chosen"));
    let sorted = |names: &str| {
        let mut names: Vec<&str> = names.split(' ').collect();
        names.sort_unstable();
        names.join(" ")
    };
    let view = told.get("view").unwrap_or(&Value::Null);
    if is_settled(told) {
        let epoch = cell(view, "epoch");
        return format!("done: view {epoch} of the voters {voters} is active");
    }
    if voters.is_empty() {
        return "no voter says how far it is".to_owned();
    }
    if !next.is_empty() {
        return format!("the voters change: majorities of {voters} and of {next} decide together");
    }
    if !chosen.is_empty() && sorted(&chosen) != sorted(&voters) {
        return format!("agreed on: {chosen} are to vote; they take the log, {voters} vote still");
    }
    format!(
        "{voters} vote; a view of theirs is not active yet, so the voters before are needed still"
    )
}

fn show(output: Output, told: &Value) -> anyhow::Result<()> {
    if output == Output::Json {
        return remote::print_json(told);
    }
    table::print(&["VOTER", "ID", "STATE", "LEADS"], &rows(told))?;
    remote::say("")?;
    remote::say(chosen(told))?;
    for line in about(told) {
        remote::say(&line)?;
    }
    if !is_settled(told) {
        remote::say(&progress(told))?;
    }
    Ok(())
}

fn is_chosen(told: &Value) -> bool {
    let chosen = told.get("chosen").and_then(Value::as_array);
    chosen.is_some_and(|chosen| !chosen.is_empty())
}

fn chosen(told: &Value) -> &'static str {
    match is_chosen(told) {
        true => "chosen by an operator: headgate cluster voters auto takes it back",
        false => "chosen by the cluster",
    }
}

fn rows(told: &Value) -> Vec<Vec<String>> {
    let voters = told.get("voters").and_then(Value::as_array);
    let row = |one: &Value| {
        let is = |name: &str| one.get(name) == Some(&Value::Bool(true));
        let state = match (is("answers"), cell(one, "state").as_str()) {
            (true, _) => "up".to_owned(),
            (false, "up") => "no answer".to_owned(),
            (false, "") => "not known".to_owned(),
            (false, state) => state.to_owned(),
        };
        let leads = if is("leads") { "leads" } else { "" };
        let (name, id) = (cell(one, "name"), cell(one, "id"));
        vec![name, id, state, leads.to_owned()]
    };
    voters.into_iter().flatten().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(voters: &str, next: &str, chosen: &str, settled: bool) -> Value {
        let words =
            |text: &str| -> Vec<Value> { text.split_whitespace().map(Value::from).collect() };
        let voters: Vec<Value> = words(voters)
            .into_iter()
            .map(|name| json!({ "name": name }))
            .collect();
        json!({
            "voters": voters, "next": words(next), "chosen": words(chosen), "settled": settled,
            "view": {"epoch": 9, "phase": "active"},
        })
    }

    #[test]
    fn a_change_of_voters_says_how_far_it_is_and_done_only_at_its_end() {
        let cases = [
            (
                told("a", "", "a b c", false),
                "agreed on: a b c are to vote",
            ),
            (told("a", "a b c", "a b c", false), "decide together"),
            (told("a b c", "", "c b a", false), "not active yet"),
            (told("", "", "", false), "no voter says"),
            (told("a b c", "", "c b a", true), "done: view 9"),
        ];
        for (told, wanted) in cases {
            let said = progress(&told);
            assert!(said.starts_with(wanted) || said.contains(wanted), "{said}");
            assert_eq!(said.starts_with("done"), is_settled(&told), "{said}");
        }
    }

    #[test]
    fn a_voter_that_does_not_answer_is_seen() {
        let told = json!({"voters": [
            {"name": "a", "id": "1", "answers": true, "state": "up", "leads": true},
            {"name": "b", "id": "2", "answers": false, "state": "up", "leads": false},
            {"name": "c", "id": "3", "answers": false, "state": "down", "leads": false},
            {"name": "4", "id": "4", "answers": false, "state": null, "leads": false},
        ]});
        let expected = [
            ["a", "1", "up", "leads"],
            ["b", "2", "no answer", ""],
            ["c", "3", "down", ""],
            ["4", "4", "not known", ""],
        ];
        assert_eq!(rows(&told), expected);
        assert_eq!(chosen(&told), "chosen by the cluster");
    }
}
