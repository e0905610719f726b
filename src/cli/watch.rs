//! `--watch`: a command that only looks, looks again and again.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use super::print::{keep, kept, tell};
use super::remote::{self, Unreachable};

/// How long one look may take: a member that says nothing is named by the one that is asked within a second.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// Whether it is to look again and again.
    pub(super) fn is_asked(self) -> bool {
        self.watch.is_some()
    }

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
                let looked = within(PATIENCE, look()).await;
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

/// Looks for so long at most: who watches a node that hangs is to see that it does.
async fn within(
    patience: Duration,
    look: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let looked = tokio::time::timeout(patience, look).await;
    looked.unwrap_or_else(|_| {
        let seconds = patience.as_secs();
        Err(anyhow::anyhow!("nothing came for {seconds} s").context(Unreachable))
    })
}

/// In the place of what was shown before, on a terminal; else after it.
fn show(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.is_terminal() {
        true => {
            let size = rustix::termios::tcgetwinsize(&stdout).ok();
            let size = size.map(|size| (usize::from(size.ws_row), usize::from(size.ws_col)));
            // Terminals that do not know their size say 0.
            let size = size.filter(|(rows, columns)| *rows > 2 && *columns > 0);
            stdout.write_all(in_place(text, size).as_bytes())?;
        }
        false => writeln!(stdout, "{text}")?,
    }
    stdout.flush()
}

/// From the upper left corner; what was longer before is gone. What has more lines than there are rows (`size`: rows and
/// columns), or a longer line than a row, would move the corner: its end is left out, that of the lines is said.
fn in_place(text: &str, size: Option<(usize, usize)>) -> String {
    let (rows, columns) = size.unzip();
    let line = |line: &str| format!("{}\n", cut(line, columns.unwrap_or(usize::MAX)));
    let count = text.lines().count();
    // The cursor stands on the last row.
    let most = rows.map_or(count, |rows| rows.saturating_sub(1));
    let shown = if count > most {
        most.saturating_sub(1)
    } else {
        count
    };
    let lines = text.lines().take(shown);
    let mut lines: String = lines.map(line).collect();
    if shown < count {
        lines.push_str(&line(&format!("... {} more", count - shown)));
    }
    format!("\u{1b}[H{lines}\u{1b}[J")
}

/// A line, as far as a row of so many columns goes; what the row held beyond it is gone. Colours take no column.
fn cut(line: &str, columns: usize) -> String {
    let (mut kept, mut taken, mut in_colour) = (String::new(), 0, false);
    for letter in line.chars() {
        in_colour |= letter == '\u{1b}';
        if in_colour {
            kept.push(letter);
            in_colour = letter != 'm';
        } else if taken < columns {
            kept.push(letter);
            taken += 1;
        }
    }
    // Behind the last column it would take away the last letter.
    if taken < columns {
        kept.push_str("\u{1b}[K");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_terminal_nothing_is_left_of_what_was_shown_before() {
        let whole = "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J";
        for size in [None, Some((3, 2)), Some((24, 80))] {
            assert_eq!(in_place("a\nb\n", size), whole, "{size:?}");
        }
    }

    #[test]
    fn a_list_that_is_longer_than_the_terminal_stays_in_its_place() {
        let shown = in_place("a\nb\nc\nd\n", Some((4, 80)));
        assert_eq!(
            shown,
            "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n... 2 more\u{1b}[K\n\u{1b}[J"
        );
    }

    #[test]
    fn a_line_that_is_longer_than_a_row_ends_with_it_and_keeps_its_colours() {
        let text = "abc\nabcd\n\u{1b}[32mäbcd\u{1b}[0m e\n\u{1b}[31mab\u{1b}[0m\n";
        let shown = in_place(text, Some((24, 3)));
        let lines = "abc\nabc\n\u{1b}[32mäbc\u{1b}[0m\n\u{1b}[31mab\u{1b}[0m\u{1b}[K\n";
        assert_eq!(shown, format!("\u{1b}[H{lines}\u{1b}[J"));
        let more = in_place("a\nb\nc\nd\n", Some((4, 4)));
        assert!(more.contains("\n... \n"), "{more:?}");
    }

    #[tokio::test]
    async fn a_node_that_hangs_is_shown_as_one_long_before_it_is_given_up() {
        let looked = within(Duration::from_secs(1), std::future::pending());
        let looked = tokio::time::timeout(Duration::from_secs(20), looked).await;
        let looked = looked.unwrap().unwrap_err();
        assert!(looked.downcast_ref::<Unreachable>().is_some(), "{looked}");
        let shown = format!("{looked:#}");
        assert_eq!(shown, "no node answers: nothing came for 1 s");
    }
}
