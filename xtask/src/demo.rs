//! `demo`: the release build's `headgate demo`, in place of this process, so that Ctrl-C is the demo's own.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Never returns when the demo starts. It keeps its data in the caller's directory.
///
/// # Errors
/// When cargo cannot be started.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let here = std::env::current_dir().context("cannot tell the current directory")?;
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
    Err(cargo.exec()).context("cannot start cargo run")
}
