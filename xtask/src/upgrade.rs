//! `upgrade COMMIT`: a cluster of nodes built from that commit is upgraded to this build node by node under load, and taken
//! back. What `cargo xtask test` does with this build alone, kept back to the version of the protocol before, is done with
//! a build that was once the newest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::postgres::{self, Postgres};
use crate::stage::{Stages, run as command};
use crate::workspace::Workspace;

/// Goes up and back.
const TEST: &str = "rolling::versions::a_cluster_goes_to_the_next_version_and_back_and_fails_no_request_and_changes_no_limit";
/// The build to come from, as that test knows it.
const BEFORE: &str = "HEADGATE_ROLLING_BEFORE";

/// Builds `commit` beside this checkout and runs the test with both.
///
/// # Errors
/// At the first stage that fails; the server is stopped all the same.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages, commit: &str) -> Result<()> {
    let id = commit_id(workspace, commit)?;
    let place = Place::of(workspace.root(), &id);
    stages.must("source of the commit", || place.unpack(workspace, &id))?;
    stages.must("build of the commit", || {
        command(&mut place.build(workspace))
    })?;
    let mut server = stages.must("postgres start", || Postgres::start(&postgres::binaries()?))?;
    let mut cargo = test(workspace, &place.program());
    // Noted by its stage, and `finish` makes it the exit status: the server is stopped all the same.
    stages.keep("test of the upgrade", || server.run(&mut cargo));
    stages.must("postgres stop", || server.stop())
}

/// The whole number of a commit that was named in any way that git knows.
fn commit_id(workspace: &Workspace, commit: &str) -> Result<String> {
    if commit.starts_with('-') {
        bail!("{commit}: not a commit");
    }
    let named = format!("{commit}^{{commit}}");
    let mut git = Command::new("git");
    let git = git.current_dir(workspace.root());
    let git = git.args(["rev-parse", "--verify", "--quiet", &named]);
    let output = git.output().context("cannot start git")?;
    if !output.status.success() {
        bail!("{commit}: this repository has no such commit");
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where the commit's source and what is built of it are.
struct Place {
    source: PathBuf,
    target: PathBuf,
}

// === impl Place ===

impl Place {
    fn of(root: &Path, id: &str) -> Self {
        let all = root.join("target").join("upgrade");
        Self {
            source: all.join(id),
            // One for all commits: most of what they need is the same.
            target: all.join("built"),
        }
    }

    /// Nothing of it is known to git, so that nothing is left over there.
    fn unpack(&self, workspace: &Workspace, id: &str) -> Result<()> {
        if self.source.exists() {
            return Ok(());
        }
        // Under another name until it is whole.
        let part = self.source.with_extension("part");
        fs::create_dir_all(&part).context("the folder for the commit's source")?;
        let archive = self.source.with_extension("tar");
        let mut git = Command::new("git");
        let git = git.current_dir(workspace.root());
        command(git.args(["archive", "--output"]).arg(&archive).arg(id))?;
        let mut tar = Command::new("tar");
        command(tar.arg("-xf").arg(&archive).arg("-C").arg(&part))?;
        fs::remove_file(&archive).context("the archive of the commit")?;
        fs::rename(&part, &self.source).context("the commit's source")
    }

    fn build(&self, workspace: &Workspace) -> Command {
        let mut cargo = workspace.cargo();
        cargo
            .args(["build", "--locked", "--bin", "headgate"])
            .arg("--target-dir")
            .arg(&self.target)
            .current_dir(&self.source);
        cargo
    }

    fn program(&self) -> PathBuf {
        self.target.join("debug").join("headgate")
    }
}

fn test(workspace: &Workspace, before: &Path) -> Command {
    let mut cargo = workspace.cargo();
    cargo
        .args(["test", "--workspace", "--locked", "--test", "blackbox"])
        .args(["--", "--exact", TEST])
        .env(BEFORE, before);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::shown;

    #[test]
    fn what_is_no_commit_is_named_before_anything_is_built() {
        let workspace = Workspace::locate().unwrap();
        let error = commit_id(&workspace, "no-such-commit").unwrap_err();
        let told = error.to_string();
        assert_eq!(told, "no-such-commit: this repository has no such commit");
        let error = commit_id(&workspace, "--all").unwrap_err();
        assert_eq!(error.to_string(), "--all: not a commit");
    }

    /// The filter of a name that is no longer there would run nothing, and say so nowhere.
    #[test]
    fn the_test_of_the_upgrade_is_there_and_gets_the_commits_build() {
        let workspace = Workspace::locate().unwrap();
        let file = workspace.root().join("tests/rolling/versions.rs");
        let text = fs::read_to_string(file).unwrap();
        let name = TEST.rsplit("::").next().unwrap();
        assert!(text.contains(&format!("async fn {name}()")), "{name}");
        assert!(text.contains(&format!("\"{BEFORE}\"")));
        let place = Place::of(workspace.root(), "abc");
        let command = test(&workspace, &place.program());
        assert!(shown(&command).ends_with(&format!("-- --exact {TEST}")));
        let given = command.get_envs().find(|(name, _)| *name == BEFORE);
        let given = given.and_then(|(_, value)| value).map(Path::new);
        assert_eq!(given, Some(place.program().as_path()));
    }
}
