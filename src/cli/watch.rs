//! `--watch`: a command that only looks, looks again and again.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use super::print::{keep, kept, tell};
use super::remote::{self, Unreachable};

/// How often it looks.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Watch {
    /// Look again every so many seconds, 2 where none are given, until Ctrl-C
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    watch: Option<u64>,
}

// === impl Watch ===

impl Watch {
    /// Runs `look` once, or until nobody reads any more. A node that does not answer is waited for: it may be starting
    /// anew, which is what is watched.
    pub(super) fn run(
        self,
        look: impl AsyncFn() -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let Some(seconds) = self.watch else {
            return remote::run(look());
        };
        remote::run(async {
            loop {
                keep();
                let looked = look().await;
                let mut text = kept();
                match looked {
                    Err(error) if error.downcast_ref::<Unreachable>().is_some() => {
                        // Among values of JSON it would be none.
                        match io::stdout().is_terminal() {
                            true => text.push_str(&format!("{error:#}\n")),
                            false => tell(&format!("headgate: {error:#}")),
                        }
                    }
                    looked => drop(looked?),
                }
                match show(&text) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok(ExitCode::SUCCESS);
                    }
                    shown => shown?,
                }
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
        })
    }
}

/// In the place of what was shown before, on a terminal; else after it.
fn show(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.is_terminal() {
        true => stdout.write_all(in_place(text).as_bytes())?,
        false => writeln!(stdout, "{text}")?,
    }
    stdout.flush()
}

/// From the upper left corner; what was longer before is gone.
fn in_place(text: &str) -> String {
    let lines = text.lines();
    let lines: String = lines.map(|line| format!("{line}\u{1b}[K\n")).collect();
    format!("\u{1b}[H{lines}\u{1b}[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_terminal_nothing_is_left_of_what_was_shown_before() {
        let shown = in_place("a\nb\n");
        assert_eq!(shown, "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
    }
}
