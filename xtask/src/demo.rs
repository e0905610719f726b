//! `demo`: builds the release build as a stage, then runs its `headgate demo` in place of this process, so that Ctrl-C is
//! the demo's own.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::stage::{Stages, run as command};
use crate::workspace::Workspace;

/// Never returns when the demo starts. It keeps its data in the caller's directory.
///
/// # Errors
/// When cargo cannot be started.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages, args: &[String]) -> Result<()> {
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    let built = stages.must("build", || command(&mut build(workspace, &here)));
    // told by its stage already; `finish` makes it the exit status
    if built.is_err() {
        return Ok(());
    }
    Err(demo(workspace, &here, args).exec()).context("cannot start cargo run")
}

fn build(workspace: &Workspace, here: &Path) -> Command {
    release(workspace, here, "build")
}

fn demo(workspace: &Workspace, here: &Path, args: &[String]) -> Command {
    let mut cargo = release(workspace, here, "run");
    cargo.args(["--", "demo"]).args(args);
    cargo
}

/// Cargo at the release build: both commands take the same one, so that the second finds it built.
fn release(workspace: &Workspace, here: &Path, verb: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo
        .args([verb, "--release", "--locked", "--bin", "headgate"])
        .arg("--manifest-path")
        .arg(workspace.root().join("Cargo.toml"))
        .current_dir(here);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<&str> {
        let words = command.get_args();
        words.filter_map(|word| word.to_str()).collect()
    }

    #[test]
    fn the_demo_is_the_release_build_of_this_workspace_in_the_callers_directory() {
        let workspace = Workspace::locate().unwrap();
        let here = Path::new("/elsewhere");
        let args = ["--port-offset".to_owned(), "100".to_owned()];
        let command = demo(&workspace, here, &args);
        assert_eq!(command.get_current_dir(), Some(here));
        let words = words(&command);
        let (cargo, demo) = words.split_at(words.iter().position(|word| *word == "--").unwrap());
        assert!(cargo.starts_with(&["run", "--release", "--locked"]));
        let manifest = Path::new(cargo.last().unwrap());
        assert!(manifest.is_file() && manifest.starts_with(workspace.root()));
        assert_eq!(demo, ["--", "demo", "--port-offset", "100"]);
    }

    #[test]
    fn the_stage_builds_what_the_demo_runs() {
        let workspace = Workspace::locate().unwrap();
        let here = Path::new("/elsewhere");
        let (build, demo) = (build(&workspace, here), demo(&workspace, here, &[]));
        let (build, demo) = (words(&build), words(&demo));
        assert_eq!((build[0], demo[0]), ("build", "run"));
        assert_eq!(build[1..], demo[1..demo.len() - 2]);
    }
}
