//! The five rules under which one text of SQL means the same on SQLite and PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};

use super::everywhere;
use crate::row::Columns as _;

/// The types that both read alike (rules 1, 3 and 5).
const TYPES: [&str; 3] = ["TEXT", "BIGINT", "BYTEA"];

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
    found
}

fn here(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The first string of each `sqlx::query("…")` and of each constant in a source text.
fn statements(source: &str) -> Vec<&str> {
    source
        .split('"')
        .filter(|text| {
            let first = text.split_whitespace().next().unwrap_or_default();
            ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&first)
        })
        .collect()
}

#[test]
fn columns_have_the_three_types_that_both_backends_read_alike() {
    let mut columns = 0;
    for path in files(&here("../../migrations"), "sql") {
        let text = fs::read_to_string(&path).unwrap();
        let tables = text.split("CREATE TABLE").skip(1);
        for line in tables.flat_map(|table| table.split(");").next().unwrap().lines().skip(1)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some((&name, rest)) = words.split_first() else {
                continue;
            };
            if name.starts_with("--") || ["PRIMARY", "UNIQUE"].contains(&name) {
                continue;
            }
            columns += 1;
            let kind = rest.first().copied().unwrap_or_default();
            let kind = kind.trim_end_matches(',');
            assert!(TYPES.contains(&kind), "{}: {line}", path.display());
        }
    }
    assert!(columns > 100, "{columns} columns found");
}

/// What the first migrations took away, before there was a version for another one to be beside.
const BEFORE_THE_FIRST_VERSION: [&str; 1] = ["shared/0004_scope_versions.sql"];

/// Whether a migration leaves everything to the builds before it: no table, column, index, name, type or row is
/// taken from them, and no column is asked of them.
fn only_adds(sql: &str) -> bool {
    let lines = sql.lines();
    let lines = lines.map(|line| line.split("--").next().unwrap_or_default());
    let sql = lines.collect::<Vec<_>>().join(" ").to_uppercase();
    sql.split(';').all(|statement| {
        let words = statement.split(|c: char| !c.is_alphanumeric() && c != '_');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let has = |what: &[&str]| words.windows(what.len()).any(|words| words == what);
        let takes = ["DROP", "RENAME", "DELETE", "TRUNCATE"];
        let asks = has(&["NOT", "NULL"]) && !has(&["DEFAULT"]);
        let changes = has(&["ALTER", "COLUMN"]) || has(&["ALTER", "TABLE"]) && asks;
        !changes && !takes.iter().any(|word| has(&[word]))
    })
}

#[test]
fn migrations_only_add_but_for_those_that_are_named_for_what_they_take_away() {
    let root = here("../../migrations");
    let (mut count, mut old) = (0, Vec::new());
    for path in files(&root, "sql") {
        let place = path.strip_prefix(&root).unwrap().to_str().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.split_once('_').unwrap().1.starts_with("contracts_") {
            continue;
        }
        count += 1;
        let adds = only_adds(&fs::read_to_string(&path).unwrap());
        if BEFORE_THE_FIRST_VERSION.contains(&place) {
            assert!(!adds, "{place} takes nothing away");
            old.push(place.to_owned());
        } else {
            assert!(adds, "{place} takes away, and is not named contracts_…");
        }
    }
    assert_eq!(old, BEFORE_THE_FIRST_VERSION);
    assert!(count > 40, "{count} migrations found");
}

#[test]
fn a_migration_that_takes_away_is_seen() {
    for sql in [
        "CREATE TABLE a (b TEXT NOT NULL);\ndrop table c;",
        "ALTER TABLE a DROP COLUMN b",
        "ALTER TABLE a DROP b",
        "ALTER TABLE a\n    RENAME TO b",
        "ALTER TABLE a RENAME COLUMN b TO c",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL",
        "ALTER TABLE a ALTER COLUMN b TYPE BIGINT",
        "ALTER TABLE a ADD COLUMN b TEXT NOT NULL",
        "DELETE FROM a",
    ] {
        assert!(!only_adds(sql), "{sql}");
    }
    for sql in [
        "-- We drop nothing;\nCREATE TABLE a (dropped BIGINT NOT NULL);",
        "ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT '';",
        "ALTER TABLE a ADD COLUMN b TEXT -- renamed\n",
        "UPDATE a SET b = 'c';",
    ] {
        assert!(only_adds(sql), "{sql}");
    }
}

#[test]
fn statements_number_their_parameters_and_cast_their_sums() {
    let mut count = 0;
    for path in files(&here("."), "rs") {
        let source = fs::read_to_string(&path).unwrap();
        for statement in statements(&source) {
            count += 1;
            assert!(!statement.contains('?'), "{}: {statement}", path.display());
            for aggregate in ["SUM(", "AVG("] {
                let casts = statement.matches(&format!("CAST({aggregate}")).count();
                let all = statement.matches(aggregate).count();
                let wrapped = statement.matches("CAST(COALESCE(SUM(").count();
                assert!(all <= casts + wrapped, "{}: {statement}", path.display());
            }
        }
    }
    assert!(count > 100, "{count} statements found");
}

/// Whether all columns are asked for that a table has at the time.
fn asks_for_whatever_there_is(statement: &str) -> bool {
    let mut words = statement.split([' ', ',', '(']);
    words.any(|word| word == "*" || word.ends_with(".*"))
}

#[test]
fn statements_name_their_columns_so_that_a_server_goes_on_with_them_when_a_later_build_adds_one() {
    // A server refuses a statement that it has prepared once it would give other columns (0A000).
    let mut count = 0;
    for path in ["apim", "shared"]
        .iter()
        .flat_map(|folder| files(&here(folder), "rs"))
        .filter(|path| !path.to_string_lossy().ends_with("tests.rs"))
    {
        let source = fs::read_to_string(&path).unwrap();
        for statement in statements(&source) {
            count += 1;
            let asks = asks_for_whatever_there_is(statement);
            assert!(!asks, "{}: {statement}", path.display());
        }
    }
    assert!(count > 100, "{count} statements found");
    for asks in [
        "SELECT * FROM a",
        "SELECT b, (SELECT * FROM c) FROM a",
        "SELECT a.*, b FROM a",
        "DELETE FROM a RETURNING *",
    ] {
        assert!(asks_for_whatever_there_is(asks), "{asks}");
    }
    assert!(!asks_for_whatever_there_is(
        "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM a"
    ));
}

/// What tests say of the stores: their own files, and the tests at the end of others.
fn tests() -> String {
    let mut all = String::new();
    for path in files(&here("."), "rs") {
        let source = fs::read_to_string(&path).unwrap();
        let whole = path.ends_with("tests.rs")
            || path.to_string_lossy().ends_with("_tests.rs")
            || path
                .components()
                .any(|part| part.as_os_str() == "conformance");
        let from = if whole {
            Some(0)
        } else {
            source.find("#[cfg(test)]\nmod tests")
        };
        all.push_str(&source[from.unwrap_or(source.len())..]);
    }
    all
}

#[test]
fn every_function_of_a_shared_store_is_called_by_a_test_on_both_backends() {
    let tests = tests();
    let mut functions = 0;
    for path in ["apim", "shared"]
        .map(here)
        .iter()
        .flat_map(|folder| files(folder, "rs"))
    {
        let store = path.file_stem().unwrap().to_string_lossy().into_owned();
        if store.ends_with("tests") || store == "mod" {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for rest in source.split("\npub async fn ").skip(1) {
            let name = rest.split(['(', '<']).next().unwrap();
            functions += 1;
            let called = tests.contains(&format!("{store}::{name}("))
                || tests.contains(&format!("{store}::{{")) && tests.contains(&format!(" {name}("));
            assert!(called, "no test calls {store}::{name}");
        }
    }
    assert!(functions > 90, "{functions} functions found");
}

#[tokio::test]
async fn values_come_back_as_they_were_bound() {
    everywhere(async |fresh| {
        let mut write = fresh.apim.write("test.rules").await.unwrap();
        for (hash, at) in [
            ("least", i64::MIN),
            ("most", i64::MAX),
            ("größe 🚪 'x' \\", 0),
        ] {
            let query = sqlx::query(
                "INSERT INTO refresh_tokens (token_hash, tenant, consumer_key, session, username, \
                 scopes, used, issued_at_ms, expires_at_ms) \
                 VALUES ($1, 't', 'k', 's', 'u', '', $2, $3, $4)",
            )
            .bind(hash.to_owned())
            .bind(i64::from(at == 0))
            .bind(at)
            .bind(1_i64);
            write.execute(query, "row").await.unwrap();
        }
        write.commit().await.unwrap();
        let mut read = fresh.apim.read().await.unwrap();
        let all = sqlx::query("SELECT * FROM refresh_tokens ORDER BY issued_at_ms");
        let rows = read.all(all).await.unwrap();
        let texts: Vec<_> = rows
            .iter()
            .map(|row| row.text("token_hash").unwrap())
            .collect();
        assert_eq!(texts, ["least", "größe 🚪 'x' \\", "most"]);
        let numbers = rows.iter().map(|row| row.integer("issued_at_ms").unwrap());
        assert_eq!(numbers.collect::<Vec<_>>(), [i64::MIN, 0, i64::MAX]);
        let flags = rows.iter().map(|row| row.flag("used").unwrap());
        assert_eq!(flags.collect::<Vec<_>>(), [false, true, false]);
        let sum = sqlx::query("SELECT CAST(SUM(used) AS BIGINT) AS n FROM refresh_tokens");
        let row = read.optional(sum).await.unwrap().unwrap();
        assert_eq!(row.integer("n").unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_dropped_leaves_nothing_and_a_refused_row_is_a_duplicate() {
    everywhere(async |fresh| {
        let insert = || sqlx::query("INSERT INTO meta (name, value) VALUES ('a', 'b')");
        let mut write = fresh.shared.write("test.rules").await.unwrap();
        write.execute(insert(), "name").await.unwrap();
        let again = write.execute(insert(), "name").await;
        assert!(matches!(again, Err(crate::StoreError::Duplicate(what)) if what == "name"));
        drop(write);
        let mut read = fresh.shared.read().await.unwrap();
        let rows = read.all(sqlx::query("SELECT name FROM meta WHERE name = 'a'"));
        assert!(rows.await.unwrap().is_empty());
    })
    .await;
}
