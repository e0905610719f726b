//! A program of the lowest priority beside the stages: it takes what they leave of the machine while they wait.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::stage::{Stages, now, succeeded};

/// A program under way. It ends with this value, however the stages end; Ctrl-C reaches it by its terminal.
pub(crate) struct Beside {
    name: String,
    child: Child,
    began: Instant,
}

// === impl Beside ===

impl Beside {
    /// Starts the program with these arguments and variables; it prints where this process does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        name: String,
        program: &Path,
        args: &[&str],
        variables: &[(&str, String)],
    ) -> Result<Self> {
        println!("== {name}: begins, beside what follows");
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program).args(args);
        command.envs(variables.iter().map(|(key, value)| (key, value)));
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start nice {}", program.display()))?;
        let began = now();
        Ok(Self { name, child, began })
    }

    /// Waits for its end, as a stage: of its time only that is told which nothing else ran in.
    ///
    /// # Errors
    /// When it failed; what it printed is among what the stages did.
    pub(crate) fn end(mut self, stages: &mut Stages) -> Result<()> {
        let (name, began) = (self.name.clone(), self.began);
        stages.must(&name, || {
            let status = self.child.wait().context("cannot wait for it")?;
            println!(
                "it ended {:.0} s after it began",
                began.elapsed().as_secs_f64()
            );
            succeeded("what it printed is above", status)
        })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // fails where it ended long ago
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(script: &str) -> Beside {
        let variables = [("STATUS", "3".to_owned())];
        let args = ["-c", script];
        Beside::start("it".to_owned(), Path::new("sh"), &args, &variables).unwrap()
    }

    #[test]
    fn what_fails_beside_the_stages_fails_them() {
        let mut stages = Stages::new();
        beside("exit 0").end(&mut stages).unwrap();
        stages.finish().unwrap();
        let error = beside("exit $STATUS").end(&mut stages).unwrap_err();
        assert!(error.to_string().ends_with("exit status: 3"), "{error}");
        stages.finish().unwrap_err();
    }

    #[test]
    fn what_nobody_waits_for_is_ended() {
        let began = now();
        drop(beside("exec sleep 600"));
        assert!(began.elapsed().as_secs() < 300);
    }
}
