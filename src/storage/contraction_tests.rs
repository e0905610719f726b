//! Builds on databases that later ones have added to, or taken away from, on SQLite and on the PostgreSQL of
//! `HEADGATE_TEST_POSTGRES`.

use std::collections::BTreeMap;

use super::*;
use crate::{apim, broker, carbon, conformance, shared};

async fn urls(directory: &std::path::Path, name: &str) -> Vec<String> {
    let file = directory.join(format!("{name}.db"));
    let mut urls = vec![format!("sqlite:{}", file.display())];
    // The node's own are files.
    let is_own = [carbon::SCHEMA.name, broker::SCHEMA.name]
        .iter()
        .any(|own| name.contains(own));
    if let Some(server) = conformance::server().filter(|_| !is_own) {
        urls.push(conformance::create(&server, name).await);
    }
    urls
}

/// The same as a build had it that knew no migration from this one on.
fn before(schema: &Schema, version: i64) -> Schema {
    let count = schema.migrations.iter().position(|one| one.0 == version);
    Schema {
        name: schema.name,
        migrations: schema.migrations.get(..count.unwrap()).unwrap(),
    }
}

#[tokio::test]
async fn a_build_writes_and_reads_in_each_database_that_the_next_one_has_added_to() {
    let dir = tempfile::tempdir().unwrap();
    // What the build wrote that did not know this migration, and what it reads of it.
    for (schema, version, write, read) in [
        (
            &apim::SCHEMA,
            21,
            "INSERT INTO followers (name, kind, incarnation, registered_at_ms) VALUES ('gw1', 'calls', 1, 7)",
            "SELECT registered_at_ms AS said FROM followers WHERE fenced_at_ms IS NULL",
        ),
        (
            &shared::SCHEMA,
            6,
            "INSERT INTO outbox (id, tenant, payload, at_ms) VALUES ('o', 't', '{}', 7)",
            "SELECT at_ms AS said FROM outbox ORDER BY at_ms, id",
        ),
        (
            &carbon::SCHEMA,
            7,
            "INSERT INTO join_tokens (id, secret_hash, expires_ms) VALUES ('j', 'h', 7)",
            "SELECT expires_ms AS said FROM join_tokens",
        ),
        (
            &carbon::SCHEMA,
            9,
            "INSERT INTO identity (id, node_id, node_name, incarnation, cluster_id) VALUES (1, 'n', 'gw1', 7, '')",
            "SELECT incarnation AS said FROM identity",
        ),
        (
            &broker::SCHEMA,
            5,
            "INSERT INTO ledger_state (id, clean, t_ms) VALUES (1, 0, 7)",
            "SELECT t_ms AS said FROM ledger_state",
        ),
    ] {
        let name = format!("back_{}_{version}", schema.name.replace('-', "_"));
        for url in urls(dir.path(), &name).await {
            Database::open(&url, schema).await.unwrap().close().await;
            let database = Database::open(&url, &before(schema, version))
                .await
                .unwrap();
            let mut writing = database.write("test.before").await.unwrap();
            writing.execute(sqlx::query(write), "row").await.unwrap();
            writing.commit().await.unwrap();
            let mut reading = database.read().await.unwrap();
            let row = reading.optional(sqlx::query(read)).await.unwrap();
            assert_eq!(row.unwrap().integer("said").unwrap(), 7, "{name}");
            drop(reading);
            database.close().await;
            // And the next one goes on with that.
            Database::open(&url, schema).await.unwrap().close().await;
        }
    }
}

/// What a table has for those who write it: the place of each column, its type, and whether every row has to say it.
async fn columns(database: &Database) -> BTreeMap<(String, String), (String, bool)> {
    let mut read = database.read().await.unwrap();
    let all = sqlx::query(
        "SELECT t.name AS place, c.name AS name, CAST(c.type AS TEXT) AS kind, \
         CAST(c.\"notnull\" = 1 AND c.dflt_value IS NULL AS BIGINT) AS needed \
         FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'",
    );
    let rows = read.all(all).await.unwrap();
    let column = |row: &sqlx::any::AnyRow| {
        let place = (row.text("place").unwrap(), row.text("name").unwrap());
        (
            place,
            (row.text("kind").unwrap(), row.flag("needed").unwrap()),
        )
    };
    rows.iter().map(column).collect()
}

#[tokio::test]
async fn each_migration_leaves_what_a_build_without_it_writes_and_reads() {
    // As `rules` says of it.
    let old = [(shared::SCHEMA.name, 4)];
    let dir = tempfile::tempdir().unwrap();
    for schema in [
        &apim::SCHEMA,
        &shared::SCHEMA,
        &carbon::SCHEMA,
        &broker::SCHEMA,
    ] {
        let url = format!("sqlite:{}", dir.path().join(schema.name).display());
        let mut former = BTreeMap::new();
        for count in 1..=schema.migrations.len() {
            let migrations = schema.migrations.get(..count).unwrap();
            let (version, name, _) = migrations.last().unwrap();
            let build = Schema {
                name: schema.name,
                migrations,
            };
            let database = Database::open(&url, &build).await.unwrap();
            let now = columns(&database).await;
            database.close().await;
            let keeps = former.iter().all(|(place, is)| now.get(place) == Some(is));
            let asks = now.iter().any(|(place, (_, needed))| {
                let is_of_former = former.keys().any(|(table, _)| *table == place.0);
                *needed && is_of_former && !former.contains_key(place)
            });
            let is_named = name.starts_with(CONTRACTS) || old.contains(&(schema.name, *version));
            assert!(
                is_named || keeps && !asks,
                "{} {version} {name}",
                schema.name
            );
            former = now;
        }
        assert!(former.len() > 10, "{}", schema.name);
    }
}

const OLD: (i64, &str, &str) = (1, "old", "CREATE TABLE old_place (id BIGINT NOT NULL)");
const CONTRACTED: Schema = Schema {
    name: "test",
    migrations: &[
        OLD,
        (2, "new", "CREATE TABLE new_place (id BIGINT NOT NULL)"),
        (3, "contracts_0002_old", "DROP TABLE old_place"),
    ],
};

async fn is_refused(url: &str, schema: &Schema) {
    let refused = Database::open(url, schema).await.err().unwrap();
    let (version, needs) = (3, 2);
    assert!(
        matches!(refused, StoreError::Contracted { version: v, needs: n, .. } if (v, n) == (version, needs)),
        "{refused}"
    );
}

#[tokio::test]
async fn a_build_does_not_start_where_a_later_one_has_taken_away_what_it_uses() {
    let dir = tempfile::tempdir().unwrap();
    for url in urls(dir.path(), "contracted").await {
        let first = before(&CONTRACTED, 2);
        let second = before(&CONTRACTED, 3);
        for schema in [&first, &second, &CONTRACTED, &second] {
            Database::open(&url, schema).await.unwrap().close().await;
        }
        is_refused(&url, &first).await;
    }
    assert_eq!(needed("contracts_nothing_that_is_named"), Some(i64::MAX));
    assert_eq!(needed("contracted"), None);
}

#[tokio::test]
async fn a_build_that_is_refused_has_changed_nothing_before_and_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let own = Schema {
        name: "test",
        migrations: &[
            OLD,
            (4, "own", "CREATE TABLE own_place (id BIGINT NOT NULL)"),
        ],
    };
    let on_what_is_gone = Schema {
        name: "test",
        migrations: &[
            OLD,
            (5, "own", "ALTER TABLE old_place ADD COLUMN more BIGINT"),
        ],
    };
    for url in urls(dir.path(), "refused").await {
        let all = Database::open(&url, &CONTRACTED).await.unwrap();
        is_refused(&url, &own).await;
        is_refused(&url, &on_what_is_gone).await;
        let mut read = all.read().await.unwrap();
        let own_there = sqlx::query("SELECT version FROM _sqlx_migrations WHERE version > 3");
        assert!(read.optional(own_there).await.unwrap().is_none());
        drop(read);
        all.close().await;
    }
}

/// A table, and what the next build adds to it.
const ONE: (i64, &str, &str) = (1, "one", "CREATE TABLE one (n BIGINT NOT NULL);");
const NOW: Schema = Schema {
    name: "apim",
    migrations: &[ONE],
};
const NEXT: Schema = Schema {
    name: "apim",
    migrations: &[
        ONE,
        (
            2,
            "more",
            "ALTER TABLE one ADD COLUMN m BIGINT NOT NULL DEFAULT 7;",
        ),
    ],
};

#[tokio::test]
async fn a_build_that_runs_goes_on_when_the_next_one_adds_to_what_it_reads_and_writes() {
    // A file is one process's, which is over when the next build starts on it.
    let Some(server) = conformance::server() else {
        return;
    };
    let url = conformance::create(&server, "runs").await;
    let running = Database::open(&url, &NOW).await.unwrap();
    // Columns by their names, as `rules` asks of each statement.
    // More than the server goes by its first plans, and more than there are connections.
    for round in 1..=60_i64 {
        if round == 40 {
            Database::open(&url, &NEXT).await.unwrap().close().await;
        }
        let mut writing = running.write("test.runs").await.unwrap();
        let row = sqlx::query("INSERT INTO one (n) VALUES ($1)").bind(round);
        writing.execute(row, "row").await.unwrap();
        writing.commit().await.unwrap();
        let mut reading = running.read().await.unwrap();
        let rows = sqlx::query("SELECT n FROM one WHERE n > $1").bind(0_i64);
        let rows = reading.all(rows).await.unwrap();
        assert_eq!(rows.len(), usize::try_from(round).unwrap());
    }
    running.close().await;
}
