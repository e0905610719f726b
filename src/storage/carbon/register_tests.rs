//! The register's rows: kept as they were, or refused as a whole.

use crate::carbon::open;
use crate::database::Database;

use super::*;

fn owner() -> Owner {
    Owner {
        cluster_id: "c1".to_owned(),
        node_id: "n1".to_owned(),
    }
}

fn entry(n: u64) -> (u64, Vec<u8>) {
    (n, format!("entry {n}").into_bytes())
}

async fn promises(carbon: &Database, owner: &Owner) -> Result<Promises, StoreError> {
    find(&mut carbon.read().await.unwrap(), owner).await
}

/// A node that has promised something of everything.
async fn promised(dir: &std::path::Path) -> Database {
    let carbon = open(dir).await.unwrap();
    let mut write = carbon.write("test.register").await.unwrap();
    let owner = owner();
    save_vote(&mut write, &owner, b"vote").await.unwrap();
    let entries: Vec<_> = (0..6).map(entry).collect();
    append(&mut write, &owner, &entries).await.unwrap();
    save_committed(&mut write, &owner, b"three").await.unwrap();
    save_snapshot(&mut write, &owner, b"value").await.unwrap();
    let through = (1, b"one".as_slice());
    delete_through(&mut write, &owner, through).await.unwrap();
    delete_from(&mut write, &owner, 5).await.unwrap();
    write.commit().await.unwrap();
    carbon
}

#[tokio::test]
async fn what_a_voter_promised_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = open(dir.path()).await.unwrap();
    let nothing = promises(&carbon, &owner()).await.unwrap();
    assert_eq!(nothing, Promises::default());
    carbon.close().await;
    promised(dir.path()).await.close().await;
    let carbon = open(dir.path()).await.unwrap();
    let whole = Promises {
        vote: b"vote".to_vec(),
        committed: b"three".to_vec(),
        purged: b"one".to_vec(),
        entries: (2..5).map(entry).collect(),
        snapshot: Some(b"value".to_vec()),
    };
    assert_eq!(promises(&carbon, &owner()).await.unwrap(), whole);
    let mut write = carbon.write("test.register").await.unwrap();
    let hole = append(&mut write, &owner(), &[entry(7)]).await;
    assert!(matches!(hole, Err(StoreError::Forbidden(_))), "{hole:?}");
    // A snapshot that reaches further than the log.
    let through = (20, b"twenty".as_slice());
    delete_through(&mut write, &owner(), through).await.unwrap();
    append(&mut write, &owner(), &[entry(21)]).await.unwrap();
    write.commit().await.unwrap();
    let further = promises(&carbon, &owner()).await.unwrap();
    assert_eq!(further.entries, [entry(21)]);
}

/// What may happen to the rows, and what is said then.
const DAMAGE: [(&str, &str); 14] = [
    (
        "DELETE FROM register_entries WHERE n = 4",
        "from 4 on are missing",
    ),
    (
        "DELETE FROM register_entries WHERE n = 2",
        "entry 2 is missing",
    ),
    ("DELETE FROM register_entries", "from 2 on are missing"),
    (
        "UPDATE register_entries SET body = x'00' WHERE n = 3",
        "entry 3 was changed",
    ),
    (
        "UPDATE register_entries SET n = 9 WHERE n = 3",
        "entry 3 is missing",
    ),
    (
        "INSERT INTO register_entries SELECT 5, body, checksum FROM register_entries WHERE n = 4",
        "there is 5",
    ),
    ("DELETE FROM register_snapshot", "snapshot is missing"),
    (
        "UPDATE register_snapshot SET body = x'01'",
        "snapshot is missing or was changed",
    ),
    ("DELETE FROM register", "first row is missing"),
    ("UPDATE register SET vote = x'02'", "first row was changed"),
    (
        "UPDATE register SET committed = x'02'",
        "first row was changed",
    ),
    (
        "UPDATE register SET next_entry = 4",
        "first row was changed",
    ),
    (
        "UPDATE register SET node_id = 'n2'",
        "first row was changed",
    ),
    ("UPDATE register SET format = 2", "by a later version"),
];

#[tokio::test]
async fn what_was_cut_or_changed_or_is_of_a_later_version_is_refused_with_what_to_do() {
    for (damage, says) in DAMAGE {
        let dir = tempfile::tempdir().unwrap();
        let carbon = promised(dir.path()).await;
        let mut write = carbon.write("test.damage").await.unwrap();
        write.execute(sqlx::query(damage), "damage").await.unwrap();
        write.commit().await.unwrap();
        let error = promises(&carbon, &owner()).await.unwrap_err().to_string();
        assert!(error.contains(says), "{damage}: {error}");
        let does = ["data directory", "start that version again"];
        assert!(does.iter().any(|does| error.contains(does)), "{error}");
        let is_of_head = damage.starts_with("UPDATE register SET");
        let mut write = carbon.write("test.damage").await.unwrap();
        let more = save_vote(&mut write, &owner(), b"more").await;
        assert_eq!(
            more.is_err(),
            is_of_head,
            "{damage}: nothing is added to it"
        );
    }
}

#[tokio::test]
async fn promises_of_another_node_or_another_cluster_are_none_of_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let carbon = promised(dir.path()).await;
    let others = [("c2", "n1"), ("c1", "n2")];
    for (cluster_id, node_id) in others.map(|(one, two)| (one.to_owned(), two.to_owned())) {
        let other = Owner {
            cluster_id,
            node_id,
        };
        let error = promises(&carbon, &other).await.unwrap_err().to_string();
        assert!(error.contains("is of node n1 in cluster c1"), "{error}");
        assert!(error.contains("data directory"), "{error}");
        let mut write = carbon.write("test.damage").await.unwrap();
        assert!(save_vote(&mut write, &other, b"more").await.is_err());
    }
}
