//! The one way that commands print: who reads may have read enough, such as `head`, and is not told of that.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

/// Prints a line on standard output.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Prints a value as JSON on standard output.
pub(super) fn print_json(value: &Value) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

/// Tells a person something beside the output, on standard error. Nothing depends on who reads it.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The same without the end of the line: the person goes on there.
pub(super) fn prompt(text: &str) {
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// What a command that only prints ends with: done, also where whoever read its output has read enough.
pub(super) fn quietly(outcome: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match outcome {
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
        outcome => outcome,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
