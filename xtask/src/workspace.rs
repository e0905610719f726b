//! What is in the repository: its root, its members' manifests, its .rs files as tokens, and how to call cargo in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::tokens::{Token, tokens};

/// Variables that `cargo run` sets for xtask; handed on to the inner cargo they would look like a changed
/// environment to build scripts and build things twice.
const OUTER_CARGO: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_PACKAGE",
];

/// The repository on disk.
pub(crate) struct Workspace {
    root: PathBuf,
}

/// One .rs file.
pub(crate) struct Source {
    /// Path relative to the root, with `/`.
    pub(crate) path: String,
    /// Number of lines.
    pub(crate) lines: usize,
    /// Its tokens, without comments.
    pub(crate) tokens: Vec<Token>,
}

/// One Cargo.toml.
pub(crate) struct Manifest {
    /// Folder relative to the root, with `/`; empty for the root.
    pub(crate) folder: String,
    /// Its content.
    pub(crate) table: Table,
}

/// A dependency as a manifest names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The key in the manifest; in code with `_` for `-`.
    pub(crate) key: String,
    /// The package behind it.
    pub(crate) package: String,
}

// === impl Workspace ===

impl Workspace {
    /// Finds the root from where cargo says that xtask's manifest is.
    pub(crate) fn locate() -> Result<Self> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&here)
            .parent()
            .context("xtask has no folder above it")?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The folder of the root's Cargo.toml.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo, in the root, as if a person had called it there.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            let outer = name
                .to_str()
                .is_some_and(|name| OUTER_CARGO.iter().any(|prefix| name.starts_with(prefix)));
            if outer {
                command.env_remove(name);
            }
        }
        command
    }

    /// Every .rs file outside build output and hidden folders, in order of path.
    pub(crate) fn sources(&self) -> Result<Vec<Source>> {
        let mut files = Vec::new();
        collect(&self.root, &mut files)?;
        files.sort();
        files.into_iter().map(|file| self.source(&file)).collect()
    }

    /// The root's manifest, then the members' in the order the root names them.
    pub(crate) fn manifests(&self) -> Result<Vec<Manifest>> {
        let root = self.manifest("")?;
        let members = strings(
            root.table
                .get("workspace")
                .and_then(|workspace| workspace.get("members")),
        );
        let mut manifests = vec![root];
        for member in members.iter().filter(|member| *member != ".") {
            manifests.push(self.manifest(member)?);
        }
        Ok(manifests)
    }

    /// Names of the folders directly under `folder` that hold a file (or a folder) `inside`.
    pub(crate) fn folders_with(&self, folder: &str, inside: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let folder = self.root.join(folder);
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let entry = entry?;
            if entry.path().join(inside).exists()
                || entry.path().join(format!("{inside}.rs")).exists()
            {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found.sort();
        Ok(found)
    }

    fn source(&self, file: &Path) -> Result<Source> {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let path = file
            .strip_prefix(&self.root)?
            .to_string_lossy()
            .replace('\\', "/");
        Ok(Source::of(&path, &text))
    }

    fn manifest(&self, folder: &str) -> Result<Manifest> {
        let file = self.root.join(folder).join("Cargo.toml");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let table = text
            .parse()
            .with_context(|| format!("cannot parse {}", file.display()))?;
        Ok(Manifest {
            folder: folder.to_owned(),
            table,
        })
    }
}

// === impl Source ===

impl Source {
    /// A file's content under a path.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            tokens: tokens(text),
        }
    }

    /// Whether the file is only ever compiled for tests and benchmarks.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
            || self.path.ends_with("_tests.rs")
    }
}

// === impl Manifest ===

impl Manifest {
    /// The manifest's own path, relative to the root.
    pub(crate) fn path(&self) -> String {
        if self.folder.is_empty() {
            "Cargo.toml".to_owned()
        } else {
            format!("{}/Cargo.toml", self.folder)
        }
    }

    /// The package's name.
    pub(crate) fn name(&self) -> &str {
        self.table
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Normal, dev and build dependencies, looked up in the workspace's table where they point there.
    pub(crate) fn dependencies(&self, shared: &Table) -> Vec<Dependency> {
        let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
        let tables = sections
            .iter()
            .filter_map(|section| self.table.get(*section))
            .filter_map(Value::as_table);
        tables
            .flatten()
            .map(|(key, value)| dependency(key, value, shared))
            .collect()
    }

    /// `[workspace.dependencies]`; empty in a member.
    pub(crate) fn shared(&self) -> Table {
        let shared = self
            .table
            .get("workspace")
            .and_then(|workspace| workspace.get("dependencies"));
        shared
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default()
    }
}

fn dependency(key: &str, value: &Value, shared: &Table) -> Dependency {
    let inherited = value
        .get("workspace")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let spec = if inherited {
        shared.get(key).unwrap_or(value)
    } else {
        value
    };
    let package = spec.get("package").and_then(Value::as_str).unwrap_or(key);
    Dependency {
        key: key.to_owned(),
        package: package.to_owned(),
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && !name.starts_with('.') && name != "target" {
            collect(&entry.path(), files)?;
        } else if kind.is_file() && name.ends_with(".rs") {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_workspace_dependency_is_seen_as_its_package() {
        let shared: Table =
            "cluster = { path = \"c\", package = \"headgate-cluster\" }\nbytes = \"1\""
                .parse()
                .unwrap();
        let text = "[dependencies]\ncluster.workspace = true\n[dev-dependencies]\nbytes = { workspace = true }";
        let manifest = Manifest {
            folder: String::new(),
            table: text.parse().unwrap(),
        };
        let found: Vec<_> = manifest
            .dependencies(&shared)
            .into_iter()
            .map(|found| found.package)
            .collect();
        assert_eq!(found, ["headgate-cluster", "bytes"]);
    }

    #[test]
    fn tests_and_benches_are_told_from_sources() {
        for path in [
            "tests/start.rs",
            "benches/lease.rs",
            "src/actors/gateway/tests.rs",
            "src/domain/quota_tests.rs",
        ] {
            assert!(Source::of(path, "").is_test(), "{path}");
        }
        for path in ["src/main.rs", "xtask/src/test.rs", "src/http/latest.rs"] {
            assert!(!Source::of(path, "").is_test(), "{path}");
        }
    }
}
