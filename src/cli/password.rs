//! A password asked for at a terminal: not shown, and typed twice.

use std::io;

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::print::{self, tell};
use super::signals::stop_asked;

/// How often two that differ may be typed.
const TRIES: usize = 3;

/// A terminal that does not show what is typed, until dropped.
struct Hidden(Termios);

/// Asks at the terminal on standard input; none when the answer is left empty.
pub(super) async fn ask(name: &str) -> anyhow::Result<Option<String>> {
    let hidden = Hidden::begin().context("the terminal cannot hide a password")?;
    for _ in 0..TRIES {
        let password = line(&format!("password for {name} (empty: one is made): ")).await?;
        if password.is_empty() {
            return Ok(None);
        }
        if line("the same again: ").await? == password {
            drop(hidden);
            return Ok(Some(password));
        }
        tell("the two differ");
    }
    bail!("no password was typed twice alike")
}

/// One line, or the end when the person gives up: the terminal must show what is typed again.
async fn line(prompt: &str) -> anyhow::Result<String> {
    print::prompt(prompt);
    let (sender, typed) = oneshot::channel();
    // A thread and not the runtime's: nothing waits for it when the person gives up.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        let _ = sender.send(read.map(|bytes| (bytes > 0).then_some(line)));
    });
    let typed = tokio::select! {
        typed = typed => typed.context("standard input cannot be read")?,
        stopped = stop_asked() => {
            tell("");
            stopped?;
            bail!("given up");
        }
    };
    tell("");
    let line = typed?.context("standard input ended")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

// === impl Hidden ===

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO);
        // What was typed ahead was typed to something else.
        tcsetattr(io::stdin(), OptionalActions::Flush, &now)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
