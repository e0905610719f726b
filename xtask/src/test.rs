//! `test`: every test with a PostgreSQL of its own, those of the parts first, with the simulated hours of the counters
//! beside them; then those of the whole node, all of them with every remotable ask encoded and decoded (PROTOCOLS M),
//! and once more as nodes ship (`AS_SHIPPED`) those that go through every component. Tests of the actors alone choose that by
//! themselves, and so do those of whole clusters, for every second node. At the end `cargo xtask cluster` until all its nodes are ready. Before all of them the files of `deploy/`, by
//! their own tools (`tools`).
//!
//! All passes choose the whole workspace: cargo builds a package anew when others beside it want other features of what
//! they share.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::local_cluster;
use crate::postgres::{self, Postgres};
use crate::programs;
use crate::sim::{self, Seeds};
use crate::stage::{Stages, succeeded};
use crate::tools;
use crate::workspace::Workspace;

/// A node's own setting, which every process takes that a test starts: its handles encode and decode each ask as
/// if it crossed nodes.
const ENCODE_ASKS: &str = "HEADGATE__NODE__ENCODE_ASKS";
/// Begins the names of the tests that are run once more with asks handed over as they are: of every component, and none
/// that a machine spends minutes on. All others differ from them in what they ask, and not in how.
const AS_SHIPPED: [&str; 8] = [
    "administration::",
    "gateway::",
    "oauth::",
    "people::",
    "portal::",
    "publisher::",
    "throttling::",
    "whole_life::",
];
/// Set, a test that finds no PostgreSQL fails instead of leaving its half of the work out.
const NEEDED: &str = "HEADGATE_TEST_POSTGRES_NEEDED";
/// How many tests run side by side.
const THREADS: &str = "RUST_TEST_THREADS";
/// Begins the names of the tests that have the machine for themselves, and of no others.
const ALONE: [&str; 2] = ["exact::", "rolling::"];
/// How many of them a core, and one more: of whole nodes, which keep a core busy for a third of the time, and of parts (a fifth).
const BESIDE_NODES: usize = 2;
const BESIDE_PARTS: usize = 4;

/// Runs the tests; `args` narrow them, as for `cargo test`; asks are encoded then as well.
///
/// # Errors
/// At the first stage that fails; the server is stopped all the same.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages, args: &[String]) -> Result<()> {
    // Whoever narrows the tests asks for nothing of `deploy/`.
    if args.is_empty() {
        tools::run(workspace, stages);
    }
    // told by its stage already, for all that can fail is one; `finish` makes it the exit status
    drop(stages_of(workspace, stages, args));
    Ok(())
}

fn stages_of(workspace: &Workspace, stages: &mut Stages, args: &[String]) -> Result<()> {
    // First: whoever has to install something by hand hears of it before a build.
    stages.must("programs that tests start", programs::ensure)?;
    let chosen = (!args.is_empty()).then(|| chosen(workspace.cargo(), args));
    let built = match &chosen {
        // Whoever narrows the tests builds no more than they need.
        Some(_) => String::new(),
        None => stages.must("build", || built(workspace.cargo()))?,
    };
    let mut server = stages.must("postgres start", || Postgres::start(&postgres::binaries()?))?;
    let outcome = match chosen {
        Some(mut chosen) => stages.must("test", || server.run(&mut chosen)),
        None => all(workspace, stages, &mut server, &built),
    };
    outcome.and(stages.must("postgres stop", || server.stop()))
}

/// Builds everything that is tested, and the program that the tests of nodes start. In one go: a build of the program alone
/// wants other features of what both share, so nearly all of it would be built twice.
fn build(mut cargo: Command) -> Command {
    cargo.args(["test", "--workspace", "--locked", "--lib", "--bins"]);
    cargo.args(["--test", "blackbox", "--no-run"]);
    cargo
}

/// What cargo says of the build.
fn built(cargo: Command) -> Result<String> {
    let mut cargo = build(cargo);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let built = cargo.stderr(Stdio::inherit()).output();
    let built = built.context("cannot start cargo")?;
    succeeded("the tests do not build", built.status)?;
    Ok(String::from_utf8_lossy(&built.stdout).into_owned())
}

fn all(
    workspace: &Workspace,
    stages: &mut Stages,
    server: &mut Postgres,
    built: &str,
) -> Result<()> {
    let cargo = || workspace.cargo();
    let seeds = Seeds::of_commit(workspace);
    let hours = stages.must("start of the counters' hours", || {
        sim::counters(built, seeds)
    })?;
    stages.must("test of parts", || server.run(&mut parts(cargo())))?;
    stages.must("test of examples in docs", || {
        server.run(&mut docs(cargo()))
    })?;
    stages.must("test of nodes with asks encoded", || {
        server.run(&mut nodes(cargo()))
    })?;
    stages.must("test of nodes as they ship", || {
        server.run(&mut as_shipped(cargo()))
    })?;
    // Those that follow have the machine for themselves.
    hours.end(stages)?;
    stages.must("test of whole clusters, one at a time", || {
        server.run(&mut exact_pass(cargo()))
    })?;
    stages.must("test of a whole cluster on this machine", || {
        local_cluster::run_built(workspace, true)
    })
}

fn chosen(mut cargo: Command, args: &[String]) -> Command {
    cargo.arg("test").env(NEEDED, "1");
    // Whoever wants to see nodes as they ship says so.
    if std::env::var_os(ENCODE_ASKS).is_none() {
        cargo.env(ENCODE_ASKS, "true");
    }
    side_by_side(&mut cargo, BESIDE_NODES);
    if !names_packages(args) {
        cargo.arg("--workspace");
    }
    cargo.arg("--locked").args(args);
    cargo
}

/// All but the black box and what stands in docs.
fn parts(mut cargo: Command) -> Command {
    cargo.args(["test", "--workspace", "--locked", "--lib", "--bins"]);
    side_by_side(cargo.env(NEEDED, "1"), BESIDE_PARTS);
    cargo
}

fn docs(mut cargo: Command) -> Command {
    cargo.args(["test", "--workspace", "--locked", "--doc"]);
    cargo
}

/// The black box, with asks encoded. Clusters of seven nodes that measure time have the machine for themselves, afterwards.
fn nodes(mut cargo: Command) -> Command {
    cargo
        .args(["test", "--workspace", "--locked", "--test", "blackbox"])
        .arg("--")
        .args(ALONE.iter().flat_map(|one| ["--skip", *one]));
    let set = [(NEEDED, "1"), (ENCODE_ASKS, "true")];
    side_by_side(cargo.envs(set), BESIDE_NODES);
    cargo
}

fn as_shipped(mut cargo: Command) -> Command {
    cargo
        .args(["test", "--workspace", "--locked", "--test", "blackbox"])
        .arg("--")
        .args(AS_SHIPPED);
    side_by_side(cargo.env(NEEDED, "1"), BESIDE_NODES);
    cargo
}

/// One cluster at a time, and nothing beside it: other tests would be a second fault. `cargo xtask exact` runs the same
/// as often as one likes.
fn exact_pass(mut cargo: Command) -> Command {
    cargo
        .args(["test", "--workspace", "--locked", "--test", "blackbox"])
        .arg("--")
        .args(ALONE)
        .env(NEEDED, "1")
        .env(THREADS, "1");
    cargo
}

/// Tests wait for longer than they work: as many as there are cores leave these idle. Whoever has set a number has it.
fn side_by_side(cargo: &mut Command, each_core: usize) {
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cargo.env(THREADS, (each_core * cores + 1).to_string());
    }
}

/// Whether the arguments choose packages; cargo lets `--workspace` win over such a choice.
fn names_packages(args: &[String]) -> bool {
    let own = args.iter().take_while(|arg| *arg != "--");
    own.into_iter().any(|arg| {
        (arg.starts_with("-p") && !arg.starts_with("--")) || arg.starts_with("--package")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::shown;

    fn cargo() -> Command {
        Command::new("cargo")
    }

    fn asked(args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        shown(&chosen(cargo(), &args))
    }

    #[test]
    fn every_pass_takes_the_whole_workspace_so_that_none_builds_anew() {
        assert_eq!(
            shown(&build(cargo())),
            "cargo test --workspace --locked --lib --bins --test blackbox --no-run"
        );
        assert_eq!(
            shown(&parts(cargo())),
            "cargo test --workspace --locked --lib --bins"
        );
        assert_eq!(
            shown(&nodes(cargo())),
            "cargo test --workspace --locked --test blackbox -- --skip exact:: --skip rolling::"
        );
        assert_eq!(
            shown(&exact_pass(cargo())),
            "cargo test --workspace --locked --test blackbox -- exact:: rolling::"
        );
    }

    /// The filter of a name that is no longer there would run nothing, and say so nowhere.
    #[test]
    fn what_is_run_as_nodes_ship_is_there() {
        let root = Workspace::locate().unwrap().root().to_owned();
        let all = std::fs::read_to_string(root.join("tests/main.rs")).unwrap();
        for one in AS_SHIPPED {
            let line = format!("\nmod {};\n", one.trim_end_matches("::"));
            assert!(all.contains(&line), "{one}");
        }
        let passed: Vec<String> = as_shipped(cargo())
            .get_envs()
            .map(|(key, _)| key.to_string_lossy().into_owned())
            .collect();
        assert!(!passed.iter().any(|key| key == ENCODE_ASKS), "{passed:?}");
    }

    /// What one pass skips the other one runs, whole.
    #[test]
    fn no_test_of_a_cluster_is_left_out_and_each_has_the_machine_for_itself() {
        let words = |command: Command| -> Vec<String> {
            let words = command.get_args().map(|word| word.to_string_lossy());
            words.map(|word| word.into_owned()).collect()
        };
        let behind = |words: &[String]| -> Vec<String> {
            let at = words.iter().position(|word| word == "--").unwrap();
            words[at + 1..].to_vec()
        };
        let skipped = behind(&words(nodes(cargo())));
        let run = behind(&words(exact_pass(cargo())));
        assert_eq!(skipped, ["--skip", "exact::", "--skip", "rolling::"]);
        let skipped: Vec<_> = skipped
            .into_iter()
            .filter(|word| word != "--skip")
            .collect();
        assert_eq!(run, skipped, "all that is skipped is run");
        let exact = exact_pass(cargo());
        let threads = exact.get_envs().find(|(name, _)| *name == THREADS);
        let one = std::ffi::OsStr::new("1");
        assert_eq!(threads.and_then(|(_, value)| value), Some(one));
        let needed = exact.get_envs().find(|(name, _)| *name == NEEDED);
        assert!(needed.is_some());
    }

    #[test]
    fn no_pass_leaves_postgresql_out_silently() {
        for pass in [parts(cargo()), nodes(cargo()), chosen(cargo(), &[])] {
            assert!(
                pass.get_envs()
                    .any(|(name, value)| name == NEEDED && value.is_some())
            );
        }
    }

    #[test]
    fn a_chosen_package_is_tested_alone() {
        assert_eq!(asked(&["-p", "xtask"]), "cargo test --locked -p xtask");
        assert_eq!(
            asked(&["--package=xtask", "x"]),
            "cargo test --locked --package=xtask x"
        );
        assert_eq!(
            asked(&["lease", "--", "-p"]),
            "cargo test --workspace --locked lease -- -p"
        );
    }
}
