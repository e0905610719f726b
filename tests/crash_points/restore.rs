//! A restore that ends at any statement leaves databases that the next one makes whole.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::node::Node;

/// What a restore writes.
pub const WRITES: &[&str] = &[
    "backup.restore.begin",
    "backup.restore.end",
    "backup.restore.rows",
    "backup.restore.written",
];
/// One row is written as another: so many of them are passed over.
const ROWS: u64 = 12;

fn restore(backup: &Path, data: &Path, (name, value): (&str, &str)) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command.arg("restore").arg("--from").arg(backup);
    command.arg("--data-dir").arg(data).env(name, value);
    command.output().expect("the binary")
}

/// The rows of a backup of what lies there; not which databases they are, nor when it was made.
fn rows(data: &Path, to: &Path) -> Vec<String> {
    // No node has been there.
    std::fs::write(data.join("carbon.db"), "").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
    command.arg("backup").arg("--to").arg(to);
    let made = command
        .arg("--data-dir")
        .arg(data)
        .output()
        .expect("the binary");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let text = std::fs::read_to_string(to).expect("a file");
    let mut lines = text.lines().skip(1).peekable();
    let mut rows = Vec::new();
    while let Some(line) = lines.next() {
        let is_end = lines.peek().is_none();
        if line.starts_with("{\"table\":\"database_identity\"") {
            lines.next_if(|next| next.starts_with('['));
        } else if !is_end {
            rows.push(line.to_owned());
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_ends_at_any_statement_is_made_up_for_by_the_next() {
    let mut node = Node::start().await;
    node.kill();
    let backup = node.dir.join("backup");
    let had = rows(&node.dir.join("data"), &backup);
    let work = tempfile::tempdir().expect("a directory");
    let list = work.path().join("points");
    let whole = work.path().join("whole");
    let ran = restore(
        &backup,
        &whole,
        ("HEADGATE_CRASH_LIST", list.to_str().expect("a path")),
    );
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert_eq!(rows(&whole, &work.path().join("whole.backup")), had);
    let points = std::fs::read_to_string(list).expect("a file");
    let points: BTreeSet<&str> = points.lines().collect();
    for write in WRITES {
        let of_write = |point: &&str| point.starts_with(&format!("{write}:"));
        assert!(
            points.iter().any(of_write),
            "nothing passes {write}: {points:?}"
        );
    }
    for point in points {
        let (write, number) = point.split_once(':').expect("a point");
        let number: u64 = number.parse().expect("a number");
        if write == "backup.restore.rows" && number % ROWS != 1 {
            continue;
        }
        let data = work.path().join(point.replace(':', "-"));
        let ended = restore(&backup, &data, ("HEADGATE_CRASH_AT", point));
        assert_eq!(ended.status.code(), None, "{point} ended nothing");
        let again = restore(&backup, &data, ("HEADGATE_CRASH_AT", ""));
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "after {point}: {said}");
        let to = work
            .path()
            .join(format!("{}.backup", point.replace(':', "-")));
        assert_eq!(rows(&data, &to), had, "after {point}");
    }
}
