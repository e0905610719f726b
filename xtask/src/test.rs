//! `test`: every test with a PostgreSQL of its own, then the simulated hours of the counters, then once more the tests
//! of the whole node, with every remotable ask encoded and decoded (PROTOCOLS M). Tests of the actors alone choose that
//! by themselves.
//!
//! All passes choose the whole workspace: cargo builds a package anew when others beside it want other features of what
//! they share.

use std::process::Command;

use anyhow::Result;

use crate::postgres::{self, Postgres};
use crate::sim::{self, Seeds};
use crate::stage::{Stages, run as command};
use crate::workspace::Workspace;

/// A node's own setting, which every process takes that a test starts: its handles encode and decode each ask as
/// if it crossed nodes.
const ENCODE_ASKS: &str = "HEADGATE__NODE__ENCODE_ASKS";
/// Set, a test that finds no PostgreSQL fails instead of leaving its half of the work out.
const NEEDED: &str = "HEADGATE_TEST_POSTGRES_NEEDED";
/// How many tests run side by side.
const THREADS: &str = "RUST_TEST_THREADS";

/// Runs the tests; `args` narrow them, as for `cargo test`, and leave the second pass out.
///
/// # Errors
/// At the first stage that fails; the server is stopped all the same.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages, args: &[String]) -> Result<()> {
    let build = ["build", "--workspace", "--bins", "--locked"];
    let outcome = stages
        .must("build", || command(workspace.cargo().args(build)))
        .and_then(|()| stages.must("postgres start", || Postgres::start(&postgres::binaries()?)))
        .and_then(|mut server| {
            let outcome = tests(workspace, stages, &mut server, args);
            outcome.and(stages.must("postgres stop", || server.stop()))
        });
    // told by its stage already; `finish` makes it the exit status
    drop(outcome);
    Ok(())
}

fn tests(
    workspace: &Workspace,
    stages: &mut Stages,
    server: &mut Postgres,
    args: &[String],
) -> Result<()> {
    stages.must("test", || {
        server.run(&mut first_pass(workspace.cargo(), args))
    })?;
    if args.is_empty() {
        sim::counters(workspace, stages, Seeds::of_commit(workspace))?;
        stages.must("test with asks encoded", || {
            server.run(&mut second_pass(workspace.cargo()))
        })?;
        stages.must("test of limits under faults", || {
            server.run(&mut exact_pass(workspace.cargo()))
        })?;
    }
    Ok(())
}

fn first_pass(mut cargo: Command, args: &[String]) -> Command {
    cargo.arg("test").env(NEEDED, "1");
    side_by_side(&mut cargo);
    if !names_packages(args) {
        cargo.arg("--workspace");
    }
    cargo.arg("--locked").args(args);
    if args.is_empty() {
        // Clusters of seven nodes that measure time have the machine for themselves, afterwards.
        cargo.args(["--", "--skip", "exact::"]);
    }
    cargo
}

/// One cluster at a time, and nothing beside it: other tests would be a second fault. The rest of `tests/exact` takes
/// ten minutes more, and is the long form's (`cargo xtask exact`).
fn exact_pass(mut cargo: Command) -> Command {
    cargo
        .args([
            "test",
            "--workspace",
            "--locked",
            "--test",
            "blackbox",
            "--",
        ])
        .args([
            "exact::whole",
            "exact::traffic_managers::a_killed_owner",
            "exact::clocks",
        ])
        .env(NEEDED, "1")
        .env(THREADS, "1");
    cargo
}

fn second_pass(mut cargo: Command) -> Command {
    cargo
        .args(["test", "--workspace", "--locked", "--test", "blackbox"])
        // all their asks cross nodes as it is
        .args(["--", "--skip", "exact::"])
        .env(ENCODE_ASKS, "true")
        .env(NEEDED, "1");
    side_by_side(&mut cargo);
    cargo
}

/// Tests of the node wait for twice as long as they work: as many as there are cores leave these idle. Whoever
/// has set a number has it.
fn side_by_side(cargo: &mut Command) {
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cargo.env(THREADS, (2 * cores).to_string());
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

    fn first(args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        shown(&first_pass(Command::new("cargo"), &args))
    }

    #[test]
    fn without_arguments_everything_is_tested_and_the_node_once_more_with_asks_encoded() {
        assert_eq!(
            first(&[]),
            "cargo test --workspace --locked -- --skip exact::"
        );
        let exact = shown(&exact_pass(Command::new("cargo")));
        assert!(exact.contains("--test blackbox -- exact::whole"), "{exact}");
        let second = second_pass(Command::new("cargo"));
        assert_eq!(
            shown(&second),
            "cargo test --workspace --locked --test blackbox -- --skip exact::"
        );
        assert!(
            second
                .get_envs()
                .any(|(name, value)| name == ENCODE_ASKS
                    && value.is_some_and(|value| value == "true"))
        );
    }

    #[test]
    fn no_pass_leaves_postgresql_out_silently() {
        for pass in [
            first_pass(Command::new("cargo"), &[]),
            second_pass(Command::new("cargo")),
        ] {
            assert!(
                pass.get_envs()
                    .any(|(name, value)| name == NEEDED && value.is_some())
            );
        }
    }

    #[test]
    fn a_chosen_package_is_tested_alone() {
        assert_eq!(first(&["-p", "xtask"]), "cargo test --locked -p xtask");
        assert_eq!(
            first(&["--package=xtask", "x"]),
            "cargo test --locked --package=xtask x"
        );
        assert_eq!(
            first(&["lease", "--", "-p"]),
            "cargo test --workspace --locked lease -- -p"
        );
    }
}
