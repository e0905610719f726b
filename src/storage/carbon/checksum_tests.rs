//! Rows of a number or a few that would be another promise if they changed on the disk.

use domain::view::{Epoch, Voter};

use super::{hold, open, voter};
use crate::database::Database;
use crate::row::Columns as _;

/// A node that has promised something, and may grant up to a time.
async fn promised(dir: &std::path::Path) -> (Database, Voter) {
    let carbon = open(dir).await.unwrap();
    let epoch = Epoch::of_number(1 << 36);
    let mut promised = Voter::default();
    promised.seal(epoch);
    promised.fence(epoch, 1_111).unwrap();
    let mut write = carbon.write("test.voter").await.unwrap();
    voter::save(&mut write, &Voter::default()).await.unwrap();
    voter::save(&mut write, &promised).await.unwrap();
    hold::save(&mut write, 6).await.unwrap();
    hold::save(&mut write, 7).await.unwrap();
    write.commit().await.unwrap();
    (carbon, promised)
}

async fn happens(carbon: &Database, statements: &[&'static str]) {
    let mut write = carbon.write("test.damage").await.unwrap();
    for statement in statements {
        let changed = write.execute(sqlx::query(*statement), "row").await;
        changed.unwrap();
    }
    write.commit().await.unwrap();
}

async fn has_sum(carbon: &Database, table: &str) -> bool {
    let mut read = carbon.read().await.unwrap();
    let query = match table {
        "voter" => "SELECT checksum FROM voter",
        _ => "SELECT checksum FROM hold",
    };
    let row = read.optional(sqlx::query(query)).await.unwrap().unwrap();
    row.optional_integer("checksum").unwrap().is_some()
}

/// What either row says, or how it is refused.
async fn says(carbon: &Database) -> (Result<Voter, String>, Result<Option<i64>, String>) {
    let mut read = carbon.read().await.unwrap();
    let voter = voter::find(&mut read).await;
    let hold = hold::find(&mut read).await;
    (
        voter.map_err(|error| error.to_string()),
        hold.map_err(|error| error.to_string()),
    )
}

#[tokio::test]
async fn what_changed_on_the_disk_is_refused_with_what_to_do() {
    let wrong_voter = [
        "UPDATE voter SET promises = replace(promises, '1111', '1112')",
        "UPDATE voter SET promises = substr(promises, 1, 10)",
        "UPDATE voter SET promises = x'00ff'",
        "UPDATE voter SET checksum = checksum + 1",
    ];
    let wrong_hold = [
        "UPDATE hold SET reach_ms = reach_ms + 1",
        "UPDATE hold SET reach_ms = 'soon'",
        "UPDATE hold SET checksum = 'sum'",
    ];
    for damage in wrong_voter.into_iter().chain(wrong_hold) {
        let dir = tempfile::tempdir().unwrap();
        let (carbon, promised) = promised(dir.path()).await;
        assert_eq!(says(&carbon).await, (Ok(promised), Ok(Some(7))));
        let triggers = ["DROP TRIGGER voter_written", "DROP TRIGGER hold_written"];
        happens(&carbon, &triggers).await;
        happens(&carbon, &[damage]).await;
        let is_voter = wrong_voter.contains(&damage);
        let refused = match says(&carbon).await {
            (Err(refused), Ok(Some(7))) if is_voter => refused,
            (Ok(voter), Err(refused)) if voter == promised && !is_voter => refused,
            other => panic!("{damage}: {other:?}"),
        };
        assert!(refused.contains("data directory"), "{damage}: {refused}");
    }
}

#[tokio::test]
async fn what_a_build_wrote_that_knows_no_sums_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let (carbon, _) = promised(dir.path()).await;
    for table in ["voter", "hold"] {
        assert!(has_sum(&carbon, table).await, "{table}");
    }
    let same = [
        "UPDATE voter SET promises = promises",
        "UPDATE hold SET reach_ms = reach_ms",
    ];
    happens(&carbon, &same).await;
    for table in ["voter", "hold"] {
        assert!(has_sum(&carbon, table).await, "{table}: the same again");
    }
    // As it writes them.
    let writes = [
        "INSERT INTO voter (id, promises) SELECT 1, replace(promises, '1111', '2222') FROM voter WHERE true \
         ON CONFLICT (id) DO UPDATE SET promises = excluded.promises",
        "INSERT INTO hold (id, reach_ms) VALUES (1, 9) ON CONFLICT (id) DO UPDATE SET reach_ms = excluded.reach_ms",
    ];
    happens(&carbon, &writes).await;
    let (voter, hold) = says(&carbon).await;
    assert_eq!(voter.unwrap().fenced_ms(), Some(2_222));
    assert_eq!(hold, Ok(Some(9)));
}
