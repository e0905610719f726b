//! `package`: what a release consists of, as far as this machine can build it, in `target/package`.
//!
//! The binary, a Debian package around it, an archive with units, examples and manual, the chart, and the checksums of
//! all. The container image is built from `deploy/oci/Containerfile` where images of its base can be had. Two builds of
//! one commit are the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::stage::{Stages, run as execute};
use crate::tools;
use crate::workspace::Workspace;

/// What goes into the archive beside the binary.
const KEPT: [&str; 4] = ["README.md", "CHANGELOG.md", "docs", "deploy"];
const CHART: &str = "deploy/helm";

/// Builds everything, and looks into what came out.
///
/// # Errors
/// When a part of it fails.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages) -> Result<()> {
    let root = workspace.root();
    let out = root.join("target/package");
    // First: a file that its own program refuses is in no release.
    tools::run(workspace, stages);
    stages.must("release build", || {
        execute(
            workspace
                .cargo()
                .args(["build", "--release", "--locked", "--bin", "headgate"]),
        )
    })?;
    let binary = root.join("target/release/headgate");
    let version = said(Command::new(&binary).arg("version"))?;
    let version = version
        .split_whitespace()
        .nth(1)
        .context("headgate version says no version")?;
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let epoch = said(
        Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(root),
    )?;
    let name = format!("headgate-{version}-{}", std::env::consts::ARCH);
    stages.keep("archive", || {
        archive(root, &binary, &out, (&name, epoch.trim()))
    });
    stages.keep("chart", || {
        let packed = out.join(format!("headgate-chart-{version}.tgz"));
        let tree = out.join("chart");
        copy_tracked(root, &[CHART], &tree)?;
        tar(&tree.join(CHART), &packed, epoch.trim(), &["headgate"])?;
        Ok(fs::remove_dir_all(&tree)?)
    });
    stages.keep("debian package", || debian(root, &binary, &out));
    stages.keep("checksums", || checksums(&out));
    Ok(())
}

/// A folder with all that a machine needs, packed.
fn archive(root: &Path, binary: &Path, out: &Path, (name, epoch): (&str, &str)) -> Result<()> {
    let tree = out.join(name);
    fs::create_dir_all(&tree)?;
    fs::copy(binary, tree.join("headgate"))?;
    copy_tracked(root, &KEPT, &tree)?;
    tar(out, &out.join(format!("{name}.tar.gz")), epoch, &[name])?;
    fs::remove_dir_all(&tree)?;
    let packed = out.join(format!("{name}.tar.gz"));
    let listed = said(Command::new("tar").arg("-tzf").arg(&packed))?;
    for wanted in [
        "headgate",
        "deploy/systemd/headgate.service",
        "docs/operations.md",
    ] {
        let wanted = format!("{name}/{wanted}");
        let is_there = listed.lines().any(|line| line == wanted);
        ensure!(is_there, "{wanted} is not in {}", packed.display());
    }
    Ok(())
}

/// Copies what git knows of these: notes and keys that lie beside it are nobody's to get.
fn copy_tracked(root: &Path, names: &[&str], tree: &Path) -> Result<()> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--"]).args(names);
    let listed = said(list.current_dir(root))?;
    for name in listed.split_terminator('\0') {
        let (from, to) = (root.join(name), tree.join(name));
        // Taken away, and not committed yet.
        if !from.exists() {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(tree))?;
        fs::copy(&from, &to).with_context(|| format!("{name} cannot be copied"))?;
    }
    Ok(())
}

/// The same files are the same bytes: in one order, of nobody, of the commit's time.
fn tar(folder: &Path, packed: &Path, epoch: &str, names: &[&str]) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=go-w",
    ]);
    tar.arg(format!("--mtime=@{epoch}"))
        .args(["--use-compress-program", "gzip -9n", "-cf"]);
    execute(tar.arg(packed).arg("-C").arg(folder).args(names))
}

/// Builds the package, unpacks it into a root of its own and runs what is in it.
fn debian(root: &Path, binary: &Path, out: &Path) -> Result<()> {
    if said(Command::new("dpkg-deb").arg("--version")).is_err() {
        println!("not built: dpkg-deb is not installed");
        return Ok(());
    }
    let build = root.join("deploy/debian/build");
    let made = said(Command::new(build).arg(binary).arg(out))?;
    let unpacked = out.join("unpacked");
    execute(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(made.trim())
            .arg(&unpacked),
    )?;
    let installed = unpacked.join("usr/bin/headgate");
    ensure!(
        said(Command::new(&installed).arg("version"))?
            == said(Command::new(binary).arg("version"))?,
        "{made} holds another binary"
    );
    let settings = unpacked.join("etc/headgate/headgate.toml");
    said(
        Command::new(&installed)
            .arg("check")
            .arg("--config")
            .arg(settings),
    )?;
    fs::remove_dir_all(unpacked)?;
    Ok(())
}

fn checksums(out: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        files.push(path.strip_prefix(out)?.to_owned());
    }
    files.sort();
    let sums = said(Command::new("sha256sum").args(&files).current_dir(out))?;
    print!("{sums}");
    fs::write(out.join("SHA256SUMS"), sums)?;
    Ok(())
}

/// What a command prints.
fn said(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let ran = command
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    let error = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{shown}: {}: {error}", ran.status);
    Ok(String::from_utf8(ran.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_does_not_know_is_in_no_package() {
        let root = std::env::temp_dir().join(format!("headgate-package-{}", std::process::id()));
        let tree = root.join("out");
        fs::create_dir_all(root.join("docs")).unwrap();
        for name in ["docs/a.md", "docs/notes.md", "README.md"] {
            fs::write(root.join(name), name).unwrap();
        }
        let git =
            |words: &[&str]| said(Command::new("git").args(words).current_dir(&root)).unwrap();
        git(&["init", "-q"]);
        git(&["add", "docs/a.md", "README.md"]);
        copy_tracked(&root, &["docs", "README.md"], &tree).unwrap();
        let is_there = |name: &str| tree.join(name).exists();
        let there = ["docs/a.md", "README.md", "docs/notes.md"].map(is_there);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(there, [true, true, false]);
    }
}
