//! What a person sees: numbered steps on standard output, and on a terminal a spinner while one
//! is under way.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Prints the steps.
pub(super) struct Console {
    spinner: ProgressBar,
    steps: u32,
}

// === impl Console ===

impl Console {
    pub(super) fn new() -> Self {
        // Hidden by itself where standard error is no terminal.
        let spinner = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self { spinner, steps: 0 }
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) {
        self.steps += 1;
        self.print(&format!("\n{:>2}. {title}", self.steps));
        self.spinner.set_message(title.to_owned());
    }

    /// Shows a line that a person can repeat.
    pub(super) fn command(&self, line: &str) {
        self.print(&format!("    $ {line}"));
    }

    /// Says how the step went.
    pub(super) fn say(&self, text: &str) {
        self.print(&format!("    {text}"));
    }

    /// Shows what is waited for.
    pub(super) fn wait(&self, text: String) {
        self.spinner.set_message(text);
    }

    /// All steps are done and the node stays up.
    pub(super) fn finish(&self, directory: &Path, upstream: &str) {
        self.spinner.finish_and_clear();
        say(&format!(
            "\nThe node stays up until Ctrl-C. Its data is in {}.",
            directory.display()
        ));
        say(&format!(
            "The sample service behind it is {upstream} (description at /openapi.yaml)."
        ));
    }

    /// How to go on after the demo.
    pub(super) fn farewell(&self, config: &Path, offset: u16) {
        self.spinner.finish_and_clear();
        let shift = match offset {
            0 => String::new(),
            offset => format!(" --port-offset {offset}"),
        };
        say("\nStopped. To go on with what is there:");
        say(&format!("    headgate start --config {}", config.display()));
        say(&format!("    headgate sample-backend{shift}"));
    }

    fn print(&self, line: &str) {
        self.spinner.suspend(|| say(line));
    }
}

/// Prints a line. A closed pipe does not end the demo.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
