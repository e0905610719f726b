//! Rows of marks.

use domain::ledger::{CellKey, Mark, Stamp};
use domain::policy::TimeUnit;
use domain::window::WindowSpec;

use super::ledger::{LIST, delete_ended, list, save};
use super::ledger_state::{begin, counted_in, take_part};
use crate::database::Database;
use crate::row::Columns as _;

const DAY: WindowSpec = WindowSpec::new(TimeUnit::Day, 1);
const T: i64 = 1_700_000_000_000;

fn mark(key: &str, used: u64, (epoch, seq): (u64, u64)) -> Mark {
    let window = DAY.at(T);
    Mark {
        cell: CellKey::new("t", "p", key),
        window: window.id,
        end_ms: window.end_ms,
        used,
        stamp: Stamp { epoch, seq },
        forgiven: 0,
    }
}

async fn saved(broker: &Database, marks: &[Mark]) -> Vec<u64> {
    let mut write = broker.write("test.mark").await.unwrap();
    save(&mut write, 3, marks).await.unwrap();
    write.commit().await.unwrap();
    let mut read = broker.read().await.unwrap();
    let marks = list(&mut read, 3, T).await.unwrap();
    marks.into_iter().map(|mark| mark.used).collect()
}

#[tokio::test]
async fn a_late_write_of_a_mark_replaces_no_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let broker = super::open(dir.path()).await.unwrap();
    assert_eq!(saved(&broker, &[mark("k", 5, (7, 9))]).await, [5]);
    assert_eq!(saved(&broker, &[mark("k", 3, (7, 8))]).await, [5]);
    assert_eq!(saved(&broker, &[mark("k", 9, (6, 70))]).await, [5]);
    // As numbers: the tenth step comes after the ninth.
    assert_eq!(saved(&broker, &[mark("k", 2, (7, 10))]).await, [2]);
    assert_eq!(saved(&broker, &[mark("k", 4, (10, 1))]).await, [4]);
    // Epochs of views are large, and a stop in order says less than the mark of the same stamp.
    let view = 3 << 36;
    assert_eq!(saved(&broker, &[mark("k", 8, (view, 1))]).await, [8]);
    assert_eq!(saved(&broker, &[mark("k", 7, (view, 1))]).await, [7]);
    // In one statement with many others, of which each is judged by itself.
    let mut many: Vec<Mark> = (0..200)
        .map(|key| mark(&format!("m{key:03}"), 1, (8, 1)))
        .collect();
    many.push(mark("k", 1, (8, 1)));
    let all = saved(&broker, &many).await;
    assert_eq!((all.len(), all[0]), (201, 7));
    many.iter_mut()
        .for_each(|mark| (mark.used, mark.stamp.seq) = (6, 0));
    assert_eq!(saved(&broker, &many).await, all);
}

#[tokio::test]
async fn a_row_of_before_resets_were_in_marks_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let broker = super::open(dir.path()).await.unwrap();
    saved(&broker, &[mark("k", 5, (7, 9))]).await;
    let mut write = broker.write("test.mark").await.unwrap();
    let query = "UPDATE ledger_cells SET mark = json_remove(mark, '$.forgiven', '$.sum')";
    let changed = write.execute(sqlx::query(query), "mark").await.unwrap();
    assert_eq!(changed, 1);
    write.commit().await.unwrap();
    let mut read = broker.read().await.unwrap();
    let marks = list(&mut read, 3, T).await.unwrap();
    assert_eq!(marks, [mark("k", 5, (7, 9))]);
}

#[tokio::test]
async fn a_row_that_was_cut_or_changed_is_refused_with_all_others_and_with_what_to_do() {
    for damage in [
        "mark = substr(mark, 1, length(mark) / 2)",
        "mark = substr(mark, 1, length(mark) - 1)",
        "mark = replace(mark, '\"used\":5', '\"used\":4')",
        "mark = replace(mark, '\"epoch\":7', '\"epoch\":1')",
        "mark = replace(mark, '\"key\":\"k\"', '\"key\":\"l\"')",
        "mark = json_remove(mark, '$.window')",
        "mark = '{}'",
        "mark = ''",
        "window_end_ms = 1",
        "window_end_ms = 1, mark = json_remove(mark, '$.sum')",
        "window_end_ms = window_end_ms + 1",
        "cell_key = replace(cell_key, 'k', 'l')",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let broker = super::open(dir.path()).await.unwrap();
        let whole = mark("other", 9, (7, 9));
        saved(&broker, &[mark("k", 5, (7, 9)), whole]).await;
        let mut write = broker.write("test.damage").await.unwrap();
        let query = format!("UPDATE ledger_cells SET {damage} WHERE mark LIKE '%\"k\"%'");
        let query = sqlx::query(sqlx::AssertSqlSafe(query));
        assert_eq!(write.execute(query, "mark").await.unwrap(), 1, "{damage}");
        // Nor is it taken for over.
        assert_eq!(delete_ended(&mut write, T).await.unwrap(), 0, "{damage}");
        write.commit().await.unwrap();
        let mut read = broker.read().await.unwrap();
        let refused = list(&mut read, 3, T).await.unwrap_err().to_string();
        assert!(
            refused.contains("none of them is used"),
            "{damage}: {refused}"
        );
        assert!(refused.contains("move it away"), "{damage}: {refused}");
    }
}

#[tokio::test]
async fn a_start_with_a_row_that_was_cut_comes_as_far_as_what_to_do_and_a_later_mark_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = super::open(dir.path()).await.unwrap();
    let mut write = broker.write("test.begin").await.unwrap();
    begin(&mut write).await.unwrap();
    take_part(&mut write, 5).await.unwrap();
    write.commit().await.unwrap();
    saved(&broker, &[mark("k", 5, (8, 9)), mark("other", 9, (7, 9))]).await;
    let mut write = broker.write("test.damage").await.unwrap();
    let query = "UPDATE ledger_cells SET mark = substr(mark, 1, 40) WHERE mark LIKE '%\"k\"%'";
    let cut = write.execute(sqlx::query(query), "mark").await.unwrap();
    assert_eq!(cut, 1);
    write.commit().await.unwrap();
    drop(broker);
    let broker = super::open(dir.path()).await.unwrap();
    let mut read = broker.read().await.unwrap();
    assert_eq!(counted_in(&mut read).await.unwrap(), Some(7));
    let mut write = broker.write("test.begin").await.unwrap();
    begin(&mut write).await.unwrap();
    write.commit().await.unwrap();
    let refused = list(&mut read, 3, T).await.unwrap_err().to_string();
    assert!(refused.contains("move it away"), "{refused}");
    drop(read);
    assert_eq!(saved(&broker, &[mark("k", 6, (9, 1))]).await, [6, 9]);
}

#[tokio::test]
async fn a_row_is_another_shards_only_as_it_was_written_and_what_is_over_is_removed_whatever_it_says()
 {
    let dir = tempfile::tempdir().unwrap();
    let broker = super::open(dir.path()).await.unwrap();
    let end_ms = DAY.at(T).end_ms;
    for damage in [
        "shard = 4",
        "shard = 4, mark = substr(mark, 1, 40)",
        "shard = 9000",
        "shard = -1",
        "shard = 'three'",
        "shard = x'04'",
        "shard = 4.5",
        // As rows of before were, without a sum.
        "shard = 9000, mark = json_remove(mark, '$.sum')",
    ] {
        saved(&broker, &[mark("k", 5, (7, 9))]).await;
        let mut write = broker.write("test.damage").await.unwrap();
        let query = format!("UPDATE ledger_cells SET {damage}");
        let query = sqlx::query(sqlx::AssertSqlSafe(query));
        assert_eq!(write.execute(query, "mark").await.unwrap(), 1);
        write.commit().await.unwrap();
        let mut read = broker.read().await.unwrap();
        assert!(list(&mut read, 4, T).await.is_err());
        // Of a window that is over nothing counts.
        assert_eq!(list(&mut read, 4, end_ms).await.unwrap(), []);
        drop(read);
        let mut write = broker.write("test.sweep").await.unwrap();
        assert_eq!(delete_ended(&mut write, end_ms).await.unwrap(), 1);
        write.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_shard_of_half_a_million_marks_is_found_by_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let broker = super::open(dir.path()).await.unwrap();
    let mut read = broker.read().await.unwrap();
    let plan = format!("EXPLAIN QUERY PLAN {LIST}");
    let query = sqlx::query(sqlx::AssertSqlSafe(plan));
    let plan = read.all(query.bind(3_i64).bind(256_i64)).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.text("detail").unwrap()).collect();
    let searches = plan
        .iter()
        .filter(|step| step.starts_with("SEARCH"))
        .count();
    assert_eq!(searches, 3, "{plan:?}");
    assert!(
        !plan.iter().any(|step| step.starts_with("SCAN")),
        "{plan:?}"
    );
}
