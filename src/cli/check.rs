//! `headgate check`: what a node would be started with, and where each value comes from.

use std::process::ExitCode;

use super::Output;
use super::print::{print_json, say};
use crate::config::{Config, Flags};

/// `headgate check`
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    flags: Flags,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

pub(super) fn run(check: &Check) -> anyhow::Result<ExitCode> {
    let config = Config::load(&check.flags, std::env::vars_os())?;
    match check.output {
        Output::Json => {
            let values = config.effective.iter().map(|value| {
                serde_json::json!({
                    "key": value.key,
                    "value": value.value,
                    "origin": value.origin.to_string(),
                })
            });
            let list = serde_json::Value::Array(values.collect());
            print_json(&list)?;
        }
        Output::Table => {
            let width = |of: fn(&crate::config::Effective) -> usize| {
                config.effective.iter().map(of).max().unwrap_or(0)
            };
            let (keys, values) = (width(|v| v.key.len()), width(|v| v.value.len()));
            for value in &config.effective {
                say(&format!(
                    "{:keys$}  {:values$}  {}",
                    value.key, value.value, value.origin
                ))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
