//! A backup that is not whole, or not as it was written, is refused before anything is done with it.

use std::fs;
use std::path::{Path, PathBuf};

use storage::backup::{Column, Kind, Value};

use super::archive::{Writer, check};
use super::line::{Line, OfDatabase, OfFile, OfTable};

fn written(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    let mut writer = Writer::create(&path, 7).unwrap();
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
    };
    let columns = [column("id", Kind::Integer), column("data", Kind::Bytes)];
    let lines = [
        Line::Database(OfDatabase {
            database: "apim".to_owned(),
            migrations: vec![1, 2],
        }),
        Line::Table(OfTable::new("t", &columns)),
        Line::Row(vec![Value::Integer(i64::MIN), Value::Bytes(vec![0, 255])]),
        Line::Row(vec![Value::Text("\"\n\u{1f980}".to_owned()), Value::Null]),
        Line::File(OfFile::new("ca.pem", b"pem")),
    ];
    for line in lines {
        let text = line.to_text().unwrap();
        assert_eq!(Line::of(&text).unwrap(), line);
        writer.write(&line).unwrap();
    }
    writer.end().unwrap();
    path
}

fn refused(path: &Path) -> String {
    format!("{:#}", check(path).map(drop).unwrap_err())
}

#[test]
fn what_was_written_is_what_is_read_and_nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "b");
    let contents = check(&path).unwrap();
    assert_eq!(contents.tables, [("apim".to_owned(), "t".to_owned(), 2)]);
    assert_eq!(
        (contents.made_at_ms, &*contents.files),
        (7, &["ca.pem".to_owned()][..])
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nothing is left of its making, and nothing is written over.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let again = Writer::create(&path, 8).map(drop).unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
}

#[test]
fn one_that_is_given_up_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    drop(Writer::create(&directory.path().join("b"), 7).unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_backup_that_is_cut_off_anywhere_or_changed_anywhere_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(written(directory.path(), "b")).unwrap();
    let path = directory.path().join("damaged");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        refused(&path);
    }
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        refused(&path);
    }
    let mut longer = whole.clone();
    longer.extend_from_slice(b"[1]\n");
    fs::write(&path, longer).unwrap();
    assert!(
        refused(&path).contains("line 8: something follows its end"),
        "{}",
        refused(&path)
    );
    // A line that somebody took out.
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&path, [&lines[..3], &lines[4..]].concat().concat()).unwrap();
    assert!(
        refused(&path).contains("was changed or is damaged"),
        "{}",
        refused(&path)
    );
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(
        refused(&path).contains("is cut off at line 7"),
        "{}",
        refused(&path)
    );
}

#[test]
fn what_is_no_backup_or_one_of_a_later_format_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("b");
    assert!(
        refused(&path).contains("cannot be read"),
        "{}",
        refused(&path)
    );
    fs::write(&path, "hello\n").unwrap();
    assert!(
        refused(&path).contains("is no backup of headgate"),
        "{}",
        refused(&path)
    );
    fs::write(&path, [0xff, 0xfe, b'\n']).unwrap();
    assert!(
        refused(&path).contains("is no backup of headgate"),
        "{}",
        refused(&path)
    );
    let later = "{\"headgate_backup\":2,\"made_by\":\"9.1.0\",\"made_at_ms\":1}\n";
    fs::write(&path, later).unwrap();
    assert!(
        refused(&path).contains("has format 2") && refused(&path).contains("9.1.0"),
        "{}",
        refused(&path)
    );
}
