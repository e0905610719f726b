//! `sim`: the simulated worlds over as many seeds as are asked for. The worlds are tests; this names their seeds, so
//! that what one seed showed is seen again with `--from SEED --seeds 1`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::beside::Beside;
use crate::stage::{Stages, run as command};
use crate::workspace::Workspace;

/// A world: what it is called, what goes wrong in it, and the test that runs it.
struct World {
    name: &'static str,
    /// As `docs/invariants.md` has it.
    meets: &'static str,
    package: &'static str,
    test: &'static str,
}

/// Which seeds a world is run over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// The first one.
    pub(crate) from: u64,
    /// How many.
    pub(crate) count: u64,
}

/// The package that is optimised where it is tested, so that its worlds check all that its tests do.
const OPTIMISED: &str = "headgate-domain";

/// The world of which each run of the tests takes 10,000 hours.
const HOURS: &str = "view-hours";
const HOURS_SEEDS: u64 = 1_000;

const WORLDS: [World; 10] = [
    World {
        name: "change-log",
        meets: "messages lost, repeated, late and out of order; rollbacks; followers crash, stand still, are \
                cut off one way or both, have slow disks and clocks of another pace; the tail is pruned, \
                backups are restored",
        package: "headgate-domain",
        test: "simulation::change_log_tests::followers_are_prefixes_of_their_history_and_reach_its_head_in_a_calm",
    },
    World {
        name: "followers",
        meets: "messages lost, repeated, late and out of order; gateways and control planes crash, stand still, are cut off \
                from one another one way or both, from the database too, and have clocks whose paces differ by up to a \
                twentieth; followers leave, are put back from backups, and late words of earlier lives come; looks at the \
                database are slow or fail; backups of it are restored",
        package: "headgate-domain",
        test: "simulation::followers_tests::nobody_serves_what_an_answer_ended_unless_it_is_named_and_in_a_calm_nobody_is",
    },
    World {
        name: "hold",
        meets: "nodes of one name over the row that knows who founded the register; they crash, stop in order, stand still, \
                are cut off from the row, lose their disks and start with clocks that are hours off; T is lifted; answers are lost; an \
                operator gives founders up",
        package: "headgate-domain",
        test: "simulation::hold_tests::no_two_of_one_name_count_at_one_time_and_somebody_counts_again_within_the_hold",
    },
    World {
        name: "lease",
        meets: "heartbeats lost, repeated, late and out of order; everybody stands still; clocks whose paces differ by \
                up to a twentieth",
        package: "headgate-domain",
        test: "simulation::lease_tests::what_a_change_ended_is_not_served_once_its_answer_left",
    },
    World {
        name: "ledger",
        meets: "messages lost, repeated, late and out of order; gateways and the owner crash, disks are \
                slow; a gateway stands still between taking a unit and reading its clock, which is wrong and \
                of another pace; T is set back; limits change",
        package: "headgate-domain",
        test: "simulation::tests::never_over_the_limit_whatever_goes_wrong",
    },
    World {
        name: "members",
        meets: "dials, probes and answers lost, repeated, late and out of order; nodes end, stand still, are \
                cut off one way, have clocks that are wrong and of another pace; next lives begin after the \
                last one and beside it",
        package: "headgate-cluster",
        test: "members::storm::whatever_happened_all_meet_again_and_no_ghost_is_believed",
    },
    World {
        name: "streams",
        meets: "heartbeats lost, repeated, late and out of order; key managers fall silent; gateways crash, \
                stand still, are cut off one way or both, have slow disks and clocks whose paces differ from \
                the control plane's by up to a twentieth; snapshots",
        package: "headgate-domain",
        test: "simulation::stream_tests::no_stream_outlives_an_ending_and_nobody_is_judged_by_what_was_forgotten",
    },
    World {
        name: "validation",
        meets: "messages lost, repeated, late and out of order; key managers are behind; validators start \
                anew; gateways stand still, are cut off one way or both or from the log alone, have clocks \
                of another pace; snapshots, backups are restored",
        package: "headgate-domain",
        test: "simulation::validation_tests::no_request_is_judged_by_an_answer_older_than_what_was_acknowledged_before_it",
    },
    World {
        name: "view",
        meets: "what the ledger's world meets but one owner's crash; members and voters crash, also most at \
                once, stand still, are cut off one way or both, have slow disks, lose them and have wall clocks that are \
                hours off and slewed \
                by up to 500 ppm, T with them; pairs are cut off with a hung disk and go on",
        package: "headgate-domain",
        test: "simulation::view_tests::never_over_the_limit_whoever_dies_hangs_or_is_cut_off",
    },
    // Each seed is ten hours.
    World {
        name: "view-hours",
        package: "headgate-domain",
        test: "simulation::view_tests::never_over_the_limit_in_hours_of_rare_faults",
        meets: "the same over hours, something rarely; a seed is ten hours, one in four of windows that slide and buckets",
    },
];

/// The worlds, and what goes wrong in each: the end of `sim --help`.
pub(crate) fn worlds() -> String {
    let lines = WORLDS
        .iter()
        .map(|world| format!("  {:<11} {}\n", world.name, world.meets));
    format!(
        "Worlds, and what goes wrong in each:\n{}",
        lines.collect::<String>()
    )
}

/// Runs the worlds, or the one that `world` names, over these seeds.
///
/// # Errors
/// When there is no such world.
pub(crate) fn run(
    workspace: &Workspace,
    stages: &mut Stages,
    world: Option<&str>,
    seeds: Seeds,
) -> Result<()> {
    for one in asked(world)? {
        let stage = format!(
            "sim {}, {} seeds from {}",
            one.name, seeds.count, seeds.from
        );
        stages.keep(&stage, || {
            let mut cargo = workspace.cargo();
            cargo.args(["test", "--locked", "--lib", "-p", one.package]);
            if one.package != OPTIMISED {
                cargo.arg("--release");
            }
            command(one.over(seeds, &mut cargo))
        });
    }
    Ok(())
}

/// Begins ten thousand hours of the counters, by a program of what cargo says it has `built`. Whatever a seed shows it names, with
/// how to see it again.
///
/// # Errors
/// When what was built has no such program, or it cannot be started.
pub(crate) fn counters(built: &str, seeds: Seeds) -> Result<Beside> {
    let [world] = asked(Some(HOURS))?[..] else {
        bail!("{HOURS} is not one world");
    };
    let name = format!(
        "sim of counters, 10,000 hours: {} seeds from {}",
        seeds.count, seeds.from
    );
    let program = program(built, world.package)?;
    Beside::start(name, &program, &world.args(), &seeds.variables())
}

/// The tests of a package's library, among what cargo says it built.
fn program(built: &str, package: &str) -> Result<PathBuf> {
    let text = |of: &Value, at: &str| {
        let text = of.pointer(at).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let package = format!("#{package}@");
    let artifacts = built.lines();
    let artifacts = artifacts.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = artifacts.filter_map(|artifact| {
        let is_library = text(&artifact, "/target/kind/0") == "lib";
        let is_it = is_library && text(&artifact, "/package_id").contains(&package);
        let program = text(&artifact, "/executable");
        (is_it && !program.is_empty()).then_some(PathBuf::from(program))
    });
    let [program] = &programs.collect::<Vec<_>>()[..] else {
        bail!("cargo names no one program of the tests of {package}");
    };
    Ok(program.clone())
}

fn asked(world: Option<&str>) -> Result<Vec<&'static World>> {
    let Some(name) = world else {
        return Ok(WORLDS.iter().collect());
    };
    match WORLDS.iter().find(|world| world.name == name) {
        Some(world) => Ok(vec![world]),
        None => {
            let names: Vec<&str> = WORLDS.iter().map(|world| world.name).collect();
            bail!("there is no world {name}: {}", names.join(", "))
        }
    }
}

// === impl Seeds ===

impl Seeds {
    /// Other hours with each commit, and with one commit the same: a run that failed fails again, and one that was
    /// repeated says nothing else.
    pub(crate) fn of_commit(workspace: &Workspace) -> Self {
        let asked = Command::new("git")
            .args(["rev-parse", "HEAD"])
            .current_dir(workspace.root())
            .output();
        let commit = asked.map(|asked| asked.stdout).unwrap_or_default();
        Self::of(&String::from_utf8_lossy(&commit))
    }

    fn variables(self) -> [(&'static str, String); 2] {
        [
            ("HEADGATE_SIM_FROM", self.from.to_string()),
            ("HEADGATE_SIM_SEEDS", self.count.to_string()),
        ]
    }

    /// The seeds of a commit's id; those of none without one.
    fn of(commit: &str) -> Self {
        let number = commit.get(..8).map(|start| u64::from_str_radix(start, 16));
        let number = number.and_then(Result::ok).unwrap_or(0);
        let (from, count) = (number * HOURS_SEEDS, HOURS_SEEDS);
        Self { from, count }
    }
}

// === impl World ===

impl World {
    fn over<'a>(&self, seeds: Seeds, cargo: &'a mut Command) -> &'a mut Command {
        cargo.arg("--").args(self.args()).envs(seeds.variables())
    }

    const fn args(&self) -> [&str; 3] {
        ["--exact", "--nocapture", self.test]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_world_is_a_test_that_is_there() {
        let root = Workspace::locate().unwrap().root().to_owned();
        for world in WORLDS {
            let folder = match world.package {
                "headgate-cluster" => "cluster/src",
                _ => "src/domain",
            };
            let (path, name) = world.test.rsplit_once("::").unwrap();
            let file = path.replace("::", "/");
            let text = std::fs::read_to_string(root.join(folder).join(file + ".rs")).unwrap();
            assert!(text.contains(&format!("fn {name}(")), "{}", world.test);
        }
    }

    #[test]
    fn the_program_of_a_package_is_the_one_of_its_librarys_tests() {
        let line = |id: &str, kind: &str, executable: &str| {
            format!(
                r#"{{"package_id":"{id}","target":{{"kind":["{kind}"]}},"executable":{executable}}}"#
            )
        };
        let domain = "path+file:///here/src/domain#headgate-domain@0.1.0";
        let built = [
            line(domain, "lib", "null"),
            line(
                "path+file:///here#headgate@0.1.0",
                "bin",
                r#""t/headgate-1""#,
            ),
            line(domain, "lib", r#""t/domain-2""#),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let found = program(&built.join("\n"), "headgate-domain").unwrap();
        assert_eq!(found, PathBuf::from("t/domain-2"));
        let error = program(&built.join("\n"), "headgate-http").unwrap_err();
        assert!(error.to_string().contains("headgate-http"), "{error}");
    }

    #[test]
    fn the_invariants_say_of_each_world_what_goes_wrong_in_it() {
        let root = Workspace::locate().unwrap().root().to_owned();
        let text = std::fs::read_to_string(root.join("docs/invariants.md")).unwrap();
        for World { name, meets, .. } in WORLDS {
            let row = format!("| {name} | {meets} |");
            assert!(text.contains(&row), "docs/invariants.md lacks: {row}");
        }
    }

    #[test]
    fn each_commit_has_seeds_of_its_own_and_ten_thousand_hours_of_them() {
        let (one, other) = (Seeds::of("0000000a77"), Seeds::of("0000000b77"));
        assert_eq!((one.from, one.count), (10_000, 1_000));
        assert_eq!(other.from, one.from + one.count);
        assert_eq!(Seeds::of("").from, 0, "without a repository");
        assert!(Seeds::of("ffffffff00").from.checked_add(1_000).is_some());
        // Each seed of that world is ten hours.
        let text = Workspace::locate()
            .unwrap()
            .root()
            .join("src/domain/simulation/view_tests.rs");
        let text = std::fs::read_to_string(text).unwrap();
        assert!(text.contains("const HOURS: i64 = 10;"));
        assert_eq!(asked(Some(HOURS)).unwrap().len(), 1);
    }

    #[test]
    fn a_world_that_is_none_is_named_with_those_that_are() {
        let error = asked(Some("moon")).err().unwrap().to_string();
        assert!(error.contains("moon") && error.contains("ledger"));
        assert_eq!(asked(None).unwrap().len(), WORLDS.len());
    }
}
