//! A process that ends in the middle of a migration leaves the schema as it was before: the next start goes through.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::Database;
use crate::database::Schema;
use crate::row::Columns as _;

/// Where the child migrates, which is ended within its second migration.
const PLACE: &str = "HEADGATE_MIGRATION_THAT_ENDS";
const FIRST: (i64, &str, &str) = (1, "one", "CREATE TABLE one (n BIGINT NOT NULL);");
const TEST: &str = "conformance::migrations::a_start_after_an_end_within_a_migration_goes_through";

const BEFORE: Schema = Schema {
    name: "apim",
    migrations: &[FIRST],
};
const WHOLE: Schema = Schema {
    name: "apim",
    migrations: &[
        FIRST,
        (
            2,
            "two",
            "CREATE TABLE two (n BIGINT NOT NULL); INSERT INTO two (n) VALUES (7);",
        ),
    ],
};
/// Its second statement takes long on a file, and writes more than memory holds.
const LONG: Schema = Schema {
    name: "apim",
    migrations: &[
        FIRST,
        (
            2,
            "two",
            "CREATE TABLE two (n BIGINT NOT NULL); INSERT INTO two (n) WITH RECURSIVE numbers (n) AS \
             (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT n FROM numbers LIMIT 50000000;",
        ),
    ],
};
/// Its second statement waits on a server for a lock that somebody else has.
const WAITING: Schema = Schema {
    name: "apim",
    migrations: &[
        FIRST,
        (
            2,
            "two",
            "CREATE TABLE two (n BIGINT NOT NULL); SELECT 1 FROM pg_advisory_xact_lock(77);",
        ),
    ],
};

/// The test once more, as a process that migrates and nothing else.
fn child(url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([TEST, "--exact"]).env(PLACE, url);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

/// Ends the child as soon as it is in the middle of its migration.
async fn end(mut child: Child, mut is_within: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_within().await {
            let ended = child.try_wait().unwrap();
            assert_eq!(ended, None, "it came to an end before it was within");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    child.kill().unwrap();
    let status = child.wait().unwrap();
    waited.expect("the migration is under way");
    assert_eq!(status.code(), None, "it ended by itself: {status}");
}

/// Whether there is a second table, and how many migrations are noted.
async fn found(database: &Database) -> (bool, usize) {
    let mut read = database.read().await.unwrap();
    let noted = sqlx::query("SELECT version FROM _sqlx_migrations");
    let noted = read.all(noted).await.unwrap().len();
    drop(read);
    let mut read = database.read().await.unwrap();
    let two = read.all(sqlx::query("SELECT n FROM two")).await;
    (two.is_ok(), noted)
}

/// What a start finds that knows of no second migration, then one that has it.
async fn goes_through(url: &str) {
    let before = Database::open(url, &BEFORE).await.unwrap();
    assert_eq!(found(&before).await, (false, 1), "{url}");
    before.close().await;
    for _ in 0..2 {
        let whole = Database::open(url, &WHOLE).await.unwrap();
        assert_eq!(found(&whole).await, (true, 2), "{url}");
        let mut read = whole.read().await.unwrap();
        let rows = read.all(sqlx::query("SELECT n FROM two")).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].integer("n").unwrap(), 7);
        drop(read);
        whole.close().await;
    }
}

async fn on_a_file(directory: &Path) {
    let url = format!("sqlite:{}", directory.join("apim.db").display());
    let log = directory.join("apim.db-wal");
    let is_within = async || {
        // What memory does not hold of a transaction lies in the log before it is committed.
        std::fs::metadata(&log).is_ok_and(|log| log.len() > 1 << 20)
    };
    end(child(&url), is_within).await;
    goes_through(&url).await;
}

async fn on_a_server(server: &str) {
    let url = super::create(server, "migration_ends").await;
    sqlx::any::install_default_drivers();
    let mut holder = AnyConnection::connect(&url).await.unwrap();
    let lock = "SELECT 1 AS taken FROM pg_advisory_lock(77)";
    holder.execute(lock).await.unwrap();
    let waits = "SELECT COUNT(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 \
        AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let is_within = async || {
        let row = sqlx::query(waits).fetch_one(&mut holder).await.unwrap();
        row.integer("n").unwrap() == 1
    };
    end(child(&url), is_within).await;
    // The server learns that nobody is there when it goes on.
    holder.close().await.unwrap();
    goes_through(&url).await;
}

#[tokio::test]
async fn a_start_after_an_end_within_a_migration_goes_through() {
    if let Ok(url) = std::env::var(PLACE) {
        let schema = match url.starts_with("sqlite:") {
            true => &LONG,
            false => &WAITING,
        };
        Database::open(&url, schema).await.unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    on_a_file(dir.path()).await;
    if let Some(server) = super::server() {
        on_a_server(&server).await;
    }
}
