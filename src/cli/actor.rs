//! `headgate actors show`: one actor, its numbers, what it shows of its state and with whom it deals.

use std::process::ExitCode;

use serde_json::Value;

use super::Output;
use super::actors::whose;
use super::remote::{self, Target, cell};
use crate::client::percent_encoded;

/// Which one.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Its whole name, as the list has it
    #[arg(value_name = "NAME")]
    name: String,
    /// The node that it is on, by name or id [default: the one that is asked]
    #[arg(long, value_name = "NODE", global = true)]
    node: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// What is shown of its numbers, and how it is called.
const NUMBERS: [(&str, &str); 7] = [
    ("kind", "kind"),
    ("depth", "depth"),
    ("handled", "handled"),
    ("errors", "errors"),
    ("restarts", "restarts"),
    ("last_error", "last error"),
    ("parent", "supervisor"),
];

// === impl Show ===

impl Show {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        remote::run(async {
            let remote = self.target.remote()?;
            let (name, node) = (&self.name, self.node.as_deref());
            let on = whose(&remote, name, node, "the actor is not shown").await?;
            let steps = std::iter::once(on.as_str()).chain(name.split('/'));
            let steps = steps.map(|step| format!("/{}", percent_encoded(step)));
            let path = format!("/admin/actors{}", steps.collect::<String>());
            let answer = remote.ask("GET", &path, None).await?;
            let answer = answer.success("the actor is not shown")?;
            match self.target.output {
                Output::Json => remote::print_json(&answer)?,
                Output::Table => remote::say(&told(&answer))?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// Line by line, names first and aligned.
fn told(actor: &Value) -> String {
    let mut lines = vec![("name".to_owned(), cell(actor, "name"))];
    lines.push(("node".to_owned(), cell(actor, "node")));
    for (field, name) in NUMBERS {
        if !actor[field].is_null() {
            lines.push((name.to_owned(), cell(actor, field)));
        }
    }
    for (what, stands) in actor["state"].as_object().into_iter().flatten() {
        lines.push((what.clone(), stands.as_str().unwrap_or_default().to_owned()));
    }
    for (field, name) in [("links", "deals with"), ("children", "supervises")] {
        let list = actor[field].as_array().into_iter().flatten();
        lines.extend(
            list.filter_map(Value::as_str)
                .map(|text| (name.to_owned(), text.to_owned())),
        );
    }
    if let Some(why) = actor["stateLacks"].as_str() {
        let age = actor["stateAgeMs"].as_u64();
        let age = age.map_or_else(String::new, |age| format!(", {age} ms ago"));
        lines.push(("note".to_owned(), format!("{why}{age}")));
    }
    let width = lines.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let lines = lines
        .iter()
        .map(|(name, text)| format!("{name:width$}  {text}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_actor_is_told_line_by_line_and_one_that_hangs_says_how_old_its_word_is() {
        let actor = json!({
            "name": "a/b", "node": "n1", "kind": "k", "depth": 3, "last_error": null,
            "state": { "head": "7" }, "links": ["x", "y"], "children": [],
            "stateLacks": "it hangs", "stateAgeMs": 12,
        });
        let lines = [
            "name        a/b",
            "node        n1",
            "kind        k",
            "depth       3",
            "head        7",
            "deals with  x",
            "deals with  y",
            "note        it hangs, 12 ms ago",
        ];
        assert_eq!(told(&actor), lines.join("\n"));
    }
}
