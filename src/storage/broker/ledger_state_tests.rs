//! What the ledger remembers of itself.

use super::ledger_state::*;
use crate::database::Database;
use crate::error::StoreError;
use crate::row::Columns as _;

const T: i64 = 1_700_000_000_000;

/// A ledger that stopped in order, after a crash before.
async fn stopped(broker: &Database) -> Left {
    let mut write = broker.write("test.begin").await.unwrap();
    begin(&mut write).await.unwrap();
    take_part(&mut write, 5).await.unwrap();
    let left = Left {
        last_stop: LastStop::Clean,
        t_ms: T,
        lost_ms: Some(T - 1),
        epoch: 7,
    };
    end(&mut write, &left).await.unwrap();
    write.commit().await.unwrap();
    left
}

/// What others wrote, or nobody.
async fn happens(broker: &Database, statements: &[&'static str]) {
    let mut write = broker.write("test.damage").await.unwrap();
    for statement in statements {
        let changed = write.execute(sqlx::query(*statement), "state").await;
        changed.unwrap();
    }
    write.commit().await.unwrap();
}

async fn has_sum(broker: &Database) -> bool {
    let mut read = broker.read().await.unwrap();
    let query = sqlx::query("SELECT checksum FROM ledger_state");
    let row = read.optional(query).await.unwrap().unwrap();
    row.optional_integer("checksum").unwrap().is_some()
}

async fn begins(broker: &Database) -> Result<Left, StoreError> {
    let mut write = broker.write("test.begin").await.unwrap();
    begin(&mut write).await
}

#[tokio::test]
async fn a_file_knows_the_view_that_it_took_part_in_first_and_none_that_it_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let broker = super::open(dir.path()).await.unwrap();
    let mut write = broker.write("test.begin").await.unwrap();
    begin_without_past(&mut write, T).await.unwrap();
    assert_eq!(begun(&mut write).await.unwrap(), None);
    take_part(&mut write, 5 << 36).await.unwrap();
    take_part(&mut write, 6 << 36).await.unwrap();
    write.commit().await.unwrap();
    let mut write = broker.write("test.begin").await.unwrap();
    let left = begin(&mut write).await.unwrap();
    assert_eq!(left.last_stop, LastStop::Crashed);
    assert_eq!(begun(&mut write).await.unwrap(), Some(5 << 36));
}

#[tokio::test]
async fn a_row_that_was_changed_on_the_disk_is_refused_by_whoever_reads_it_with_what_to_do() {
    for damage in [
        "UPDATE ledger_state SET clean = 0",
        "UPDATE ledger_state SET t_ms = t_ms - 3600000",
        "UPDATE ledger_state SET lost_ms = NULL",
        "UPDATE ledger_state SET epoch = 8",
        "UPDATE ledger_state SET begun = NULL",
        "UPDATE ledger_state SET t_ms = 'soon'",
        "UPDATE ledger_state SET checksum = checksum + 1",
        "UPDATE ledger_state SET checksum = 'sum'",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let broker = super::open(dir.path()).await.unwrap();
        stopped(&broker).await;
        happens(&broker, &["DROP TRIGGER ledger_state_written", damage]).await;
        let mut write = broker.write("test.begin").await.unwrap();
        let mut refused = vec![
            begin(&mut write).await.map(drop),
            begun(&mut write).await.map(drop),
            note(&mut write, T).await,
            take_part(&mut write, 9).await,
        ];
        drop(write);
        let mut read = broker.read().await.unwrap();
        refused.push(noted(&mut read).await.map(drop));
        refused.push(counted_in(&mut read).await.map(drop));
        for refused in refused {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("move it away"), "{damage}: {refused}");
        }
    }
}

#[tokio::test]
async fn what_a_build_wrote_that_knows_no_sums_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let broker = super::open(dir.path()).await.unwrap();
    let left = stopped(&broker).await;
    // The same again has its sum still.
    happens(&broker, &["UPDATE ledger_state SET clean = 1"]).await;
    assert_eq!(begins(&broker).await.unwrap(), left);
    assert!(has_sum(&broker).await);
    happens(
        &broker,
        &["INSERT INTO ledger_state (id, clean, t_ms) VALUES (1, 0, 1700000000009) ON CONFLICT (id) DO UPDATE SET \
           clean = excluded.clean, t_ms = MAX(ledger_state.t_ms, excluded.t_ms)"],
    )
    .await;
    let crashed = Left {
        last_stop: LastStop::Crashed,
        t_ms: T + 9,
        ..left
    };
    assert_eq!(begins(&broker).await.unwrap(), crashed);
    // From here on a sum is kept again.
    let mut write = broker.write("test.begin").await.unwrap();
    begin(&mut write).await.unwrap();
    write.commit().await.unwrap();
    happens(
        &broker,
        &[
            "DROP TRIGGER ledger_state_written",
            "UPDATE ledger_state SET epoch = 0",
        ],
    )
    .await;
    begins(&broker).await.unwrap_err();
}
