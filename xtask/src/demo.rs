//! `demo`: the release build's `headgate demo`, in place of this process, so that Ctrl-C is the demo's own.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Never returns when the demo starts. It keeps its data in the caller's directory.
///
/// # Errors
/// When cargo cannot be started.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    let mut cargo = command(workspace, &here, args);
    Err(cargo.exec()).context("cannot start cargo run")
}

fn command(workspace: &Workspace, here: &Path, args: &[String]) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args([
        "run",
        "--release",
        "--locked",
        "--bin",
        "headgate",
        "--manifest-path",
    ]);
    cargo
        .arg(workspace.root().join("Cargo.toml"))
        .args(["--", "demo"])
        .args(args)
        .current_dir(here);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_the_release_build_of_this_workspace_in_the_callers_directory() {
        let workspace = Workspace::locate().unwrap();
        let here = Path::new("/elsewhere");
        let args = ["--port-offset".to_owned(), "100".to_owned()];
        let command = command(&workspace, here, &args);
        assert_eq!(command.get_current_dir(), Some(here));
        let words: Vec<_> = command
            .get_args()
            .filter_map(|word| word.to_str())
            .collect();
        let (cargo, demo) = words.split_at(words.iter().position(|word| *word == "--").unwrap());
        assert!(cargo.starts_with(&["run", "--release", "--locked"]));
        let manifest = Path::new(cargo.last().unwrap());
        assert!(manifest.is_file() && manifest.starts_with(workspace.root()));
        assert_eq!(demo, ["--", "demo", "--port-offset", "100"]);
    }
}
