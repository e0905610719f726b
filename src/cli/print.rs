//! The one way that commands print: who reads may have read enough, such as `head`, and is not told of that.

use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// What is printed while somebody keeps it.
static KEPT: Mutex<Option<String>> = Mutex::new(None);

/// From now on what is printed is kept, until [`kept`] takes it.
pub(super) fn keep() {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(String::new());
}

/// What was printed since [`keep`].
pub(super) fn kept() -> String {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
    kept.unwrap_or_default()
}

/// Prints a line on standard output.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    Ok(read_enough(say_once(line))?)
}

/// Prints what is said this once.
///
/// # Errors
/// Also when nobody reads it.
pub(super) fn say_once(line: &str) -> io::Result<()> {
    if let Some(kept) = &mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner) {
        kept.push_str(line);
        kept.push('\n');
        return Ok(());
    }
    writeln!(io::stdout(), "{line}")
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

/// Whoever read the output has read enough: the command goes on to its own end, and its exit code is its own.
pub(super) fn read_enough(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
