//! `bench`: each `[[bench]]` of the root package, in the manifest's order. A benchmark that misses its number exits 1;
//! the others still run. They have a PostgreSQL of their own, as the tests do.

use anyhow::{Result, bail};
use toml::{Table, Value};

use crate::postgres::{self, Postgres};
use crate::stage::Stages;
use crate::workspace::{Manifest, Workspace};

/// Runs them all, with `args` for each.
///
/// # Errors
/// When the manifest cannot be read or names none.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages, args: &[String]) -> Result<()> {
    let manifests = workspace.manifests()?;
    let names = manifests
        .first()
        .map(|Manifest { table, .. }| benches(table))
        .unwrap_or_default();
    if names.is_empty() {
        bail!("the root Cargo.toml has no [[bench]]");
    }
    let mut server = stages.must("postgres start", || Postgres::start(&postgres::binaries()?))?;
    for name in names {
        let stage = format!("bench {name}");
        let mut cargo = workspace.cargo();
        cargo
            .args(["bench", "--locked", "--bench", &name, "--"])
            .args(args);
        stages.keep(&stage, || server.run(&mut cargo));
    }
    stages.must("postgres stop", || server.stop())
}

fn benches(root: &Table) -> Vec<String> {
    let entries = root
        .get("bench")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry.get("name"))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_run_in_the_manifests_order() {
        let root =
            "[[bench]]\nname = \"route_match\"\nharness = false\n[[bench]]\nname = \"lease\""
                .parse()
                .unwrap();
        assert_eq!(benches(&root), ["route_match", "lease"]);
        assert!(benches(&Table::new()).is_empty());
    }
}
