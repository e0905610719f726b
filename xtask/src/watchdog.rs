//! A server that never outlives this process: a shell in a process group of its own is the server's parent, and when
//! the pipe from here to there closes, whatever the reason, it ends the command under way, the server, and removes
//! the directory. So Ctrl-C, SIGTERM and SIGKILL need no signal handler.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::stage::{now, shown, succeeded};

const SCRIPT: &str = include_str!("watchdog.sh");

/// A running server and its directory.
pub(crate) struct Watchdog {
    shell: Child,
    line: Option<ChildStdin>,
    folder: PathBuf,
}

// === impl Watchdog ===

impl Watchdog {
    /// Starts `server` with its output in `folder/log`; `folder` is removed at the end. What does not end by itself
    /// within `grace` (whole seconds) is killed.
    pub(crate) fn start(folder: &Path, grace: Duration, server: &[String]) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .arg(grace.as_secs().to_string())
            .args(server);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        shell.current_dir(folder).process_group(0);
        let mut shell = shell.spawn().context("cannot start sh")?;
        let line = shell.stdin.take();
        Ok(Self {
            shell,
            line,
            folder: folder.to_owned(),
        })
    }

    /// Waits until the server's log satisfies `ready`.
    ///
    /// # Errors
    /// `ready`'s own, or none of both within `patience`; with the log's end.
    pub(crate) fn wait(
        &self,
        patience: Duration,
        ready: impl Fn(&str) -> Result<bool>,
    ) -> Result<()> {
        let started = now();
        loop {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(10).collect();
            let tail = || tail.iter().rev().copied().collect::<Vec<_>>().join("\n");
            if ready(&log).with_context(tail)? {
                return Ok(());
            }
            if started.elapsed() > patience {
                bail!(
                    "server not ready after {} s; its log ends with\n{}",
                    patience.as_secs(),
                    tail()
                );
            }
            pause();
        }
    }

    /// Runs a command that uses the server, in a process group that ends with this process.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        let shown = shown(command);
        println!("$ {shown}");
        // a group in the background must not read from the terminal
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let mut child = child.with_context(|| format!("cannot start {shown}"))?;
        self.tell(&format!("run {}", child.id()))?;
        let status = child
            .wait()
            .with_context(|| format!("cannot wait for {shown}"))?;
        self.tell("done")?;
        succeeded(&shown, status)
    }

    /// Stops the server and waits until its directory is gone.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end();
        if self.folder.exists() {
            bail!("{} is still there: remove it", self.folder.display());
        }
        Ok(())
    }

    fn tell(&mut self, what: &str) -> Result<()> {
        let line = self
            .line
            .as_mut()
            .context("the watchdog has been stopped")?;
        writeln!(line, "{what}").context("the watchdog is gone")
    }

    fn end(&mut self) {
        drop(self.line.take());
        // a watchdog that is gone already leaves its directory, which `stop` reports
        let _ = self.shell.wait();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "xtask has no runtime whose threads it could block"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    // a shell's background process ignores SIGQUIT, so each of these servers has to be killed
    const GRACE: Duration = Duration::from_secs(1);

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("xtask-watchdog-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn sleeper() -> Vec<String> {
        ["sh", "-c", "echo $$; exec sleep 600"]
            .map(str::to_owned)
            .to_vec()
    }

    fn pid(watchdog: &Watchdog) -> String {
        watchdog
            .wait(PATIENCE, |log| Ok(log.ends_with('\n')))
            .unwrap();
        fs::read_to_string(watchdog.folder.join("log"))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn lives(pid: &str) -> bool {
        Command::new("kill")
            .args(["-0", pid])
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    #[test]
    fn a_stopped_server_leaves_no_process_and_no_directory() {
        let folder = folder("stop");
        let watchdog = Watchdog::start(&folder, GRACE, &sleeper()).unwrap();
        let server = pid(&watchdog);
        assert!(lives(&server));
        watchdog.stop().unwrap();
        assert!(!lives(&server) && !folder.exists());
    }

    #[test]
    fn a_command_under_way_ends_with_its_caller() {
        let folder = folder("under-way");
        let mut watchdog = Watchdog::start(&folder, GRACE, &sleeper()).unwrap();
        let server = pid(&watchdog);
        // what `run` does up to where its caller is killed
        let mut tests = Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .unwrap();
        watchdog.tell(&format!("run {}", tests.id())).unwrap();
        drop(watchdog.line.take());
        assert!(!tests.wait().unwrap().success());
        watchdog.stop().unwrap();
        assert!(!lives(&server) && !folder.exists());
    }

    #[test]
    fn a_failed_command_is_an_error_and_the_server_stays() {
        let folder = folder("failed");
        let mut watchdog = Watchdog::start(&folder, GRACE, &sleeper()).unwrap();
        let server = pid(&watchdog);
        assert!(watchdog.run(&mut Command::new("false")).is_err());
        watchdog.run(&mut Command::new("true")).unwrap();
        assert!(lives(&server));
        watchdog.stop().unwrap();
    }
}
