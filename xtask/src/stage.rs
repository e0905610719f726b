//! Named stages with their times: every subcommand runs its work through here, so that a slow stage shows itself.
//!
//! `keep` notes a failure and goes on (checks are worth seeing together), `must` gives the failure back to the caller
//! (a test needs its server). `finish` prints the table and turns noted failures into the exit status.

use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The stages run so far.
pub(crate) struct Stages {
    done: Vec<Done>,
}

struct Done {
    name: String,
    took: Duration,
    failed: bool,
}

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// File, relative to the repository's root.
    pub(crate) path: String,
    /// Line, from 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

// === impl Stages ===

impl Stages {
    /// No stage run yet.
    pub(crate) fn new() -> Self {
        Self { done: Vec::new() }
    }

    /// Runs a stage; its failure is printed and noted, and the next stage may run.
    pub(crate) fn keep(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        // noted in `done`, reported by `finish`
        let _ = self.must(name, work);
    }

    /// Runs a stage; its failure is printed, noted and given back.
    pub(crate) fn must<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("== {name}");
        let started = now();
        let outcome = work();
        let took = started.elapsed();
        match &outcome {
            Ok(_) => println!("== {name}: ok in {:.1} s", took.as_secs_f64()),
            Err(error) => println!(
                "== {name}: failed in {:.1} s: {error:#}",
                took.as_secs_f64()
            ),
        }
        self.done.push(Done {
            name: name.to_owned(),
            took,
            failed: outcome.is_err(),
        });
        outcome
    }

    /// Prints the table of stages.
    ///
    /// # Errors
    /// When a stage failed.
    pub(crate) fn finish(&self) -> Result<()> {
        let failed = self.done.iter().filter(|done| done.failed).count();
        println!("== stages");
        for done in &self.done {
            let verdict = if done.failed { "failed" } else { "ok" };
            println!(
                "{:>9.1} s  {verdict:<6}  {}",
                done.took.as_secs_f64(),
                done.name
            );
        }
        if failed > 0 {
            bail!("{failed} of {} stages failed", self.done.len());
        }
        Ok(())
    }
}

// === impl Finding ===

impl Finding {
    /// A finding at a line of a file.
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.what)
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.what)
        }
    }
}

/// Prints findings and fails when there are any.
pub(crate) fn report(findings: &[Finding]) -> Result<()> {
    for finding in findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    Ok(())
}

/// Runs a command to its end and fails unless it succeeded.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start {shown}"))?;
    succeeded(&shown, status)
}

/// Fails unless the status is success.
pub(crate) fn succeeded(shown: &str, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The moment it is: for printing how long a stage took, and for deadlines of child processes.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask times child processes; no rule of the product depends on it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failed_stage_does_not_hide_the_next_and_fails_the_whole() {
        let mut stages = Stages::new();
        let mut ran = false;
        stages.keep("first", || Err(anyhow!("broken")));
        stages.keep("second", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        assert_eq!(
            stages.finish().unwrap_err().to_string(),
            "1 of 2 stages failed"
        );
    }

    #[test]
    fn a_command_that_fails_is_named_in_the_error() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh -c exit 3: exit status: 3");
    }
}
