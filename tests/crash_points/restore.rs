//! A restore that ends at any statement leaves databases that the next one makes whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::node::Node;

/// What a restore writes, into either database.
pub const WRITES: &[&str] = &[
    "backup.restore.apim.begin",
    "backup.restore.apim.end",
    "backup.restore.apim.rows",
    "backup.restore.apim.written",
    "backup.restore.shared.begin",
    "backup.restore.shared.end",
    "backup.restore.shared.rows",
    "backup.restore.shared.written",
];
/// One row is written as another: so many of them are passed over.
const ROWS: u32 = 12;

/// Where one restores to: a data directory, and the one whose databases are used.
#[derive(Clone)]
struct Place {
    data: PathBuf,
    databases: PathBuf,
}

// === impl Place ===

impl Place {
    fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            databases: data.to_owned(),
        }
    }

    fn command(&self, words: &[&str], file: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headgate"));
        command.args(words).arg(file);
        command.arg("--data-dir").arg(&self.data);
        for name in ["apim", "shared"] {
            let file = self.databases.join(format!("{name}.db"));
            let variable = format!("HEADGATE__DATABASE__{}__URL", name.to_uppercase());
            command.env(variable, format!("sqlite:{}", file.display()));
        }
        command
    }

    fn restore(&self, backup: &Path, (name, value): (&str, &str)) -> Output {
        let mut command = self.command(&["restore", "--from"], backup);
        command.env(name, value).output().expect("the binary")
    }

    /// Ends a restore there.
    fn cut_short(&self, backup: &Path, point: &str) {
        let ended = self.restore(backup, ("HEADGATE_CRASH_AT", point));
        assert_eq!(ended.status.code(), None, "{point} ended nothing");
    }

    fn again(&self, backup: &Path, after: &str) {
        let again = self.restore(backup, ("HEADGATE_CRASH_AT", ""));
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "after {after}: {said}");
    }

    /// The rows and the files of a backup of what lies there; not which databases they are, nor when it was made.
    fn rows(&self) -> Vec<String> {
        // No node has been there.
        std::fs::write(self.data.join("carbon.db"), "").expect("written");
        let to = self.data.with_extension("backup");
        let made = self.command(&["backup", "--to"], &to).output();
        let made = made.expect("the binary");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        rows_of(&to)
    }
}

fn rows_of(backup: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(backup).expect("a file");
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

/// A backup of a node, and what is in it.
async fn backup() -> (Node, PathBuf, Vec<String>) {
    let mut node = Node::start().await;
    node.kill();
    let of = Place::new(&node.dir.join("data"));
    let had = of.rows();
    assert!(had.iter().any(|line| line.contains("keys/rs256.pem")));
    (node, of.data.with_extension("backup"), had)
}

/// Every point that a restore passes, of rows some and the last one.
fn points(list: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(list).expect("a file");
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for point in text.lines() {
        let (write, number) = point.split_once(':').expect("a point");
        let number: u32 = number.parse().expect("a number");
        let before = last.entry(write).or_default();
        *before = number.max(*before);
    }
    let missing = WRITES.iter().find(|write| !last.contains_key(**write));
    assert_eq!(missing, None, "nothing passes it");
    let points = last.into_iter().flat_map(|(write, last)| {
        let is_looked_at =
            move |number: &u32| !write.ends_with(".rows") || number % ROWS == 1 || *number == last;
        let numbers = (1..=last).filter(is_looked_at);
        numbers.map(move |number| format!("{write}:{number}"))
    });
    points.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_ends_at_any_statement_is_made_up_for_by_the_next() {
    let (_node, backup, had) = backup().await;
    let work = tempfile::tempdir().expect("a directory");
    let list = work.path().join("points");
    let whole = Place::new(&work.path().join("whole"));
    let shown = list.to_str().expect("a path");
    let ran = whole.restore(&backup, ("HEADGATE_CRASH_LIST", shown));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert_eq!(whole.rows(), had);
    for point in points(&list) {
        let mut place = Place::new(&work.path().join(point.replace([':', '.'], "-")));
        place.cut_short(&backup, &point);
        if point.starts_with("backup.restore.apim.end") {
            // All rows are there, and the keys are not where the next one puts them.
            place.data = place.data.with_extension("other");
        }
        place.again(&backup, &point);
        assert_eq!(place.rows(), had, "after {point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_restore_left_in_one_database_is_never_taken_for_the_other_half() {
    let (_node, backup, had) = backup().await;
    let work = tempfile::tempdir().expect("a directory");
    let last = "backup.restore.apim.end:1";
    // Shared is lost: both begin anew.
    let place = Place::new(&work.path().join("lost"));
    place.cut_short(&backup, last);
    for end in ["db", "db-wal", "db-shm"] {
        let _ = std::fs::remove_file(place.data.join(format!("shared.{end}")));
    }
    place.again(&backup, "Shared is lost");
    assert_eq!(place.rows(), had);
    // Another Shared, which is somebody's: it is refused.
    let others = Place::new(&work.path().join("others"));
    others.again(&backup, "nothing");
    let mut place = Place::new(&work.path().join("foreign"));
    place.cut_short(&backup, last);
    for end in ["db", "db-wal", "db-shm"] {
        let _ = std::fs::remove_file(place.data.join(format!("shared.{end}")));
    }
    std::fs::copy(others.data.join("shared.db"), place.data.join("shared.db")).expect("copied");
    let refused = place.restore(&backup, ("HEADGATE_CRASH_AT", ""));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "another one's Shared was taken");
    assert!(said.contains("database shared is not empty"), "{said}");
    // Another Shared, into which a restore was cut short: both begin anew.
    let half = Place::new(&work.path().join("half"));
    half.cut_short(&backup, "backup.restore.shared.rows:1");
    std::fs::copy(half.data.join("shared.db"), place.data.join("shared.db")).expect("copied");
    place.data = work.path().join("elsewhere");
    place.again(&backup, "half of another Shared");
    assert_eq!(place.rows(), had);
}
