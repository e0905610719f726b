//! `exact`: real processes under every fault that counters are to survive, as often as is asked for, and a table of
//! what arrived. The faults are tests; this names their seeds, so that what one run showed is tried again.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::stage::{Stages, run as command};
use crate::workspace::Workspace;

/// A fault: what its row is called, and the test that brings it about. Some tests have two, one after the other.
struct Fault {
    name: &'static str,
    test: &'static str,
}

const FAULTS: [Fault; 20] = [
    fault(
        "healthy",
        "whole::limits_are_given_out_to_the_last_unit_and_no_further_by_three_gateways",
    ),
    fault(
        "owner killed",
        "traffic_managers::a_killed_owner_grants_no_unit_twice_and_fails_no_call",
    ),
    fault(
        "owner paused",
        "traffic_managers::an_owner_that_stood_still_and_goes_on_grants_nothing_of_what_is_anothers_now",
    ),
    fault(
        "owner of two killed",
        "sizes::one_of_two_goes_on_alone_beside_a_witness_and_grants_no_unit_twice",
    ),
    fault(
        "owner of five killed",
        "sizes::five_lose_an_owner_and_grant_no_unit_twice",
    ),
    fault("owner leaves", MOVES),
    fault("owner joins", MOVES),
    fault("owner cut from standby", CUTS),
    fault("owner cut from majority", CUTS),
    fault("messages late and lost", LATE),
    fault("owners lost to each other over late links", LATE),
    fault("messages late and lost and owners too", LATE),
    fault("owner's clock set", CLOCKS),
    fault("owner's clock off", CLOCKS),
    fault("gateway killed", GATEWAYS),
    fault("gateway paused", GATEWAYS),
    fault(
        "owner and standby killed",
        "two_at_once::counters_whose_holders_are_both_lost_refuse_until_a_disk_is_back_or_their_window_ends",
    ),
    fault(
        "majority paused",
        "two_at_once::without_a_majority_nothing_is_granted_and_calls_are_told_when_to_come_again",
    ),
    fault("all killed", RESTARTS),
    fault("all stopped", RESTARTS),
];
const MOVES: &str = "traffic_managers::counters_move_with_a_leave_and_a_join_and_stay_exact";
const CUTS: &str = "cuts::an_owner_that_is_cut_from_its_standby_or_from_the_majority_grants_nothing_beside_the_next_one";
const LATE: &str = "cuts::late_words_and_lost_connections_make_nobody_grant_twice";
const CLOCKS: &str =
    "clocks::an_owner_whose_clock_is_hours_off_or_set_while_it_runs_counts_the_same_windows";
const GATEWAYS: &str = "gateways::a_gateway_that_dies_takes_its_leases_with_it_and_one_that_stood_still_uses_them_once";
const RESTARTS: &str = "restarts::long_windows_go_on_after_a_restart_of_everything";

/// How long an owner stands still, in seconds.
const PAUSE_S: &str = "30";

const HEAD: [&str; 8] = [
    "fault",
    "runs",
    "over",
    "least given out",
    "mean",
    "longest call",
    "failed",
    "disturbed",
];

const fn fault(name: &'static str, test: &'static str) -> Fault {
    Fault { name, test }
}

/// What is asked for.
pub(crate) struct Asked<'a> {
    /// Runs of each fault.
    pub(crate) runs: u64,
    /// One fault only.
    pub(crate) fault: Option<&'a str>,
    /// The seed of each fault's first run.
    pub(crate) seed: Option<u64>,
}

/// Brings the faults about and prints the table.
///
/// # Errors
/// When there is no such fault, or the table cannot be kept.
pub(crate) fn run(workspace: &Workspace, stages: &mut Stages, asked: &Asked<'_>) -> Result<()> {
    let tests = tests(asked.fault)?;
    let table = workspace.root().join("target").join("exact.tsv");
    fs::create_dir_all(workspace.root().join("target"))?;
    fs::write(&table, "")?;
    for test in tests {
        stages.keep(&format!("exact {test}"), || {
            command(
                workspace
                    .cargo()
                    .args(words(test))
                    .envs(variables(asked, &table)),
            )
        });
    }
    let rows = fs::read_to_string(&table).context("the table")?;
    println!("{}", shown(&rows));
    Ok(())
}

/// The tests of a fault, or of all, each once.
fn tests(fault: Option<&str>) -> Result<Vec<&'static str>> {
    let of = |one: &&Fault| fault.is_none_or(|name| one.name == name);
    let mut tests: Vec<&str> = FAULTS.iter().filter(of).map(|one| one.test).collect();
    tests.dedup();
    if tests.is_empty() {
        let names: Vec<&str> = FAULTS.iter().map(|one| one.name).collect();
        bail!("there is no such fault: {}", names.join(", "));
    }
    Ok(tests)
}

fn words(test: &str) -> Vec<String> {
    let fixed = "test --release --locked -p headgate --test blackbox -- --exact --nocapture";
    let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
    words.push(format!("exact::{test}"));
    words
}

fn variables(asked: &Asked<'_>, table: &Path) -> Vec<(&'static str, OsString)> {
    let mut variables = vec![
        ("HEADGATE_EXACT_RUNS", asked.runs.to_string().into()),
        ("HEADGATE_EXACT_TIMES", "default".into()),
        ("HEADGATE_EXACT_PAUSE_S", PAUSE_S.into()),
        ("HEADGATE_EXACT_TABLE", table.into()),
    ];
    let seed = asked
        .seed
        .map(|seed| ("HEADGATE_EXACT_SEED", seed.to_string().into()));
    variables.extend(seed);
    variables
}

/// The rows as the tests wrote them, for people.
fn shown(rows: &str) -> String {
    let thousandths = |text: &str| {
        let number: f64 = text.parse().unwrap_or_default();
        format!("{:.1} %", number / 10.0)
    };
    let mut lines = vec![HEAD.map(str::to_owned).to_vec()];
    for row in rows.lines() {
        let cells = row
            .split('\t')
            .enumerate()
            .map(|(place, cell)| match place {
                3 | 4 => thousandths(cell),
                5 => format!("{cell} ms"),
                _ => cell.to_owned(),
            });
        lines.push(cells.collect());
    }
    let width = |place: usize| {
        let cells = lines.iter().filter_map(|line| line.get(place));
        cells.map(String::len).max().unwrap_or_default()
    };
    let pad = |line: &Vec<String>| {
        let cells = line.iter().enumerate();
        let cells = cells.map(|(place, cell)| format!("{cell:<0$}", width(place)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(pad).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_a_test_that_is_there_and_has_its_row() {
        let root = Workspace::locate().unwrap().root().to_owned();
        for Fault { name, test } in FAULTS {
            let (file, function) = test.split_once("::").unwrap();
            let path = root.join("tests/exact").join(format!("{file}.rs"));
            let text = fs::read_to_string(path).unwrap();
            assert!(text.contains(&format!("async fn {function}()")), "{test}");
            assert!(text.contains(&format!("Report::new(\"{name}\")")), "{name}");
        }
    }

    #[test]
    fn a_test_of_two_faults_runs_once_and_a_fault_that_is_none_is_named_with_those_that_are() {
        assert_eq!(tests(Some("owner joins")).unwrap(), [MOVES]);
        assert_eq!(tests(None).unwrap().len(), 13);
        let error = tests(Some("moon")).unwrap_err().to_string();
        assert!(error.contains("owner killed"), "{error}");
    }

    #[test]
    fn the_table_says_shares_and_times() {
        let table = shown("owner killed\t100\t0\t990\t999\t812\t0\t0\n");
        assert_eq!(
            table,
            "fault         runs  over  least given out  mean    longest call  failed  disturbed\n\
             owner killed  100   0     99.0 %           99.9 %  812 ms        0       0"
        );
    }
}
