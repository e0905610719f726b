//! The programs that tests start, beside the node itself and PostgreSQL's server: looked for before the first test, and
//! installed from Debian's packages where they are missing.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, bail};

use crate::apt;

/// A program, and the package of Debian's that brings it. What is in no list is of every Debian (`sh`, `cp`), cargo, or the C
/// compiler, without which nothing is built.
const PROGRAMS: [(&str, &str); 5] = [
    // Chromium comes with it.
    ("chromedriver", "chromium-driver"),
    ("curl", "curl"),
    ("git", "git"),
    ("kill", "procps"),
    ("psql", "postgresql-client"),
];

/// Looks for all of them on the PATH, and installs what is missing.
///
/// # Errors
/// When something is missing and cannot be installed here; what a person can do is said.
pub(crate) fn ensure() -> Result<()> {
    let path = || std::env::var_os("PATH").unwrap_or_default();
    let lacking = missing(&path());
    if lacking.is_empty() {
        return Ok(());
    }
    let (what, packages) = told(&lacking);
    apt::install(&what, &packages, &format!("{what}, on the PATH"))?;
    let (what, packages) = told(&missing(&path()));
    if !packages.is_empty() {
        bail!(
            "installed {}, yet {what} is not on the PATH",
            packages.join(" ")
        );
    }
    Ok(())
}

/// What is not on a PATH.
fn missing(path: &OsStr) -> Vec<(&'static str, &'static str)> {
    let programs = PROGRAMS.into_iter();
    programs.filter(|(name, _)| !is_in(path, name)).collect()
}

/// Whether a program is on the PATH.
pub(crate) fn on_path(program: &str) -> bool {
    is_in(&std::env::var_os("PATH").unwrap_or_default(), program)
}

fn is_in(path: &OsStr, program: &str) -> bool {
    let mut folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.any(|folder| is_executable(&folder.join(program)))
}

fn is_executable(file: &Path) -> bool {
    let known = file.metadata();
    known.is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
}

/// Programs in a sentence, and their packages.
fn told(lacking: &[(&'static str, &'static str)]) -> (String, Vec<&'static str>) {
    let (names, packages): (Vec<_>, Vec<_>) = lacking.iter().copied().unzip();
    (names.join(", "), packages)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::workspace::Workspace;

    /// Of every Debian; of `procps`' own neighbours none is among them.
    const OF_EVERY_MACHINE: [&str; 6] = ["bash", "cp", "false", "sh", "sleep", "true"];
    /// It runs the tests.
    const CARGO: &str = "cargo";
    /// The README names it.
    const COMPILER: &str = "cc";

    #[test]
    fn what_is_not_on_the_path_is_missing_and_its_package_is_named() {
        let folder = std::env::temp_dir().join(format!("headgate-programs-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        for (name, mode) in [("curl", 0o755), ("psql", 0o644)] {
            let file = folder.join(name);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let found = missing(folder.as_os_str());
        std::fs::remove_dir_all(&folder).unwrap();
        let (what, packages) = told(&found);
        // One that nobody may execute is none.
        assert_eq!(what, "chromedriver, git, kill, psql");
        assert_eq!(
            packages,
            ["chromium-driver", "git", "procps", "postgresql-client"]
        );
    }

    #[test]
    fn every_program_that_a_test_starts_is_installed_named_or_of_every_machine() {
        let workspace = Workspace::locate().unwrap();
        let sources = workspace.sources().unwrap();
        let mut began = BTreeSet::new();
        for source in &sources {
            let text = std::fs::read_to_string(workspace.root().join(&source.path)).unwrap();
            let of_tests = match source.path.split('/').next() {
                Some("tests") => text.as_str(),
                _ if source.path.starts_with("src/storage/") => text.as_str(),
                // A crate's own tests; those of this file name what they look for.
                Some("xtask") if !source.path.ends_with("/programs.rs") => {
                    text.split_once("#[cfg(test)]").unwrap_or_default().1
                }
                _ => "",
            };
            began.extend(started(of_tests));
        }
        let installed = PROGRAMS.map(|(name, _)| name);
        let all = installed.iter().chain(&OF_EVERY_MACHINE);
        let all = all.chain([&COMPILER, &CARGO]);
        let known: BTreeSet<String> = all.map(|name| (*name).to_owned()).collect();
        assert_eq!(began, known);
        let readme = std::fs::read_to_string(workspace.root().join("README.md")).unwrap();
        assert!(readme.contains("a C compiler"));
    }

    /// The programs that a source starts: by itself, or in a script of `sh` whose lines it looks for.
    fn started(text: &str) -> BTreeSet<String> {
        let calls = text.split("Command::new(").skip(1);
        let names = calls.filter_map(|call| call.trim_start().strip_prefix('"'));
        let names = names.filter_map(|call| Some(call.split_once('"')?.0.to_owned()));
        let mut names: BTreeSet<String> = names.collect();
        if names.contains("sh") {
            let in_lines = |name: &&str| text.contains(&format!("\"{name} \""));
            let scripted = PROGRAMS.into_iter().map(|(name, _)| name).filter(in_lines);
            names.extend(scripted.map(str::to_owned));
        }
        names
    }
}
